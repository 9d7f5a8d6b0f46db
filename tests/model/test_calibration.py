"""Intervals of ratings, and how many lie inside, by hand."""

import numpy as np
import pytest

from model.calibration import deciles, interval, shares_inside

PREDICTED = np.array([3, 3, 4.8, 2], np.float32)
SD = np.array([1, 2, 1, np.nan], np.float32)


def test_intervals_lie_on_the_scale():
    low, high = interval(PREDICTED, SD, 50, (1, 5))
    assert low[:3] == pytest.approx([2.3255, 1.651, 4.1255], abs=1e-4)
    assert high[:3] == pytest.approx([3.6745, 4.349, 5], abs=1e-4)
    assert np.isnan([low[3], high[3]]).all()


def test_only_ratings_with_a_deviation_count():
    # Off by 1, 1 and 0.2, in deviations 1, 0.5 and 0.2.
    shares = shares_inside(PREDICTED, SD, np.array([4, 2, 5, 5], np.float32))
    assert shares == {50: pytest.approx(2 / 3), 90: 1.0}
    assert shares_inside(PREDICTED[3:], SD[3:], PREDICTED[3:]) == {}


def test_tenths_by_stated_deviation():
    sd = np.repeat(np.arange(1, 11), 2).astype(np.float32)
    predicted, rating = np.zeros(20, np.float32), np.tile([0, 2], 10).astype(np.float32)
    found = deciles(predicted, sd, rating)
    assert [tenth.sd for tenth in found] == pytest.approx(range(1, 11))
    assert {(tenth.ratings, round(tenth.rmse, 5)) for tenth in found} == {(2, round(2**0.5, 5))}
    assert len(deciles(PREDICTED, SD, PREDICTED)) == 3
