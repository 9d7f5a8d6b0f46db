"""The models that `train.<model>.start_from` names, from which movies' rows are taken over."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

from jobs.runs.errors import JobError
from jobs.runs.run import Run
from jobs.training.registry import Registry
from model.family import ORDER_MODELS

Objective: TypeAlias = Literal["rating", "order"]


def transfers(run: Run, model: str) -> dict[str, str]:
    """Folders of the `Factors` that a model and its members start from, by the member.

    They are those that were measured, whatever scores. Raises JobError if one is not there, or is
    a model of this release and objective: from that a run starts by train.warm_start, which sees
    to it that nothing was learned that is held back.
    """
    members = run.conf.train.of(model).get("members", [])
    named = {
        name: wanted
        for name in dict.fromkeys([model, *members])
        if "/" in (wanted := run.conf.train.of(name).get("start_from") or "")
    }
    return {name: str(folder_of(run, name, wanted)) for name, wanted in named.items()}


def folder_of(run: Run, model: str, wanted: str) -> Path:
    """Where the `Factors` lie that one model starts from."""
    setting = f"train.{model}.start_from"
    ours: Objective = "order" if model in ORDER_MODELS else "rating"
    release, *told, version = wanted.split("/")
    theirs: Objective = ("order" if told == ["order"] else "rating") if told else ours
    if release == run.release and theirs == ours:
        raise JobError(
            f"{setting} is {wanted}, a model of this release and of the same kind. Start from its "
            f"champion, by train.warm_start=true, or from another: set {setting}=null."
        )
    if release == run.release:
        print(
            f"{setting}: {wanted} may have learned from ratings that this run holds back, which "
            "are dealt in another way: what is measured on these may look better than it is.",
            flush=True,
        )
    registry = Registry(run.conf, run.warehouse, release, theirs)
    try:
        return registry.measured(version)[0]
    except JobError as error:
        raise JobError(f"{setting} is {wanted}: {error}") from error
