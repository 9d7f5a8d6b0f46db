"""Where a past is cut, what is known at a cut, and which training makes a period's lists."""

import numpy as np
import pytest

from jobs.comparing.periods import Period, periods_of, trained_in
from jobs.runs.errors import JobError
from jobs.runs.settings.comparing import ReplaySettings
from model.data.histories import TEST, TRAIN, VALIDATION, Histories

DAY = 86_400


def settings(**changes) -> ReplaySettings:
    usual = {
        "members": ["visits"],
        "policies": ["always", "never"],
        "periods": 2,
        "from_share": 0.5,
        "cuts": None,
    }
    return ReplaySettings.model_validate(usual | changes)


def test_periods_hold_equally_many_ratings_and_end_with_the_last():
    time_N = np.append(np.arange(100, 120)[::-1], [-1, -1])
    first, second = periods_of(time_N, settings(), 0.2)
    assert first == Period(1, 110, 115, 108)
    assert second == Period(2, 115, 120, 112)


def test_dates_cut_at_midnight_in_their_order():
    time_N = np.arange(0, 30 * DAY, 3600)
    conf = settings(cuts=["1970-01-20", "1970-01-10", "1970-01-20"])
    found = periods_of(time_N, conf, 0.1)
    assert [(one.start, one.stop) for one in found] == [
        (9 * DAY, 19 * DAY),
        (19 * DAY, time_N[-1] + 1),
    ]


@pytest.mark.parametrize(
    ("time_N", "changes", "sentence"),
    [
        ([-1, -1], {}, "No rating has a time"),
        ([5, 5, 5, 5], {}, "Period 1, 1970-01-01 to 1970-01-01, has 0 dated ratings before it"),
        (range(9), {"cuts": ["1970-01-01"]}, "has 0 dated ratings before it and 9 in it"),
        (range(9), {"cuts": ["1980-01-01"]}, "has 9 dated ratings before it and 0 in it"),
    ],
)
def test_a_past_that_cannot_be_cut_is_refused(time_N, changes, sentence):
    with pytest.raises(JobError, match=sentence):
        periods_of(np.array(time_N), settings(**changes), 0.1)


def test_a_date_that_is_none_is_refused():
    with pytest.raises(ValueError, match="a date is written 2000-11-01"):
        settings(cuts=["2000-31-01"])


def test_what_comes_later_is_not_known_and_what_has_no_time_is():
    histories = Histories(
        np.array([3, 8], np.int32),
        np.array([0, 5, 7]),
        np.arange(7, dtype=np.int32),
        np.ones(7, np.float32),
        np.array([-1, 10, 20, 30, 40, 25, 40]),
        np.zeros(7, np.int8),
    )
    then = Period(1, 30, 40, 20).of(histories)
    assert then.movie_N.tolist() == [0, 1, 2, 3, 5]
    assert then.split_N.tolist() == [TRAIN, TRAIN, VALIDATION, TEST, VALIDATION]
    assert then.count_U.tolist() == [4, 1]


def test_policies_train_when_they_say():
    days = [0, 3, 7, 9, 14]
    periods = [Period(n, day * DAY, (day + 1) * DAY, 0) for n, day in enumerate(days, 1)]

    def numbers(policy):
        return [period.number for period in trained_in(policy, periods)]

    assert numbers("always") == [1, 2, 3, 4, 5]
    assert numbers("weekly") == [1, 1, 3, 3, 5]
    assert numbers("fold-in") == numbers("never") == [1, 1, 1, 1, 1]
