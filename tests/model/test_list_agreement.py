"""Agreement of lists: hand-worked, and what holds of any two."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.list_agreement import overlap, rank_biased_overlap


def lists(*rows):
    return np.array(rows, np.int32)


def test_overlap_and_rank_biased_overlap():
    one, other = lists([1, 2, 3]), lists([2, 1, 4])
    assert overlap(one, other).tolist() == [pytest.approx(2 / 3)]
    # Shared down to each depth: 0, 2 and 2.
    depths = 0.1 / 0.9 * (0.9 * 0 + 0.9**2 * 2 / 2 + 0.9**3 * 2 / 3)
    assert rank_biased_overlap(one, other).tolist() == [pytest.approx(depths + 2 / 3 * 0.9**3)]


def test_where_a_list_ends_nothing_is_shared():
    assert overlap(lists([1, -1]), lists([1, -1])).tolist() == [0.5]


ROW = st.permutations(range(6)).map(lambda row: row[:4])


@given(ROW, ROW)
def test_agreement_lies_between_none_and_whole_and_has_no_direction(one, other):
    for measure in (overlap, rank_biased_overlap):
        [found] = measure(lists(one), lists(other))
        assert -1e-12 <= found <= 1 + 1e-12
        assert found == pytest.approx(measure(lists(other), lists(one))[0])
        assert measure(lists(one), lists(one))[0] == pytest.approx(1)
