"""Users taken out of what runs have kept: deliveries, data and models of runs, downloads, ids.

A delivery is kept again without them, under the digest that it then has. Of a run whose data or
models name one of them stay its settings and, if it has published, its records: what it was told
and found. Who scores its data again, or resumes it, is told that it is gone.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from jobs.engines.duck import parquet_files
from jobs.release.detection import detect_layout
from jobs.release.layouts import Layout
from jobs.release.leave_out import leave_out
from jobs.release.raw import MANIFEST, Kept, describe, digest_of, keep, share_files
from jobs.runs.addresses import public_part
from jobs.runs.errors import JobError
from jobs.runs.files import (
    exclusive,
    if_free,
    is_held,
    link_or_copy,
    read_json,
    replacing,
    write_json,
)
from jobs.runs.settings.delivery import RELEASES, IngestSettings
from jobs.runs.warehouse import Warehouse
from jobs.upkeep.traces import OF_MODELS, People

KEPT = ("run.json", "steps")


@dataclass(frozen=True)
class Started:
    """A run whose folder is there, by what run.json says of it in any version of Nightreel."""

    warehouse: Warehouse
    run_id: str
    digest: str
    started_at: str
    """As in ISO 8601; empty in runs of before that was noted."""
    users: list[int]
    """Those that it was told to score; empty: all."""
    ingest: IngestSettings | None
    """As its delivery was to be read; None where it scores another run's data, or that is unknown.
    """

    @property
    def folder(self) -> Path:
        return self.warehouse.run(self.run_id)

    @property
    def has_cleaned(self) -> bool:
        return read_json(self.warehouse.record_file(self.run_id, "etl")) is not None

    @property
    def has_published(self) -> bool:
        return read_json(self.warehouse.record_file(self.run_id, "publish")) is not None

    def tell(self, **more: object) -> None:
        """Change what run.json says."""
        file = self.warehouse.run_file(self.run_id)
        write_json(file, (read_json(file) or {}) | more)


def runs_of(warehouse: Warehouse, release: str) -> list[Started]:
    """The runs of a release whose folders are there."""
    told = {run_id: read_json(warehouse.run_file(run_id)) or {} for run_id in warehouse.run_ids()}
    return [
        Started(
            warehouse,
            run_id,
            str(values.get("digest")),
            values.get("started_at") or "",
            values.get("users") or [],
            None if values.get("data_run") else settings_in(values.get("conf") or {}),
        )
        for run_id, values in told.items()
        if values.get("release") == release
    ]


def settings_in(conf: dict[str, Any]) -> IngestSettings | None:
    """How a run was told to read its delivery; None where today's Nightreel cannot tell."""
    values = dict(conf.get("ingest") or {})
    if values.get("source"):
        # Addresses could hold what is secret once.
        values["source"] = public_part(values["source"])
    try:
        return IngestSettings.model_validate(values)
    except ValidationError:
        return None


def naming_runs(runs: list[Started], people: People) -> list[Started]:
    """Those of them that hold a file, or a list of users to score, in which one is named."""
    return [run for run in runs if names(run, people)]


def names(run: Started, people: People) -> bool:
    if people.numbers.intersection(run.users):
        return True
    files = [*parquet_files(run.folder), *run.folder.rglob(OF_MODELS)]
    return any(people.are_in(file) for file in files)


def refuse_at_work(runs: list[Started]) -> None:
    """Raises JobError where somebody works on one of them."""
    for run in runs:
        if any(is_held(lock) for lock in run.folder.glob(".lock*") if lock.is_file()):
            raise JobError(
                f"Run {run.run_id} is at work, and may hold who is to be erased. Once its step has "
                "ended, or you have ended it, erase again."
            )


@contextmanager
def at_rest(run: Started) -> Iterator[None]:
    """Hold the lock of a run. Raises JobError where somebody works on it."""
    while True:
        refuse_at_work([run])
        with if_free(run.folder / ".lock") as free:
            if free:
                yield
                return
        # Who only looks whether it is held has had it for a moment.


def empty_run(run: Started, people: People) -> None:
    """Remove what a run has written, and its records if it has not published."""
    with at_rest(run):
        shutil.rmtree(run.warehouse.staging(run.run_id), ignore_errors=True)
        if not run.has_published:
            # First, so that nobody goes on from half of it.
            shutil.rmtree(run.folder / "steps", ignore_errors=True)
        if people.numbers.intersection(run.users):
            run.tell(users=sorted(set(run.users) - people.numbers))
        # Data last: by it is seen, when this was stopped, that it is not done yet.
        paths = [each for each in run.folder.iterdir() if each.name not in KEPT]
        for path in sorted(paths, key=lambda each: each.name in ("users", "scored")):
            if path.name.startswith(".lock"):
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def remove_half_removed(warehouse: Warehouse) -> None:
    """Remove what is left of runs whose removal was stopped; the caller holds publish's lock."""
    for folder in warehouse.runs.glob(".removed-*"):
        shutil.rmtree(folder)


