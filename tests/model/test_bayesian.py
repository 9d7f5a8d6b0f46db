"""The sampled model as a whole: ranks, ends, and data that others stumble over."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.factors import load_factors
from model.metrics import rmse
from model.settings import Course
from model.training.loop import train
from tests.model.conftest import write


@pytest.mark.parametrize("by_user", [True, False])
def test_two_ranks_draw_what_one_draws_up_to_rounding(spec, two_ranks, by_user):
    chosen = spec(model="bayesian", by_user=by_user)
    train(chosen)
    alone = load_factors(Path(chosen.output))
    score_UM = np.array(alone.user_UK) @ np.array(alone.movie_MK).T
    history, user_bias_U = alone.manifest["history"], np.array(alone.user_bias_U)
    two_ranks(chosen)
    both = load_factors(Path(chosen.output))
    np.testing.assert_allclose(both.user_UK @ both.movie_MK.T, score_UM, atol=1e-3)
    np.testing.assert_allclose(both.user_bias_U, user_bias_U, atol=1e-3)
    assert [e["validation_loss"] for e in both.manifest["history"]] == pytest.approx(
        [e["validation_loss"] for e in history], abs=1e-3
    )


def test_it_stops_when_validation_has_settled(spec, capfd):
    metrics = train(spec(model="bayesian", samples=500, patience=10, gain=0.01))
    assert metrics["epochs"] < 100
    assert "stopping: 10 draws without gain" in capfd.readouterr().out


def test_a_budget_of_seconds_ends_it_with_at_least_one_draw_kept(spec, capfd):
    metrics = train(spec(model="bayesian", burn_in=50, samples=10_000, seconds=1e-6))
    # The first sweep spends it all: burn-in ends there, and one draw is kept.
    assert metrics["epochs"] == 2
    assert "stopping: the time is up; 1 draws are kept" in capfd.readouterr().out


def test_chains_start_anew_and_are_pooled(spec, two_ranks, capfd):
    chosen = spec(model="bayesian", by_user=True, chains=3, samples=32, burn_in=4)
    metrics = train(chosen)
    said = capfd.readouterr().out
    assert "chain 2 of 3 begins" in said
    assert "the mean of 32 draws" in said
    assert metrics["epochs"] == 3 * 4 + 32
    pooled = load_factors(Path(chosen.output))
    losses = [epoch["train_loss"] for epoch in pooled.manifest["history"]]
    # Chains keep 11, 10 and 11 draws, and begin where nothing has been learned, each elsewhere.
    first, second, third = losses[0], losses[15], losses[29]
    assert min(first, second, third) > 1.5 * losses[-1]
    assert len({first, second, third}) == 3
    score_UM = np.array(pooled.user_UK) @ np.array(pooled.movie_MK).T
    two_ranks(chosen)
    both = load_factors(Path(chosen.output))
    np.testing.assert_allclose(both.user_UK @ both.movie_MK.T, score_UM, atol=1e-3)


def test_of_two_chains_each_has_half_of_the_seconds(spec, tmp_path, capfd):
    chosen = spec(model="bayesian", burn_in=50, samples=10_000, seconds=1e-6, chains=2)
    metrics = train(chosen)
    assert "chain 2 of 2 begins" in capfd.readouterr().out
    assert metrics["epochs"] == 3
    # With nothing held back and no clock, each chain goes as far again.
    course = Course.of(load_factors(Path(chosen.output)).manifest)
    assert [sum(each) for each in zip(*course.chains, strict=True)] == [3, 2]
    again = replace(chosen, validation=None, course=course, output=str(tmp_path / "again"))
    assert train(again)["chains"] == course.chains
    first, second = (load_factors(Path(told.output)).user_UK for told in (chosen, again))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("changes", [{"implicit": False}, {"row_noise": False}, {"user_bins": 0}])
def test_without_its_parts_it_learns_too(spec, changes):
    assert train(spec(model="bayesian", **changes))["validation_rmse_clipped"] < 0.5


def test_what_the_release_says_tells_of_those_with_few_ratings(spec, tmp_path):
    """Users of two kinds and movies of two genres, of which taste decides; four ratings each."""
    random = np.random.default_rng(0)
    user, movie = np.repeat(np.arange(59), 4), random.integers(0, 39, 59 * 4)
    rating = np.where(user % 2 == movie % 2, 5.0, 1.0)
    learned, held = (
        rated(user[part].tolist(), movie[part].tolist(), rating[part].tolist())
        for part in (slice(0, None, 2), slice(1, None, 2))
    )
    described: dict[str, tuple[str, list]] = {
        "user": ("gender", [("M", "F")[number % 2] for number in range(59)]),
        "movie": ("genres", [[("Even", "Odd")[number % 2]] for number in range(39)]),
    }
    for entity, (column, told) in described.items():
        ids = [10 * number + 7 for number in range(len(told))]
        titles = {"title": ["A"] * len(ids), "year": [1990] * len(ids)}
        table = pa.table({f"{entity}_id": ids, column: told} | titles)
        pq.write_table(table, tmp_path / f"{entity}.parquet")
    given = replace(
        spec(
            model="bayesian",
            **{"samples": 100, "patience": 100, "genres": True, "gender": True},
            **{"year": False, "age": False, "occupation": False},
        ),
        train=write(tmp_path / "few", learned, [len(learned)]),
        validation=write(tmp_path / "held", held, [len(held)]),
        users=str(tmp_path / "user.parquet"),
        movies=str(tmp_path / "movie.parquet"),
    )
    nothing = replace(given, users=None, movies=None)
    errors = [train(chosen)["validation_rmse_clipped"] for chosen in (given, nothing)]
    assert errors[0] < 0.7 * errors[1]


BINS = {"movie_bins": 3, "user_bins": 4, "days": True}


def test_what_times_tell_is_told_at_times_and_lists_have_the_last(spec, tmp_path):
    """Users rate two points better in the last quarter of their time; half have no times at all."""
    random = np.random.default_rng(0)
    pairs = random.permutation(59 * 39)[:1800]
    user, movie = pairs // 39, pairs % 39
    at = random.integers(0, 10**8, len(pairs))
    rating = np.where(at > 0.75 * 10**8, 4.5, 2.5) + 0.1 * random.standard_normal(len(pairs))
    at[user % 2 == 0] = -1
    rating[at < 0] = 3.0
    table = rated(user.tolist(), movie.tolist(), rating.tolist())
    table = table.set_column(3, "rated_at", [at])
    given = replace(
        spec(model="bayesian", **BINS | {"movie_bins": 0, "days": False}),
        train=write(tmp_path / "dated", table.slice(0, 1500), [1500]),
        validation=write(tmp_path / "dated held", table.slice(1500), [300]),
    )
    assert train(given)["validation_rmse"] < 0.4
    factors = load_factors(Path(given.output))
    told = user[1500:], movie[1500:]
    then = factors.predict(*told, clip=False, time_P=at[1500:])
    assert rmse(then, rating[1500:]) < 0.4
    # Today is as in the last quarter; where there are no times, nothing changes.
    today, dated = factors.predict(*told, clip=False), at[1500:] >= 0
    assert np.abs(today[dated] - 4.5).mean() < 0.3
    np.testing.assert_allclose(today[~dated], then[~dated], atol=1e-5)
    np.testing.assert_allclose(
        factors.predict(*told, clip=False, time_P=np.full(300, 2 * 10**9)), today, atol=1e-5
    )


def test_times_tell_two_ranks_the_same(spec, two_ranks):
    chosen = spec(model="bayesian", by_user=True, **BINS)
    train(chosen)
    alone = load_factors(Path(chosen.output))
    assert alone.dates
    pairs = np.arange(59), np.arange(59) % 39
    at = np.linspace(0, 10**9, 59).astype(np.int64)
    expected = alone.predict(*pairs, time_P=at)
    two_ranks(chosen)
    both = load_factors(Path(chosen.output))
    np.testing.assert_allclose(both.predict(*pairs, time_P=at), expected, atol=2e-3)
    assert np.abs(expected - alone.predict(*pairs)).max() > 1e-3


def rated(users: list[int], movies: list[int], ratings: list[float]) -> pa.Table:
    return pa.table(
        {
            "user_idx": np.array(users, np.int32),
            "movie_idx": np.array(movies, np.int32),
            "rating": np.array(ratings, np.float32),
            "rated_at": np.full(len(ratings), -1),
        }
    )


@pytest.mark.parametrize(
    ("ratings", "low", "high"),
    [
        (rated([3], [4], [4.5]), 0.5, 5),
        (rated([u for u in range(20) for _ in range(9)], [*range(9)] * 20, [3.0] * 180), 1, 5),
        (rated([*range(20)] * 2, [0] * 20 + [1] * 20, [0.0] * 20 + [100.0] * 20), 0, 100),
    ],
    ids=["one rating", "all equal", "0 to 100"],
)
def test_it_learns_from_what_little_there_is(spec, tmp_path, ratings, low, high):
    chosen = replace(
        spec(model="bayesian"),
        train=write(tmp_path / "few", ratings, [len(ratings)]),
        validation=write(tmp_path / "few held", ratings, [len(ratings)]),
        rating_min=low,
        rating_max=high,
    )
    metrics = train(chosen)
    assert metrics["validation_rmse"] < 0.05 * (high - low)
