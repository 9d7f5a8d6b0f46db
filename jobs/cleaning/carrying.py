"""Clean data of an earlier run, with that of the users in whom tonight's differs put in its place.

Whoever has a new line is cleaned anew, all other rows are as they were: they keep their files, but
for row numbers, which move where new users and movies come among the others. Spark is not asked for
that: it is copying, file by file.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jobs.cleaning.base import CannotGrow
from jobs.cleaning.order_splits import TEST, VALIDATION
from jobs.cleaning.outputs import SPLITS
from jobs.engines.duck import parquet_files
from jobs.runs.files import link_or_copy
from model.files import make_folder

Ints = NDArray[np.integer]
# Of a user's number, as of Knuth's multiplicative hashing: which file a user is dealt to.
KNUTH = 2_654_435_761


@dataclass(frozen=True)
class Moved:
    """Row numbers of an entity: those that an earlier run gave, and what they are tonight."""

    ids_before: Ints
    """By row number."""
    ids: Ints
    """The same of tonight."""
    place: Ints
    """Tonight's row number, by that of before; -1 of who is no more."""

    @classmethod
    def between(cls, before: Path, now: Path, entity: str) -> Moved:
        """Of two runs' folders."""
        ids_before, ids = (ids_of(folder, entity) for folder in (before, now))
        return cls(ids_before, ids, pd.Index(ids).get_indexer(ids_before))

    @property
    def gone(self) -> Ints:
        """The ids of those who are no more."""
        return self.ids_before[self.place < 0]

    @property
    def stays(self) -> bool:
        """Whether all have the row numbers that they had."""
        return bool((self.place == np.arange(len(self.place))).all())

    def moved(self, column: pa.ChunkedArray) -> pa.Array:
        """Row numbers as tonight's; of a column of lists, those in them."""
        array = column.combine_chunks()
        if pa.types.is_list(array.type):
            # After rows were taken out, offsets need not begin at 0.
            offsets = pc.subtract(array.offsets, array.offsets[0])
            values = pa.array(self.place[array.flatten().to_numpy()], pa.int32())
            return pa.ListArray.from_arrays(offsets, values).cast(array.type)
        return pa.array(self.place[array.to_numpy()], pa.int32())


@dataclass(frozen=True)
class Carrying:
    """What is put together, and where it goes."""

    base: Path
    """Folder of the earlier run."""
    changed: Path
    """Holds the same outputs, of the users who are cleaned anew, with tonight's row numbers."""
    target: Path
    changed_ids: Ints
    """These users, ascending."""
    users: Moved
    movies: Moved
    seed: int

    @classmethod
    def between(
        cls, base: Path, changed: Path, target: Path, changed_ids: Ints, seed: int
    ) -> Carrying:
        """Of two runs' folders, and one of what has changed."""
        users, movies = (Moved.between(base, target, entity) for entity in ("user", "movie"))
        # Who is no more has changed, and no movie is lost.
        assert not np.setdiff1d(users.gone, changed_ids).size
        assert not movies.gone.size
        return cls(base, changed, target, changed_ids, users, movies, seed)

    def kept(self, file: Path) -> tuple[pa.Table, bool]:
        """A file's rows of all other users, with tonight's row numbers; whether that is all of it.

        Users are known by user_id, or by user_idx.
        """
        rows, same = pq.ParquetFile(file).read(), True
        indexed = "user_idx" in rows.column_names
        user_ids = rows["user_idx" if indexed else "user_id"].to_numpy()
        if indexed:
            user_ids = self.users.ids_before[user_ids]
        changed = pd.Index(self.changed_ids).get_indexer(user_ids) >= 0
        if changed.any():
            rows, same = rows.filter(pa.array(~changed)), False
        for name, index in (("user_idx", self.users), ("movie_idx", self.movies)):
            if indexed and not index.stays:
                place, same = rows.schema.get_field_index(name), False
                rows = rows.set_column(place, rows.field(name), index.moved(rows[name]))
        return rows.combine_chunks(), same


def carry(carrying: Carrying, most_rows: dict[str, int]) -> dict[str, int | float]:
    """Write the outputs that have rows of single users; returns their figures.

    `most_rows` in a file, by output, of those whose files are ranges of users.
    """
    works = list(dealt(carrying))
    for output, most in most_rows.items():
        works += in_order(carrying, output, most)
    figures: Counter[str] = Counter()
    scale: list[float] = []
    # Each holds a file's rows some times over.
    threads = min(4, len(os.sched_getaffinity(0)))
    with ThreadPoolExecutor(threads) as pool:
        for found in pool.map(lambda work: work(), works):
            scale += [found.pop(name) for name in ("lowest", "highest") if name in found]
            figures.update(found)
    if not scale:
        raise CannotGrow("no rating is left")
    return {**figures, "lowest": min(scale), "highest": max(scale)}


def read(folder: Path) -> pa.Table:
    """All rows of an output, without columns that folders say."""
    return pa.concat_tables(pq.ParquetFile(file).read() for file in parquet_files(folder))


def ids_of(run: Path, entity: str) -> Ints:
    """The ids of users or movies by row number, of a run's folder."""
    index = read(run / f"{entity}_index").sort_by(f"{entity}_idx")
    return index[f"{entity}_id"].to_numpy()


def new_folder(folder: Path) -> Path:
    """An empty one, in place of what is there."""
    shutil.rmtree(folder, ignore_errors=True)
    make_folder(folder)
    return folder


