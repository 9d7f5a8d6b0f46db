"""Deals by the order of a file's lines, shuffled with a seed as NumPy's RandomState does.

Pure NumPy. Splits come back by row: 0 is train, 1 validation, 2 test. RandomState promises never to
change; pandas and scikit-learn draw from it too.
"""

import math

import numpy as np

from jobs.runs.settings.cleaning import EtlSettings

NAMES = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)


def position(rows: int, settings: EtlSettings) -> np.ndarray:
    """The first rows of the shuffle are train, the next validation, the last test.

    The shuffle is that of pandas' sample(frac=1, random_state=split_seed), the cut before the
    validation rows that of Keras' validation_split: rounded down.
    """
    split_R = np.full(rows, TRAIN, np.int8)
    shuffled_R = np.random.RandomState(settings.split_seed).permutation(rows)
    train = cut(rows, settings.train_share)
    test = cut(rows, settings.train_share + settings.validation_share)
    split_R[shuffled_R[train:test]] = VALIDATION
    split_R[shuffled_R[test:]] = TEST
    return split_R


def kfold(rows: int, settings: EtlSettings) -> np.ndarray:
    """Test is a fold of scikit-learn's KFold(folds, shuffle=True, random_state=split_seed).

    Folds count from 1 here, from 0 there. Validation is what follows the fold in the shuffle, after
    the last row the first: so many of the others as validation_share is to train_share.
    """
    split_R = np.full(rows, TRAIN, np.int8)
    shuffled_R = np.random.RandomState(settings.split_seed).permutation(rows)
    # The first folds have one row more, where rows are no multiple of the folds.
    size, more = divmod(rows, settings.folds)
    start = (settings.fold - 1) * size + min(settings.fold - 1, more)
    size += settings.fold <= more
    share = settings.validation_share / (settings.train_share + settings.validation_share)
    others_R = np.roll(shuffled_R, -(start + size))[: rows - size]
    split_R[shuffled_R[start : start + size]] = TEST
    split_R[others_R[: round(share * len(others_R))]] = VALIDATION
    return split_R


def cut(rows: int, share: float) -> int:
    """So many of the rows are the share, rounded down; 0.7 + 0.2 is a little less than 0.9."""
    return math.floor(round(rows * share, 6))
