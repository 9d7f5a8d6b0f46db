"""The audit of lists chosen by genres: it passes what is chosen, and names what was better."""

from dataclasses import replace
from datetime import date

import duckdb
import numpy as np
import pytest

from jobs.engines.duck import columns_in_sql
from jobs.published.audit import ToPublish
from jobs.runs import schemas
from jobs.runs.configuration import load_configuration
from jobs.runs.errors import JobError
from jobs.scoring.chosen_check import CHECK, Choice, check_chosen, shares
from model.ranking.ranker import Ranked
from model.ranking.reranking import Reranking, Wanted
from tests.jobs.examples import saved_models, small_run, write
from tests.model.examples import factors

# Of user 2, whose only factor is 2, scores of movies 10 to 14 are 5, 4, 7, 6 and 3.5. Nothing is
# known of user 3, to whom 11 and 14 are the best.
MODEL = factors(
    [[1], [2], [0]],
    [[1], [0.5], [2], [1.5], [0.25]],
    mean=3.0,
    user_trained_U=np.array([True, True, False]),
    popular_M=np.array([3.5, 4.5, 3.25, 3, 4], np.float32),
)
GENRES = [["Comedy"], ["Drama"], ["War"], ["War"], ["Drama"]]
RATED: list[tuple] = [(1, 10), (3, 13)]
SHOWN: list[tuple] = [(1, 13)]
# From 14 to 12, 10 is worth 0.43 and 13, as much a War, 0.71. User 1 is left 12, 11 and 14.
CHOSEN = {1: [12, 11, 14], 2: [12, 10, 13], 3: [11, 10, 14]}


def checked(tmp_path, lists, *settings):
    MODEL.save(tmp_path / "factors")
    run = small_run(tmp_path, overrides=["score.top_k=3", "score.damping=0", *settings])
    movies = [(movie, "A", 2000, of) for movie, of in zip(range(10, 15), GENRES, strict=True)]
    write(run.output("movies"), schemas.MOVIES, {}, movies)
    tables = duckdb.connect()
    rows = [(u, rank, movie) for u, own in lists.items() for rank, movie in enumerate(own, 1)]
    given: dict[str, tuple[str, list[tuple]]] = {
        "recommendations": ("user_id int, rank int, movie_id int", rows),
        "ratings": (schemas.CANDIDATES, RATED),
        "shown": (schemas.CANDIDATES, SHOWN),
        "candidates": (schemas.CANDIDATES, [(9, 10)]),
    }
    for name, (ddl, of_table) in given.items():
        tables.execute(f"create table {name} ({columns_in_sql(ddl)})")
        for row in of_table:
            tables.execute(f"insert into {name} values ({', '.join('?' * len(row))})", row)
    movie_ids = np.arange(10, 15, dtype=np.int32)
    data = ToPublish(tables, date(2026, 1, 2), 3, movie_ids, (1.0, 5.0), model_version="1")
    return check_chosen(run, saved_models(tmp_path / "factors"), data)


def test_what_is_chosen_passes(tmp_path):
    assert checked(tmp_path, CHOSEN, "score.diversity=0.3") == [CHECK]
    # Nothing was chosen.
    assert checked(tmp_path, {2: [14]}) == []


@pytest.mark.parametrize(
    ("lists", "settings", "found"),
    [
        ({2: [12, 13, 10]}, ["diversity=0.3"], "user_id=2, movie_id=13, and not 10"),
        ({2: [13, 10, 12]}, ["diversity=0.3"], "user_id=2, movie_id=13, and not 12"),
        ({3: [11, 14, 10]}, ["diversity=0.3"], "user_id=3, movie_id=14, and not 10"),
        ({1: [12, 11], 2: [12, 13]}, ["genre_cap=1"], "user_id=2, movie_id=13, and not 10"),
        # Shown of late, or rated.
        ({1: [12, 13]}, ["genre_cap=2"], "user_id=1, movie_id=13, and not 11"),
        ({1: [12, 10]}, ["genre_cap=2"], "user_id=1, movie_id=10, and not 11"),
        # All that user 1 has rated is a Comedy, and user 3 a War.
        ({2: [12, 13], 3: [11, 12]}, ["calibration=0.5"], "user_id=3, movie_id=11, and not 12"),
    ],
)
def test_what_should_have_been_chosen_is_named(tmp_path, lists, settings, found):
    with pytest.raises(JobError, match=f"{CHECK}. Example: {found}"):
        checked(tmp_path, CHOSEN | lists, *(f"score.{setting}" for setting in settings))


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(diversity=0.3),
        Wanted(calibration=0.4),
        Wanted(0.2, 0.2),
        Wanted(genre_cap=4),
        Wanted(0.3, 0.1, genre_cap=3),
    ],
)
def test_it_agrees_with_what_score_chooses(wanted):
    random = np.random.default_rng(3)
    genre_MG = random.random((300, 6)) < 0.2
    conf = load_configuration().score.model_copy(
        update={"top_k": 12, **{k: v for k, v in vars(wanted).items() if v}}
    )
    for _ in range(10):
        order, score_M = random.permutation(300), np.sort(random.normal(size=300))[::-1]
        history_G = shares(genre_MG[random.choice(300, 5)])
        ranked = Ranked(np.zeros(300, int), np.arange(1, 301), order, score_M.astype(np.float32))
        chosen = Reranking(wanted, genre_MG).rerank(ranked, history_G[None], 12)
        choice = Choice(order, ranked.score_R, genre_MG[order], history_G, conf)
        assert choice.first_mistake(chosen.movie_idx_R.tolist()) is None
        # In any other order, or with what comes last in the place of a better one, it is seen.
        turned = chosen.movie_idx_R[::-1]
        assert choice.first_mistake(turned.tolist()) is not None
        assert replace(choice, settings=conf.model_copy(update={"genre_cap": 1})).first_mistake(
            [*range(300)]
        )
