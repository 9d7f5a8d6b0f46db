"""The learning rate as training goes on: a function of where it stands, without a state."""

from __future__ import annotations

import math

from model.settings import LoopSettings


def learning_rate(settings: LoopSettings, epoch: int, share: float, losses: list[float]) -> float:
    """Step size at a step of an epoch, counted from 1, of which `share` (0 to 1) has passed.

    constant stays; step multiplies by `decay` every `decay_epochs`; cosine falls to `decay` times
    the rate over all epochs (Loshchilov and Hutter, "SGDR", 2017); plateau multiplies by `decay`
    whenever `decay_epochs` epochs in a row were no better than the best. `losses` are the
    validation losses of the epochs before.
    """
    passed = epoch - 1 + share
    factor = 1.0
    if settings.schedule == "step":
        factor = settings.decay ** ((epoch - 1) // settings.decay_epochs)
    elif settings.schedule == "cosine":
        wave = (1 + math.cos(math.pi * min(passed / settings.epochs, 1))) / 2
        factor = settings.decay + (1 - settings.decay) * wave
    elif settings.schedule == "plateau":
        factor = settings.decay ** plateaus(losses, settings.decay_epochs)
    if settings.warmup_epochs:
        factor *= min(passed / settings.warmup_epochs, 1)
    return settings.learning_rate * factor


def plateaus(losses: list[float], epochs: int) -> int:
    """How often the validation loss has not improved for so many epochs in a row."""
    best, waited, found = math.inf, 0, 0
    for loss in losses:
        if loss < best:
            best, waited = loss, 0
        else:
            waited += 1
        if waited == epochs:
            found, waited = found + 1, 0
    return found
