"""The snippets of docs/object_store.md, run as they stand there on a real S3 server."""

import re
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from jobs.runs.warehouse import Warehouse
from jobs.sinks.remote_tables import copy_tables
from tests.jobs.sinks.test_postgresql import DAYS, publish_run

PAGE = Path(__file__).resolve().parents[2] / "docs" / "object_store.md"
SNIPPETS = dict(
    re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)
)


@pytest.fixture
def warehouse(tmp_path, bucket):
    """Copied twice to the store: first user 2 has one movie `Replaced`, then one `Now`."""
    for run_id, title in (("a", "Replaced"), ("b", "Now")):
        publish_run(tmp_path, DAYS[1], run_id, [title])
        copy_tables(Warehouse(tmp_path), f"{bucket}/nightreel")
    return tmp_path


def names_of(code: str, bucket: str) -> dict[str, Any]:
    """What a snippet has defined when it has run."""
    found: dict[str, Any] = {}
    exec(code.replace("s3://bucket/nightreel", f"{bucket}/nightreel"), found)
    return found


@pytest.mark.parametrize("name", ["DuckDB", "Polars"])
def test_a_snippet_reads_the_copy_as_it_is_now(name, warehouse, bucket):
    result = names_of(SNIPPETS[name], bucket)["result"]
    assert len(result) == 1
    assert "Now" in str(result)


def test_vacuum_leaves_what_can_be_copied_to(warehouse, bucket):
    code = SNIPPETS["Old files"]
    assert names_of(code, bucket)["removed"] == []  # too young
    at_once = code.replace("168,", "0, enforce_retention_duration=False,")
    assert len(names_of(at_once, bucket)["removed"]) == 1
    # A file that is needed again is uploaded again.
    DeltaTable(warehouse / "tables" / "recommendations").restore(0)
    assert copy_tables(Warehouse(warehouse), f"{bucket}/nightreel")["files"] == 1
