"""Where models are kept: the MLflow registry, its champion, and models fetched from it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
from pathlib import Path
from typing import Any

from jobs.runs.errors import JobError
from jobs.runs.files import exclusive
from jobs.runs.run import Run
from jobs.runs.settings import Configuration
from jobs.runs.warehouse import Warehouse
from model.factors import load_factors, whole_folder

CHAMPION = "champion"
RUN_TAG = "nightreel.run_id"
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


FINGERPRINT = "nightreel.fingerprint"
"""Tag of a version: JSON of its settings, its metrics and the digest of its arrays."""


def model_name(release: str) -> str:
    """Name of a release's registered model."""
    return f"nightreel-{release}"


def client(conf: Configuration, warehouse: Warehouse) -> Any:
    """An MLflow client of the conf's server, or of the warehouse's own store."""
    # MLflow takes seconds to import, and asks git for a commit that it does not need here.
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    from mlflow import MlflowClient

    # Creating the store's tables is logged line by line.
    for name in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(conf.tracking.uri or f"sqlite:///{warehouse.tracking}")


def has_store(conf: Configuration, warehouse: Warehouse) -> bool:
    """Whether any run was ever tracked here; looking must not create an empty store."""
    return bool(conf.tracking.uri) or warehouse.tracking.is_file()


def champion_version(conf: Configuration, warehouse: Warehouse, release: str) -> str | None:
    """The version that scoring uses for a release, None before the first."""
    if not has_store(conf, warehouse):
        return None
    from mlflow.exceptions import MlflowException

    try:
        found = client(conf, warehouse).get_model_version_by_alias(model_name(release), CHAMPION)
    except MlflowException as error:
        if error.error_code in ABSENT:
            return None
        raise unanswered(conf, warehouse, error) from error
    return str(found.version)


def factors_folder(conf: Configuration, warehouse: Warehouse, release: str, version: str) -> Path:
    """Folder of a version's `Factors`; a server's are fetched to <warehouse>/models, once.

    Raises JobError if there is no such version or it is not whole.
    """
    from mlflow.exceptions import MlflowException

    tracking = client(conf, warehouse)
    name = model_name(release)
    try:
        found = tracking.get_model_version(name, version)
    except MlflowException as error:
        if error.error_code not in ABSENT:
            raise unanswered(conf, warehouse, error) from error
        raise JobError(f"There is no version {version} of {name}: {error}") from error
    try:
        if conf.tracking.uri:
            folder = fetched(tracking, found, warehouse.models)
        else:
            # The store holds absolute paths, and the warehouse may have moved since.
            folder = warehouse.artifacts / found.source.rpartition("/mlartifacts/")[2]
        load_factors(folder)
    except ValueError as error:
        raise JobError(f"Version {version} of {name} cannot be used: {error}") from error
    return folder


def unanswered(conf: Configuration, warehouse: Warehouse, error: Exception) -> JobError:
    return JobError(f"MLflow at {conf.tracking.uri or warehouse} answered: {error}")


def test_rmse(run: Run, version: str | None) -> float | None:
    """What a version was measured at when it was registered; None if nobody noted it."""
    from mlflow.exceptions import MlflowException

    tracking, name = client(run.conf, run.warehouse), model_name(run.release)
    try:
        found = tracking.get_model_version(name, version)
        return tracking.get_run(found.run_id).data.metrics.get("test_rmse")
    except MlflowException as error:
        raise JobError(f"MLflow does not know version {version} of {name}: {error}") from error


def register(run: Run, factors: Path, params: dict[str, Any], metrics: dict[str, float]) -> str:
    """Log a run with its `Factors` and make it a version; returns the version.

    A run made again with the same outcome keeps its version: its arrays, settings and metrics.
    """
    tracking = client(run.conf, run.warehouse)
    fingerprint = json.dumps([params, metrics, digest_of(factors)], sort_keys=True)
    known = tracking.search_model_versions(
        f"name = '{model_name(run.release)}' and tags.`{RUN_TAG}` = '{run.run_id}'"
    )
    for version in known:
        if version.tags.get(FINGERPRINT) == fingerprint:
            return str(version.version)
    logged = tracking.create_run(
        experiment_id(tracking, run), run_name=run.run_id, tags={RUN_TAG: run.run_id}
    )
    for key, value in params.items():
        tracking.log_param(logged.info.run_id, key, value)
    for key, number in metrics.items():
        tracking.log_metric(logged.info.run_id, key, number)
    log_curves(tracking, logged.info.run_id, load_factors(factors).manifest.get("history", []))
    source = keep_factors(run, logged.info, tracking, factors)
    tracking.set_terminated(logged.info.run_id)
    create_registered_model(tracking, run.release)
    version = tracking.create_model_version(
        model_name(run.release),
        source,
        run_id=logged.info.run_id,
        tags={RUN_TAG: run.run_id, FINGERPRINT: fingerprint},
    )
    return str(version.version)


