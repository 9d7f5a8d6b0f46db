import re
from pathlib import Path

import numpy as np
import pytest

from jobs.release.sample import write_sample
from jobs.release.sample_movies import GENRES


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder)
    return folder


@pytest.fixture(scope="module")
def ratings(sample: Path) -> np.ndarray:
    """Rows of user_id, movie_id, rating, timestamp."""
    text = (sample / "ratings.dat").read_text(encoding="latin-1")
    return np.array(re.split("::|\n", text.strip()), dtype=int).reshape(-1, 4)


def read_rows(file: Path) -> list[list[str]]:
    return [line.split("::") for line in file.read_text(encoding="latin-1").splitlines()]


def test_the_same_seed_writes_the_same_bytes(sample: Path, tmp_path: Path):
    again, other = tmp_path / "again", tmp_path / "other"
    again.mkdir()
    other.mkdir()
    write_sample(again, seed=1)
    write_sample(other, seed=2)
    for name in ("ratings.dat", "movies.dat", "users.dat"):
        assert (again / name).read_bytes() == (sample / name).read_bytes()
        assert (other / name).read_bytes() != (sample / name).read_bytes()


def test_movies_look_like_movielens(sample: Path):
    movies = read_rows(sample / "movies.dat")
    ids, titles, genres = zip(*movies, strict=True)
    assert len(movies) == 1500
    assert len(set(titles)) == 1500
    assert all(re.fullmatch(r".+ \((19[2-9]\d|2000)\)", title) for title in titles)
    assert any(title.endswith("The (1990)") for title in titles)
    assert {"é", "ü", "ñ"} <= set("".join(titles))
    assert {genre for names in genres for genre in names.split("|")} == set(GENRES)
    assert {len(names.split("|")) for names in genres} == {1, 2, 3, 4}
    # Ids have gaps, so that nobody takes them for row numbers.
    assert [int(i) for i in ids] == sorted({int(i) for i in ids})
    assert int(ids[-1]) > 1600


def test_users_look_like_movielens(sample: Path):
    users = read_rows(sample / "users.dat")
    assert [int(user[0]) for user in users] == list(range(1, 3001))
    assert {user[1] for user in users} == {"F", "M"}
    assert {int(user[2]) for user in users} == {1, 18, 25, 35, 45, 50, 56}
    assert {int(user[3]) for user in users} == set(range(21))
    assert all(re.fullmatch(r"\d{5}", user[4]) for user in users)


def test_ratings_have_long_tails(sample: Path, ratings: np.ndarray):
    movie_ids = {int(movie[0]) for movie in read_rows(sample / "movies.dat")}
    pairs = {(user, movie) for user, movie, _, _ in ratings.tolist()}
    assert len(pairs) == len(ratings)
    assert len(ratings) == pytest.approx(250_000, abs=1000)
    assert {movie for _, movie in pairs} <= movie_ids
    assert set(ratings[:, 2]) == {1, 2, 3, 4, 5}
    per_user = np.bincount(ratings[:, 0])[1:]
    assert len(per_user) == 3000
    assert per_user.min() >= 20
    assert per_user.max() > 5 * np.median(per_user)
    per_movie = np.bincount(ratings[:, 1], minlength=max(movie_ids) + 1)[sorted(movie_ids)]
    assert per_movie.max() > 20 * np.median(per_movie)
    assert (per_movie == 0).any()
    assert ((per_movie == 1) | (per_movie == 2)).any()


def test_times_rise_in_sessions(ratings: np.ndarray):
    same_user = ratings[1:, 0] == ratings[:-1, 0]
    gaps = np.diff(ratings[:, 3])[same_user]
    assert (gaps >= 0).all()
    assert np.median(gaps) < 60
    assert 0.005 < (gaps > 86_400).mean() < 0.05


def test_factors_beat_biases(ratings: np.ndarray):
    """Alternating least squares over what user and movie biases leave unexplained."""
    rng = np.random.default_rng(5)
    user, movie = ratings[:, 0] - 1, ratings[:, 1] - 1
    test = rng.random(len(ratings)) < 0.1
    train = ~test
    left = ratings[:, 2] - ratings[train, 2].mean()
    for ids, damping in ((movie, 4), (user, 6)):
        sums = np.bincount(ids[train], left[train], ids.max() + 1)
        left = left - (sums / (np.bincount(ids[train], minlength=ids.max() + 1) + damping))[ids]
    of_user = np.zeros((user.max() + 1, 8))
    of_movie = rng.normal(0, 0.1, (movie.max() + 1, 8))
    for _ in range(6):
        solve_factors(of_user, user[train], of_movie[movie[train]], left[train])
        solve_factors(of_movie, movie[train], of_user[user[train]], left[train])
    rest = left - (of_user[user] * of_movie[movie]).sum(axis=1)
    biases, factors = (float(np.sqrt(np.mean(error[test] ** 2))) for error in (left, rest))
    assert 0.88 < biases < 0.94
    assert factors < biases - 0.03


def test_what_is_rated_next_follows_from_taste(ratings: np.ndarray):
    """Movies that were rated together name more of what comes after a pause than popular ones."""
    user, movie, time = ratings[:, 0], ratings[:, 1], ratings[:, 3]
    pause = np.r_[True, (user[1:] != user[:-1]) | (np.diff(time) > 86_400)]
    visit = np.cumsum(pause)
    last = visit == visit[np.searchsorted(user, user, side="right") - 1]
    before, after = np.zeros((2, user.max() + 1, movie.max() + 1), np.float32)
    before[user[~last], movie[~last]] = 1
    after[user[last], movie[last]] = 1
    together = np.linalg.inv(before.T @ before + 300 * np.eye(before.shape[1], dtype=np.float32))
    together /= -np.diag(together)
    np.fill_diagonal(together, 0)

    def named(scores: np.ndarray) -> float:
        best = np.argpartition(-np.where(before > 0, -np.inf, scores), 10)[:, :10]
        return float(np.take_along_axis(after, best, axis=1).sum())

    popular = np.broadcast_to(before.sum(axis=0), before.shape)
    assert named(before @ together) > 1.1 * named(popular)


def solve_factors(
    result: np.ndarray, ids: np.ndarray, others: np.ndarray, left: np.ndarray
) -> None:
    """Ridge regression of `left` on `others`, for each id into its row of `result`."""
    order = np.argsort(ids, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(ids[order]) > 0])
    products = others[order, :, None] * others[order, None, :]
    gram = np.add.reduceat(products, starts) + 8 * np.eye(others.shape[1])
    target = np.add.reduceat(others[order] * left[order, None], starts)
    result[ids[order][starts]] = np.linalg.solve(gram, target[..., None])[..., 0]
