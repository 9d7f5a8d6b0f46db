"""The DAG `rescore`: which event starts it, and what an event says."""

import shlex
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.execution_time.context import TriggeringAssetEventsAccessor

from nightreel_common.assets import MODEL


def event(time: int, source: str | None, **extra: str) -> SimpleNamespace:
    asset = SimpleNamespace(name=MODEL.name, uri=MODEL.uri)
    return SimpleNamespace(
        timestamp=time, source_dag_id=source, extra=extra, asset=asset, source_aliases=[]
    )


FROM_NIGHTLY = event(2, "nightly", model_version="4")
BY_HAND = event(3, None, model_version="3", release="ml-1m")
OUTDATED = event(1, None, model_version="1")


@pytest.fixture
def rescore(bag: Any) -> Any:
    return bag.dags["rescore"]


def events(*found: Any) -> TriggeringAssetEventsAccessor:
    """As Airflow hands them to a task."""
    return TriggeringAssetEventsAccessor.build(found)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ([], True),  # a person or a REST call started the run
        ([BY_HAND], True),
        ([BY_HAND, FROM_NIGHTLY], True),  # in no order: the newest counts
        ([FROM_NIGHTLY], False),  # nightly scores with its own models
        ([FROM_NIGHTLY, OUTDATED], False),
    ],
)
def test_only_models_from_elsewhere_are_scored(
    rescore: Any, found: list[Any], wanted: bool
) -> None:
    decide = rescore.get_task("wanted").python_callable
    assert decide(triggering_asset_events=events(*found)) is wanted


def test_an_event_names_model_and_release_unless_a_parameter_does(rescore: Any) -> None:
    def options(*found: Any, **given: Any) -> list[str]:
        macro = rescore.user_defined_macros["rescore_options"]
        return shlex.split(macro(rescore.params.dump() | given, events(*found)))

    assert options() == []
    assert options(BY_HAND, FROM_NIGHTLY) == ["--dataset=ml-1m", "--model-version=3"]
    assert options(BY_HAND, model_version="1") == ["--dataset=ml-1m", "--model-version=1"]
    assert options(users="17, 2000", top_k="all") == ["--users=17, 2000", "--set=score.top_k=all"]