def log_curves(tracking: Any, logged: str, history: list[dict[str, Any]]) -> None:
    """Log every epoch's figures as metrics whose step is the epoch, in one request for all."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    points = [
        Metric(name, value, now, figures["epoch"])
        for figures in history
        for name, value in figures.items()
        if name != "epoch"
    ]
    # More in one request are refused.
    for start in range(0, len(points), 1000):
        tracking.log_batch(logged, metrics=points[start : start + 1000])


def keep_factors(run: Run, logged: Any, tracking: Any, factors: Path) -> str:
    """Store `Factors` as artifacts of a tracked run; returns their URI.

    The local store remembers where the warehouse was when it was made, so its artifacts are
    written to where MLflow would put them if the warehouse has not moved.
    """
    if run.conf.tracking.uri:
        tracking.log_artifacts(logged.run_id, str(factors), "factors")
        return f"{logged.artifact_uri}/factors"
    folder = run.warehouse.artifacts / logged.run_id / "artifacts" / "factors"
    shutil.copytree(factors, folder)
    return folder.as_uri()


def promote(run: Run, version: str) -> bool:
    """Give `version` the alias, unless another run has crowned one since this run started."""
    current = champion_version(run.conf, run.warehouse, run.release)
    tracking = client(run.conf, run.warehouse)
    if current not in (None, run.champion):
        crowned = tracking.get_model_version(model_name(run.release), current)
        if crowned.tags.get(RUN_TAG) != run.run_id:
            return False
    tracking.set_registered_model_alias(model_name(run.release), CHAMPION, version)
    return True


def experiment_id(tracking: Any, run: Run) -> str:
    """The experiment of a release, made at its first run."""
    found = tracking.get_experiment_by_name(model_name(run.release))
    if found:
        return found.experiment_id
    artifacts = None if run.conf.tracking.uri else run.warehouse.artifacts.as_uri()
    return tracking.create_experiment(model_name(run.release), artifact_location=artifacts)


def create_registered_model(tracking: Any, release: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        tracking.create_registered_model(model_name(release))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def fetched(tracking: Any, version: Any, models: Path) -> Path:
    """The folder in `models` of the `Factors` of a model version, fetched if it is not there yet.

    It appears whole, and two jobs at once fetch it once. Raises ValueError if it cannot be had, or
    is not what was registered.
    """
    from mlflow.artifacts import download_artifacts

    # Another server has other versions of this number.
    source = hashlib.sha256(f"{tracking.tracking_uri} {version.source}".encode()).hexdigest()
    folder = models / f"{version.name}-{version.version}-{source[:12]}"
    with exclusive(models / f".{folder.name}.lock", "another job to have fetched the model"):
        if folder.is_dir():
            # cleanup removes those that nobody has used for days.
            os.utime(folder)
            return folder
        with whole_folder(folder) as incoming:
            try:
                inner = download_artifacts(
                    artifact_uri=version.source,
                    dst_path=str(incoming),
                    tracking_uri=tracking.tracking_uri,
                )
            # Every kind of artifact store has errors of its own.
            except Exception as error:
                raise ValueError(f"{version.source} could not be fetched: {error}") from error
            # MLflow makes a folder in the folder.
            for file in list(Path(inner).iterdir()):
                file.rename(incoming / file.name)
            Path(inner).rmdir()
            registered = version.tags.get(FINGERPRINT)
            if registered and json.loads(registered)[-1] != digest_of(incoming):
                raise ValueError(f"{version.source} does not hold the arrays that were registered")
    return folder


def digest_of(factors: Path) -> str:
    """SHA-256 over the arrays of saved `Factors`."""
    digest = hashlib.sha256()
    for file in sorted(factors.glob("*.npy")):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def same_split(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Whether two models were trained on the same deal of ratings, by their manifests' settings."""
    # Champions older than the setting were dealt at random, and say nothing of its parts.
    theirs = {"split": "random"} | theirs
    keys = {"split", "split_seed", "train_share", "validation_share", "test_share"}
    keys |= {"folds": {"folds", "fold"}, "given": {"given"}}.get(ours["split"], set())
    return all(ours[key] == theirs.get(key) for key in keys)