def in_order(
    carrying: Carrying, output: str, most_rows: int
) -> Iterator[Callable[[], dict[str, Any]]]:
    """The works that write an output whose files are ranges of users: one for each file."""
    key = "user_idx" if output == "histories" else "user_id"
    figures = FIGURES.get(output, lambda rows: {})
    files = [
        f for f in parquet_files(carrying.base / output) if pq.ParquetFile(f).metadata.num_rows
    ]
    fresh = read(carrying.changed / output)
    fresh = fresh.take(np.argsort(fresh[key].to_numpy(), kind="stable")).combine_chunks()
    firsts = [first_user(carrying, file) for file in files]
    user_ids = fresh[key].to_numpy()
    if key == "user_idx":
        user_ids = carrying.users.ids[user_ids]
    # Whoever stands before the first file's users goes into it, too.
    cuts = [0, *np.searchsorted(user_ids, firsts[1:]).tolist(), len(fresh)]
    target = new_folder(carrying.target / output)

    def work(number: int) -> dict[str, Any]:
        own = fresh.slice(cuts[number], cuts[number + 1] - cuts[number])
        rows, same = carrying.kept(files[number]) if files else (own.slice(0, 0), False)
        if same and not len(own):
            link_or_copy(files[number], target / f"part-{number:05d}.parquet")
            return figures(rows)
        rows = pa.concat_tables([rows, own.cast(rows.schema)])
        rows = rows.take(np.argsort(rows[key].to_numpy(), kind="stable")).combine_chunks()
        pieces = max(1, round(len(rows) / most_rows))
        bounds = np.linspace(0, len(rows), pieces + 1).astype(int)
        for piece, (start, stop) in enumerate(pairwise(bounds)):
            file = target / f"part-{number:05d}-{piece:03d}.parquet"
            pq.write_table(rows.slice(start, stop - start), file, store_schema=False)
        return figures(rows)

    for number in range(max(1, len(files))):
        yield partial(work, number)


def first_user(carrying: Carrying, file: Path) -> int:
    """The id of the user whose rows come first in a file of the earlier run."""
    content = pq.ParquetFile(file)
    if "user_id" in content.schema_arrow.names:
        return content.read(["user_id"])["user_id"][0].as_py()
    return int(carrying.users.ids_before[content.read(["user_idx"])["user_idx"][0].as_py()])


def dealt(carrying: Carrying) -> Iterator[Callable[[], dict[str, Any]]]:
    """The works that write `splits`, whose files hold all ratings of their users in random order.

    Users who are cleaned anew are dealt to the files by their numbers, and rows shuffled again.
    """
    splits = [f"split={split}" for split in SPLITS]
    files = {
        split: {f.name: f for f in parquet_files(carrying.base / "splits" / split)}
        for split in splits
    }
    names = sorted(set().union(*files.values()))
    fresh, file_R = {}, {}
    for split in splits:
        folder = carrying.changed / "splits" / split
        if folder.is_dir():
            fresh[split] = read(folder).combine_chunks()
            user_ids = carrying.users.ids[fresh[split]["user_idx"].to_numpy()].astype(np.int64)
            file_R[split] = (user_ids * KNUTH >> 16) % len(names)

    def work(split: str, number: int) -> dict[str, Any]:
        known = files[split].get(names[number])
        kept, same = carrying.kept(known) if known else (None, False)
        own = None
        if split in fresh:
            own = fresh[split].filter(pa.array(file_R[split] == number))
        parts = [part for part in (kept, own) if part is not None and len(part)]
        target = carrying.target / "splits" / split / f"part-{number:05d}.parquet"
        if parts:
            make_folder(target.parent)
        if known and same and not (own is not None and len(own)):
            link_or_copy(known, target)
        elif parts:
            rows = pa.concat_tables(part.cast(parts[0].schema) for part in parts)
            # It may be negative.
            seed = [carrying.seed % 2**64, splits.index(split), number]
            order = np.random.default_rng(seed).permutation(len(rows))
            rows = rows.take(order).combine_chunks()
            pq.write_table(rows, target, row_group_size=len(rows), store_schema=False)
        return {}

    new_folder(carrying.target / "splits")
    for split in splits:
        for number in range(len(names)):
            yield partial(work, split, number)


def figures_of_ratings(rows: pa.Table) -> dict[str, Any]:
    """How many are of each split, and without a time; the lowest and the highest."""
    splits, scale = pc.value_counts(rows["split"]), pc.min_max(rows["rating"]).as_py()
    found = {each["values"]: each["counts"] for each in splits.to_pylist()}
    if len(rows):
        found |= {"lowest": scale["min"], "highest": scale["max"]}
    return found | {"undated": rows["rated_at"].null_count}


def figures_of_histories(rows: pa.Table) -> dict[str, Any]:
    """How many there are, and in how many a test and a validation take part.

    Splits ascend in a history: it takes part where the first is an earlier one.
    """
    lists = rows["split"].combine_chunks()
    split_N, start_U1 = lists.flatten().to_numpy(), lists.offsets.to_numpy()
    start_U1 = start_U1 - start_U1[0]
    first_U = split_N[start_U1[:-1]]
    found = {"raters": len(rows)}
    for name, part in (("measured", TEST), ("validated", VALIDATION)):
        has_U = np.add.reduceat(split_N == part, start_U1[:-1]) > 0 if len(rows) else first_U > 0
        found[name] = int((has_U & (first_U < part)).sum())
    return found


def figures_of_repeats(rows: pa.Table) -> dict[str, Any]:
    """How many lines with a rating there are beside the one of each that stands."""
    of_standing = rows.filter(pc.invert(rows["deleted"]))["lines"].to_numpy()
    return {"replaced": int((of_standing - 1).sum())}


FIGURES: dict[str, Callable[[pa.Table], dict[str, Any]]] = {
    "ratings": figures_of_ratings,
    "histories": figures_of_histories,
    "repeats": figures_of_repeats,
}
