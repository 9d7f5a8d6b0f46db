"""How a training goes on where an earlier attempt stopped, and what it leaves to the next."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import horovod.torch as hvd

from model.data.collectives import any_rank
from model.settings import TrainingSpec
from model.training.checkpoints import load_checkpoint, save_checkpoint
from model.training.state import of_today


class Resumable(Protocol):
    """A training as checkpoints know it."""

    step: int
    """Of the epoch; 0 between two."""

    @property
    def form(self) -> str:
        """How its model learns; a checkpoint of another form is passed over."""

    @property
    def place(self) -> str:
        """How far it is, in words."""

    def start_as_rank_0(self) -> None:
        """Bring what learning starts from to that of rank 0, on every rank."""

    def synchronise(self) -> None:
        """Bring all that `state_dict` holds to one state on all ranks."""

    def state_dict(self) -> dict[str, Any]:
        """References to all of it, after `synchronise`."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""


def resume(training: Resumable, spec: TrainingSpec, say: Callable[[str], None]) -> None:
    """Go on from rank 0's checkpoint on every rank; without one, start as rank 0 does."""
    state = None
    if hvd.rank() == 0:
        state = load_checkpoint(Path(spec.checkpoints), spec.fingerprint, say)
        state = of_today(state) if state else None
        ours, theirs = (spec.model, training.form), state and (state["model"], state["form"])
        if theirs and theirs != ours:
            say(f"the checkpoint is of {' by '.join(theirs)} and is passed over.")
            state = None
    if hvd.size() > 1:
        # Named, because Horovod would name it by its type, and only rank 0 has a state.
        state = hvd.broadcast_object(state, root_rank=0, name="checkpoint")
        training.start_as_rank_0()
    if state:
        training.load_state_dict(state)
        say(f"going on from a checkpoint: {training.place}")


def saver(
    training: Resumable, spec: TrainingSpec, say: Callable[[str], None]
) -> Callable[[], None]:
    """What every rank calls between steps: rank 0 saves every checkpoint_seconds."""
    saved, every = time.perf_counter(), spec.checkpoint_seconds

    def save_if_due() -> None:
        nonlocal saved
        # The clock of one rank decides, because all of them have something to tell.
        if not any_rank(hvd.rank() == 0 and time.perf_counter() - saved >= every):
            return
        training.synchronise()
        if hvd.rank() == 0:
            state = training.state_dict()
            state |= {"fingerprint": spec.fingerprint, "model": spec.model}
            save_checkpoint(Path(spec.checkpoints), state, say)
        saved = time.perf_counter()

    return save_if_due


def go_on(
    training: Resumable,
    spec: TrainingSpec,
    say: Callable[[str], None],
    committed: dict[str, Any] | None,
    commit: Callable[[Any], None] | None,
) -> Callable[[], None]:
    """Go on from a checkpoint, or from what ranks of an elastic training have `committed`.

    Returns what every rank calls between steps.
    """
    if committed:
        training.load_state_dict(committed)
        say(f"going on from a commit: {training.place}")
    else:
        resume(training, spec, say)
    save_if_due = saver(training, spec, say)

    def checkpoint() -> None:
        save_if_due()
        if commit:
            commit(training)

    return checkpoint
