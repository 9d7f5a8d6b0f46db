"""Versions and the champion, in a real MLflow store in a warehouse of the test's own."""

from shutil import rmtree

import numpy as np
import pytest

from jobs.runs.errors import JobError
from jobs.training.registry import champion_version, client, factors_folder, promote, register
from model.factors import load_factors
from tests.jobs.examples import small_run
from tests.model.examples import factors

PARAMS = {"factors": 1, "optimiser": "adam"}
METRICS = {"test_rmse": 0.86}


@pytest.fixture
def warehouse(tmp_path):
    (tmp_path / "warehouse").mkdir()
    return tmp_path / "warehouse"


def registered(run, weight, metrics=METRICS) -> str:
    """Register a model of one user and one movie; returns its version."""
    factors([[weight]], [[1]]).save(run.output("factors"))
    return register(run, run.output("factors"), PARAMS, metrics)


def test_only_another_outcome_makes_another_version(warehouse):
    run = small_run(warehouse)
    assert registered(run, 1) == "1"
    assert registered(run, 1) == "1"
    # The same settings and metrics, but other weights: scoring must not get the earlier ones.
    assert registered(run, 2) == "2"
    assert registered(run, 2, {"test_rmse": 0.85}) == "3"
    assert registered(small_run(warehouse, run_id="other"), 2) == "4"
    found = [
        load_factors(factors_folder(run.conf, warehouse, run.release, version)).user_UK.item()
        for version in ("1", "2")
    ]
    assert found == [1, 2]


def test_a_run_does_not_dethrone_a_champion_that_it_was_not_measured_against(warehouse):
    def champion():
        return champion_version(first.conf, warehouse, first.release)

    first, late = (small_run(warehouse, run_id=name) for name in ("first", "late"))
    assert champion() is None
    assert promote(first, registered(first, 1))
    assert champion() == "1"
    # Both started before there was any champion.
    assert not promote(late, registered(late, 2))
    assert champion() == "1"
    # What the same run crowned earlier does not stop it, made again, from crowning another.
    assert promote(first, registered(first, 3))
    assert champion() == "3"
    after = small_run(warehouse, run_id="after", champion="3")
    assert promote(after, registered(after, 4))
    assert champion() == "4"
    # Another release has a champion of its own.
    assert champion_version(first.conf, warehouse, "ml-10m") is None


def test_the_curves_of_training_are_metrics_by_epoch(warehouse):
    run = small_run(warehouse)
    history = [{"epoch": epoch, "validation_loss": 1 / epoch} for epoch in (1, 2, 3)]
    manifest = {"history": history}
    factors([[1]], [[1]], manifest=manifest).save(run.output("factors"))
    version = register(run, run.output("factors"), PARAMS, METRICS)
    tracking = client(run.conf, warehouse)
    logged = tracking.get_model_version(f"nightreel-{run.release}", version).run_id
    points = tracking.get_metric_history(logged, "validation_loss")
    assert [(point.step, point.value) for point in points] == [(1, 1), (2, 1 / 2), (3, 1 / 3)]


def test_a_moved_warehouse_keeps_its_models(warehouse, tmp_path):
    run = small_run(warehouse)
    version = registered(run, 3)
    moved = warehouse.rename(tmp_path / "moved")
    folder = factors_folder(small_run(moved).conf, moved, run.release, version)
    assert folder.is_relative_to(moved)
    np.testing.assert_array_equal(load_factors(folder).user_UK, [[3]])
    later = small_run(moved, run_id="next")
    folder = factors_folder(later.conf, moved, later.release, registered(later, 4))
    np.testing.assert_array_equal(load_factors(folder).user_UK, [[4]])


def test_a_model_that_is_not_there_stops_with_a_sentence(warehouse):
    run = small_run(warehouse)
    version = registered(run, 1)
    rmtree(factors_folder(run.conf, warehouse, run.release, version))
    with pytest.raises(JobError, match=r"Version 1 of nightreel-ml-1m cannot be used: .*mlart"):
        factors_folder(run.conf, warehouse, run.release, version)
    with pytest.raises(JobError, match="There is no version 9 of nightreel-ml-1m"):
        factors_folder(run.conf, warehouse, run.release, "9")
