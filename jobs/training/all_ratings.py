"""All ratings of a run in one folder, for a training that holds nothing back."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.runs.errors import JobError
from jobs.runs.run import Run
from model.data.columns import DATED
from model.data.reading import seed_of
from model.files import whole_folder


def write_all_ratings(run: Run, folder: Path) -> int:
    """Write the ratings of all splits into a folder, which appears whole; returns their number.

    etl deals users to files, by the same names in each split: the files of a name become one, with
    all ratings of its users as one row group, in random order. One is held in memory at a time.
    """
    files: dict[str, list[Path]] = defaultdict(list)
    for split in run.conf.etl.splits:
        source = run.split(split)
        found = sorted(source.glob("*.parquet"))
        if not found:
            raise JobError(f"{source} holds no ratings: run etl again.")
        for file in found:
            files[file.name].append(file)
    total = 0
    with whole_folder(folder) as incoming:
        for number, (name, parts) in enumerate(sorted(files.items())):
            rows = pa.concat_tables(pq.ParquetFile(part).read(DATED) for part in parts)
            random = np.random.default_rng(seed_of(run.conf.etl.split_seed, number))
            rows = rows.take(random.permutation(len(rows)))
            pq.write_table(rows, incoming / name, row_group_size=max(1, len(rows)))
            total += len(rows)
    return total
