"""Who takes part in a comparison, what is kept of a result, and when a training is given up."""

import json
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from jobs.comparing.entrants import Entrant, entrant_named, entrants_of
from jobs.comparing.results import compare_one, fingerprint, folder_of, result_of
from jobs.comparing.trainings import at_most
from jobs.runs.errors import JobError
from jobs.runs.files import write_json
from tests.jobs.examples import small_run


@pytest.fixture
def run(tmp_path):
    run = small_run(
        tmp_path, overrides=["compare.members=[biases, visits]", "compare.seeds=[7, 8]"]
    )
    write_json(run.record_file("etl"), {"order_users": 0, "order_validation_users": 0})
    return run


def test_every_member_learns_from_every_seed_beside_the_baselines(run):
    names = ["biases-7", "biases-8", "visits-7", "visits-8"]
    assert [entrant.name for entrant in entrants_of(run)] == names
    write_json(run.record_file("etl"), {"order_users": 3, "order_validation_users": 2})
    baselines = ["popularity", "recent_popularity"]
    assert [entrant.name for entrant in entrants_of(run)] == baselines + names
    assert entrant_named(run, "visits-8") == Entrant("visits", 8)
    with pytest.raises(JobError, match="Run run compares no visits-9, but: popularity, "):
        entrant_named(run, "visits-9")


def test_one_that_cannot_be_measured_says_why_and_is_asked_again_with_more_time(run):
    entrant = Entrant("visits", 7)
    compare_one(run, entrant)
    result = result_of(run, entrant)
    assert result is not None
    assert "of no user of run run two parts in time are known" in str(result.why_not)
    longer = run.conf.compare.model_copy(update={"minutes": 5})
    run = replace(run, conf=run.conf.model_copy(update={"compare": longer}))
    assert result_of(run, entrant) is None


def test_a_result_is_of_these_settings_and_these_data(run):
    entrant = Entrant("biases", 7)
    folder = folder_of(run, entrant)
    folder.mkdir(parents=True)
    np.savez(folder / "users.npz", squared_U=np.ones(2))
    known: dict[str, Any] = {
        "fingerprint": fingerprint(run, entrant),
        "why_not": None,
        "figures": [],
        "size": 5,
    }
    (folder / "result.json").write_text(json.dumps(known))
    found = result_of(run, entrant)
    assert found is not None
    assert found.size == 5
    assert found.squared_U is not None
    assert found.squared_U.tolist() == [1, 1]
    write_json(run.record_file("etl"), {"order_users": 0, "ratings": 17})
    assert result_of(run, entrant) is None


def test_a_training_that_takes_too_long_is_given_up():
    with pytest.raises(JobError, match=r"within 0\.0005 minutes"), at_most(0.0005):
        time.sleep(5)
    with at_most(None):
        pass
