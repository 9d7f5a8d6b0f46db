"""The study of a search, as Optuna keeps it: what was tried, and what is to be tried next.

Optuna is loaded where a search begins, and nowhere else.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.comparing.trials import Tried
from model.data.reading import seed_of
from model.family import ORDER_MODELS
from model.space import Between, OneOf, Space

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import Trial

# So many are drawn at random; others by what those before them have found.
DRAWN_AT_RANDOM = 5
RESULT, STOPS = "tried", "stops"


def open_study(
    file: Path, name: str, member: str, space: Space, first: dict[str, Any] | None
) -> Study:
    """A study in a journal: that of an attempt before, or a new one, with these as first settings.

    Nobody else may be at it. A trial that was stopped comes next once more, and knows how often it
    was stopped (`stops_of`).
    """
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(file))),
        study_name=name,
        direction="maximize" if member in ORDER_MODELS else "minimize",
        load_if_exists=True,
    )
    for stopped in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        if RESULT in stopped.user_attrs:
            conclude(study, stopped.number, Tried(**stopped.user_attrs[RESULT]))
            continue
        study.tell(stopped.number, state=optuna.trial.TrialState.FAIL)
        # One that was stopped while it was drawn is drawn again, from the same seed.
        if stopped.params.keys() == space.keys():
            stops = stopped.user_attrs.get(STOPS, 0) + 1
            study.enqueue_trial(stopped.params, user_attrs={STOPS: stops})
    waiting = study.get_trials(states=(optuna.trial.TrialState.WAITING,))
    if first and not waiting and not tried_in(study):
        study.enqueue_trial(first)
    return study


def stops_of(trial: Trial) -> int:
    """How often the process that trained a trial was stopped."""
    return int(trial.user_attrs.get(STOPS, 0))


def next_trial(study: Study, space: Space, seed: int) -> Trial:
    """The settings to try next, which stand in its `params`.

    What draws them has a seed of its own for each, by how many have ended: a search that goes on
    draws what it would have drawn without a stop.
    """
    from optuna.samplers import TPESampler

    own = seed_of(seed, len(tried_in(study)))
    study.sampler = TPESampler(n_startup_trials=DRAWN_AT_RANDOM, seed=own)
    return study.ask({name: distribution(values) for name, values in space.items()})


def distribution(values: Between | OneOf) -> BaseDistribution:
    """A part of a space as Optuna has it."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(values, OneOf):
        return CategoricalDistribution(values.values)
    if isinstance(values.low, int) and isinstance(values.high, int):
        return IntDistribution(values.low, values.high, log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)


def note(study: Study, trial: Trial, tried: Tried) -> None:
    """Keep what came of a trial."""
    for epoch, loss in enumerate(tried.curve, 1):
        trial.report(loss, epoch)
    # Whoever is stopped after this has a result, and before it has none.
    trial.set_user_attr(RESULT, asdict(tried))
    conclude(study, trial.number, tried)


def conclude(study: Study, number: int, tried: Tried) -> None:
    """End a trial by what came of it."""
    from optuna.trial import TrialState

    if tried.value is None:
        study.tell(number, state=TrialState.FAIL)
    elif tried.given_up:
        study.tell(number, state=TrialState.PRUNED)
    else:
        study.tell(number, tried.value)


def tried_in(study: Study) -> list[Tried]:
    """What came of the trials that have ended, in this order."""
    return [Tried(**t.user_attrs[RESULT]) for t in study.trials if RESULT in t.user_attrs]
