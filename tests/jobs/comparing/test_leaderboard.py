"""Who is best, by how much and how surely: figures of a few users, worked by hand."""

import numpy as np
import pytest

from jobs.comparing.crowning import Crowning
from jobs.comparing.entrants import Entrant
from jobs.comparing.leaderboard import agreement, rows_of, standings
from jobs.comparing.results import Result
from jobs.pages.comparison import comparison
from tests.jobs.examples import small_run


def rated(member, seed, squared, **fields):
    return Result(Entrant(member, seed), [], squared_U=np.array(squared, float), **fields)


def ordered(member, seed, ndcg, top=((1, 2),)):
    return Result(Entrant(member, seed), [], ndcg_B=np.array(ndcg), top_BK=np.array(top))


def test_ratings_are_ordered_by_the_least_error_over_all_seeds():
    results = [
        rated("svdpp", 7, [1, 1, 1, 1], seconds=2.0),
        rated("svdpp", 8, [4, 4, 4, 4], seconds=4.0),
        rated("biases", 7, [9, 9, 9, 9]),
        ordered("visits", 7, [0.5, 0.5]),
    ]
    best, other = standings(results, "rating")
    assert (best.member, best.seeds, best.value) == ("svdpp", 2, pytest.approx(2.5**0.5))
    assert best.folds == 0
    assert best.spread == pytest.approx(2 - 1)
    assert best.seconds == 3
    assert best.against_best is None
    # All users agree: there is nothing that chance could turn.
    assert (other.low, other.value, other.high) == (3, 3, 3)
    assert other.against_best is not None
    assert other.against_best.verdict == "worse"
    assert other.against_best.value == pytest.approx(-9 + 2.5)


def test_orders_are_compared_over_the_users_that_have_a_figure():
    users = np.random.default_rng(0).uniform(size=200)
    users[0] = np.nan
    nearly = users + np.where(np.arange(200) % 2, 0.01, -0.0111)
    results = [ordered("elsa", 7, nearly), ordered("ials", 7, users), ordered("vae", 7, users / 2)]
    found = standings(results, "order")
    assert [standing.member for standing in found] == ["ials", "elsa", "vae"]
    verdicts = [standing.against_best and standing.against_best.verdict for standing in found]
    assert verdicts == [None, "open", "worse"]
    assert found[0].value == pytest.approx(np.nanmean(users))


def test_who_has_learned_from_what_is_asked_is_compared_with_nobody():
    ratings = ordered("svdpp", 7, [0.9, 0.9])
    results = [ratings, ordered("visits", 7, [0.5, 0.4]), ordered("elsa", 7, [0.1, 0.1])]
    found = standings(results, "order", learned=0.8)
    assert [standing.flattered for standing in found] == [True, False, False]
    verdicts = [standing.against_best and standing.against_best.verdict for standing in found]
    assert verdicts == [None, None, "worse"]
    # Nothing is learned beforehand where etl holds back the same ratings.
    [first, second, _] = standings(results, "order")
    assert not first.flattered
    assert second.against_best is not None
    assert standings([ratings], "order", learned=0.8)[0].against_best is None


def test_agreement_of_every_two():
    results = [
        ordered("elsa", 7, [0.3], [[1, 2]]),
        ordered("ials", 7, [0.2], [[1, 3]]),
        ordered("vae", 7, [0.1], [[4, 5]]),
    ]
    found = list(agreement(standings(results, "order")))
    assert [(one, other, shared) for one, other, shared, _ in found] == [
        ("elsa", "ials", 0.5),
        ("elsa", "vae", 0),
        ("ials", "vae", 0),
    ]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ([], "RMSE of the test ratings; lower"),
        (
            ["etl.split=position", "etl.train_share=0.9", "etl.test_share=0"],
            "RMSE of the validation ratings, as there",
        ),
        (["compare.folds=2"], "RMSE of the ratings of every fold; lower"),
    ],
)
def test_the_page_says_what_it_measures_on_and_what_it_leaves_out(tmp_path, settings, said):
    refused = Crowning("rating", "biases-7", None, False, "it has another split")
    lacking = [Result(Entrant("svdpp", 7, fold=fold), [], squared_U=np.ones(2)) for fold in (1, 2)]
    lacking.append(Result(Entrant("biases", 8, fold=1), [], squared_U=np.ones(2)))
    page = repr(comparison(small_run(tmp_path, overrides=settings), lacking, [], [refused]))
    assert said in page
    assert "it has another split" in page
    assert "biases-8-fold-1', 'measured, but counted in no leaderboard" in page


def test_a_row_of_the_table_for_each_figure(tmp_path):
    figures = [
        ["test", "all", "rmse", None, 1.0, 0.9, 1.1],
        ["test", "all", "mae", None, 0.8, None, None],
    ]
    entrant = Entrant("biases", 7, searched=True, fold=2)
    result = Result(entrant, figures, 1.5, 1.25, 640, "{}", trials=20)
    run = small_run(tmp_path)
    baseline = Result(Entrant("popularity"), figures[:1])
    late = Result(Entrant("vae", 7), [], why_not="it took too long")
    rows = rows_of(run, [result, late, baseline])
    price = 1.5, 1.25, 640, "{}", 2, 20
    assert rows[0] == ("run", run.ds, "ml-1m", "biases", 7, *figures[0], *price)
    assert rows[2][3:5] == ("popularity", None)
    assert rows[2][-6:] == (None,) * 6
    assert len(rows) == 3
