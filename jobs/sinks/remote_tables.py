"""The third sink: the published tables once more, as Delta tables in an object store.

They lie in `<publish.object_store>/tables/<name>`. How one is copied, so that its readers see it
before or after, is told in jobs/sinks/table_copy.py; a copy that did not come to its end is
completed by the next, or by `nightreel sink`.
"""

from __future__ import annotations

from jobs.engines.object_store import FAILURES, require_writable, sentence
from jobs.published.delta import is_published, open_table
from jobs.published.whole import publishing
from jobs.runs.errors import JobError
from jobs.runs.schemas import PUBLISHED
from jobs.runs.warehouse import Warehouse
from jobs.sinks.table_copy import copy_table, current, open_remote, require_ours


def prepare(warehouse: Warehouse, uri: str) -> None:
    """See whether the tables can be copied to `uri`, before anything is published.

    Raises JobError if the store cannot be written, or holds the tables of another warehouse.
    """
    require_writable(uri)
    for name in PUBLISHED:
        local = open_table(warehouse, name) if is_published(warehouse, name) else None
        try:
            if remote := open_remote(f"{uri}/tables/{name}"):
                require_ours(remote, local)
        except FAILURES as error:
            raise JobError(
                f"Object store: table {name} in {uri} cannot be read, and nothing was published: "
                f"{sentence(error)}."
            ) from None


def copy_tables(warehouse: Warehouse, uri: str) -> dict[str, int]:
    """Make all tables in the store hold what the local ones hold; returns files and bytes uploaded.

    Raises JobError, saying how to complete the copy, if the store fails.
    """
    done = {"files": 0, "bytes": 0}
    with warehouse.copy_lock():
        # The lock of publish: the tables are all as one publish has left them.
        with publishing(warehouse):
            published = [name for name in PUBLISHED if is_published(warehouse, name)]
            local = [current(warehouse.table(name)) for name in published]
        # A run that stands in `runs` has published everything, there as here.
        for table in sorted(local, key=lambda table: table.folder.name == "runs"):
            target = f"{uri}/tables/{table.folder.name}"
            try:
                files, size = copy_table(table, target)
            except FAILURES as error:
                raise JobError(
                    f"Object store: {target} shows what it showed before: {sentence(error)}. "
                    "The local tables are published. Once the store is well again: nightreel sink"
                ) from None
            done["files"] += files
            done["bytes"] += size
    return done
