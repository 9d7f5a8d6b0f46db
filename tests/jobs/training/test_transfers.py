"""Which model `start_from` names, of which release and objective."""

from dataclasses import replace

import pytest

from jobs.runs.errors import JobError
from jobs.training.registering import add_refitted, register
from jobs.training.registry import Registry
from jobs.training.transfers import refuse_transfers, transfers
from tests.jobs.examples import MODEL, small_run


@pytest.fixture
def earlier(tmp_path):
    """Version 1 of ml-25m, once of ratings and once of order; the former was refitted."""
    run = small_run(tmp_path, release="ml-25m")
    registries = Registry.of(run), Registry.of(run, "order")
    for registry, name in zip(registries, ("factors", "order"), strict=True):
        MODEL.save(run.output(name))
        register(registry, "run", run.output(name), {}, {})
    replace(MODEL, mean=9).save(run.output("factors-refitted"))
    add_refitted(registries[0], "1", run.output("factors-refitted"), 5, "measured")
    return registries


def test_every_start_from_another_model_is_told_of(tmp_path, earlier, capsys):
    of(tmp_path, "svdpp", "train.svdpp.start_from=text")
    assert capsys.readouterr().out == ""
    of(tmp_path, "svdpp", "train.svdpp.start_from=ml-25m/1")
    assert "ml-25m/1 may have learned from ratings that this run holds" in capsys.readouterr().out


def test_where_everything_is_held_back_no_other_model_is_started_from(tmp_path):
    run = small_run(
        tmp_path,
        overrides=[
            "train.svdpp.start_from=ml-25m/1",
            "train.two_tower.start_from=text",
            "train.blend.members=[bayesian, svdpp]",
        ],
    )
    refuse_transfers(run, ["two_tower", "bayesian"], "folds")
    with pytest.raises(
        JobError, match=r"train\.svdpp\.start_from is ml-25m/1, which may have .*fol"
    ):
        refuse_transfers(run, ["bayesian", "blend"], "folds")


def of(tmp_path, model: str, *overrides: str) -> dict[str, str]:
    return transfers(small_run(tmp_path, overrides=list(overrides)), model)


def test_it_is_the_version_that_was_measured_of_the_objective_that_is_named(tmp_path, earlier):
    rating, order = (str(registry.measured("1")[0]) for registry in earlier)
    assert of(tmp_path, "svdpp", "train.svdpp.start_from=ml-25m/1") == {"svdpp": rating}
    assert of(tmp_path, "gru", "train.gru.start_from=ml-25m/1") == {"gru": order}
    assert of(tmp_path, "svdpp", "train.svdpp.start_from=ml-25m/order/1") == {"svdpp": order}
    assert of(tmp_path, "svdpp", "train.svdpp.start_from=text") == {}
    assert of(tmp_path, "bayesian") == {}
    # Of members of a blend, each its own.
    members = "train.blend.members=[bayesian, svdpp]"
    assert of(tmp_path, "blend", members, "train.svdpp.start_from=ml-25m/1") == {"svdpp": rating}


def test_what_is_not_there_or_is_the_runs_own_is_refused(tmp_path, earlier, capsys):
    with pytest.raises(JobError, match=r"svdpp\.start_from is ml-25m/7: There is no version 7"):
        of(tmp_path, "svdpp", "train.svdpp.start_from=ml-25m/7")
    with pytest.raises(JobError, match=r"of this release and of the same kind\. .*warm_start=true"):
        of(tmp_path, "svdpp", "train.svdpp.start_from=ml-1m/1")
    MODEL.save(tmp_path / "order")
    register(Registry.of(small_run(tmp_path), "order"), "run", tmp_path / "order", {}, {})
    assert of(tmp_path, "svdpp", "train.svdpp.start_from=ml-1m/order/1")
    assert "may have learned from ratings that this run holds back" in capsys.readouterr().out
    with pytest.raises(JobError, match=r"start_from is 'ml-25m', and expected is text, or a vers"):
        of(tmp_path, "matrix_factorisation", "train.matrix_factorisation.start_from=ml-25m")
