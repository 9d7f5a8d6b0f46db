"""Putting models into the registry: a run's as a version, and what a version scores by."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from jobs.runs.errors import JobError
from jobs.training.registered import (
    FILES,
    FINGERPRINT,
    REFITTED,
    digest_of,
    digest_of_files,
    is_registered,
    kept_to_score,
)
from jobs.training.registry import RUN_TAG, Registry
from model.factors import load_factors
from model.files import make_folder, sync, sync_tree


def register(
    registry: Registry,
    run_id: str,
    factors: Path,
    params: dict[str, Any],
    metrics: dict[str, float],
) -> str:
    """Log a run with its `Factors` and make it a version; returns the version.

    A run made again with the same outcome keeps its version: its arrays, settings and metrics.
    """
    fingerprint = json.dumps([params, metrics, digest_of(factors)], sort_keys=True)
    known = registry.client.search_model_versions(
        f"name = '{registry.name}' and tags.`{RUN_TAG}` = '{run_id}'"
    )
    for version in known:
        if version.tags.get(FINGERPRINT) == fingerprint:
            return str(version.version)
    logged = registry.client.create_run(
        experiment_id(registry), run_name=run_id, tags={RUN_TAG: run_id}
    ).info
    history = load_factors(factors).manifest.get("history", [])
    log_figures(registry.client, logged.run_id, params, metrics, history)
    source = keep(registry, logged, factors, "factors")
    registry.client.set_terminated(logged.run_id)
    create_registered_model(registry)
    version = registry.client.create_model_version(
        registry.name,
        source,
        run_id=logged.run_id,
        tags={
            RUN_TAG: run_id,
            FINGERPRINT: fingerprint,
            FILES: digest_of_files(factors),
        },
    )
    registry.settle()
    return str(version.version)


def add_refitted(registry: Registry, version: str, factors: Path, ratings: int, told: str) -> None:
    """Have a version score by `Factors` that learned from so many ratings, all there are.

    Those that it was measured by stay beside them, and its figures are of these. `told` says
    both, for people. Until all is kept, and from then on, the version is whole; doing it again
    with the same outcome changes nothing. Raises JobError if there is no such version.
    """
    found = registry.model_version(version)
    if holds(registry, found, factors):
        return
    files = digest_of_files(factors)
    # By its arrays: another attempt at the same takes the place of what was left by one.
    name = f"refitted-{digest_of(factors)[:12]}"
    keep(registry, registry.client.get_run(found.run_id).info, factors, name)
    registry.client.log_metric(found.run_id, "refit_ratings", ratings)
    description = f"{told[0].upper()}{told[1:]}."
    registry.client.update_model_version(registry.name, version, description)
    # Last, because from here on it scores.
    registry.client.set_model_version_tag(registry.name, version, REFITTED, f"{name} {files}")
    registry.settle()
    registry.opened.pop((version, False), None)


def holds(registry: Registry, found: Any, factors: Path) -> bool:
    """Whether a version scores by the same arrays already, and has them whole."""
    if REFITTED not in found.tags:
        return False
    try:
        kept = kept_to_score(found)
        if not registry.conf.tracking.uri and not is_registered(registry.local(kept), kept.tags):
            return False
        return digest_of(registry.folder_of(kept)) == digest_of(factors)
    except ValueError:
        # What a server has is damaged.
        return False


def keep(registry: Registry, logged: Any, factors: Path, name: str) -> str:
    """Store `Factors` as artifacts, of this name, of a tracked run; returns their URI.

    The local store remembers where the warehouse was when it was made, so its artifacts are
    written to where MLflow would put them if the warehouse has not moved.
    """
    if registry.conf.tracking.uri:
        registry.client.log_artifacts(logged.run_id, str(factors), name)
        return f"{logged.artifact_uri}/{name}"
    folder = registry.warehouse.artifacts / logged.run_id / "artifacts" / name
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


def experiment_id(registry: Registry) -> str:
    """The experiment of the release, made at its first run."""
    client = registry.client  # whose making takes the lock, too
    # Of two that look and find none, only one may make it.
    with registry.lock():
        found = client.get_experiment_by_name(registry.name)
        if found:
            return found.experiment_id
        artifacts = None if registry.conf.tracking.uri else registry.warehouse.artifacts.as_uri()
        return client.create_experiment(registry.name, artifact_location=artifacts)


def create_registered_model(registry: Registry) -> None:
    """Make the place of the release's versions, unless it is there."""
    from mlflow.exceptions import MlflowException

    try:
        registry.client.create_registered_model(registry.name)
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
