"""Lists of movies per user: parts of them, and the folder."""

import numpy as np

from model.ranking.lists import Lists, load_lists

NOTHING = np.array([], dtype=np.int32)


def test_parts_of_lists():
    lists = Lists.of([np.array([4, 5]), NOTHING, np.array([6])])
    assert len(lists) == 3
    assert [lists[place].tolist() for place in range(3)] == [[4, 5], [], [6]]
    assert lists.count_B.tolist() == [2, 0, 1]
    assert lists.slice(1, 3).offset_B1.tolist() == [0, 0, 1]
    assert lists.slice(1, 3).value_N.tolist() == [6]
    assert lists.take(np.array([2, 0])).offset_B1.tolist() == [0, 1, 3]
    assert lists.take(np.array([2, 0])).value_N.tolist() == [6, 4, 5]

    both = lists.with_more(Lists.of([NOTHING, np.array([7]), np.array([4])]))
    assert [both[place].tolist() for place in range(3)] == [[4, 5], [7], [6, 4]]


def test_saved_and_mapped(tmp_path):
    Lists.of([np.array([4, 5]), NOTHING]).save(tmp_path / "some")
    assert [list(load_lists(tmp_path / "some")[place]) for place in range(2)] == [[4, 5], []]
    # Nothing at all cannot be mapped, and is read all the same.
    Lists.of([NOTHING]).save(tmp_path / "none")
    assert load_lists(tmp_path / "none")[0].tolist() == []
