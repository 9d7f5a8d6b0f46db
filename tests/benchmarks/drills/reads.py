"""Readers of all tables at once, during publishes and after a killed one."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from jobs.runs.warehouse import Warehouse
from tests.benchmarks.drills.forks import KILL, arm, changes, forked
from tests.jobs.examples import small_run
from tests.jobs.published.small_publish import made, publish, seen

PUBLISHES, READERS = 30, 2


def read(folder: Path, stop: Path) -> tuple[int, int, int]:
    """Read until told to stop; returns reads, those of two runs at once, and the runs seen."""
    reads = mixed = 0
    found = set()
    while not stop.exists():
        row = seen(small_run(folder))
        reads += 1
        # recommendations and runs hold other dates' and runs' rows, too: one date, so one run.
        mixed += len({row[0], row[1], row[2], row[4]}) != 1
        found.add(row[0])
    return reads, mixed, len(found)


def plain(folder: Path, stop: Path) -> tuple[int, int, int]:
    """As readers that open each table at its newest version."""
    from deltalake import DeltaTable

    from jobs.published.views import connect_to

    tables = Warehouse(folder)
    query = "select (select max(title) from movies), (select max(run_id) from recommendations)"
    reads = mixed = 0
    while not stop.exists():
        names = ("movies", "recommendations")
        opened = {name: DeltaTable(tables.table(name)) for name in names}
        [row] = connect_to(opened).execute(query).fetchall()
        reads += 1
        mixed += len(set(row)) != 1
    return reads, mixed, 0


def mixed(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Rows of place, fault and outcome."""
    warehouse, stop = folder / "drilled" / "reads", folder / "stop"
    forked(lambda: publish(made(warehouse, "r000")))
    for reader, name in ((read, "reads of all tables"), (plain, "control: reads of the newest")):
        stop.unlink(missing_ok=True)
        start = int(max(path.name for path in (warehouse / "runs").iterdir())[1:])

        def publishing(start: int = start) -> None:
            time.sleep(1)
            for number in range(start + 1, start + PUBLISHES + 1):
                publish(made(warehouse, f"r{number:03}", hour=number))
            stop.touch()

        publisher = os.fork()
        if publisher == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            publishing()
            os._exit(0)
        count, wrong, versions = forked(partial(reader, warehouse, stop))
        os.waitpid(publisher, 0)
        kinds = f" of {versions} publishes" if versions else ""
        yield name, f"during {PUBLISHES} publishes", f"{wrong} mixed of {count}{kinds}"
    # Killed when half of its changes are made.
    run = f"r{999}"
    count = forked(lambda: counted(warehouse, "r998"))
    killed = os.fork()
    if killed == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        late = made(warehouse, run, hour=999)
        arm(count - 12, KILL)
        publish(late)
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(killed, 0)[1])
    rows = forked(lambda: [seen(small_run(warehouse)) for _ in range(20)])
    torn = sum(len({row[0], row[1], row[2], row[4]}) != 1 for row in rows)
    yield (
        "reads of all tables",
        f"after a publish that was killed ({signal.Signals(-ended).name})",
        f"{torn} mixed of {len(rows)}",
    )


def counted(warehouse: Path, run_id: str) -> int:
    run = made(warehouse, run_id, hour=998)
    arm(0)
    publish(run)
    return changes()
