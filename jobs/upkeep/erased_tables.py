"""Users taken out of the published tables, their earlier versions, and the tables' logs.

One decision shows all tables without them, as a publish does: who is stopped before it has changed
nothing that readers see. After it go the files of earlier versions that name one of them, and from
the logs what those told of their contents: bounds, which may be an id. Those versions can no longer
be read, nor restored.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, WriterProperties
from deltalake.transaction import CommitProperties

from jobs.engines.duck import parquet_files, quoted
from jobs.published.delta import file_paths, is_published, new_attempt
from jobs.published.log import NO_CHECKPOINT, commit_info, committing, log_of, sync_commit
from jobs.published.runs_table import ask, latest_release
from jobs.published.versions import versions_at
from jobs.published.views import connect
from jobs.published.whole import PART_OF, decide
from jobs.runs.files import replacing
from jobs.runs.schemas import ALONE, PUBLISHED, columns_of
from jobs.runs.warehouse import Warehouse
from jobs.upkeep.traces import QUOTING, People

# The tables that may name users: in a column of their own, or by what a text quotes.
NAMING = [
    name
    for name, (ddl, _) in PUBLISHED.items()
    if {"user_id", "source_user_id", *QUOTING} & columns_of(ddl).keys()
]
ERASES = "erases"
"""What a commit says that took users out: how many were asked for."""
# As publish writes: jobs/publish.py.
ROWS_OF_GROUP = 40 * 2048


def rows_of(warehouse: Warehouse, release: str, people: People) -> dict[str, str]:
    """SQL conditions for the rows of each table that name people of a release.

    Tables that are not published, or hold nothing of the release, are left out.
    """
    other = ask(warehouse, "select distinct run_id from runs where release <> ?", [release])
    others = ", ".join(quoted(run_id) for (run_id,) in other)
    # Tables without runs are those of the newest.
    is_clean = latest_release(warehouse) == release
    wanted = {}
    for name in filter(lambda name: is_published(warehouse, name), NAMING):
        columns = columns_of(PUBLISHED[name][0])
        where = people.named_in(columns, "regexp_like")
        if where is None or not ("run_id" in columns or is_clean):
            continue
        wanted[name] = f"({where})"
        if "run_id" in columns and others:
            wanted[name] += f" and run_id not in ({others})"
    return wanted


def count(warehouse: Warehouse, wanted: dict[str, str]) -> dict[str, int]:
    """How many rows that readers see meet each table's condition."""
    found = {}
    shown = versions_at(warehouse, None)
    for name in wanted.keys() & shown.keys():
        with connect(warehouse, (name,)) as tables:
            where = wanted[name].replace("regexp_like(", "regexp_matches(")
            [(found[name],)] = tables.execute(
                f"select count(*) from {name} where {where}"
            ).fetchall()
    return {name: found[name] for name in NAMING if found.get(name)}


def take_out(warehouse: Warehouse, wanted: dict[str, str], people: People) -> None:
    """Show the tables without these rows; the caller holds the lock of publish."""
    attempt, changed = new_attempt(), False
    for name, where in wanted.items():
        folder, table = warehouse.table(name), DeltaTable(warehouse.table(name))
        before = table.version()
        made = commit_info(folder, before) or {}
        # Whose rows they are, and of which date, others go by.
        told: dict[str, Any] = {k: made[k] for k in ("run_id", "ds", "model_version") if k in made}
        told |= {ERASES: str(len(people.ids))} | ({} if name in ALONE else {PART_OF: attempt})
        how: dict[str, Any] = {
            "commit_properties": CommitProperties(custom_metadata=told),
            "post_commithook_properties": NO_CHECKPOINT,
            "writer_properties": WriterProperties(max_row_group_size=ROWS_OF_GROUP),
        }
        with committing(folder):
            if name == "quality":
                # What a rule found stays, without the rows that it shows.
                table.update({"example": "null"}, predicate=where, **how)
            else:
                table.delete(where, **how)
        table.update_incremental()
        if table.version() > before:
            sync_commit(folder, table.version())
            changed |= name not in ALONE
    if changed:
        decide(warehouse)


def remove_earlier(warehouse: Warehouse, people: People) -> int:
    """Remove the files that only earlier versions have, and that name people; returns how many."""
    removed = 0
    for name in filter(lambda name: is_published(warehouse, name), NAMING):
        folder = warehouse.table(name)
        current = set(map(Path, file_paths(DeltaTable(folder))))
        for file in parquet_files(folder):
            if file not in current and people.are_in(file):
                file.unlink()
                removed += 1
        clean_log(folder)
    return removed


def clean_log(table: Path) -> None:
    """Take from a table's log what it tells of the contents of files that are gone.

    And, of commits that took users out, by which condition.
    """
    for file in sorted(log_of(table).glob("*.json")):
        lines = file.read_text(encoding="utf-8").splitlines()
        cleaned = [clean_action(table, line) for line in lines]
        if cleaned != lines:
            with replacing(file) as new:
                new.write_text("\n".join(cleaned) + "\n", encoding="utf-8")
    for file in log_of(table).glob("*.checkpoint.parquet"):
        clean_checkpoint(table, file)


def clean_action(table: Path, line: str) -> str:
    """A line of a commit, as it may stay."""
    action = json.loads(line) if line.strip() else {}
    added, info = action.get("add"), action.get("commitInfo", {})
    told = info.get("operationParameters", {})
    if added and "stats" in added and not is_there(table, added["path"]):
        del added["stats"]
    elif ERASES in info and "predicate" in told:
        del told["predicate"]
    else:
        return line
    return json.dumps(action, separators=(",", ":"))


def is_there(table: Path, path: str) -> bool:
    """Whether a file of a table, as its log names it, is still there."""
    return (table / unquote(path)).is_file()


def clean_checkpoint(table: Path, file: Path) -> None:
    """The same of a checkpoint, which sums up the commits before it."""
    content = pq.read_table(file)
    added = content["add"].combine_chunks()
    paths = added.field("path").to_pylist()
    told = added.field("stats").to_pylist()
    stats = [
        text if path is not None and is_there(table, path) else None
        for path, text in zip(paths, told, strict=True)
    ]
    if stats == told:
        return
    fields = list(added.type)
    arrays = [
        pa.array(stats, field.type) if field.name == "stats" else added.field(field.name)
        for field in fields
    ]
    cleaned = pa.StructArray.from_arrays(arrays, fields=fields, mask=added.is_null())
    place = content.schema.get_field_index("add")
    with replacing(file) as new:
        pq.write_table(content.set_column(place, content.schema.field(place), cleaned), new)
