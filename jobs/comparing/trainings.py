"""What every training of a comparison is measured by: its time, its processors, its validation."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from signal import ITIMER_REAL, SIGALRM, setitimer, signal
from typing import Any

from jobs.runs.errors import JobError
from model.family import ORDER_MODELS

# What a training may raise while others can still be trained: of PyTorch, too much memory, or a
# matrix that has no inverse, are RuntimeErrors.
FAILURES = (JobError, ValueError, RuntimeError, MemoryError)


def why(error: BaseException) -> str:
    """Why a training failed; what is no sentence of ours says of what kind it is."""
    ours = isinstance(error, JobError | ValueError)
    return str(error) if ours else f"{type(error).__name__}: {error}"


def validated(member: str, metrics: dict[str, Any]) -> float:
    """Of a training's metrics the one to choose by: RMSE, or of a model of order NDCG at 10."""
    name = "validation_ndcg" if member in ORDER_MODELS else "validation_rmse_clipped"
    return round(metrics[name], 6)


def cpu_seconds() -> float:
    """Of this process and those that it has waited for."""
    own, others = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


@contextmanager
def at_most(minutes: float | None) -> Iterator[None]:
    """Raise JobError in what takes longer; None: nothing does."""

    def late(*_: object) -> None:
        raise JobError(f"it was not trained within {minutes:g} minutes (compare.minutes)")

    if minutes is None:
        yield
        return
    before = signal(SIGALRM, late)
    setitimer(ITIMER_REAL, 60 * minutes)
    try:
        yield
    finally:
        setitimer(ITIMER_REAL, 0)
        signal(SIGALRM, before)
