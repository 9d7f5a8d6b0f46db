"""A search chooses by validation, goes on where it was stopped, and gives up what is hopeless."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from jobs.comparing import trials
from jobs.comparing.entrants import Entrant, entrants_of, space_of
from jobs.comparing.results import compare_one, result_of
from jobs.comparing.search import Found, found_of, search
from jobs.comparing.studies import next_trial, note, open_study, tried_in
from jobs.comparing.trials import Tried, ceilings_of, try_out
from jobs.runs.errors import JobError
from model.matrix_factorisation import MatrixFactorisation
from model.space import Between, OneOf

SEARCH = ["compare.search=[biases]", "compare.trials=7"]


@pytest.fixture
def trained(monkeypatch):
    """The specs of all trainings, in this order; of these numbers some raise what they are to."""
    launch, seen = trials.launch, SimpleNamespace(specs=[], ends={})

    def counted(spec, *arguments):
        seen.specs.append(spec)
        if error := seen.ends.get(len(seen.specs)):
            raise error
        launch(spec, *arguments)

    monkeypatch.setattr(trials, "launch", counted)
    return seen


def dampings(specs):
    return [(spec.settings.movie_damping, spec.settings.user_damping) for spec in specs]


def test_it_chooses_by_validation_and_begins_with_what_conf_has(tiny, trained):
    run = tiny(*SEARCH)
    # Test rows are not read: there are none.
    shutil.rmtree(run.split("test"))
    found = search(run, "biases")
    assert len(found.tried) == len(trained.specs) == 7
    own = run.conf.train.of("biases")
    assert dampings(trained.specs)[0] == (own["movie_damping"], own["user_damping"])
    values = [tried.value or 9.0 for tried in found.tried]
    assert found.best.value == min(values) < values[0]
    assert f"movie_damping: {found.best.settings['movie_damping']}" in found.snippet
    # What was found is not sought again; with more trials it goes on.
    assert found_of(run, "biases") == search(run, "biases") == found
    more = search(tiny(*SEARCH[:1], "compare.trials=8"), "biases")
    assert len(trained.specs) == 8
    assert more.tried[:7] == found.tried


def test_one_that_was_stopped_goes_on_as_if_it_had_not_been(tiny, trained):
    run = tiny(*SEARCH)
    whole = search(run, "biases")
    shutil.rmtree(run.output("comparison"))
    trained.specs.clear()
    trained.ends = {4: SystemExit(143)}
    with pytest.raises(SystemExit):
        search(run, "biases")
    assert found_of(run, "biases") is None
    resumed = search(run, "biases")
    # The one that was stopped, and no other, was begun twice.
    begun = dampings(trained.specs)
    assert begun[3] == begun[4]
    assert len(begun) == 8
    assert len(set(begun)) == 7
    assert [t.settings for t in resumed.tried] == [t.settings for t in whole.tried]


def test_one_that_is_stopped_twice_has_failed(tiny, trained):
    run = tiny(*SEARCH)
    trained.ends = dict.fromkeys((2, 3), SystemExit(137))
    for _ in range(2):
        with pytest.raises(SystemExit):
            search(run, "biases")
    found = search(run, "biases")
    failed = [tried.why_not for tried in found.tried]
    assert failed == [None, "the process that trained it was stopped twice", *[None] * 5]
    assert len(trained.specs) == 8


def test_what_needs_too_much_memory_has_failed_and_with_more_minutes_is_tried_again(tiny, trained):
    trained.ends = {1: RuntimeError("CUDA out of memory"), 2: MemoryError()}
    found = search(tiny(*SEARCH), "biases")
    why = [tried.why_not for tried in found.tried]
    assert why == ["RuntimeError: CUDA out of memory", "MemoryError: ", *[None] * 5]
    again = search(tiny(*SEARCH, "compare.minutes=60"), "biases")
    assert not any(tried.why_not for tried in again.tried)
    assert [tried.settings for tried in again.tried[:5]] == [t.settings for t in found.tried[:5]]
    # Of those that did not fail, none is trained again: five are the same, and two others new.
    assert len(trained.specs) == 7 + 4


def test_what_conf_has_outside_of_the_space_is_said(tiny, trained, capsys):
    run = tiny(*SEARCH, "train.biases.movie_damping=0.001")
    search(run, "biases")
    said = "biases begins with settings drawn at random, not with those of conf, which lie outside"
    assert f"{said} of what is searched: movie_damping=0.001" in capsys.readouterr().out
    assert 0.001 not in [damping for damping, _ in dampings(trained.specs)]


def test_who_is_stopped_after_a_result_has_it(tmp_path):
    tried = Tried({"width": 2}, 1.0, value=0.5)

    space = {"width": OneOf((2, 3))}

    def study():
        return open_study(tmp_path / "study.journal", "mine", "biases", space, {"width": 2})

    first = study()
    trial = next_trial(first, space, 7)
    trial.set_user_attr("tried", tried.__dict__)
    assert tried_in(study()) == [tried]
    assert not [each for each in study().trials if not each.state.is_finished()]
    again = study()
    second = next_trial(again, space, 7)
    note(again, second, Tried({"width": 3}, 1.0, why_not="it burst"))
    assert [each.why_not for each in tried_in(study())] == [None, "it burst"]


def test_what_is_worse_than_most_is_given_up_and_not_chosen(tiny, monkeypatch):
    monkeypatch.setattr(MatrixFactorisation, "space", {"learning_rate": Between(0.05, 0.07)})
    small = {"factors": 2, "learning_rate": 0.05, "epochs": 6, "patience": 6, "batch_size": 32}
    of_model = [f"train.matrix_factorisation.{name}={value}" for name, value in small.items()]
    run = tiny("compare.search=[matrix_factorisation]", "compare.trials=3", *of_model)
    member, place = "matrix_factorisation", "comparison/search/slow"
    found = search(run, member)
    assert [len(tried.curve) for tried in found.tried] == [6, 6, 6]
    ceilings = ceilings_of([tried.curve for tried in found.ended])
    slow = try_out(run, member, {"learning_rate": 1e-5}, place, ceilings)
    assert slow.given_up
    assert len(slow.curve) == 3
    # However good the value that it had come to.
    best = replace(slow, value=0.0)
    assert Found(member, [best, *found.tried]).best == found.best


def test_the_ceiling_is_the_median_of_the_least_losses_so_far():
    curves = [[5, 4, 3, 2], [5, 6, 1], [9, 8, 7, 6]]
    assert ceilings_of(curves[:2]) == []
    assert ceilings_of(curves) == [None, None, 3, 2]


def test_of_order_more_is_better():
    tried = [Tried({}, 1.0, value=value) for value in (0.1, 0.3, 0.2)]
    assert Found("elsa", tried).best.value == 0.3
    assert Found("svdpp", tried).best.value == 0.1


def test_the_winner_takes_part_with_its_settings(tiny):
    run = tiny(*SEARCH)
    entrant = Entrant("biases", 7, searched=True)
    assert entrants_of(run) == [Entrant("biases", 7), entrant]
    compare_one(run, entrant)
    result = result_of(run, entrant)
    assert result is not None
    best = search(run, "biases").best
    assert result.trials == 7
    assert f'"movie_damping": {best.settings["movie_damping"]}' in result.settings
    assert result.validated == best.value
    assert result.squared_U is not None
    assert np.isfinite(result.squared_U).all()
    assert result_of(tiny(*SEARCH[:1], "compare.trials=9"), entrant) is None


def test_what_has_nothing_to_search_says_so(tiny):
    with pytest.raises(JobError, match="nothing to search for blend: its class names no space"):
        entrants_of(tiny("compare.search=[blend]"))
    assert space_of("svdpp")
    with pytest.raises(JobError, match="folds do not go with search"):
        tiny("compare.search=[svdpp]", "compare.folds=3")
