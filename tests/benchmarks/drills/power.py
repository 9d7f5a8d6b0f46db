"""Power failures: what an ext4 disk held after each fsync and each commit, mounted again.

The warehouse lies on a disk image that is mounted through a loop device. A copy of the image is
what the disk would hold if the power failed then: what was not forced to it is not there.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from tests.benchmarks.drills.changes import PLACES
from tests.benchmarks.drills.forks import ended, forked

MEGABYTES = 64


def call(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{command[0]}: {done.stderr.strip()}")


@contextmanager
def mounted(image: Path, at: Path) -> Iterator[Path]:
    """An image as a folder; leaving it forces nothing that matters, as a copy was taken before."""
    at.mkdir(exist_ok=True)
    call("mount", "-o", "loop", image, at)
    try:
        yield at / "w"
    finally:
        call("umount", at)


def snapshots(image: Path, at: Path, place: str, synced: bool) -> int:
    """Do what is drilled, and copy the image after each fsync and commit; returns how many."""
    taken = 0
    fsync, create = os.fsync, DeltaTable.create_write_transaction

    def snap() -> None:
        nonlocal taken
        call("cp", "--sparse=always", image, image.with_name(f"snap-{taken}.img"))
        taken += 1

    def forced(descriptor: int) -> None:
        if synced:
            fsync(descriptor)
            snap()

    def committed(table: DeltaTable, *arguments: Any, **named: Any) -> None:
        create(table, *arguments, **named)
        snap()

    def act() -> int:
        os.fsync = forced  # type: ignore[assignment]
        DeltaTable.create_write_transaction = committed  # type: ignore[method-assign, assignment]
        if (end := ended(lambda: PLACES[place].act(at / "w"))) != "well":
            raise OSError(end)
        snap()
        if place == "publish":
            # Longer than ext4's journal waits, and shorter than it keeps data back.
            time.sleep(6)
            snap()
        return taken

    return forked(act)


def failures(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Rows of place, fault and outcome."""
    image, at = folder / "disk.img", folder / "disk"
    try:
        for place in PLACES:
            for synced in (True, False) if place == "publish" else (True,):
                yield drill(image, at, place, synced)
    except OSError as error:
        yield "power", "power failure", f"skipped: no disk image can be mounted here: {error}"


def drill(image: Path, at: Path, place: str, synced: bool) -> tuple[str, str, str]:
    call("truncate", "-s", f"{MEGABYTES}M", image)
    call("mkfs.ext4", "-q", "-F", image)
    what = PLACES[place]
    with mounted(image, at) as warehouse:
        forked(lambda: what.prepare(warehouse))
        before = forked(lambda: what.state(warehouse))
    call("sync")
    with mounted(image, at) as warehouse:
        taken = snapshots(image, at, place, synced)
        after = forked(lambda: what.state(warehouse))
    lost = torn = broken = 0
    last = 2 if place == "publish" else 1
    for number in range(taken):
        snap = image.with_name(f"snap-{number}.img")
        with mounted(snap, at) as warehouse:
            found = forked(seen_there(what.state, warehouse))
            torn += found not in (before, after)
            # Of what was reported as done nothing may be missing.
            lost += number >= taken - last and found != after
            again = forked(lambda: ended(lambda: what.act(warehouse)))
            broken += again != "well" or forked(seen_there(what.state, warehouse)) != after
        snap.unlink()
    fault = "power failure" if synced else "power failure, control without fsync"
    outcome = f"{lost} lost, {torn} torn, {broken} not repaired"
    return place, f"{fault}, after each of {taken} forced writes and commits", outcome


def seen_there(state: Callable[[Path], Any], warehouse: Path) -> Callable[[], Any]:
    return lambda: state(warehouse)
