"""Intervals of means over users, and of the difference of two models."""

import numpy as np
import pytest

from model.bootstrap import difference, intervals


def test_an_interval_is_as_wide_as_theory_says():
    random = np.random.default_rng(1)
    value_FB = np.stack([random.normal(3, 2, 4000), np.full(4000, 7.0)])
    value_FB[0, :2000] = np.nan
    drawn, constant = intervals(value_FB, draws=2000)
    error = np.nanstd(value_FB[0]) / np.sqrt(2000)
    assert drawn.value == np.nanmean(value_FB[0])
    assert drawn.low == pytest.approx(drawn.value - 1.96 * error, abs=error / 6)
    assert drawn.high == pytest.approx(drawn.value + 1.96 * error, abs=error / 6)
    assert (constant.value, constant.low, constant.high) == (7, 7, 7)


def test_users_who_take_no_part_do_not_count():
    nobody, one = intervals(np.array([[np.nan, np.nan], [np.nan, 2.0]]))
    assert np.isnan([nobody.value, nobody.low, nobody.high]).all()
    assert (one.value, one.low, one.high) == (2, 2, 2)
    assert np.isnan(intervals(np.empty((1, 0)))[0].value)


def test_the_same_users_are_drawn_for_both():
    """A difference much smaller than what users differ by is seen where all users have it."""
    random = np.random.default_rng(2)
    hard_B = random.random(500)
    better_B = hard_B + random.normal(0.01, 0.02, 500)
    found = difference(better_B, hard_B)
    assert found.verdict == "better"
    assert difference(hard_B, better_B).verdict == "worse"
    assert found.low < 0.01 < found.high
    assert difference(random.permutation(hard_B), hard_B).verdict == "open"
    better_B[:490] = np.nan
    assert difference(better_B, hard_B).users == 10


def test_equal_models_are_rarely_told_apart():
    """The share of wrong verdicts is that of the interval: at most about one in twenty."""
    random = np.random.default_rng(3)
    verdicts = [
        difference(random.random(200), random.random(200), draws=400).verdict for _ in range(200)
    ]
    assert 0 < sum(verdict != "open" for verdict in verdicts) <= 20
