"""The snippets of docs/querying.md, run as they stand there."""

import re
import subprocess
from datetime import date
from pathlib import Path

import pytest

from jobs.published.delta import publish_files
from jobs.published.whole import decide
from jobs.runs.schemas import PUBLISHED, columns_of, in_json
from jobs.runs.warehouse import Warehouse
from jobs.sinks.postgresql import connection_to
from jobs.sinks.postgresql_dates import load
from tests.jobs.examples import write
from tests.servers.postgresql import PASSWORD, binaries, postgresql_server

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "querying.md").read_text()
SNIPPETS = re.findall(
    r"^## ([^\n]+)\n(?:(?!^## ).)*?^```(?:python|sql)\n(.*?)^```", PAGE, re.M | re.S
)
DS = "2026-11-23"


def publish(folder: Path, table: str, partition: dict[str, str], *rows: dict) -> None:
    """Publish rows, of which columns that are not given are null."""
    ddl, partition_by = PUBLISHED[table]
    columns = [name for name in columns_of(ddl) if name not in partition]
    cells = [tuple(row.get(name) for name in columns) for row in rows]
    source = write(folder / "source" / table, ddl, partition, cells)
    tables = folder / "warehouse" / "tables"
    publish_files(tables / table, source, in_json(ddl), partition_by, partition, {})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Its warehouse has a recommendation for users 2 and 3: first `replaced`, now `now`.

    There is a third version, of a publish that has not come to its end.
    """
    for name in ("replaced", "now", "unfinished"):
        given = {"rank": 1, "movie_id": 1, "title": name, "run_id": name}
        rows = [given | {"user_id": user} for user in (2, 3)]
        publish(tmp_path, "recommendations", {"ds": DS}, *rows)
        if name == "now":
            publish(tmp_path, "runs", {"run_id": "a"}, {"ds": date.fromisoformat(DS)})
            decide(Warehouse(tmp_path / "warehouse"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_has_a_snippet_for_each_client():
    names = [name for name, _ in SNIPPETS]
    assert names == ["DuckDB", "pandas", "Polars", "Spark SQL", "PostgreSQL"]


@pytest.mark.parametrize(("name", "code"), SNIPPETS[:-1], ids=[name for name, _ in SNIPPETS[:-1]])
def test_a_snippet_reads_the_published_version_alone(name, code, folder, request):
    if name == "Spark SQL":
        request.getfixturevalue("spark")
        code = code.replace('"warehouse/', f'"{folder}/warehouse/')
    found: dict = {}
    exec(code, found)
    result = found["result"]
    assert len(result) == 1
    # pandas shows a few of the columns.
    assert "now" in (result.to_string() if name == "pandas" else str(result))


def test_psql_reads_the_newest_date(folder, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    publish(folder, "movies", {})
    decide(Warehouse(folder / "warehouse"))
    with postgresql_server() as dsn:
        with connection_to(dsn) as connection:
            load(connection, Warehouse(folder / "warehouse"), date.fromisoformat(DS))
        psql = [binaries() / "bin" / "psql", dsn, "--csv", "--command", SNIPPETS[-1][1]]
        shown = subprocess.run(psql, capture_output=True, text=True, check=True)
    assert shown.stdout == "rank,title,predicted_rating\n1,unfinished,\n"
