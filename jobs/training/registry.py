"""Where models are kept: the MLflow registry, its champion, and models fetched from it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from jobs.runs.errors import JobError
from jobs.runs.files import exclusive
from jobs.runs.run import Run
from jobs.runs.settings.whole import Configuration
from jobs.runs.warehouse import Warehouse
from jobs.training import own_store
from jobs.training.mlflow_client import client_of
from jobs.training.registered import (
    Kept,
    fetched,
    kept_measured,
    kept_to_score,
    require_registered,
)
from model.factors import Factors, load_factors
from model.files import sync

CHAMPION = "champion"
RUN_TAG = "nightreel.run_id"
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


@dataclass(frozen=True)
class Registry:
    """The models of one release and objective: their versions, and the one that is the champion.

    On the conf's MLflow server, or in the warehouse's own store if none is named: that is read
    without MLflow, which takes seconds to begin. Those that were asked for stay mapped. A version
    that was refitted has two `Factors`: those that it was measured by, which know nothing of what
    was held back, and those that score.
    """

    conf: Configuration
    warehouse: Warehouse
    release: str
    objective: Literal["rating", "order"] = "rating"
    opened: dict[tuple[str, bool], tuple[Path, Factors]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """Versions that were asked for, and whether as measured: the folder, and what is mapped."""

    @classmethod
    def of(cls, run: Run, objective: Literal["rating", "order"] = "rating") -> Registry:
        """That of a run's release, where its settings say."""
        return cls(run.conf, run.warehouse, run.release, objective)

    @property
    def name(self) -> str:
        """Name of the release's registered model, and of its experiment."""
        return f"nightreel-{self.release}" + ("-order" if self.objective == "order" else "")

    @property
    def own(self) -> Path | None:
        """File of the warehouse's own store; None if a server has the models."""
        return None if self.conf.tracking.uri else self.warehouse.tracking

    @property
    def made(self) -> bool:
        """Whether the warehouse's own store is there."""
        return self.warehouse.tracking.is_file()

    @cached_property
    def client(self) -> Any:
        """An MLflow client, made when first needed."""
        if self.conf.tracking.uri:
            return client_of(self.conf.tracking.uri)
        # The first question makes the store's tables, which two at once do not survive.
        with self.lock():
            client = client_of(f"sqlite:///{self.warehouse.tracking}")
            client.search_experiments(max_results=1)
            client.search_registered_models(max_results=1)
            return client

    def champion(self) -> str | None:
        """The version that scoring uses, None before the first."""
        if self.own is not None:
            # Looking must not create an empty store.
            return own_store.version_of(self.own, self.name, CHAMPION) if self.made else None
        from mlflow.exceptions import MlflowException

        try:
            found = self.client.get_model_version_by_alias(self.name, CHAMPION)
        except MlflowException as error:
            if error.error_code in ABSENT:
                return None
            raise self.unanswered(error) from error
        return str(found.version)

    def factors(self, version: str) -> Factors:
        """The `Factors` by which a version scores, mapped once; a server's are fetched first.

        Raises JobError if there is no such version or it is not whole.
        """
        return self.open(version)[1]

    def folder(self, version: str) -> Path:
        """Folder of these; a server's are fetched to <warehouse>/models, once.

        Raises JobError if there is no such version or it is not whole.
        """
        return self.open(version)[0]

    def measured(self, version: str) -> tuple[Path, Factors]:
        """Folder and `Factors` by which a version was measured, whatever it scores by.

        Raises JobError if there is no such version or it is not whole.
        """
        return self.open(version, measured=True)

    def open(self, version: str, measured: bool = False) -> tuple[Path, Factors]:
        """Folder and `Factors` of a version, those in `opened` if it was asked for before."""
        asked = version, measured
        if asked not in self.opened:
            found = self.model_version(version)
            try:
                folder = self.folder_of(kept_measured(found) if measured else kept_to_score(found))
                self.opened[asked] = folder, load_factors(folder)
            except ValueError as error:
                raise JobError(
                    f"Version {version} of {self.name} cannot be used: {error}"
                ) from error
        return self.opened[asked]

    def model_version(self, version: str) -> Any:
        """What MLflow knows of a version. Raises JobError if there is none."""
        if self.own is not None:
            known = own_store.model_version(self.own, self.name, version) if self.made else None
            if known is None:
                raise JobError(f"There is no version {version} of {self.name} in {self.warehouse}.")
            return known
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_model_version(self.name, version)
        except MlflowException as error:
            if error.error_code not in ABSENT:
                raise self.unanswered(error) from error
            raise JobError(f"There is no version {version} of {self.name}: {error}") from error

    def folder_of(self, kept: Kept) -> Path:
        """Where what MLflow knows of lies, with what was registered in it; else ValueError."""
        if self.conf.tracking.uri:
            return fetched(self.client, self.name, kept, self.warehouse.models)
        folder = self.local(kept)
        if folder.is_dir():
            require_registered(folder, kept.tags)
        return folder

    def local(self, kept: Kept) -> Path:
        """Where it lies in the warehouse's own store."""
        # The store holds absolute paths, and the warehouse may have moved since.
        return self.warehouse.artifacts / kept.source.rpartition("/mlartifacts/")[2]

    def unanswered(self, error: Exception) -> JobError:
        return JobError(f"MLflow at {self.conf.tracking.uri or self.warehouse} answered: {error}")

    def test_rmse(self, version: str) -> float | None:
        """What a version was measured at when it was registered; None if nobody noted it."""
        found = self.model_version(version)
        if self.own is not None:
            return own_store.metric(self.own, found.run_id, "test_rmse")
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_run(found.run_id).data.metrics.get("test_rmse")
        except MlflowException as error:
            raise JobError(
                f"MLflow does not know the run of version {version} of {self.name}: {error}"
            ) from error

    def lock(self) -> AbstractContextManager[None]:
        """While it is held, no other run makes MLflow's store, an experiment or a champion."""
        return exclusive(self.warehouse.folder / ".mlflow.lock", "another run to leave MLflow")

    def settle(self) -> None:
        """Make what was told to the warehouse's own store last, through a power failure too.

        SQLite ends a change by removing its journal, and does not force that to disk: a journal
        that is there again undoes the change.
        """
        if not self.conf.tracking.uri:
            sync(self.warehouse.tracking.parent)
