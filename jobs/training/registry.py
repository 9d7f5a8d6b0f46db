"""Where models are kept: the MLflow registry, its champion, and models fetched from it."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from jobs.runs.errors import JobError
from jobs.runs.files import exclusive
from jobs.runs.run import Run
from jobs.runs.settings import Configuration
from jobs.runs.warehouse import Warehouse
from jobs.training import own_store
from jobs.training.mlflow_client import client_of
from jobs.training.registered import (
    FILES,
    FINGERPRINT,
    REFITTED,
    Kept,
    digest_of,
    digest_of_files,
    fetched,
    is_registered,
    kept_measured,
    kept_to_score,
    require_registered,
)
from model.factors import Factors, load_factors
from model.files import make_folder, sync, sync_tree

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

    def register(
        self, run_id: str, factors: Path, params: dict[str, Any], metrics: dict[str, float]
    ) -> str:
        """Log a run with its `Factors` and make it a version; returns the version.

        A run made again with the same outcome keeps its version: its arrays, settings and metrics.
        """
        fingerprint = json.dumps([params, metrics, digest_of(factors)], sort_keys=True)
        known = self.client.search_model_versions(
            f"name = '{self.name}' and tags.`{RUN_TAG}` = '{run_id}'"
        )
        for version in known:
            if version.tags.get(FINGERPRINT) == fingerprint:
                return str(version.version)
        logged = self.client.create_run(
            self.experiment_id(), run_name=run_id, tags={RUN_TAG: run_id}
        ).info
        history = load_factors(factors).manifest.get("history", [])
        log_figures(self.client, logged.run_id, params, metrics, history)
        source = self.keep(logged, factors, "factors")
        self.client.set_terminated(logged.run_id)
        self.create_registered_model()
        version = self.client.create_model_version(
            self.name,
            source,
            run_id=logged.run_id,
            tags={
                RUN_TAG: run_id,
                FINGERPRINT: fingerprint,
                FILES: digest_of_files(factors),
            },
        )
        self.settle()
        return str(version.version)

    def add_refitted(self, version: str, factors: Path, ratings: int, told: str) -> None:
        """Have a version score by `Factors` that learned from so many ratings, all there are.

        Those that it was measured by stay beside them, and its figures are of these. `told` says
        both, for people. Until all is kept, and from then on, the version is whole; doing it again
        with the same outcome changes nothing. Raises JobError if there is no such version.
        """
        found = self.model_version(version)
        if self.holds(found, factors):
            return
        files = digest_of_files(factors)
        # By its arrays: another attempt at the same takes the place of what was left by one.
        name = f"refitted-{digest_of(factors)[:12]}"
        self.keep(self.client.get_run(found.run_id).info, factors, name)
        self.client.log_metric(found.run_id, "refit_ratings", ratings)
        description = f"{told[0].upper()}{told[1:]}."
        self.client.update_model_version(self.name, version, description)
        # Last, because from here on it scores.
        self.client.set_model_version_tag(self.name, version, REFITTED, f"{name} {files}")
        self.settle()
        self.opened.pop((version, False), None)

    def holds(self, found: Any, factors: Path) -> bool:
        """Whether a version scores by the same arrays already, and has them whole."""
        if REFITTED not in found.tags:
            return False
        try:
            kept = kept_to_score(found)
            if not self.conf.tracking.uri and not is_registered(self.local(kept), kept.tags):
                return False
            return digest_of(self.folder_of(kept)) == digest_of(factors)
        except ValueError:
            # What a server has is damaged.
            return False

    def keep(self, logged: Any, factors: Path, name: str) -> str:
        """Store `Factors` as artifacts, of this name, of a tracked run; returns their URI.

        The local store remembers where the warehouse was when it was made, so its artifacts are
        written to where MLflow would put them if the warehouse has not moved.
        """
        if self.conf.tracking.uri:
            self.client.log_artifacts(logged.run_id, str(factors), name)
            return f"{logged.artifact_uri}/{name}"
        folder = self.warehouse.artifacts / logged.run_id / "artifacts" / name
        make_folder(folder.parent)
        # What an attempt that was killed has left, and nobody knows of.
        shutil.rmtree(folder, ignore_errors=True)
        try:
            shutil.copytree(factors, folder)
        except shutil.Error as errors:
            # It has gone on after the first file that failed, and tells of each.
            [(_, file, why), *_] = errors.args[0]
            raise JobError(f"{file} cannot be written: {why}") from None
        # Before MLflow's store, which forces its own rows to disk, names it.
        sync_tree(folder)
        sync(folder.parent)
        return folder.as_uri()

    def promote(self, version: str, run: Run) -> str:
        """Make a run's version the champion; returns who is champion now.

        That is another version if another run has crowned it since this run started.
        """
        client = self.client  # whose making takes the lock, too
        with self.lock():
            if self.may_crown(run):
                client.set_registered_model_alias(self.name, CHAMPION, version)
                self.settle()
                return version
            return self.champion() or version

    def settle(self) -> None:
        """Make what was told to the warehouse's own store last, through a power failure too.

        SQLite ends a change by removing its journal, and does not force that to disk: a journal
        that is there again undoes the change.
        """
        if not self.conf.tracking.uri:
            sync(self.warehouse.tracking.parent)

    def may_crown(self, run: Run) -> bool:
        """Whether the champion is still the one that a run's model was compared with, or its own.

        It is not if another run has crowned one meanwhile, with which nobody has compared it.
        """
        current = self.champion()
        known = run.champion if self.objective == "rating" else run.order_champion
        if current is None or current == known:
            return True
        return self.model_version(current).tags.get(RUN_TAG) == run.run_id

    def lock(self) -> AbstractContextManager[None]:
        """While it is held, no other run makes MLflow's store, an experiment or a champion."""
        return exclusive(self.warehouse.folder / ".mlflow.lock", "another run to leave MLflow")

    def experiment_id(self) -> str:
        """The experiment of the release, made at its first run."""
        client = self.client  # whose making takes the lock, too
        # Of two that look and find none, only one may make it.
        with self.lock():
            found = client.get_experiment_by_name(self.name)
            if found:
                return found.experiment_id
            artifacts = None if self.conf.tracking.uri else self.warehouse.artifacts.as_uri()
            return client.create_experiment(self.name, artifact_location=artifacts)

    def create_registered_model(self) -> None:
        """Make the place of the release's versions, unless it is there."""
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def log_figures(
    tracking: Any,
    logged: str,
    params: dict[str, Any],
    metrics: dict[str, float],
    history: list[dict[str, Any]],
) -> None:
    """Log settings, metrics, and every epoch's figures as metrics whose step is the epoch.

    Many in one request, for a store forces each to disk.
    """
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    settings = [Param(key, str(value)) for key, value in params.items()]
    points = [Metric(name, value, now, 0) for name, value in metrics.items()]
    points += [
        Metric(name, value, now, figures["epoch"])
        for figures in history
        for name, value in figures.items()
        if name != "epoch"
    ]
    # More in one request are refused.
    for start in range(0, len(settings), 100):
        tracking.log_batch(logged, params=settings[start : start + 100])
    for start in range(0, len(points), 1000):
        tracking.log_batch(logged, metrics=points[start : start + 1000])


def same_split(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Whether two models were trained on the same deal of ratings, by their manifests' settings."""
    # Champions older than the setting were dealt at random, and say nothing of its parts.
    theirs = {"split": "random"} | theirs
    keys = {"split", "split_seed", "train_share", "validation_share", "test_share"}
    of_folds = {"folds", "fold"}
    parts = {"folds": of_folds, "kfold": of_folds, "given": {"given"}}
    keys |= parts.get(ours["split"], set())
    return all(ours[key] == theirs.get(key) for key in keys)


def same_order_split(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Whether two models of order were trained on the same deal of histories, likewise."""
    keys = ("order_split", "visit_gap_minutes", "train_share", "validation_share")
    return all(ours[key] == theirs.get(key) for key in keys)
