"""The DAG `nightly`: its order, its branches, its date."""

import shlex
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

RUN_AFTER = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)


@pytest.fixture
def nightly(bag: Any) -> Any:
    return bag.dags["nightly"]


def options(nightly: Any, run_after: datetime = RUN_AFTER, **given: Any) -> list[str]:
    """What ingest is told."""
    dag_run = SimpleNamespace(run_after=run_after, logical_date=given.pop("logical_date", None))
    macro = nightly.user_defined_macros["ingest_options"]
    return shlex.split(macro(nightly.params.dump() | given, dag_run))


def test_it_runs_at_two(nightly: Any) -> None:
    assert nightly.schedule == "0 2 * * *"
    assert str(nightly.timezone) == "UTC"


def test_the_steps_follow_one_another(nightly: Any) -> None:
    following = {task.task_id: task.downstream_task_ids for task in nightly.tasks}
    assert following == {
        "prepare.ingest": {"prepare.etl"},
        "prepare.etl": {"prepare.check", "prepare.explore"},
        "prepare.explore": {"tidy"},
        "prepare.check": {"prepare.plan"},
        "prepare.plan": {"prepare.train_or_keep"},
        "prepare.train_or_keep": {"train.train", "keep_champion"},
        "train.train": {"train.evaluate"},
        "train.evaluate": {"train.own_or_champion"},
        "train.own_or_champion": {"train.refit", "score.score", "keep_champion"},
        "train.refit": {"score.score"},
        "keep_champion": {"score.score"},
        "score.score": {"score.publish"},
        "score.publish": {"good_enough", "score.report"},
        "good_enough": {"promote"},
        "promote": {"score.report"},
        "score.report": {"summary"},
        "summary": {"tidy"},
        "tidy": set(),
    }
    assert nightly.get_task("tidy").is_teardown


def test_branches_follow_what_was_recorded(nightly: Any) -> None:
    plan = nightly.get_task("prepare.train_or_keep").python_callable
    assert [plan({"train": train}) for train in (True, False)] == ["train.train", "keep_champion"]
    evaluation = nightly.get_task("train.own_or_champion").python_callable
    found = {
        (good, refits): evaluation({"promoted": good, "refits": refits})
        for good in (True, False)
        for refits in (True, False)
    }
    assert found == {
        (True, True): ["train.refit"],
        (True, False): ["score.score"],
        # The champion of ratings stays, and the model of order was good enough.
        (False, True): ["train.refit", "keep_champion"],
        (False, False): ["keep_champion"],
    }


@pytest.mark.parametrize(
    ("train", "good", "wanted"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_a_model_is_promoted_once_its_table_stands(
    nightly: Any, train: bool, good: bool, wanted: bool
) -> None:
    """What an earlier attempt evaluated, when it trained, is no result of this one."""
    results = {"prepare.plan": {"train": train}, "train.evaluate": {"promotes": good}}
    ti = SimpleNamespace(xcom_pull=lambda task_ids: results[task_ids])
    assert nightly.get_task("good_enough").python_callable(ti=ti) is wanted


@pytest.mark.parametrize(
    ("plan", "evaluation", "champion"),
    [
        # Trained in vain, and not trained at all; what an earlier attempt evaluated is no more.
        ({"train": True}, {"model_version": "4", "reason": "worse"}, "4"),
        ({"train": False, "model_version": "5", "reason": "young"}, {"model_version": "4"}, "5"),
    ],
)
def test_the_champion_is_kept_with_a_reason(
    nightly: Any, plan: dict[str, Any], evaluation: dict[str, Any], champion: str
) -> None:
    results = {"prepare.plan": plan, "train.evaluate": evaluation}
    ti = SimpleNamespace(xcom_pull=lambda task_ids: results[task_ids])
    kept = nightly.get_task("keep_champion").python_callable(ti=ti)
    assert kept["model_version"] == champion


def test_without_any_model_the_run_fails_at_once(nightly: Any) -> None:
    results = {
        "prepare.plan": {"train": True},
        "train.evaluate": {"model_version": None, "reason": "RMSE 1.2 does not beat 1.1"},
    }
    ti = SimpleNamespace(xcom_pull=lambda task_ids: results[task_ids])
    with pytest.raises(AirflowFailException, match=r"no model to score with: RMSE 1\.2"):
        nightly.get_task("keep_champion").python_callable(ti=ti)


def test_the_date_is_the_run_s_own_unless_it_is_given(nightly: Any) -> None:
    # 23:30 in New York on the last of February is the first of March in UTC.
    late = datetime.fromisoformat("2026-02-28T23:30:00-05:00")
    assert options(nightly, late) == ["--ds=2026-03-01"]
    assert options(nightly, late, ds="2026-02-14") == ["--ds=2026-02-14"]
    # The date that somebody chose in the form, or that is filled in later.
    chosen = datetime(2026, 1, 15, tzinfo=UTC)
    assert options(nightly, late, logical_date=chosen) == ["--ds=2026-01-15"]


def test_a_parameter_reaches_ingest_as_it_is(nightly: Any) -> None:
    source = "my files/$(id)'s {{ ds }}.zip"
    assert f"--source={source}" in options(nightly, source=source)


@pytest.mark.parametrize(
    ("given", "policy"),
    [
        ({}, None),
        ({"top_k": 5, "dataset": "ml-1m"}, None),
        ({"mode": "full"}, "always"),
        ({"mode": "score-only", "top_k": 5}, "never"),
        ({"factors": 32}, "always"),  # whoever asks for other factors wants to see them
        ({"profile": "james-le"}, "always"),
    ],
)
def test_mode_and_settings_decide_whether_to_train(
    nightly: Any, given: dict[str, Any], policy: str | None
) -> None:
    found = [word for word in options(nightly, **given) if "retrain.policy" in word]
    assert found == ([f"--set=retrain.policy={policy}"] if policy else [])


def test_settings_of_training_and_no_training_contradict(nightly: Any) -> None:
    with pytest.raises(AirflowFailException, match="leave epochs empty"):
        options(nightly, mode="score-only", epochs=3)
