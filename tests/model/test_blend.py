"""Weights and rows of a blend worked out by hand; a member that has ended is not trained again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.blend import non_negative, weighted
from model.factors import load_factors
from model.family import Rows
from model.training import loop


def products(columns, target):
    values = np.column_stack([*columns, target]).astype(float)
    return values.T @ values


def test_weights_are_those_of_least_squares_and_none_is_below_zero():
    first, second = np.array([1, 0, 2, 1]), np.array([0, 1, 1, -1])
    assert non_negative(products([first, second], 0.75 * first + 0.5 * second)) == pytest.approx(
        [0.75, 0.5]
    )
    # Without the second, whose weight would be -1, the first comes nearest at 6 - 1 of 6.
    assert non_negative(products([first, second], first - second)) == pytest.approx([5 / 6, 0])


def test_members_that_agree_share_the_weight_and_one_that_says_nothing_has_none():
    column = np.array([1, -1, 2])
    assert sum(non_negative(products([column, column], column))) == pytest.approx(1)
    assert non_negative(products([0 * column], column)) == [0]


def test_the_weighted_rows_score_as_the_weighted_scores_around_the_mean():
    random = torch.Generator().manual_seed(1)
    members = []
    for factors, mean in ((3, 3.5), (1, 0.0)):
        row_NK = torch.randn(5, factors + 1, generator=random)
        members.append(Rows(row_NK[:2, 1:], row_NK[2:, 1:], row_NK[:2, 0], row_NK[2:, 0], mean))
    user_B, movie_B = torch.tensor([0, 1, 1]), torch.tensor([2, 0, 1])
    scores = [rows.score(user_B, movie_B) for rows in members]
    expected_B = 3.25 + 0.5 * (scores[0] - 3.25) + 0.75 * (scores[1] - 3.25)
    whole = weighted(members, [0.5, 0.75], 3.25)
    assert whole.user_UK.shape == (2, 4)
    torch.testing.assert_close(whole.score(user_B, movie_B), expected_B)


def test_killed_in_a_later_member_it_goes_on_from_there(spec, tmp_path, monkeypatch, capsys):
    chosen = spec(model="blend")
    loop.train(chosen)
    whole = load_factors(Path(chosen.output))
    rows, dates = np.array(whole.user_UK), whole.dates
    assert dates
    assert not Path(chosen.checkpoints).exists()
    again = replace(chosen, output=str(tmp_path / "again"))
    run = loop.run

    def stopped(model, data, spec, *rest):
        if spec.model == "svdpp":
            raise KeyboardInterrupt
        return run(model, data, spec, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "run", stopped)
        with pytest.raises(KeyboardInterrupt):
            loop.train(again)
    capsys.readouterr()
    loop.train(again)
    said = capsys.readouterr().out
    for ended in ("bayesian", "matrix_factorisation"):
        assert f"{ended} has ended in an earlier attempt" in said
    assert "training svdpp on" in said
    assert "training bayesian on" not in said
    went_on = load_factors(Path(again.output))
    np.testing.assert_array_equal(went_on.user_UK, rows)
    assert went_on.dates
    np.testing.assert_array_equal(went_on.dates.user.value_G, dates.user.value_G)
