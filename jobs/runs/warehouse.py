"""The warehouse: the folder of everything that Nightreel writes, and what lies where in it."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from jobs.runs.errors import JobError
from jobs.runs.files import exclusive


@dataclass(frozen=True)
class Warehouse:
    """The layout of a warehouse. None of its folders need exist yet.

    No path itself: what lies where is asked for by name, and nobody else joins parts to it.
    """

    folder: Path

    def __str__(self) -> str:
        return str(self.folder)

    @property
    def tables(self) -> Path:
        """The published Delta tables."""
        return self.folder / "tables"

    def table(self, name: str) -> Path:
        """One of them, as in `table("recommendations")`."""
        return self.tables / name

    @property
    def runs(self) -> Path:
        """A folder for each run."""
        return self.folder / "runs"

    def run(self, run_id: str) -> Path:
        """What a run was told, recorded and wrote."""
        return self.runs / run_id

    def run_file(self, run_id: str) -> Path:
        """What was resolved when a run started: there is such a run if it is there."""
        return self.run(run_id) / "run.json"

    def record_file(self, run_id: str, step: str) -> Path:
        """What a step of a run writes last."""
        return self.run(run_id) / "steps" / f"{step}.json"

    def run_ids(self) -> list[str]:
        """The runs that were started, less those that are being removed."""
        return sorted(file.parent.name for file in self.runs.glob("[!.]*/run.json"))

    @property
    def scratch(self) -> Path:
        """A folder for each run at work, for nobody else to read."""
        return self.folder / "staging"

    def staging(self, run_id: str) -> Path:
        """The scratch of one run."""
        return self.scratch / run_id

    def checkpoints(self, run_id: str) -> Path:
        """Of a training that is under way, or was stopped."""
        return self.staging(run_id) / "checkpoints"

    def deliveries(self, release: str) -> Path:
        """A folder for each delivery of a release."""
        return self.folder / "raw" / release

    def raw(self, release: str, digest: str) -> Path:
        """A delivery, unchanged."""
        return self.deliveries(release) / digest

    def source_ids(self, release: str, entity: str) -> Path:
        """The numbers of a release's users or movies whose ids are no numbers of ours.

        Whatever is cleared up, they stay: models and tables go by them.
        """
        return self.folder / "ids" / release / f"{entity}s"

    def erased(self, release: str) -> Path:
        """The list of a release's users who asked to be forgotten.

        Whatever is cleared up, it stays: by it they are left out of what is delivered.
        """
        return self.folder / "erased" / f"{release}.txt"

    @property
    def downloads(self) -> Path:
        """Releases as they were fetched, and what is left of broken transfers."""
        return self.folder / "downloads"

    @property
    def models(self) -> Path:
        """Models fetched from an MLflow server."""
        return self.folder / "models"

    @property
    def tracking(self) -> Path:
        """The store of MLflow where no server is named."""
        return self.folder / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        """The models of that store."""
        return self.folder / "mlartifacts"

    def publish_lock(self) -> AbstractContextManager[None]:
        """While it is held, nobody else commits to the tables."""
        return exclusive(self.tables / ".lock", "a run to have published")

    def copy_lock(self) -> AbstractContextManager[None]:
        """While it is held, nobody else copies the tables to the object store."""
        return exclusive(
            self.tables / ".object_store.lock", "another copy to the object store to end"
        )


def warehouse_named(name: str) -> Warehouse:
    """The warehouse in an absolute folder. Raises JobError for a URI or a name that misleads."""
    if re.match(r"^[a-z][a-z0-9+.-]*://", name):
        raise JobError(
            f"warehouse {name}: expected a folder. "
            "On a cluster, mount the store as a folder that every host sees."
        )
    folder = Path(name).expanduser().resolve()
    # Spark takes some of these for a pattern, petastorm and Delta Lake others for parts of a URL.
    misleading = re.search(r"[\[\]{}*?#]|%[0-9A-Fa-f]{2}", str(folder))
    if misleading:
        raise JobError(
            f"warehouse {folder}: {misleading.group()} has a meaning of its own to Spark or Delta "
            "Lake. Choose a folder without [ ] { } * ? # and without % before two digits."
        )
    return Warehouse(folder)
