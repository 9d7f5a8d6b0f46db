"""One trial of a search: a training with settings that were drawn, and when to give one up."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from jobs.comparing.entrants import with_settings
from jobs.comparing.trainings import FAILURES, at_most, validated, why
from jobs.runs.files import read_json, write_json
from jobs.runs.run import Run
from jobs.training.launchers import launch
from jobs.training.specs import training_spec
from model.factors import load_factors
from model.settings import LoopSettings

# No trial is given up before so many others have ended, nor before it had so many epochs.
LEAST_TRIALS, LEAST_EPOCHS = 3, 2


@dataclass(frozen=True)
class Tried:
    """What came of settings."""

    settings: dict[str, Any]
    """Those of the model's space."""
    seconds: float
    value: float | None = None
    """RMSE, or of a model of order NDCG at 10, of the validation rows; None: it failed."""
    curve: list[float] = field(default_factory=list)
    """Validation loss of each epoch; empty of what learns in no epochs."""
    given_up: bool = False
    """Whether it ended early, as others were better after as many epochs."""
    why_not: str | None = None
    """Why it failed, in a sentence."""


def try_out(
    run: Run, member: str, settings: dict[str, Any], folder: str, ceilings: list[float | None]
) -> Tried:
    """Train a member with these settings; in `folder`, of the run, what came of it is kept.

    What was kept there of the same settings is not trained again; a training that was stopped goes
    on from its checkpoint. With other minutes (compare.minutes) what failed is tried again, and so
    is what was given up: others that it is held against may not have failed.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    place = f"{folder}/{digest}"
    file, minutes = run.output(place) / "tried.json", run.conf.compare.minutes
    if (kept := read_json(file)) is not None:
        tried = Tried(**kept["tried"])
        if kept["minutes"] == minutes or (tried.value is not None and not tried.given_up):
            return tried
    seed = run.conf.compare.seeds[0]
    spec = training_spec(with_settings(run, member, settings), member, f"{place}/factors")
    spec = replace(spec, seed=seed, events=None, ceilings=ceilings)
    start = time.perf_counter()
    try:
        with at_most(minutes):
            launch(spec, run.conf.train, run.staging / place)
        manifest = load_factors(Path(spec.output)).manifest
    except FAILURES as error:
        tried = Tried(settings, passed(start), why_not=why(error))
    else:
        losses = [figures["validation_loss"] for figures in manifest["history"]]
        tried = Tried(
            settings,
            passed(start),
            value=validated(member, manifest["metrics"]),
            curve=losses if isinstance(spec.settings, LoopSettings) else [],
            given_up=bool(manifest["metrics"].get("given_up")),
        )
    write_json(file, {"minutes": minutes, "tried": asdict(tried)})
    # Of many, one is chosen, and that is trained again from every seed.
    shutil.rmtree(spec.output, ignore_errors=True)
    return tried


def passed(start: float) -> float:
    return round(time.perf_counter() - start, 2)


def ceilings_of(curves: Sequence[Sequence[float]]) -> list[float | None]:
    """The most that the least loss after so many epochs may be, by trials that ended by themselves.

    That is the median of theirs (the median rule of Golovin and others, "Google Vizier", KDD
    2017); of one that had ended by then, its least counts on. Known before a training begins, so
    that ranks on any host, and one that goes on after a stop, give up alike.
    """
    if len(curves) < LEAST_TRIALS:
        return []
    epochs = max(len(curve) for curve in curves)
    least_TE = [
        np.pad(np.minimum.accumulate(curve), (0, epochs - len(curve)), mode="edge")
        for curve in curves
    ]
    median_E = np.median(least_TE, axis=0).tolist()
    return [most if epoch > LEAST_EPOCHS else None for epoch, most in enumerate(median_E, 1)]


def told(tried: Tried) -> str:
    """A line about a trial."""
    settings = " ".join(f"{name}={short(value)}" for name, value in tried.settings.items())
    if tried.value is None:
        return f"failed, {tried.why_not}; {settings}"
    ended = f"given up after {len(tried.curve)} epochs" if tried.given_up else "ended"
    return f"{tried.value:.4f}, {ended}, {tried.seconds:.1f} s; {settings}"


def short(value: Any) -> str:
    """A setting with as many digits as tell something."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
