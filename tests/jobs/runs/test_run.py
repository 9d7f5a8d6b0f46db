"""Which steps a run makes, and that two attempts at it never work at once."""

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from jobs import refit
from jobs.runs.errors import JobError, NotNeeded
from jobs.runs.run import STEPS, Run, new_run_id, open_run
from tests.jobs.examples import small_run


def finish(run: Run, step: str, **figures) -> None:
    with run.step(step) as record:
        record.update(figures)


def evaluated(**figures) -> dict:
    """The record of evaluate that the last version wrote."""
    return {"test_rmse": 0.9, "reason": "it is worse", "candidate_version": "4", **figures}


@pytest.fixture
def run(tmp_path) -> Run:
    run = small_run(tmp_path, run_id="r", champion="3")
    finish(run, "ingest")
    finish(run, "etl")
    finish(run, "check")
    return run


def test_a_run_that_trains_makes_every_step(run):
    finish(run, "plan", train=True, reason="every run trains")
    finish(run, "train")
    finish(run, "evaluate", **evaluated(promoted=True, model_version="4", refits=True))
    assert run.steps() == STEPS
    with pytest.raises(JobError, match="Step refit of run r has not finished"):
        finish(run, "score")
    finish(run, "refit")
    assert run.model_version == "4"
    # What it owes once it has published, and is not at work any more.
    assert not run.must_promote
    finish(run, "score")
    assert run.must_promote
    finish(run, "publish")
    finish(run, "promote", promoted=True)
    assert not run.must_promote


def test_a_refit_that_cannot_be_made_is_passed_over_and_the_run_goes_on(run, monkeypatch):
    monkeypatch.setattr(refit, "run_of", lambda arguments: run)
    finish(run, "plan", train=True, reason="every run trains")
    finish(run, "train")
    finish(run, "evaluate", **evaluated(promoted=True, model_version="4", refits=True))
    with pytest.raises(JobError, match="Step refit of run r has not finished"):
        finish(run, "score")
    refit.main(["--run-id", "r", "--skip"])
    assert run.record("refit")["skipped"]
    finish(run, "score")


def test_a_run_that_scores_only_needs_no_model_of_its_own(run):
    finish(run, "plan", train=False, reason="champion 3 is young")
    assert run.steps() == ("ingest", "etl", "check", "plan", "score", "publish")
    assert run.model_version == "3"
    for step in ("train", "evaluate", "refit", "promote"):
        with pytest.raises(NotNeeded, match=f"{step}: not needed in run r. champion 3 is young"):
            finish(run, step)
    finish(run, "score")


def test_a_model_that_is_not_good_enough_is_not_promoted(run):
    finish(run, "plan", train=True, reason="every run trains")
    finish(run, "train")
    finish(run, "evaluate", **evaluated(promoted=False, model_version="3", refits=False))
    with pytest.raises(NotNeeded, match=r"refit: not needed in run r\. it is worse\."):
        finish(run, "refit")
    with pytest.raises(NotNeeded, match=r"promote: not needed in run r\. it is worse\."):
        finish(run, "promote")
    assert run.model_version == "3"
    finish(run, "score")


def test_a_step_waits_for_those_before_it_and_undoes_those_after_it(run):
    with pytest.raises(JobError, match="Step plan of run r has not finished"):
        finish(run, "score")
    finish(run, "plan", train=False, reason="young")
    finish(run, "score")
    finish(run, "etl")
    assert run.finished("plan") is None
    assert run.finished("score") is None


def test_a_run_that_scores_another_s_data_again(tmp_path, run):
    again = replace(small_run(tmp_path, run_id="again", champion="2"), data_run="r")
    assert again.data("ratings") == run.output("ratings")
    finish(again, "rescore")
    finish(again, "score")
    assert again.model_version == "2"
    with pytest.raises(NotNeeded, match="It scores the data of run r again"):
        finish(again, "etl")


def test_the_rating_scale_is_what_etl_noted(tmp_path, run):
    run.save()
    again = replace(small_run(tmp_path, run_id="again"), data_run="r")
    finish(run, "etl", rating_min=0.5, rating_max=5.0)
    assert run.rating_range == again.rating_range == (0.5, 5.0)
    finish(run, "etl", layout="ratings.dat", rating_step="1")  # as the last version wrote it
    assert run.rating_range == again.rating_range == (1.0, 5.0)


@pytest.mark.parametrize("torn", [b"", b'{"train": tr', b"null", b"\0" * 40])
def test_a_torn_record_counts_as_not_written(tmp_path, run, capsys, torn):
    run.record_file("check").write_bytes(torn)
    assert run.finished("check") is None
    assert "check.json is empty or torn: it counts as not written" in capsys.readouterr().err
    with pytest.raises(JobError, match="Step check of run r has not finished"):
        finish(run, "plan", train=False, reason="young")
    finish(run, "check")
    finish(run, "plan", train=False, reason="young")
    run.save()
    run.warehouse.run_file("r").write_bytes(torn)
    with pytest.raises(JobError, match="There is no run r in"):
        open_run(run.warehouse, "r")


def test_what_a_record_tells_of_is_on_disk_before_it(run, monkeypatch):
    happened = []
    fsync, replaced = os.fsync, Path.replace

    def synced(descriptor):
        happened.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    def renamed(path, target):
        happened.append(f"-> {target.name}")
        return replaced(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    with run.step("plan"):
        (run.folder / "factors").mkdir()
        (run.folder / "factors" / "user.npy").write_bytes(b"x")
    at = happened.index("-> plan.json")
    assert {"user.npy", "factors", "r"} <= set(happened[:at])
    assert happened[at - 1].startswith(".plan.json")
    assert happened[at + 1] == "steps"


def test_pages_stand_beside_the_steps(run):
    finish(run, "explore", bytes=1)
    finish(run, "check")  # does not wait for a page, nor outdate it
    assert run.finished("explore")["bytes"] == 1
    finish(run, "etl")
    assert run.finished("explore") is None
    with pytest.raises(JobError, match="Step publish of run r has not finished"):
        finish(run, "report")


HOLD = """
import sys, time
from pathlib import Path
from jobs.runs.files import exclusive
with exclusive(Path(sys.argv[1]), "nobody"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_attempt_waits_until_the_first_has_ended(run, capsys):
    """Even if the first is killed: its lock goes with it."""
    lock: Path = run.folder / ".lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, lock], stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        killer = subprocess.Popen(["sh", "-c", f"sleep 1; kill -9 {first.pid}"])
        started = time.monotonic()
        finish(run, "plan", train=False, reason="young")
        assert time.monotonic() - started > 0.5
        killer.wait()
    told = capsys.readouterr().out
    assert f"waiting for another attempt at this run to end: {lock} is held by process " in told
    assert f"process {first.pid} on {socket.gethostname()} (-c), since 20" in told
    assert json.loads((run.folder / "steps/plan.json").read_text())["train"] is False


def test_two_names_of_one_folder_are_not_one_run(run):
    assert new_run_id(run.warehouse, "x:y") == ("x-y", "x:y")
    replace(run, run_id="x-y", named="x:y").save()
    # As Airflow says it again, and as the folder is called.
    for given in ("x:y", "x-y"):
        assert new_run_id(run.warehouse, given) == ("x-y", "x:y")
    with pytest.raises(JobError, match="run 'x:y' has the folder x-y already"):
        new_run_id(run.warehouse, "x/y")
