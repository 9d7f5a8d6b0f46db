"""The best by validation becomes champion where the gate of a night lets it, and only there."""

from dataclasses import replace

import numpy as np
import pytest

from jobs.comparing import crowning as crowning_room
from jobs.comparing.crowning import best_by_validation, crown_best
from jobs.comparing.entrants import Entrant, entrants_of
from jobs.comparing.results import Result, compare_one, result_of
from jobs.runs.errors import JobError
from jobs.training.promotion import set_champion
from jobs.training.registering import register
from jobs.training.registry import Registry
from tests.jobs.comparing.conftest import FILMS, USERS, rating
from tests.model.examples import factors, learned_from


def validated(name, value):
    k = 10 if name == "validation_ndcg" else None
    return [["validation", "all", name, k, value, None, None]]


def test_the_best_is_chosen_by_validation_whatever_the_test_rows_say():
    test = ["test", "all", "rmse", None]
    results = [
        Result(Entrant("svdpp", 7), [*validated("validation_rmse", 0.9), [*test, 0.7, 0, 1]]),
        Result(Entrant("svdpp", 8), [*validated("validation_rmse", 0.8), [*test, 0.9, 0, 1]]),
        Result(Entrant("elsa", 7), validated("validation_ndcg", 0.1)),
        Result(Entrant("vae", 7), validated("validation_ndcg", 0.2)),
        Result(Entrant("gru", 7), [], why_not="it took too long"),
        Result(Entrant("popularity"), []),
    ]
    chosen = best_by_validation(results, "rating"), best_by_validation(results, "order")
    assert [best and best.entrant.name for best in chosen] == ["svdpp-8", "vae-7"]
    assert best_by_validation(results[4:], "order") is None


@pytest.fixture
def compared(tiny):
    """The biases, whom the gate does not ask to beat themselves."""
    run = tiny()
    entrant = Entrant("biases", 7)
    compare_one(run, entrant)
    result = result_of(run, entrant)
    assert result is not None
    assert result.why_not is None
    return run, [result]


def test_what_passes_the_gate_is_the_champion_and_has_learned_from_all_ratings(compared):
    run, results = compared
    [crowning] = crown_best(run, results)
    registry = Registry.of(run)
    assert crowning.promoted
    assert crowning.version
    assert registry.champion() == crowning.version
    assert learned_from(registry.factors(crowning.version)) == USERS * FILMS
    assert learned_from(registry.measured(crowning.version)[1]) < USERS * FILMS
    # Again, it is the same version.
    [again] = crown_best(run, results)
    assert again.version == crowning.version


def crown_oracle(run, **etl):
    """Make a champion that knows every rating, as another run with these settings would."""
    known_UM = [[rating(user, movie) for movie in range(FILMS)] for user in range(USERS)]
    oracle = factors(np.eye(USERS), np.transpose(known_UM))
    ids = np.arange(1, FILMS + 1, dtype=np.int32)
    data = run.conf.etl.model_dump() | {"digest": run.digest} | etl
    replace(oracle, movie_ids_M=ids, manifest={"data": data}).save(run.folder / "oracle")
    registry = Registry.of(run)
    champion = register(registry, "other", run.folder / "oracle", {}, {})
    assert set_champion(registry, champion, replace(run, run_id="other")) == champion
    return champion


def test_what_the_gate_refuses_is_not(compared, capsys):
    run, results = compared
    champion = crown_oracle(run)
    [crowning] = crown_best(run, results)
    assert not crowning.promoted
    assert "is surely worse than the champion's" in crowning.reason
    assert Registry.of(run).champion() == champion
    assert "does not become the champion of rating" in capsys.readouterr().out


def test_what_was_trained_on_another_split_than_the_champion_does_not_come_before_the_gate(
    compared, capsys
):
    run, results = compared
    champion = crown_oracle(run, split="time")
    [crowning] = crown_best(run, results)
    assert (crowning.promoted, crowning.version) == (False, None)
    assert f"champion, version {champion}, was trained on another split" in crowning.reason
    assert Registry.of(run).champion() == champion
    said = capsys.readouterr().out
    assert "biases-7 is not put through the gate of rating: today's champion" in said
    assert "good enough" not in said


def test_what_is_overtaken_on_the_way_says_so(compared, monkeypatch):
    run, results = compared
    refit = crowning_room.refit_rating

    def meanwhile(own, *arguments):
        crown_oracle(own)
        return refit(own, *arguments)

    monkeypatch.setattr(crowning_room, "refit_rating", meanwhile)
    [crowning] = crown_best(run, results)
    assert not crowning.promoted
    assert "but another run has made a champion meanwhile" in crowning.reason


def test_without_test_ratings_nobody_is_promoted(tiny):
    shares = ("etl.split=position", "etl.train_share=0.9", "etl.test_share=0")
    assert entrants_of(tiny(*shares)) == [Entrant("biases", 7)]
    with pytest.raises(JobError, match=r"compare\.promote: etl\.test_share=0 leaves no"):
        entrants_of(tiny(*shares, "compare.promote=true"))
    order = ("compare.members=[visits]", "compare.promote=true")
    assert entrants_of(tiny(*shares, *order)) == [Entrant("visits", 7)]
