"""Every change of a file in turn: an I/O error, a full disk, a kill; and two writers interleaved.

Each place is drilled in a warehouse of its own, a copy of one that is well: something is done there
that is to go from one state to another. Whatever happens on the way, readers see one of the two,
the command ends well or with a sentence, and done once more it leads to the second.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.runs.run import open_run
from jobs.runs.warehouse import Warehouse
from jobs.training.promotion import set_champion
from jobs.training.registering import add_refitted, register
from jobs.training.registry import Registry
from jobs.upkeep import forget, restore
from tests.benchmarks.drills.forks import ERRORS, FAIL, KILL, WAIT, arm, changes, ended, forked
from tests.jobs.examples import small_run
from tests.jobs.published.small_publish import made, publish, seen
from tests.model.examples import factors


@dataclass(frozen=True)
class Place:
    """Something that changes files, and what is to be seen before and after it."""

    prepare: Callable[[Path], None]
    act: Callable[[Path], None]
    state: Callable[[Path], Any]


def two_runs(folder: Path) -> None:
    publish(made(folder, "a"))
    made(folder, "b", hour=1)


def tables(folder: Path) -> Any:
    return seen(small_run(folder))


def publish_second(folder: Path) -> None:
    publish(open_run(Warehouse(folder), "b"))


def published_twice(folder: Path) -> None:
    two_runs(folder)
    publish_second(folder)


def two_dates(folder: Path) -> None:
    publish(made(folder, "a"))
    publish(made(folder, "b", "2026-01-03", hour=1))


def restore_movies(folder: Path) -> None:
    told = ["--table", "movies", "--version", "0", "--from-version", "1", "--apply"]
    if tables(folder)[0] != "a":
        restore.main(["--warehouse", str(folder), *told])


def forget_date(folder: Path) -> None:
    if "b" in tables(folder)[4]:
        forget.main(["--warehouse", str(folder), "--ds", "2026-01-03", "--apply"])


def plan_made(folder: Path) -> None:
    run = made(folder, "a")
    for step in ("ingest", "etl", "check"):
        with run.step(step):
            pass


def write_output(folder: Path) -> None:
    run = small_run(folder, run_id="a")
    with run.step("plan") as figures:
        factors([[2]], [[1]]).save(run.output("factors"))
        figures.update(train=False, weight=2)


def recorded(folder: Path) -> Any:
    from model.factors import load_factors

    run = small_run(folder, run_id="a")
    figures = run.finished("plan")
    # A record tells of what is there.
    return figures and [figures.get("weight"), load_factors(run.output("factors")).user_UK.item()]


def champion_made(folder: Path) -> None:
    crown(folder, 1)


def crown(folder: Path, weight: int) -> None:
    run = small_run(folder, run_id="same")
    factors([[weight]], [[1]]).save(run.output("factors"))
    registry = Registry.of(run)
    version = register(registry, run.run_id, run.output("factors"), {"weight": weight}, {})
    set_champion(registry, version, run)


def refit(folder: Path) -> None:
    run = small_run(folder, run_id="same")
    factors([[2]], [[1]]).save(run.output("factors-refitted"))
    registry = Registry.of(run)
    add_refitted(registry, registry.champion() or "?", run.output("factors-refitted"), 1, "again")


def champion(folder: Path) -> Any:
    registry = Registry.of(small_run(folder))
    return registry.factors(registry.champion() or "?").user_UK.item()


PLACES = {
    "publish": Place(two_runs, publish_second, tables),
    "restore": Place(published_twice, restore_movies, tables),
    "forget": Place(two_dates, forget_date, tables),
    "a step and its record": Place(plan_made, write_output, recorded),
    "model and champion": Place(champion_made, lambda folder: crown(folder, 2), champion),
    "refit": Place(champion_made, refit, champion),
}


class Drill:
    """One place in a folder; each trial begins with what was prepared."""

    def __init__(self, folder: Path, place: Place) -> None:
        self.well, self.drilled, self.place = folder / "well", folder / "drilled", place
        shutil.rmtree(self.well, ignore_errors=True)
        self.fresh()
        forked(lambda: place.prepare(self.drilled))
        shutil.move(self.drilled, self.well)
        self.fresh()
        self.before = self.state()
        self.changes = forked(self.count)
        self.after = self.state()

    def fresh(self) -> None:
        shutil.rmtree(self.drilled, ignore_errors=True)
        if self.well.is_dir():
            shutil.copytree(self.well, self.drilled)

    def state(self) -> Any:
        return forked(lambda: self.place.state(self.drilled))

    def count(self) -> int:
        arm(0)
        self.place.act(self.drilled)
        return changes()

    def act(self, number: int, action: int, argument: int) -> str:
        arm(number, action, argument)
        return ended(lambda: self.place.act(self.drilled))

    def trial(self, number: int, action: int, argument: int) -> list[str]:
        """What went wrong when the n-th change was hit; nothing should."""
        self.fresh()
        end = forked(lambda: self.act(number, action, argument))
        found = self.state()
        wrong = []
        if end and end.startswith("traceback"):
            wrong.append(f"traceback at change {number}: {end[:300]}")
        if end == "well" and found != self.after:
            wrong.append(f"lost at change {number}: {found}")
        if found not in (self.before, self.after):
            wrong.append(f"torn at change {number}: {found}")
        again = forked(lambda: self.act(0, 0, 0))
        if again != "well" or self.state() != self.after:
            wrong.append(f"not repaired after change {number}: {again}")
        return wrong


def every_change(
    name: str, folder: Path, told: argparse.Namespace
) -> Iterator[tuple[str, str, str]]:
    """Rows of place, fault and outcome: each fault at every change, or every n-th one."""
    faults = {name: (FAIL, number) for name, number in ERRORS.items()} | {"kill -9": (KILL, 0)}
    drill = Drill(folder, PLACES[name])
    for fault, (action, argument) in faults.items():
        numbers = range(1, drill.changes + 1, told.every)
        wrong = [each for n in numbers for each in drill.trial(n, action, argument)]
        kinds = Counter(each.split(" at ")[0].split(" after ")[0] for each in wrong)
        names = ("lost", "torn", "traceback", "not repaired")
        outcome = ", ".join(f"{kinds[kind]} {kind}" for kind in names)
        yield name, f"{fault} at each of {len(numbers)} changes", outcome
        for each in wrong[:3]:
            yield "", "", each


def interleaved(folder: Path, delays: int = 20) -> Iterator[tuple[str, str, str]]:
    """Two runs that publish at once, one of which is held up at each of its changes in turn."""
    drill = Drill(folder, PLACES["publish"])
    mixed = broken = 0
    numbers = range(1, drill.changes + 1, max(1, drill.changes // delays))
    for number in numbers:
        drill.fresh()
        forked(lambda: [made(drill.drilled, "c", "2026-01-03", hour=2)] and None)
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os._exit(drill.act(number, WAIT, 300) != "well")
        other = forked(lambda: ended(lambda: publish(open_run(Warehouse(drill.drilled), "c"))))
        broken += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0 or other != "well"
        found = drill.state()
        mixed += found[4] != "b,c" or len(set(found[:3])) != 1
    yield (
        "two publishes at once",
        f"one held up for 0.3 s at each of {len(numbers)} changes",
        f"{mixed} lost or mixed, {broken} failed",
    )
