"""Effects of bins of time, worked by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.dates import DAY, Dates, Effects, clock_of
from model.factors import load_factors
from tests.jobs.examples import MODEL

# Users 0 and 1 have rated from second 0 to 99 and from 50 to 59; user 2's ratings have no times.
USER, TIME = np.array([0, 0, 1, 1, 2]), np.array([0, 99, 50, 59, -1])
CLOCK = clock_of(USER, TIME, 3, (2, 5, True))
DATES = Dates(
    CLOCK,
    movie=Effects(np.array([0, 1]), np.array([0.5, -0.5])),
    user=Effects(np.array([0, 4, 9]), np.array([0.25, 1.0, 2.0])),
    day=Effects(np.array([0]), np.array([4.0])),
)


@pytest.mark.parametrize(
    ("user", "movie", "at", "expected"),
    [
        (0, 0, 0, 0.5 + 0.25 + 4),  # first half of all times, first fifth of the user's, day 0
        (0, 0, 99, -0.5 + 1 + 4),
        (0, 1, 99, 1 + 4),  # nobody has rated movie 1
        (0, 0, 50, -0.5 + 0 + 4),  # nothing was rated in that fifth
        (1, 0, 58, -0.5 + 2),  # user 1 has no effect of the day
        (0, 0, 2 * DAY, -0.5 + 1),  # later than all: the last bins, and another day
        (0, 0, -1, 0),
        (2, 0, 0, 0.5),
        (-1, 0, 0, 0),
    ],
)
def test_a_time_adds_what_its_bins_add(user, movie, at, expected):
    assert DATES.at(np.array([user]), np.array([movie]), np.array([at])) == [expected]


def test_lists_have_the_last_bins_and_predictions_at_a_time_their_own(tmp_path):
    np.testing.assert_array_equal(DATES.last_of_users(3), [1, 2, 0])
    np.testing.assert_array_equal(DATES.last_of_movies(2), [-0.5, 0])
    replace(MODEL, dates=DATES.times(0.5)).save(tmp_path / "factors")
    factors = load_factors(Path(tmp_path / "factors"))
    user, movie = np.array([0, 0, 0]), np.array([0, 0, 0])
    today = factors.predict(user, movie, clip=False)
    then = factors.predict(user, movie, clip=False, time_P=np.array([0, -1, 99]))
    last = (1 - 0.5) / 2
    np.testing.assert_allclose(then - today, [4.75 / 2 - last, -last, 4 / 2], atol=1e-6)
