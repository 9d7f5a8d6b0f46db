"""Deals by the order of lines are those of the libraries that others deal with."""

import numpy as np
import pytest

from jobs.cleaning.file_order import TEST, TRAIN, VALIDATION, kfold
from jobs.runs.configuration import load_configuration


def dealt(rows: int, **values) -> np.ndarray:
    overrides = [f"etl.{key}={value}" for key, value in ({"split": "kfold"} | values).items()]
    return kfold(rows, load_configuration(overrides).etl)


# Recorded of scikit-learn 1.9.1: KFold(3, shuffle=True, random_state=0).split(np.zeros(11)).
@pytest.mark.parametrize(("fold", "test"), [(1, [2, 4, 9, 10]), (2, [1, 6, 7, 8]), (3, [0, 3, 5])])
def test_kfold_is_scikit_learns(fold, test):
    split_R = dealt(11, folds=3, fold=fold, split_seed=0)
    assert np.flatnonzero(split_R == TEST).tolist() == test


# Recorded likewise of as many rows as ML-1M has, and ten folds: sums of row numbers.
@pytest.mark.parametrize(
    ("fold", "count", "sum_of_rows"),
    [(1, 100_021, 50_095_150_947), (4, 100_021, 49_968_742_217), (10, 100_020, 49_843_728_365)],
)
def test_kfold_of_a_million_rows_is_scikit_learns(fold, count, sum_of_rows):
    shares = {"train_share": 0.85, "validation_share": 0.05}
    split_R = dealt(1_000_209, folds=10, fold=fold, split_seed=0, **shares)
    test_N = np.flatnonzero(split_R == TEST)
    assert (len(test_N), test_N.sum()) == (count, sum_of_rows)
    # One in 18 of the others.
    assert np.count_nonzero(split_R == VALIDATION) == round((1_000_209 - count) / 18)
    assert set(np.unique(split_R)) == {TRAIN, VALIDATION, TEST}
