"""Cross-validation: the ratings of a run dealt to folds, each of which is held back once.

A rating's fold follows from its user, its movie and etl.split_seed alone, as in etl's split
`folds`: it is the same for every model, and one more rating moves no other. Of the other folds,
validation is taken by the same number, in the proportion of etl's shares.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jobs.runs.errors import JobError
from jobs.runs.files import exclusive
from jobs.runs.run import Run
from jobs.runs.settings.cleaning import EtlSettings
from model.data.columns import DATED
from model.data.indexes import read_ids
from model.data.rating_hash import rating_hash
from model.data.reading import seed_of
from model.files import make_folder, whole_folder
from model.settings import TrainingSpec

BUCKETS = 1_000_000
SPLITS = ("train", "validation", "test")


def dealt(hash_N: NDArray[np.int64], folds: int, fold: int, etl: EtlSettings) -> NDArray[np.int8]:
    """Of N ratings, the place in SPLITS of each where this fold, from 1, is held back."""
    share = etl.validation_share / (etl.train_share + etl.validation_share)
    split_N = (hash_N % BUCKETS < round(share * BUCKETS)).astype(np.int8)
    split_N[hash_N % folds == fold - 1] = SPLITS.index("test")
    return split_N


def fold_spec(run: Run, spec: TrainingSpec, fold: int) -> TrainingSpec:
    """The training that a fold is held back from; its ratings are dealt unless they were."""
    folder, folds = fold_folder(run, fold), run.conf.compare.folds
    make_folder(folder.parent)
    with exclusive(folder.parent / f".lock-{fold}", f"fold {fold} to be dealt"):
        if not folder.is_dir():
            deal(run, folder, fold)
    data = spec.provenance["data"] | {"split": "folds", "folds": folds, "fold": fold}
    return replace(
        spec,
        train=str(folder / "train"),
        validation=str(folder / "validation"),
        provenance=spec.provenance | {"data": data},
    )


def fold_folder(run: Run, fold: int) -> Path:
    """Scratch with the ratings of SPLITS; an etl that was made again has another."""
    made = json.dumps([run.digest, run.record("etl")], sort_keys=True).encode()
    name = f"{run.conf.compare.folds}-{hashlib.sha256(made).hexdigest()[:12]}"
    return run.staging / "folds" / name / str(fold)


def clear_folds(run: Run) -> None:
    """Remove what was dealt: it is as large as all ratings, so many times."""
    shutil.rmtree(run.staging / "folds", ignore_errors=True)


def deal(run: Run, folder: Path, fold: int) -> None:
    """Write a fold's ratings, file by file as etl did: in each all of its users', as one row group.

    Raises JobError where a part has none.
    """
    folds, conf = run.conf.compare.folds, run.conf.etl
    assert folds is not None
    user_ids_U = read_ids(str(run.data("user_index")), "user")
    movie_ids_M = read_ids(str(run.data("movie_index")), "movie")
    written = dict.fromkeys(SPLITS, 0)
    with whole_folder(folder) as incoming:
        for split in SPLITS:
            make_folder(incoming / split)
        for number, (name, rows) in enumerate(files_of(run)):
            user_N, movie_N = rows["user_idx"].to_numpy(), rows["movie_idx"].to_numpy()
            hash_N = rating_hash(user_ids_U[user_N], movie_ids_M[movie_N], conf.split_seed)
            split_N = dealt(hash_N, folds, fold, conf)
            order_N = np.random.default_rng(seed_of(conf.split_seed, number)).permutation(len(rows))
            for place, split in enumerate(SPLITS):
                part = rows.take(order_N[split_N[order_N] == place])
                written[split] += len(part)
                if len(part):
                    pq.write_table(part, incoming / split / name, row_group_size=len(part))
        if empty := [split for split, count in written.items() if not count]:
            raise JobError(
                f"fold {fold} of {folds} has no {empty[0]} ratings: there are too few of them for "
                "so many folds"
            )


def files_of(run: Run) -> Iterator[tuple[str, pa.Table]]:
    """The ratings of all splits, in the files that etl dealt users to, by name."""
    parts: dict[str, list[Path]] = defaultdict(list)
    for split in run.conf.etl.splits:
        for file in sorted(run.split(split).glob("*.parquet")):
            parts[file.name].append(file)
    for name, files in sorted(parts.items()):
        yield name, pa.concat_tables(pq.ParquetFile(file).read(DATED) for file in files)
