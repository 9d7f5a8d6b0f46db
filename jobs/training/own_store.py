"""What the warehouse's own MLflow store holds, read from its SQLite file.

MLflow takes seconds to import and to make its store ready, and half the steps of a night have one
question, such as which version is the champion. MLflow alone writes: the tables are those of the
version that conf/locks pins, and a test holds what is read here against what MLflow answers. A
store of which MLflow has not made the tables yet holds nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from jobs.runs.errors import JobError

# So long another process may be writing.
BUSY_SECONDS = 60


@dataclass(frozen=True)
class ModelVersion:
    """Of a version, what MLflow's own `ModelVersion` says under the same names."""

    version: str
    source: str
    """Where its `Factors` lie, as a URI."""
    run_id: str
    tags: dict[str, str]


@contextmanager
def opened(file: Path) -> Iterator[sqlite3.Connection]:
    """The store, which must exist. Raises JobError where it cannot be read, or is none."""
    try:
        # Not mode=ro, which could not take back what a writer that was killed has left half done.
        with closing(
            sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", BUSY_SECONDS, uri=True)
        ) as store:
            yield store
    except sqlite3.Error as error:
        raise JobError(
            f"MLflow at sqlite:///{file} does not answer: {error}. Once it does, run the step "
            "again."
        ) from error


def is_made(store: sqlite3.Connection) -> bool:
    """Whether MLflow has made its tables; it writes this one's row last."""
    [(tables,)] = store.execute("select count(*) from sqlite_master where name = 'alembic_version'")
    return bool(tables) and store.execute("select 1 from alembic_version").fetchone() is not None


def version_of(file: Path, name: str, alias: str) -> str | None:
    """The version of a registered model that has an alias; None if none has."""
    with opened(file) as store:
        found = (
            is_made(store)
            and store.execute(
                "select version from registered_model_aliases where name = ? and alias = ?",
                (name, alias),
            ).fetchone()
        )
    return str(found[0]) if found else None


def model_version(file: Path, name: str, version: str) -> ModelVersion | None:
    """A version of a registered model; None if there is none."""
    key = (name, version)
    with opened(file) as store:
        found = (
            is_made(store)
            and store.execute(
                "select source, run_id from model_versions where name = ? and version = ? "
                # So MLflow marks those that were deleted.
                "and current_stage is not 'Deleted_Internal'",
                key,
            ).fetchone()
        )
        if not found:
            return None
        tags = dict(
            store.execute(
                "select key, value from model_version_tags where name = ? and version = ?", key
            )
        )
    source, run_id = found
    return ModelVersion(version, source, run_id, tags)


def versions(file: Path, name: str) -> list[str]:
    """The versions of a registered model that were not deleted, oldest first."""
    with opened(file) as store:
        found = is_made(store) and store.execute(
            "select version from model_versions where name = ? "
            "and current_stage is not 'Deleted_Internal' order by version",
            (name,),
        )
        return [str(version) for (version,) in found or ()]


def metric(file: Path, run_id: str, key: str) -> float | None:
    """What was logged last under a name of a tracked run; None if nothing was."""
    with opened(file) as store:
        found = store.execute(
            "select value from latest_metrics where run_uuid = ? and key = ?", (run_id, key)
        ).fetchone()
    return found[0] if found else None
