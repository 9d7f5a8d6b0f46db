"""publish with an object store in conf: it stops before its commits, or its tables are there."""

import json
import shutil

import duckdb
from deltalake import DeltaTable

from tests.end_to_end.conftest import Warehouse


def test_publish_copies_what_it_has_committed(bucket, tmp_path, published, reject_credentials):
    warehouse = Warehouse(tmp_path / "w")
    shutil.copytree(published.folder, warehouse.folder)
    settings = warehouse.folder / "runs/first/run.json"
    run = json.loads(settings.read_text())
    run["conf"]["publish"]["object_store"] = f"{bucket}/nightreel"
    settings.write_text(json.dumps(run))
    recommendations = str(warehouse.folder / "tables/recommendations")
    before = DeltaTable(recommendations).version()

    with reject_credentials():
        refused = warehouse.run("publish", "--run-id", "first")
    assert refused.returncode == 1
    assert "nothing was published: The AWS Access Key Id" in refused.stderr
    assert DeltaTable(recommendations).version() == before

    warehouse.steps("first", first="publish")
    for table in ("recommendations", "runs", "quality"):
        rows = DeltaTable(f"{bucket}/nightreel/tables/{table}").scan()
        # DuckDB gives times a zone or none, depending on where they come from.
        names = [name for name in duckdb.from_arrow(rows).columns if not name.endswith("_at")]
        rows = DeltaTable(f"{bucket}/nightreel/tables/{table}").scan(columns=names)
        there = duckdb.from_arrow(rows).order("all").fetchall()
        assert there == warehouse.sql(f"select {', '.join(names)} from {table} order by all")
    record = json.loads((warehouse.folder / "runs/first/steps/publish.json").read_text())
    assert record["object_store"]["files"] >= 7
