"""A past of planted orders played again: what is trained, what it may know, and what is kept."""

import json
from dataclasses import replace

import numpy as np
import pytest

from jobs.comparing import replayed
from jobs.comparing.replayed import (
    folder_of,
    histories_of,
    outcomes,
    part_named,
    parts_of,
    periods,
    rows_of,
)
from jobs.runs.errors import JobError
from jobs.runs.files import write_json
from jobs.runs.run import Run
from jobs.runs.schemas import MOVIE_INDEX, MOVIES, REPLAYS, USER_INDEX, USERS, columns_of
from model.data.histories import TEST, Histories, read_histories, write_histories
from tests.jobs.examples import small_run, write

PEOPLE, FILMS, RATED, DAY = 40, 30, 12, 86_400


@pytest.fixture
def run(tmp_path) -> Run:
    """Each user rates a movie every ten days, as a rule the one after the last."""
    run = small_run(
        tmp_path,
        overrides=[
            "replay.members=[visits]",
            "replay.policies=[always, fold-in, never]",
            "replay.periods=2",
            "etl.min_row_groups=2",
        ],
    )
    random = np.random.default_rng(3)
    first_U = random.integers(0, FILMS, PEOPLE)
    movie_UR = (first_U[:, None] + np.arange(RATED)) % FILMS
    day_UR = 10 * np.arange(RATED) + random.integers(0, 9, (PEOPLE, RATED))
    histories = Histories(
        np.arange(PEOPLE, dtype=np.int32),
        np.arange(0, PEOPLE * RATED + 1, RATED),
        movie_UR.ravel().astype(np.int32),
        np.full(PEOPLE * RATED, 4, np.float32),
        DAY * (1 + day_UR.ravel()),
        np.zeros(PEOPLE * RATED, np.int8),
    )
    write_histories(histories, run.data("histories"), 2)
    write(run.data("user_index"), USER_INDEX, {}, [(n + 1, n) for n in range(PEOPLE)])
    write(run.data("movie_index"), MOVIE_INDEX, {}, [(n + 1, n) for n in range(FILMS)])
    write(run.data("users"), USERS, {}, [(n + 1, "F") for n in range(PEOPLE)])
    write(
        run.data("movies"),
        MOVIES,
        {},
        [(n + 1, f"Movie {n}", 1990, ["Drama"]) for n in range(FILMS)],
    )
    figures = {"rating_min": 1, "rating_max": 5, "ratings": PEOPLE * RATED, "order_split": "time"}
    write_json(run.record_file("etl"), figures)
    return run


def test_nothing_starts_from_what_knows_the_future(run):
    train, replay = run.conf.train, run.conf.replay
    conf = {
        "train": train.model_copy(update={"elsa": train.of("elsa") | {"start_from": "ml-25m/1"}}),
        "replay": replay.model_copy(update={"members": ["visits", "elsa"]}),
    }
    told = replace(run, conf=run.conf.model_copy(update=conf))
    with pytest.raises(JobError, match="may have learned from what cuts hold back"):
        parts_of(told, periods(told, histories_of(told)))


def test_the_past_is_played_again_and_what_was_trained_is_kept(run, monkeypatch):
    histories = histories_of(run)
    found = periods(run, histories)
    assert [part.name for part in parts_of(run, found)] == ["visits-1", "visits-2"]
    with pytest.raises(JobError, match="This replay trains no visits-9, but: visits-1, visits-2"):
        part_named(parts_of(run, found), "visits-9")
    shown = list(outcomes(run, found, histories))
    names = ["popularity", "recent_popularity", "always", "fold-in", "never"]
    assert [one.policy or one.member for one in shown] == names * 2
    ndcg = {(one.policy, one.period.number): float(one.ndcg_B.mean()) for one in shown[2:]}
    # With the same training and the same histories, lists are the same.
    assert ndcg["always", 1] == ndcg["fold-in", 1] == ndcg["never", 1]
    assert ndcg["always", 1] > 0.4 > shown[0].ndcg_B.mean()
    assert ndcg["fold-in", 2] > ndcg["never", 2]
    trained = [(one.policy, one.trained.number) for one in shown if one.trained and one.seconds]
    assert trained == [("always", 1), ("fold-in", 1), ("never", 1), ("always", 2)]
    # A training is told nothing of what it is to name.
    for part in parts_of(run, found):
        known = read_histories(folder_of(run, part) / "histories")
        assert known.time_N.max() < part.period.start
        assert not (known.split_N == TEST).any()
    rows = rows_of(run, shown)
    assert {len(row) for row in rows} == {len(columns_of(REPLAYS))}
    monkeypatch.setattr(replayed, "launch", lambda *_: pytest.fail("it is trained again"))
    assert rows_of(run, list(outcomes(run, found, histories))) == rows
    record = run.record("etl") | {"ratings": 1}
    run.record_file("etl").write_text(json.dumps(record))
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        list(outcomes(run, found, histories))
