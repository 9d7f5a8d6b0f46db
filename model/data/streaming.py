"""One rank's shard of a Parquet folder that is larger than memory, read anew in every epoch."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from model.data.columns import COLUMNS
from model.data.ratings import Ratings
from model.data.reading import open_reader, parquet_files, seed_of, unreadable

# Batches made ready while the model works on the one before.
PREFETCHED = 8


class StreamShard:
    """A shard that is read through petastorm, row group by row group.

    In an epoch the row groups come in a random order and pass through a shuffling queue of
    `queue_rows` rows, so rows that lie far apart on disk meet in a batch. They are the same row
    groups in every epoch, as a rank owns the users in them. Order and queue depend on
    seed and epoch alone: petastorm reads with one worker, which keeps row groups in order.
    """

    def __init__(
        self,
        folder: Path,
        rank: int,
        ranks: int,
        seed: int,
        queue_rows: int,
        columns: list[str] = COLUMNS,
    ) -> None:
        self.folder, self.rank, self.ranks, self.columns = folder, rank, ranks, columns
        self.seed, self.queue_rows = seed, queue_rows
        self.files = parquet_files(folder)
        self.rows = sum(len(block) for block in self.blocks())

    def blocks(self) -> Iterator[Ratings]:
        """All ratings, a row group at a time, in the order of the files."""
        for columns in self.row_groups(None):
            # Copies, because Arrow's arrays are read-only and torch wants none of these.
            yield Ratings(*(torch.from_numpy(column.copy()) for column in columns))

    def batches(self, epoch: int, sizes: list[int], start: int) -> Iterator[Ratings]:
        """Shuffled by seed and epoch; the batches before `start` are read and passed over."""
        prepared: queue.Queue[Ratings | Exception] = queue.Queue(PREFETCHED)
        stopped = threading.Event()

        def prepare() -> None:
            try:
                for number, batch in enumerate(self.shuffled(epoch, sizes)):
                    if number >= start and not hand_over(prepared, batch, stopped):
                        return
            except Exception as error:
                hand_over(prepared, error, stopped)

        thread = threading.Thread(target=prepare, name="reading", daemon=True)
        thread.start()
        try:
            for _ in sizes[start:]:
                found = prepared.get()
                if isinstance(found, Exception):
                    raise found
                yield found
        finally:
            stopped.set()
            thread.join()

    def shuffled(self, epoch: int, sizes: list[int]) -> Iterator[Ratings]:
        """An epoch's batches out of the shuffling queue."""
        seed = seed_of(self.seed, self.rank, epoch)
        pool = ShufflingQueue(np.random.default_rng(seed))
        row_groups = self.row_groups(seed)
        for size in sizes:
            while pool.rows < max(self.queue_rows, size):
                columns = next(row_groups, None)
                if columns is None:
                    break
                pool.put(columns)
            if pool.rows < size:
                # petastorm lists the files anew in every epoch.
                short = ValueError("it holds fewer rows than when training began")
                raise ValueError(unreadable(self.files, short, self.columns))
            batch = Ratings(*(torch.from_numpy(column) for column in pool.take(size)))
            if torch.cuda.is_available():
                batch = batch.pinned()
            yield batch

    def row_groups(self, seed: int | None) -> Iterator[list[np.ndarray]]:
        """This rank's row groups, shuffled if there is a seed. Raises ValueError, naming a file."""
        try:
            with open_reader(
                self.folder,
                self.rank,
                self.ranks,
                self.columns,
                shuffle_row_groups=seed is not None,
                seed=seed,
                workers_count=1,
                results_queue_size=2,
            ) as reader:
                for batch in reader:
                    yield [getattr(batch, name) for name in self.columns]
        except Exception as error:
            raise ValueError(unreadable(self.files, error, self.columns)) from error


def hand_over(prepared: queue.Queue, item: Ratings | Exception, stopped: threading.Event) -> bool:
    """Put an item into a queue that may be full; False if nobody waits for it any more."""
    while not stopped.is_set():
        try:
            prepared.put(item, timeout=0.1)
            return True
        except queue.Full:
            continue
    return False


class ShufflingQueue:
    """Rows that wait to be drawn at random; columns grow to the most that ever waited."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random, self.rows = random, 0
        self.columns: list[np.ndarray] = []

    def put(self, columns: list[np.ndarray]) -> None:
        """Add rows."""
        added = len(columns[0])
        if not self.columns:
            self.columns = [np.empty(0, column.dtype) for column in columns]
        if self.rows + added > len(self.columns[0]):
            self.columns = [np.r_[own[: self.rows], new] for own, new in self.both(columns)]
        else:
            for own, new in self.both(columns):
                own[self.rows : self.rows + added] = new
        self.rows += added

    def both(self, columns: list[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return zip(self.columns, columns, strict=True)

    def take(self, size: int) -> list[np.ndarray]:
        """Draw rows without replacement; the last rows fill the holes."""
        drawn = self.random.choice(self.rows, size, replace=False)
        self.rows -= size
        holes = drawn[drawn < self.rows]
        last = np.arange(self.rows, self.rows + size)
        kept = last[~np.isin(last, drawn)]
        batch = [column[drawn] for column in self.columns]
        for column in self.columns:
            column[holes] = column[kept]
        return batch
