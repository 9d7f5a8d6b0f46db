"""Who takes part in a comparison: baselines, and models as conf has them or searched.

Each is trained and measured by itself (jobs/comparing/results.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from jobs.runs.errors import JobError
from jobs.runs.run import Run
from jobs.training.order_lists import by_popularity, by_recent_popularity
from jobs.training.transfers import refuse_transfers
from model.family import FAMILY, ORDER_MODELS, load
from model.space import Space

BASELINES = {"popularity": by_popularity, "recent_popularity": by_recent_popularity}


@dataclass(frozen=True)
class Entrant:
    """A model of the family and the seed that it is trained from; of a baseline there is none."""

    member: str
    seed: int | None = None
    searched: bool = False
    """Whether a search chooses its settings, and not conf."""
    fold: int | None = None
    """The one that it is measured on, from 1; None: on what etl held back."""

    @property
    def name(self) -> str:
        """What it is called: bayesian-7, bayesian-searched-7, bayesian-7-fold-2."""
        parts = [self.member, "searched" if self.searched else None, self.seed]
        parts += ["fold", self.fold] if self.fold else []
        return "-".join(str(part) for part in parts if part is not None)

    @property
    def label(self) -> str:
        """What it has in common with those of other seeds and folds."""
        return f"{self.member}, searched" if self.searched else self.member

    @property
    def orders(self) -> bool:
        """Whether it says in which order a user will want movies, and predicts no rating."""
        return self.member in ORDER_MODELS or self.member in BASELINES


def entrants_of(run: Run) -> list[Entrant]:
    """All that a run is to compare, baselines first.

    Folds are of ratings, whatever their times: a model of order would learn from what came after
    that which it is to name, so it takes part once, as etl dealt the histories. Raises JobError if
    a model is to be searched that has nothing to search, if one that is measured by folds starts
    from another model, or if a champion is to be made that no test ratings could be asked about.
    """
    conf = run.conf.compare
    found = [Entrant(name) for name in BASELINES] if run.measures_order else []
    for member in conf.members:
        plain = [Entrant(member, seed) for seed in conf.seeds]
        if conf.folds and not plain[0].orders:
            refuse_transfers(run, [member], "folds")
            folds = range(1, conf.folds + 1)
            plain = [replace(entrant, fold=fold) for entrant in plain for fold in folds]
        found += plain
    for member in conf.search:
        space_of(member)
    found += [Entrant(m, seed, searched=True) for m in conf.search for seed in conf.seeds]
    if conf.promote and run.conf.etl.splits[-1] != "test" and not all(e.orders for e in found):
        raise JobError(
            "compare.promote: etl.test_share=0 leaves no test ratings for the gate, and by the "
            "validation ratings the best of many is chosen, which then looks better than it is. "
            "Raise etl.test_share, or compare without promote."
        )
    return found


def entrant_named(run: Run, name: str) -> Entrant:
    """One of these. Raises JobError, naming them, if there is none of the name."""
    named = {entrant.name: entrant for entrant in entrants_of(run)}
    if name not in named:
        raise JobError(f"Run {run.run_id} compares no {name}, but: {', '.join(named)}.")
    return named[name]


def space_of(member: str) -> Space:
    """The values that a model's search draws from. Raises JobError if it has none."""
    space: Space | None = getattr(load(member), "space", None)
    if space is None:
        having = [name for name in FAMILY if hasattr(load(name), "space")]
        raise JobError(
            f"There is nothing to search for {member}: its class names no space of settings, as "
            f"those of models made of others. These do: {', '.join(having)}."
        )
    return space


def with_settings(run: Run, member: str, values: dict[str, Any], **shared: Any) -> Run:
    """The run, were these a model's settings, over its own; `shared` are those of all models."""
    train = run.conf.train
    changed = train.model_copy(update={member: train.of(member) | values, **shared})
    return replace(run, conf=run.conf.model_copy(update={"train": changed}))
