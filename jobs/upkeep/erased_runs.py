"""Users taken out of what runs have kept: deliveries, data and models of runs, downloads, ids.

A delivery is kept again without them, under the digest that it then has. Of a run whose data or
models name one of them stay its settings and, if it has published, its records: what it was told
and found. Who scores its data again, or resumes it, is told that it is gone.
"""

from __future__ import annotations

import shutil
from pathlib import Path, PurePath
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.engines.duck import parquet_files
from jobs.release.detection import detect_layout
from jobs.release.leave_out import leave_out
from jobs.release.raw import MANIFEST, Kept, describe, digest_of, keep, share_files
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
from jobs.runs.run import Run, open_run
from jobs.runs.settings.delivery import IngestSettings
from jobs.runs.warehouse import Warehouse
from jobs.upkeep.traces import OF_MODELS, People

KEPT = ("run.json", "steps")


def releases_of(warehouse: Warehouse) -> dict[str, str]:
    """The releases of the runs whose folders are there, by run."""
    told = {run_id: read_json(warehouse.run_file(run_id)) or {} for run_id in warehouse.run_ids()}
    return {run_id: run["release"] for run_id, run in told.items() if "release" in run}


def runs_of(warehouse: Warehouse, release: str) -> list[Run]:
    """The runs of a release whose folders are there."""
    mine = [run_id for run_id, name in releases_of(warehouse).items() if name == release]
    return [open_run(warehouse, run_id) for run_id in mine]


def naming_runs(runs: list[Run], people: People) -> list[Run]:
    """Those of them that hold a file, or a list of users to score, in which one is named."""
    return [run for run in runs if names(run, people)]


def names(run: Run, people: People) -> bool:
    if people.numbers.intersection(run.users or ()):
        return True
    files = [*parquet_files(run.folder), *run.folder.rglob(OF_MODELS)]
    return any(people.are_in(file) for file in files)


def refuse_at_work(runs: list[Run]) -> None:
    """Raises JobError where somebody works on one of them."""
    for run in runs:
        if any(is_held(lock) for lock in run.folder.glob(".lock*") if lock.is_file()):
            raise JobError(
                f"Run {run.run_id} is at work, and may hold who is to be erased. Once its step has "
                "ended, or you have ended it, erase again."
            )


def empty_run(run: Run, people: People) -> None:
    """Remove what a run has written, and its records if it has not published."""
    with if_free(run.folder / ".lock") as free:
        if not free:
            refuse_at_work([run])
        published = run.finished("publish") is not None
        shutil.rmtree(run.staging, ignore_errors=True)
        if not published:
            # First, so that nobody goes on from half of it.
            shutil.rmtree(run.folder / "steps", ignore_errors=True)
        if run.users and (users := sorted(set(run.users) - people.numbers)) != run.users:
            told = read_json(run.warehouse.run_file(run.run_id)) or {}
            write_json(run.warehouse.run_file(run.run_id), told | {"users": users})
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


def keep_without(warehouse: Warehouse, release: str, users: list[str], said: IngestSettings) -> int:
    """Keep the deliveries of a release again without users; returns how many named some.

    Each is read as the runs of it were told to, else as `said`.
    """
    told = {run.digest: run.conf.ingest for run in runs_of(warehouse, release)}
    scratch = warehouse.scratch / f"erase-{release}"
    changed, before = 0, None
    # What was half removed when somebody was stopped.
    for gone in warehouse.deliveries(release).glob(".*.erased"):
        shutil.rmtree(gone)
    for raw in deliveries(warehouse, release):
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(raw, scratch, copy_function=linked)
        layout = detect_layout(scratch, told.get(raw.name, said), str(raw))
        left_out = leave_out(scratch, layout, users)
        files = describe(scratch)
        digest = digest_of(files)
        if before:
            share_files(scratch, files, before)
        if digest != raw.name:
            size = sum(int(file["bytes"]) for file in files.values())
            manifest = read_json(raw / MANIFEST) or {}
            write_json(scratch / MANIFEST, manifest | {"bytes": size, "files": files})
            keep(scratch, warehouse.raw(release, digest))
            changed += bool(left_out["lines"])
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
    """Remove the files that deliveries of a release were fetched as, whole or not; how many."""
    manifests = [read_json(raw / MANIFEST) or {} for raw in deliveries(warehouse, release)]
    sources = [str(manifest.get("source")) for manifest in manifests]
    names = {PurePath(urlsplit(source).path).name for source in sources if "://" in source}
    found = [
        file for name in sorted(filter(None, names)) for file in warehouse.downloads.glob("*")
        if file.name == name or file.name.startswith(f"{name}.part")
    ]  # fmt: skip
    for file in found:
        file.unlink()
    return len(found)


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
