"""A registered model's files: whole, and what was registered, before anybody scores by them."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.runs.files import exclusive
from model.files import whole_folder

FINGERPRINT = "nightreel.fingerprint"
"""Tag of a version: JSON of its settings, its metrics and the digest of its arrays."""
FILES = "nightreel.files"
"""Tag of a version: the digest of all its files. Versions of older Nightreels lack it."""
REFITTED = "nightreel.refitted"
"""Tag of a version that scores by `Factors` that learned from all ratings: the name under which
they lie beside those that were measured, and the digest of all their files."""


@dataclass(frozen=True)
class Kept:
    """What MLflow knows of `Factors` that lie in it."""

    version: str
    source: str
    """Where they lie, as a URI."""
    tags: Mapping[str, str]
    """What was registered: FILES, or FINGERPRINT."""


def kept_measured(found: Any) -> Kept:
    """Those by which a version, as MLflow knows it, was measured."""
    return Kept(str(found.version), found.source, found.tags)


def kept_to_score(found: Any) -> Kept:
    """Those by which a version scores. Raises ValueError if nobody could say which these are."""
    if REFITTED not in found.tags:
        return kept_measured(found)
    name, _, files = found.tags[REFITTED].partition(" ")
    # What a server says becomes a part of no path before it was looked at.
    if not re.fullmatch(r"refitted-[0-9a-f]{12}", name):
        raise ValueError(f"its tag {REFITTED} is {name[:80]!r}, which is no name of ours")
    return Kept(str(found.version), f"{found.source.rpartition('/')[0]}/{name}", {FILES: files})


def digest_of(factors: Path) -> str:
    """SHA-256 over the arrays of saved `Factors`, and over their encoder where there is one.

    The same for a model that was trained again with the same outcome, which its manifest is not.
    """
    encoder = (file for file in (factors / "encoder").rglob("*") if file.is_file())
    return sha256(factors, [*sorted(factors.glob("*.npy")), *sorted(encoder)])


def digest_of_files(factors: Path) -> str:
    """SHA-256 over all files of saved `Factors`."""
    return sha256(factors, sorted(file for file in factors.rglob("*") if file.is_file()))


def sha256(folder: Path, files: Iterable[Path]) -> str:
    """SHA-256 over the names of files in a folder and what they hold."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(folder).as_posix().encode())
        with file.open("rb") as content:
            while chunk := content.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def require_registered(factors: Path, tags: Mapping[str, str]) -> None:
    """Raises ValueError if a folder does not hold what a version's tags say was registered."""
    if not is_registered(factors, tags):
        raise ValueError(f"{factors} does not hold the model that was registered")


def is_registered(factors: Path, tags: Mapping[str, str]) -> bool:
    """Whether a folder holds what a version's tags say; true where they say nothing."""
    if FILES in tags:
        return digest_of_files(factors) == tags[FILES]
    return FINGERPRINT not in tags or json.loads(tags[FINGERPRINT])[-1] == digest_of(factors)


def fetched(tracking: Any, name: str, version: Kept, models: Path) -> Path:
    """The folder in `models` of the `Factors` of a model version, fetched if it is not there yet.

    `name` is our own of the model. The folder appears whole, and two jobs at once fetch it once.
    Raises ValueError if it cannot be had, or is not what was registered.
    """
    from mlflow.artifacts import download_artifacts

    number = version.version
    # What a server says becomes a part of no path before it was looked at.
    if not (number.isascii() and number.isdigit()):
        raise ValueError(f"its server calls the version {number[:80]!r}, which is no number")
    # Another server has other versions of this number.
    source = hashlib.sha256(f"{tracking.tracking_uri} {version.source}".encode()).hexdigest()
    folder = models / f"{name}-{number}-{source[:12]}"
    with exclusive(models / f".{folder.name}.lock", "another job to have fetched the model"):
        if folder.is_dir() and is_registered(folder, version.tags):
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
            if not is_registered(incoming, version.tags):
                raise ValueError(f"{version.source} does not hold the model that was registered")
    return folder
