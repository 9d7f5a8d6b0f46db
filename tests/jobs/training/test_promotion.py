"""Publish and promote are two decisions; who is stopped between them is made up for."""

from dataclasses import replace

import pytest

from jobs.runs.errors import JobError
from jobs.runs.files import exclusive, write_json
from jobs.training.promotion import may_crown, present_champion, promote, set_champion
from jobs.training.registering import register
from jobs.training.registry import Registry
from tests.jobs.examples import small_run
from tests.model.examples import factors


@pytest.fixture
def run(tmp_path):
    """It has published by its own model, version 2, and been stopped; version 1 is champion."""
    earlier = small_run(tmp_path, run_id="earlier")
    registry = Registry.of(earlier)
    set_champion(registry, registered(earlier, 1), earlier)
    run = small_run(tmp_path, run_id="stopped", champion="1")
    run.save()
    version = registered(run, 2)
    records = {
        "plan": {"train": True},
        "evaluate": {"promoted": True, "reason": "good", "candidate_version": version},
    }
    records["evaluate"] |= {"model_version": version, "test_rmse": 0.8, "fallback_version": None}
    for step in ("ingest", "etl", "check", "plan", "train", "evaluate", "score", "publish"):
        write_json(run.record_file(step), {"seconds": 1, **records.get(step, {})})
    return run


def registered(run, weight):
    factors([[weight]], [[1]]).save(run.output("factors"))
    return register(Registry.of(run), run.run_id, run.output("factors"), {}, {"test_rmse": 0.8})


def test_the_next_run_makes_up_for_a_promotion_that_is_owed(run, capsys):
    registry = Registry.of(run)
    assert registry.champion() == "1"
    assert present_champion(registry, "stopped") == "2"
    assert "run stopped has published and was stopped before it had" in capsys.readouterr().out
    assert run.promoted
    # Whoever takes the alias back by hand is not overruled.
    registry.client.set_registered_model_alias(registry.name, "champion", "1")
    assert present_champion(registry, "stopped") == "1"


def test_nobody_promotes_before_the_tables_stand_or_for_a_run_at_work(run):
    registry = Registry.of(run)
    with exclusive(run.folder / ".lock", "nobody"):
        assert present_champion(registry, "stopped") == "1"
    assert present_champion(registry, None) == "1"
    assert present_champion(registry, "cleared-up") == "1"
    run.record_file("publish").unlink()
    with pytest.raises(JobError, match="Step publish of run stopped has not finished"):
        with run.step("promote"):
            promote(run)
    # Killed between the last commit of its tables, which `runs` tells of, and its record.
    assert present_champion(registry, "stopped") == "2"


def test_a_champion_that_another_run_has_set_stays(run):
    late = replace(run, run_id="late", champion="1")
    registry = Registry.of(late)
    assert not may_crown(registry, replace(run, champion=None, run_id="other"))
    assert promote(run)["promoted"]
    assert not may_crown(registry, late)
    assert set_champion(registry, registered(late, 3), late) == "2"
