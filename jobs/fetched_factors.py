"""`Factors` whose artifacts an MLflow server keeps, as in an object store: fetched once, whole."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from jobs.locks import exclusive
from model.folders import whole_folder

FINGERPRINT = "nightreel.fingerprint"
"""Tag of a version: JSON of its settings, its metrics and the digest of its arrays."""


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
