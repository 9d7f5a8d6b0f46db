"""The best by validation becomes champion where the gate of a night lets it, and only there."""

from dataclasses import replace

import numpy as np
import pytest

from jobs.comparing.crowning import best_by_validation, crown_best
from jobs.comparing.entrants import Entrant
from jobs.comparing.results import Result, compare_one, result_of
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
    assert registry.champion() == crowning.version
    assert learned_from(registry.factors(crowning.version)) == USERS * FILMS
    assert learned_from(registry.measured(crowning.version)[1]) < USERS * FILMS
    # Again, it is the same version.
    [again] = crown_best(run, results)
    assert again.version == crowning.version


def test_what_the_gate_refuses_is_not(compared, capsys):
    run, results = compared
    # A champion that knows every rating, crowned since the run began.
    known_UM = [[rating(user, movie) for movie in range(FILMS)] for user in range(USERS)]
    oracle = factors(np.eye(USERS), np.transpose(known_UM))
    ids = np.arange(1, FILMS + 1, dtype=np.int32)
    data = run.conf.etl.model_dump() | {"digest": run.digest}
    replace(oracle, movie_ids_M=ids, manifest={"data": data}).save(run.folder / "oracle")
    other, registry = replace(run, run_id="other"), Registry.of(run)
    champion = register(registry, "other", run.folder / "oracle", {}, {})
    set_champion(registry, champion, other)
    [crowning] = crown_best(run, results)
    assert not crowning.promoted
    assert "is surely worse than the champion's" in crowning.reason
    assert registry.champion() == champion
    assert "does not become the champion of rating" in capsys.readouterr().out
