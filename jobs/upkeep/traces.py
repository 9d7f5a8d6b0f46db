"""Where users are named: what is looked for in rows of tables, and in files by their columns."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from jobs.engines.duck import open_memory, parquet_files, quoted
from jobs.runs.files import read_json
from jobs.runs.warehouse import Warehouse

# Columns whose text quotes what was delivered.
QUOTING = ("content", "reason", "example")
# What a text's type is called, by DuckDB and in our schemas.
TEXT = ("VARCHAR", "string")
# The users that a model holds, which lie beside its other arrays.
OF_MODELS = "user_ids_U.npy"


@dataclass(frozen=True)
class People:
    """Users of a release, as its files name them."""

    ids: frozenset[str]
    """As the source writes them."""
    numbers: frozenset[int]
    """As `user_id` has them."""
    others: frozenset[str] = frozenset()
    """Runs of other releases: who has one of the numbers or ids in their rows is somebody else."""

    @classmethod
    def of(cls, warehouse: Warehouse, release: str, ids: Collection[str]) -> People:
        """Of ids as tables call them. An id that is no number, and has none yet, has none here."""
        own = {int(each) for each in ids if re.fullmatch(r"[1-9][0-9]{0,9}", each)}
        own = {number for number in own if number < 2**31}
        runs = runs_by_release(warehouse)
        mine = runs.pop(release, set())
        # A run of ours that was once another release's may hold rows of both.
        others = frozenset().union(*runs.values()) - mine
        files = parquet_files(warehouse.source_ids(release, "user"))
        if not files:
            return cls(frozenset(ids), frozenset(own), others)
        with open_memory() as connection:
            found = connection.execute(
                f"select id from read_parquet({listed(map(str, files))}) "
                "where source_id in (select unnest(?))",
                [sorted(ids)],
            ).fetchall()
        return cls(frozenset(ids), frozenset(own | {number for (number,) in found}), others)

    def named_in(self, columns: Mapping[str, str]) -> str | None:
        """DuckDB's SQL for the rows of a table with these columns that name one; None: none could.

        `columns` have their types by name. A number in a quoted line may stand for something else:
        then that line goes, too.
        """
        ids, said = ", ".join(map(quoted, sorted(self.ids))), []
        numbers = ", ".join(map(str, sorted(self.numbers)))
        if columns.get("user_id") in TEXT:
            # Lists of candidates, as they were given.
            said.append(f"user_id in ({ids})")
        elif "user_id" in columns and numbers:
            said.append(f"user_id in ({numbers})")
        if "source_user_id" in columns:
            said.append(f"source_user_id in ({ids})")
        quoting = [column for column in QUOTING if column in columns]
        said += [f"regexp_matches({column}, {quoted(self.pattern)})" for column in quoting]
        where = " or ".join(said) or None
        if where and self.others and "run_id" in columns:
            runs = ", ".join(map(quoted, sorted(self.others)))
            return f"({where}) and run_id not in ({runs})"
        return where

    @property
    def pattern(self) -> str:
        """A regular expression of texts in which one of the ids stands by itself."""
        ids = "|".join(
            f"0*{each}" if each.isdigit() else escaped(each) for each in sorted(self.ids)
        )
        return f"(^|[^A-Za-z0-9_-])({ids})([^A-Za-z0-9_-]|$)"

    def are_in(self, file: Path) -> bool:
        """Whether a Parquet file, or the array of a model's users, names one."""
        if file.name == OF_MODELS:
            return bool(np.isin(np.load(file, mmap_mode="r"), sorted(self.numbers)).any())
        if file.suffix != ".parquet":
            return False
        rows = f"read_parquet({quoted(str(file))}, hive_partitioning = false)"
        with open_memory() as connection:
            where = self.named_in(columns_in(connection, rows))
            query = f"select 1 from {rows} where {where} limit 1"
            return where is not None and connection.execute(query).fetchone() is not None


def runs_by_release(warehouse: Warehouse) -> dict[str, set[str]]:
    """The runs of each release that have published, be it in an earlier version, or have a folder.

    What neither a table nor a folder tells of is nobody's.
    """
    found = [
        (told["release"], run_id)
        for run_id in warehouse.run_ids()
        if "release" in (told := read_json(warehouse.run_file(run_id)) or {})
    ]
    if files := parquet_files(warehouse.table("runs")):
        with open_memory() as connection:
            found += connection.execute(
                f"select distinct release, run_id from read_parquet({listed(map(str, files))}, "
                "union_by_name = true, hive_types = {'run_id': VARCHAR})"
            ).fetchall()
    runs: dict[str, set[str]] = {}
    for release, run_id in found:
        runs.setdefault(release, set()).add(run_id)
    return runs


def escaped(text: str) -> str:
    """A text in a regular expression of RE2's kind: marks that mean nothing there stay bare.

    Before a quote another may stand, as CSV doubles them, or a backslash, as in JSON.
    """
    return re.sub(r"[\\.+*?()|\[\]{}^$]", r"\\\g<0>", text).replace('"', r'["\\]?"')


def columns_in(connection: duckdb.DuckDBPyConnection, rows: str) -> dict[str, str]:
    """The columns of what is read, with DuckDB's names of their types."""
    found = connection.execute(f"describe from {rows}").fetchall()
    return {name: kind for name, kind, *_ in found}


def listed(paths: Iterable[str]) -> str:
    """Paths as a list in SQL."""
    return f"[{', '.join(map(quoted, paths))}]"