def readable(
    warehouse: Warehouse, release: str, said: IngestSettings
) -> dict[Path, tuple[Layout, IngestSettings]]:
    """How each delivery of a release is read, oldest first, and by which settings.

    By those of the newest run that has cleaned it, or was told of it; where there is none any more,
    by those that were noted when it was kept; else as `said`. Raises JobError for a delivery that
    cannot be read so.
    """
    # Whoever has cleaned it was told rightly; who got no further may not have been.
    runs = sorted(runs_of(warehouse, release), key=lambda run: (run.has_cleaned, run.started_at))
    told = {run.digest: run.ingest for run in runs if run.ingest}
    found = {}
    for raw in deliveries(warehouse, release):
        noted = settings_in(read_json(raw / MANIFEST) or {})
        settings = told.get(raw.name) or noted or said
        try:
            found[raw] = detect_layout(raw, settings, str(raw)), settings
        except JobError as error:
            raise JobError(
                f"{raw} may name who is to be erased, and cannot be read: {error} Where no run "
                "says any more how it was to be read, say so in conf (ingest); or remove that "
                "folder, if you need it no more. Then erase again."
            ) from None
    return found


def keep_without(warehouse: Warehouse, release: str, users: list[str], said: IngestSettings) -> int:
    """Keep the deliveries of a release again without users; returns how many named some.

    `said` is how to read one of which nobody knows any more how it was told to be read. Raises
    JobError, with all as they were, where one cannot be read.
    """
    scratch = warehouse.scratch / f"erase-{release}"
    changed, before = 0, None
    # What was half removed when somebody was stopped.
    for gone in warehouse.deliveries(release).glob(".*.erased"):
        shutil.rmtree(gone)
    for raw, (layout, settings) in readable(warehouse, release, said).items():
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(raw, scratch, copy_function=linked)
        left_out = leave_out(scratch, layout, users)
        files = describe(scratch)
        digest = digest_of(files)
        if before:
            share_files(scratch, files, before)
        if digest != raw.name:
            size = sum(int(file["bytes"]) for file in files.values())
            manifest = (read_json(raw / MANIFEST) or {}) | {"ingest": settings.model_dump()}
            # By this it is read again where this is stopped before it is gone.
            write_json(raw / MANIFEST, manifest)
            write_json(scratch / MANIFEST, manifest | {"bytes": size, "files": files})
            keep(scratch, warehouse.raw(release, digest))
            changed += bool(left_out["lines"])
            # A run that holds nothing of them goes on with what the delivery is now.
            for run in runs_of(warehouse, release):
                if run.digest == raw.name:
                    with at_rest(run):
                        run.tell(digest=digest)
            remove_delivery(raw)
        before = Kept(warehouse.raw(release, digest), "", files)
    shutil.rmtree(scratch, ignore_errors=True)
    return changed


def deliveries(warehouse: Warehouse, release: str) -> list[Path]:
    """The folders of a release's deliveries, oldest first."""
    files = warehouse.deliveries(release).glob(f"[!.]*/{MANIFEST}")
    manifests = [(read_json(file) or {}, file.parent) for file in files]
    return [raw for _, raw in sorted((told.get("ingested_at", ""), raw) for told, raw in manifests)]


def linked(source: str, target: str) -> str:
    link_or_copy(Path(source), Path(target))
    return target


def remove_delivery(raw: Path) -> None:
    with exclusive(raw.parent / ".lock", "a run to have kept its delivery"):
        gone = raw.with_name(f".{raw.name}.erased")
        raw.rename(gone)
        shutil.rmtree(gone)


def remove_downloads(warehouse: Warehouse, release: str) -> int:
    """Remove downloads, whole or not, but for those of other releases; returns how many files.

    One whose delivery was refused is in no manifest: whose it was, nobody knows.
    """
    fetched: dict[str, set[str]] = {each: {f"{each}.zip"} for each in RELEASES}
    for folder in warehouse.deliveries(release).parent.glob("[!.]*"):
        fetched.setdefault(folder.name, set()).update(downloads_of(warehouse, folder.name))
    mine = fetched.pop(release, set())
    others = set().union(*fetched.values()) - mine
    names = {
        file.name.removesuffix(".json").removesuffix(".part")
        for file in warehouse.downloads.glob("[!.]*")
    }
    removed = 0
    for name in sorted(names - others):
        with if_free(warehouse.downloads / f".{name}.lock") as free:
            if not free:
                # Nobody can publish meanwhile, and a download may take hours.
                print(f"{name} is being downloaded, and stays: erase again once that has ended")
                continue
            for file in (name, f"{name}.part", f"{name}.part.json"):
                if (warehouse.downloads / file).is_file():
                    (warehouse.downloads / file).unlink()
                    removed += 1
    return removed


def downloads_of(warehouse: Warehouse, release: str) -> set[str]:
    """What the files were called that deliveries of a release were fetched as."""
    manifests = [read_json(raw / MANIFEST) or {} for raw in deliveries(warehouse, release)]
    sources = [str(manifest.get("source")) for manifest in manifests]
    return {PurePath(urlsplit(source).path).name for source in sources if "://" in source}


def take_names(warehouse: Warehouse, release: str, people: People) -> None:
    """Take users' texts out of the index of ids; their numbers stay taken, by nobody."""
    folder = warehouse.source_ids(release, "user")
    if not folder.is_dir():
        return
    with exclusive(folder / ".lock", "a run to have numbered its ids"):
        for file in parquet_files(folder):
            content = pq.read_table(file)
            erased = pc.is_in(content["source_id"], pa.array(sorted(people.ids), pa.string()))
            if pc.any(erased).as_py():
                texts = pc.if_else(erased, pa.scalar(None, pa.string()), content["source_id"])
                place = content.schema.get_field_index("source_id")
                with replacing(file) as new:
                    pq.write_table(content.set_column(place, "source_id", texts), new)
