"""Cross-validation holds every rating back once, the same for every model and every delivery."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.comparing.entrants import Entrant, entrants_of
from jobs.comparing.folds import SPLITS, dealt, fold_folder, fold_spec
from jobs.comparing.leaderboard import lacking_folds, standings
from jobs.comparing.measuring import of_everybody
from jobs.comparing.results import Result
from jobs.runs.configuration import load_configuration
from jobs.runs.errors import JobError
from jobs.runs.files import write_json
from jobs.runs.schemas import INDEXED_RATINGS, MOVIE_INDEX, USER_INDEX
from jobs.training.specs import training_spec
from model.data.rating_hash import rating_hash
from tests.jobs.examples import small_run, write

ETL = load_configuration().etl
USERS, FILMS = 12, 10


@pytest.fixture
def run(tmp_path):
    """Of every user each movie, dealt by etl in two files of users."""
    run = small_run(tmp_path, overrides=["compare.members=[biases, visits]", "compare.folds=3"])
    record = {"order_users": 0, "order_validation_users": 0, "ratings": 120}
    write_json(run.record_file("etl"), record | {"rating_min": 1, "rating_max": 5})
    write(run.data("user_index"), USER_INDEX, {}, [(n + 1, n) for n in range(USERS)])
    write(run.data("movie_index"), MOVIE_INDEX, {}, [(n + 1, n) for n in range(FILMS)])
    for part in range(2):
        users = range(part, USERS, 2)
        pairs = [(user, movie) for user in users for movie in range(FILMS)]
        rows = [(user, movie, float(1 + (user + movie) % 5), 10) for user, movie in pairs]
        for place, split in enumerate(SPLITS):
            own = rows[place::3]
            write(
                run.data("splits"), INDEXED_RATINGS, {"split": split}, own, f"part-{part}.parquet"
            )
    return run


def ratings_of(folder):
    rows = pq.read_table(folder).to_pylist()
    return {(row["user_idx"], row["movie_idx"]): row["rating"] for row in rows}


def test_folds_partition_the_ratings(run):
    held: dict[tuple[int, int], float] = {}
    for fold in (1, 2, 3):
        spec = fold_spec(run, training_spec(run, "biases", "factors"), fold)
        train, validation = ratings_of(spec.train), ratings_of(spec.validation)
        test = ratings_of(fold_folder(run, fold) / "test")
        assert len(train) + len(validation) + len(test) == USERS * FILMS
        assert not train.keys() & validation.keys()
        assert not test.keys() & (train.keys() | validation.keys() | held.keys())
        assert spec.provenance["data"]["fold"] == fold
        held |= test
    assert held == {(u, m): 1 + (u + m) % 5 for u in range(USERS) for m in range(FILMS)}


def test_what_has_too_few_ratings_says_so(run):
    conf = run.conf.compare.model_copy(update={"folds": 1000})
    run = replace(run, conf=run.conf.model_copy(update={"compare": conf}))
    with pytest.raises(JobError, match="fold 1 of 1000 has no test ratings: there are too few"):
        fold_spec(run, training_spec(run, "biases", "factors"), 1)
    assert not fold_folder(run, 1).exists()


@given(st.lists(st.tuples(st.integers(-9, 99), st.integers(1, 99)), unique=True), st.integers(2, 9))
def test_each_rating_is_test_once_whatever_others_there_are(pairs, folds):
    user_N, movie_N = np.array(pairs, np.int32).reshape(-1, 2).T
    hash_N = rating_hash(user_N, movie_N, ETL.split_seed)
    split_FN = np.array([dealt(hash_N, folds, fold, ETL) for fold in range(1, folds + 1)])
    assert ((split_FN == SPLITS.index("test")).sum(0) == 1).all()
    alone = [dealt(hash_N[n : n + 1], folds, 1, ETL)[0] for n in range(len(pairs))]
    assert alone == split_FN[0].tolist()


def test_models_of_ratings_take_part_in_every_fold_and_those_of_order_once(run):
    names = [f"biases-7-fold-{fold}" for fold in (1, 2, 3)]
    assert [entrant.name for entrant in entrants_of(run)] == [*names, "visits-7"]


def test_folds_refuse_what_may_have_learned_from_them(run):
    train = run.conf.train
    known = train.model_copy(update={"svdpp": train.of("svdpp") | {"start_from": "ml-25m/1"}})
    compare = run.conf.compare.model_copy(update={"members": ["svdpp"]})
    conf = run.conf.model_copy(update={"train": known, "compare": compare})
    with pytest.raises(JobError, match="may have learned from what folds hold back"):
        entrants_of(replace(run, conf=conf))


def test_a_board_of_folds_is_over_all_their_ratings():
    # Users 0 and 1, of whom the second has no rating in fold 1.
    one = of_everybody(np.array([4.0]), np.array([0]), 2)
    other = of_everybody(np.array([1.0, 3.0]), np.array([0, 1]), 2)
    assert (one.mean(), other.mean()) == (4, 2)
    results = [
        Result(Entrant("biases", 7, fold=1), [], squared_U=one),
        Result(Entrant("biases", 7, fold=2), [], squared_U=other),
        # Of this seed and of this model a fold could not be trained.
        Result(Entrant("biases", 8, fold=1), [], squared_U=9 * one),
        Result(Entrant("svdpp", 7, fold=2), [], squared_U=other),
    ]
    assert lacking_folds(results) == results[2:]
    [board] = standings(results, "rating")
    assert (board.member, board.folds, board.seeds) == ("biases", 2, 1)
    assert board.value == pytest.approx(3**0.5)
    assert board.spread == pytest.approx(2 - 2**0.5)
