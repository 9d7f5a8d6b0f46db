"""The snippets of docs/querying.md, run as they stand there."""

import re
from pathlib import Path

import pytest

from jobs.delta import publish_files
from jobs.schemas import PUBLISHED, in_json
from tests.jobs.examples import write

PAGE = Path(__file__).resolve().parents[2] / "docs" / "querying.md"
SNIPPETS = re.findall(
    r"^## ([^\n]+)\n(?:(?!^## ).)*?^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S
)


def test_the_page_has_a_snippet_for_each_client():
    assert [name for name, _ in SNIPPETS] == ["DuckDB", "pandas", "Polars", "Spark SQL"]


@pytest.mark.parametrize(("name", "code"), SNIPPETS, ids=[name for name, _ in SNIPPETS])
def test_a_snippet_reads_the_published_version_alone(name, code, tmp_path, monkeypatch, request):
    if name == "Spark SQL":
        request.getfixturevalue("spark")
    ddl, partition_by = PUBLISHED["recommendations"]
    columns = [column.split()[0] for column in ddl.split(", ")][1:]
    for attempt in ("replaced", "now"):
        given = {"rank": 1, "movie_id": 1, "title": attempt, "run_id": attempt}
        rows = [tuple((given | {"user_id": user}).get(name) for name in columns) for user in (2, 3)]
        day = {"ds": "2026-11-23"}
        source = write(tmp_path / attempt, ddl, day, rows)
        folder = tmp_path / "warehouse" / "tables" / "recommendations"
        publish_files(folder, source, in_json(ddl), partition_by, day, {})
    monkeypatch.chdir(tmp_path)
    if name == "Spark SQL":
        code = code.replace('"warehouse/', f'"{tmp_path}/warehouse/')
    found: dict = {}
    exec(code, found)
    assert len(found["result"]) == 1
    assert "now" in str(found["result"])
