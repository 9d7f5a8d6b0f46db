"""The snippets of docs/querying.md, run as they stand there."""

import re
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from jobs.delta import publish_files
from jobs.remote_tables import copy_tables
from jobs.schemas import PUBLISHED, in_json
from tests.jobs.examples import write

PAGE = Path(__file__).resolve().parents[2] / "docs" / "querying.md"
SNIPPETS = dict(
    re.findall(r"^##+ ([^\n]+)\n(?:(?!^##).)*?^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)
)
REMOTE = [name for name in SNIPPETS if name.endswith(", from the store")]
LOCAL = ["DuckDB", "pandas", "Polars", "Spark SQL"]
PLACE = "s3://bucket/nightreel"


def test_the_page_has_a_snippet_for_each_client():
    remote = ["DuckDB, from the store", "Polars, from the store"]
    assert list(SNIPPETS) == [*LOCAL, "Object store", *remote]


def publish_twice(folder: Path) -> None:
    """Two users of a date, published as `replaced` and then as `now`."""
    ddl, partition_by = PUBLISHED["recommendations"]
    columns = [column.split()[0] for column in ddl.split(", ")][1:]
    for attempt in ("replaced", "now"):
        given = {"rank": 1, "movie_id": 1, "title": attempt, "run_id": attempt}
        rows = [tuple((given | {"user_id": user}).get(name) for name in columns) for user in (2, 3)]
        day = {"ds": "2026-11-23"}
        source = write(folder / attempt, ddl, day, rows)
        table = folder / "warehouse" / "tables" / "recommendations"
        publish_files(table, source, in_json(ddl), partition_by, day, {})


def result_of(code: str) -> Any:
    found: dict = {}
    exec(code, found)
    return found.get("result", found.get("removed"))


@pytest.mark.parametrize("name", LOCAL)
def test_a_snippet_reads_the_published_version_alone(name, tmp_path, monkeypatch, request):
    if name == "Spark SQL":
        request.getfixturevalue("spark")
    publish_twice(tmp_path)
    monkeypatch.chdir(tmp_path)
    code = SNIPPETS[name]
    if name == "Spark SQL":
        code = code.replace('"warehouse/', f'"{tmp_path}/warehouse/')
    result = result_of(code)
    assert len(result) == 1
    assert "now" in str(result)


@pytest.mark.parametrize("name", REMOTE)
def test_a_snippet_reads_the_copy_in_the_store(name, tmp_path, bucket):
    publish_twice(tmp_path)
    copy_tables(tmp_path / "warehouse", f"{bucket}/nightreel")
    result = result_of(SNIPPETS[name].replace(PLACE, f"{bucket}/nightreel"))
    assert len(result) == 1
    assert "now" in str(result)


def test_vacuum_leaves_what_can_be_copied_to(tmp_path, bucket):
    publish_twice(tmp_path)
    copy_tables(tmp_path / "warehouse", f"{bucket}/nightreel")
    publish_twice(tmp_path)
    copy_tables(tmp_path / "warehouse", f"{bucket}/nightreel")
    code = SNIPPETS["Object store"].replace(PLACE, f"{bucket}/nightreel")
    assert result_of(code) == []  # too young
    now = code.replace("168,", "0, enforce_retention_duration=False,")
    assert len(result_of(now)) == 1
    # A file that is needed again is uploaded again.
    DeltaTable(tmp_path / "warehouse/tables/recommendations").restore(1)
    assert copy_tables(tmp_path / "warehouse", f"{bucket}/nightreel")["files"] == 1
