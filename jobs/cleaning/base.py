"""The earlier run out of which tonight's clean data grows, so that only what is new is cleaned.

Where ratings lie in folders of days, a night's delivery is mostly that of the night before. Whoever
has no new line then has the same clean ratings, as long as the files read before are as they were,
and nothing else that decides a rating has changed. Where anything has, all is cleaned again, and
etl says why: the tables are the same either way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.engines.duck import parquet_files
from jobs.release.dated import day_of_file, end_of_times
from jobs.release.detection import detect_layout
from jobs.release.layouts import Layout, Table
from jobs.release.raw import MANIFEST
from jobs.runs.errors import JobError
from jobs.runs.files import read_json
from jobs.runs.run import Run, open_run

if TYPE_CHECKING:
    from jobs.cleaning.delivery import Parsed

# What etl has written that is read of an earlier run; where lines may delete, `repeats` as well.
OUTPUTS = (
    *("ratings", "splits", "rated", "histories"),
    *("users", "movies", "quarantine", "user_index", "movie_index"),
)
# Of one rating, these splits ask for no other user's.
OF_A_USER = ("random", "stratified", "folds", "leave-last-out")
# Of the settings of ingest these decide nothing of how a file is read.
NOT_READING = ("source", "max_unpacked_gib", "max_download_gib")
# Earlier runs that are looked at.
MOST_RUNS = 5
# Row groups grow with the ratings in them; from so much of their size on there must be more.
MOST_OVERSIZE = 1.5


class CannotGrow(Exception):
    """Why the earlier run will not do after all, found while growing out of it."""


@dataclass(frozen=True)
class Lines:
    """Of ratings, in all files."""

    lines: int
    bad: int
    """That could not be used."""
    latest: int
    """The latest time of the others, in seconds since 1970."""

    @classmethod
    def of(cls, parsed: Parsed) -> Lines:
        return cls(parsed.lines, parsed.bad, parsed.latest)

    def __add__(self, more: Lines) -> Lines:
        latest = max(self.latest, more.latest)
        return Lines(self.lines + more.lines, self.bad + more.bad, latest)

    def recorded(self) -> dict[str, Any]:
        """What etl's record says, so that a later run may grow out of this one."""
        return {"code": code_digest()} | asdict(self)


@dataclass(frozen=True)
class Base:
    """An earlier run of the release, whose files are the first of tonight's."""

    run: Run
    etl: dict[str, Any]
    """The record of its etl."""
    layout: Layout
    """Of the files that it has read."""
    new: tuple[str, ...]
    """Files of ratings that came since."""

    @property
    def lines(self) -> Lines:
        """Those of its files."""
        told = self.etl["growth"]
        return Lines(told["lines"], told["bad"], told["latest"])

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Read it. Raises CannotGrow if the run is made again, or emptied, in the block."""
        again = CannotGrow(f"run {self.run.run_id} is being made again")
        try:
            yield
        except Exception:
            if self.run.finished("etl") != self.etl:
                raise again from None
            raise
        if self.run.finished("etl") != self.etl:
            raise again

    def require_room(self, lines: int) -> None:
        """Raises CannotGrow if so many new lines are too many for the files that there are."""
        conf, train = self.run.conf.etl, self.etl["train"] + lines
        groups = len(list(self.run.split("train").glob("*.parquet")))
        if groups < conf.min_row_groups or train > MOST_OVERSIZE * groups * conf.row_group_rows:
            raise CannotGrow(f"the row groups of run {self.run.run_id} would become too large")

    def require_movies(self, layout: Layout, known: Collection[int], now: Collection[int]) -> None:
        """Raises CannotGrow if movies `known` then are lost, or lines may be refused otherwise now.

        For want of a movie ratings were refused, in words that name the file of movies.
        """
        if lost := len(set(known) - set(now)):
            raise CannotGrow(f"{lost:,} movies are named no longer")
        if len(now) == len(known) and movies_named(layout) == movies_named(self.layout):
            return
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        for file in parquet_files(self.run.data("quarantine")):
            reasons = pq.ParquetFile(file).read(["reason"])["reason"]
            if pc.any(pc.match_like(reasons, "movie_id % is not in %")).as_py():
                raise CannotGrow("ratings in quarantine may be of movies that have a title now")

    def table(self, ratings: Table) -> Table:
        """The new files; where there is none, the last of the others, of which nothing is read."""
        first, *more = self.new or self.layout.ratings.files[-1:]
        return replace(ratings, file=first, parts=tuple(more))


def movies_named(layout: Layout) -> str | None:
    """What messages call the files of movies."""
    return layout.movies.name if layout.movies else None


def code_digest() -> str:
    """Sixteen hex digits that name the code by which ratings are cleaned."""
    jobs = Path(__file__).resolve().parents[1]
    files = [jobs / "etl.py", jobs / "runs/schemas.py"]
    for room in ("cleaning", "release"):
        files += sorted((jobs / room).glob("*.py"))
    parts = [version("pyspark").encode(), *(file.read_bytes() for file in files)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def reading(layout: Layout) -> Layout:
    """How files are read, whichever they are."""

    def anywhere(table: Table) -> Table:
        return replace(table, file="", parts=())

    movies = layout.movies and anywhere(layout.movies)
    return replace(layout, ratings=anywhere(layout.ratings), movies=movies)


def has_days(layout: Layout) -> bool:
    """Whether all ratings lie in folders of days."""
    return all(day_of_file(name) for name in layout.ratings.files)


def why_never(run: Run, layout: Layout) -> str | None:
    """Why clean data of such a delivery cannot grow out of any other run; None if it can."""
    conf = run.conf.etl
    if conf.mode == "full":
        return "etl.mode is full"
    if not has_days(layout):
        return "its ratings do not lie in folders of days"
    if layout.users:
        return "it describes users"
    if layout.deletes and not layout.movies:
        return "its lines may delete ratings, and these alone name movies"
    if conf.split not in OF_A_USER:
        return f"etl.split {conf.split} deals all ratings anew"
    if conf.order_split == "time":
        return "etl.order_split time deals all histories anew"
    return None


def find_etl_base(run: Run, layout: Layout) -> tuple[Base | None, str]:
    """The run out of which tonight's data can grow with the fewest new files; or None. And why."""
    if why := why_never(run, layout):
        return None, why
    told = {
        run_id: read_json(run.warehouse.run_file(run_id)) or {}
        for run_id in run.warehouse.run_ids()
        # One that was only ingested says nothing of why.
        if run_id != run.run_id and run.warehouse.record_file(run_id, "etl").is_file()
    }
    started = {
        run_id: values.get("started_at") or ""
        for run_id, values in told.items()
        if values.get("release") == run.release and not values.get("data_run")
    }
    reasons: list[str] = []
    found: list[Base] = []
    for run_id in sorted(started, key=lambda each: started[each], reverse=True)[:MOST_RUNS]:
        try:
            found.append(usable(run, layout, run_id))
        except CannotGrow as reason:
            reasons.append(str(reason))
        if found and len(found[-1].new) <= 1:
            break
    if found:
        # Of an earlier date, a run may have begun later.
        base = min(found, key=lambda each: len(each.new))
        files = f"{len(base.new):,} of {len(layout.ratings.files):,} files"
        return base, f"{files} of ratings have come since run {base.run.run_id}"
    # The newest one's is what has changed of late.
    return None, reasons[0] if reasons else f"no other run of {run.release} has clean data"


