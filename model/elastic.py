"""Elastic training: when ranks die or join, the others go on from the last commit.

Under horovodrun with --min-np, Horovod then gives all ranks that are left new numbers, and rank 0
of these, which was there before, tells the others how far the training is. Shards are dealt anew:
in the rest of that epoch some ratings may come twice and others not at all.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import horovod.torch as hvd
import horovod.torch.elastic
from horovod.common.elastic import ObjectState

from model.specification import TrainingSpec
from model.state import Training
from model.training import train

# A multiple of training.STEPS_BETWEEN_REPORTS; the end of an epoch is always committed.
STEPS_BETWEEN_COMMITS = 1024


def train_elastic(spec: TrainingSpec) -> dict[str, Any]:
    """As model.training.train, with ranks that may change meanwhile."""
    hvd.init()
    # None of it may call a collective outside `attempt`: ranks that join enter there.
    state = ObjectState(hvd.broadcast_object, hvd.rank, committed=None)

    def commit(training: Training) -> None:
        # By the step alone: of a rank that has just joined, nothing else is as on the others.
        if training.step % STEPS_BETWEEN_COMMITS == 0:
            training.tell(moments=True)
            state.committed = deepcopy(training.state_dict())
            # Here it is noticed, too, that other ranks want to join.
            state.commit()

    @horovod.torch.elastic.run
    def attempt(state: Any) -> dict[str, Any]:
        return train(spec, deepcopy(state.committed), commit)

    return attempt(state)
