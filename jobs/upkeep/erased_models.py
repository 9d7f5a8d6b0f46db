"""Which stored models hold a row of users: each has one for everybody whom it was trained on.

They stay: a version is what was registered, to the byte, or it is refused. What is trained next
knows nobody who was erased.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from jobs.runs.settings.whole import Configuration
from jobs.runs.warehouse import Warehouse
from jobs.training import own_store
from jobs.training.registered import kept_measured, kept_to_score
from jobs.training.registry import Registry
from jobs.upkeep.traces import OF_MODELS, People

OBJECTIVES: tuple[Literal["rating", "order"], ...] = ("rating", "order")


def holding_versions(
    conf: Configuration, warehouse: Warehouse, release: str, people: People
) -> list[str]:
    """Their names, as rating/3, in the warehouse's own store; none where a server has the models.

    Raises JobError where the store cannot be read.
    """
    registries = {each: Registry(conf, warehouse, release, each) for each in OBJECTIVES}
    return [
        f"{objective}/{version}"
        for objective, registry in registries.items()
        if registry.own and registry.made
        for version in own_store.versions(registry.own, registry.name)
        if any(holds(folder, people) for folder in folders_of(registry, version))
    ]


def folders_of(registry: Registry, version: str) -> set[Path]:
    """Where the arrays of a version lie: those that it was measured by, and those that score."""
    found = registry.model_version(version)
    return {registry.local(kept) for kept in (kept_measured(found), kept_to_score(found))}


def holds(folder: Path, people: People) -> bool:
    """Whether saved `Factors` have a row of one of them."""
    file = folder / OF_MODELS
    return file.is_file() and people.are_in(file)