def usable(run: Run, layout: Layout, run_id: str) -> Base:
    """The run of an id as the base of this one. Raises CannotGrow, which says why it is none."""
    name = f"run {run_id}"
    try:
        earlier = open_run(run.warehouse, run_id)
    # Other versions may have written what this one cannot read.
    except (JobError, TypeError, KeyError):
        raise CannotGrow(f"{name} is gone, or of another version of Nightreel") from None
    etl = earlier.finished("etl")
    if etl is None:
        raise CannotGrow(f"{name} has no clean data")
    if etl.get("growth", {}).get("code") != code_digest():
        raise CannotGrow(f"{name} is of another version of Nightreel")
    if settings_of(earlier) != settings_of(run):
        raise CannotGrow(f"settings of ingest or etl are others than those of {name}")
    if earlier.ds > run.ds or etl["growth"]["latest"] >= end_of_times(earlier.ds):
        raise CannotGrow(f"{name}, of {earlier.ds}, has seen times of the future")
    if etl["order_split"] == "time":
        raise CannotGrow("histories are dealt by a cut in time, which moves")
    if run.conf.etl.order_split == "auto" and etl["order_split"] != "next-visit":
        raise CannotGrow("it is not known whether histories should be dealt by next visit now")
    outputs = (*OUTPUTS, *(["repeats"] if layout.deletes else []))
    if missing := [each for each in outputs if not earlier.data(each).is_dir()]:
        raise CannotGrow(f"{missing[0]} of {name} is gone")
    before, now = digests(earlier), digests(run)
    # Whatever they hold: to look into files takes longer.
    if any(day_of_file(file) and now.get(file) != digest for file, digest in before.items()):
        raise CannotGrow(f"files that {name} has read have changed or are gone")
    try:
        then = detect_layout(earlier.raw, earlier.conf.ingest)
    except (JobError, OSError):
        raise CannotGrow(f"the delivery of {name} is not what it was") from None
    if reading(then) != reading(layout):
        raise CannotGrow(f"files are read otherwise than those of {name}")
    known, files = then.ratings.files, layout.ratings.files
    if files[: len(known)] != known:
        raise CannotGrow(f"parts have come for days before the last of {name}")
    base = Base(earlier, etl, then, files[len(known) :])
    base.require_room(0)
    return base


def settings_of(run: Run) -> dict[str, Any]:
    """What decides, beside the files, how a run's ratings are cleaned."""
    ingest = run.conf.ingest.model_dump(exclude=set(NOT_READING))
    return {"ingest": ingest, "etl": run.conf.etl.model_dump(exclude={"mode"})}


def digests(run: Run) -> dict[str, str]:
    """The SHA-256 of each file of a run's delivery. Raises CannotGrow if nobody knows any more."""
    manifest = read_json(run.raw / MANIFEST)
    if manifest is None:
        raise CannotGrow(f"the delivery of run {run.run_id} is gone")
    return {name: str(file["sha256"]) for name, file in manifest["files"].items()}
