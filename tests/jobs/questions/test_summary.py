"""What a run did, shown and as one object."""

import json
from datetime import date

import pytest

from jobs.questions import summary
from jobs.runs.configuration import load_configuration
from jobs.runs.errors import JobError
from jobs.runs.files import write_json
from jobs.runs.run import STEPS, Run
from jobs.runs.warehouse import Warehouse
from tests.jobs.questions.conftest import cells


def test_whom_a_challenger_scored_and_whether_anybody_is_shown_that():
    score = {"users_kept": 0, "users_popular": 0, "users_scored": 400, "challenger": {"users": 120}}
    assert summary.users_note(score, shadow=False) == "400 scored, 120 by the challenger"
    assert summary.users_note(score, shadow=True).endswith("120 by the challenger in the shadow")


def test_of_a_run_that_compares_alone_the_page_is_named(ask, tables):
    conf = load_configuration(warehouse=str(tables))
    run = Run(Warehouse(tables), "try", date(2026, 11, 23), "ml-1m", "d", None, conf)
    run.save()
    run.output("comparison.html").write_text("")
    with pytest.raises(JobError, match=r"no summary of it\. What it compared: .*comparison\.html"):
        ask(summary.main, "--run-id", "try")


def test_summary_of_a_run(ask, tables):
    conf = load_configuration(warehouse=str(tables))
    run = Run(Warehouse(tables), "2026-11-23", date(2026, 11, 23), "ml-1m", "d", None, conf)
    run.save()
    (run.folder / "steps").mkdir(exist_ok=True)
    counted = ("lines", "ratings", "train", "validation", "test", "users", "movies")
    etl = dict.fromkeys(counted, 1000209)
    figures: dict[str, dict] = {
        "plan": {"train": True},
        "etl": etl | {"quarantined": 5, "duplicates": 1},
        "evaluate": {
            **{f"{who}_{error}": 0.9 for who in ("bias", "mean") for error in ("rmse", "mae")},
            **{"test_rmse": 0.86, "test_mae": 0.68, "promoted": False, "reason": "worse"},
            **{"candidate_version": "8", "model_version": "7"},
        },
        "score": {
            **{"users_scored": 30, "users_kept": 1970, "base_run": "before", "users_popular": 4},
            **{"movies_scored": 900, "movies_new": 7, "filtered": {"year_to": 1, "block_list": 2}},
        },
        "publish": {"rows_published": 4, "model_version": "7", "test_rmse": 0.859},
    }
    for step in STEPS:
        write_json(run.folder / "steps" / f"{step}.json", {"seconds": 1.5, **figures.get(step, {})})
    printed = ask(summary.main)
    lines = [cells(line) for line in printed.splitlines()]
    assert "Run 2026-11-23: release ml-1m, date 2026-11-23" in printed
    assert ["this model", "0.8600", "0.6800"] in lines
    assert ["users", "1,000,209", "30 scored, 1,970 kept from run before, 4 by popularity"] in lines
    assert ["movies", "1,000,209", "900 to recommend, 3 filtered out, 7 new to the model"] in lines
    assert ["total", "12.0"] in lines  # of eight steps: none to promote
    assert "version 8 was not promoted: worse. Version 7 scores." in printed
    assert "Recommendations for user 2" in printed  # the smallest id that has any
    assert "[Rec] (2007)" in ask(summary.main, "--run-id", "2026-11-23", "--user", "3")
    told = json.loads(ask(summary.main, "--json"))
    assert (told["rows_published"], told["test_rmse"], told["model_version"]) == (4, 0.859, "7")
    (run.folder / "report.html").touch()
    told = json.loads(ask(summary.main, "--json"))
    assert told["report"] == f"[run report]({(run.folder / 'report.html').as_uri()})"
    step = json.loads(ask(summary.main, "--json", "--run-id", "2026-11-23", "--step", "publish"))
    assert step == {"seconds": 1.5, **figures["publish"]}
    with pytest.raises(JobError, match="There is no user 9 in release ml-1m"):
        ask(summary.main, "--user", "9")
    with pytest.raises(JobError, match=r"no recommendations for user 1 of 2026-11-23\."):
        ask(summary.main, "--user", "1")
    with pytest.raises(SystemExit):
        ask(summary.main, "--json", "--user", "2")
