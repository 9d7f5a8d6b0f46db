"""The models that `train.<model>.start_from` names, from which movies' rows are taken over."""

from __future__ import annotations

from collections.abc import Iterable
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
    to it that nothing was learned that is held back. What another has learned nobody compares with
    that, and the log says so: releases of one service share ratings, as those of MovieLens do.
    """
    return {name: str(folder_of(run, name, wanted)) for name, wanted in named_by(run, model)}


def named_by(run: Run, model: str) -> list[tuple[str, str]]:
    """A model, or its members, that start from other models, and what they start from."""
    members = run.conf.train.of(model).get("members", [])
    starts = [(m, run.conf.train.of(m).get("start_from") or "") for m in [model, *members]]
    return [(name, wanted) for name, wanted in dict(starts).items() if "/" in wanted]


def refuse_transfers(run: Run, models: Iterable[str], measured: str) -> None:
    """Raise JobError if one of the models starts from another, and not from texts or by chance.

    `measured` says how they are to be measured, so that what the other has learned would tell.
    """
    for model in models:
        for name, wanted in named_by(run, model):
            raise JobError(
                f"train.{name}.start_from is {wanted}, which may have learned from what {measured} "
                f"hold back. Set train.{name}.start_from=null, or text."
            )


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
    print(
        f"{setting}: {wanted} may have learned from ratings that this run holds back, for releases "
        "share ratings, and objectives deal them in other ways: what is measured on these may look "
        "better than it is.",
        flush=True,
    )
    registry = Registry(run.conf, run.warehouse, release, theirs)
    try:
        return registry.measured(version)[0]
    except JobError as error:
        raise JobError(f"{setting} is {wanted}: {error}") from error
