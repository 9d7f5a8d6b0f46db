"""Users who are recommended movies of a list of their own only: the setting score.candidates.

The file is read when the run starts, and kept as `candidates` in the run's folder: one row per user
and movie.
"""

from __future__ import annotations

from jobs import schemas
from jobs.errors import JobError
from jobs.filters import unknown_ids
from jobs.id_files import IdFile
from jobs.run import Run
from jobs.settings import Configuration

COLUMNS = tuple(schemas.columns_of(schemas.CANDIDATES))


def given_lists(conf: Configuration) -> IdFile | None:
    """The file that conf names, looked at; None if it names none."""
    path = conf.score.candidates
    return IdFile("score.candidates", path, COLUMNS) if path else None


def kept_lists(run: Run) -> IdFile | None:
    """The same as a run has kept it."""
    file = run.output("candidates") / "part-0.parquet"
    return IdFile("score.candidates", str(file), COLUMNS) if run.conf.score.candidates else None


def refuse_unknown_candidates(lists: IdFile | None, run: Run) -> None:
    """Raise JobError for users and movies in lists that the run's data does not have."""
    for entity in ("user", "movie") if lists else ():
        assert lists is not None
        if strange := lists.absent(f"{entity}_id", run.data(f"{entity}s")):
            raise JobError(f"score.candidates: {unknown_ids(strange, entity, run.release)}")
