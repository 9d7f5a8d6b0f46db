"""Remove old runs, what killed jobs left behind, and files that no recent version of a table has.

    nightreel cleanup --dry-run                      shows what would be removed
    nightreel cleanup                                30 runs, and 7 days of table versions, stay
    nightreel cleanup --keep-runs 5 --keep-days 30

Of runs, the newest --keep-runs stay. So do, however old: of each release the published run of the
newest date; every run whose data a remaining run scores again; and runs in which anything was
written within a day, as they may be working. Jobs' scratch goes when nothing was written there for
a day. Of tables, every version that was current within the last --keep-days stays readable and can
be restored; files that only older versions have go, and so do those of publishes that failed.
Models fetched from an MLflow server go when they were not used for 7 days.

Deliveries in raw/, downloads, MLflow's runs and model versions are left alone.
"""

from __future__ import annotations

import argparse
import json
import shutil
from contextlib import nullcontext

from jobs.engines.terminal import show_table
from jobs.published.whole import publishing
from jobs.runs.command import command_arguments, step_arguments
from jobs.runs.configuration import load_configuration, warehouse_of
from jobs.runs.files import if_free, read_json
from jobs.runs.run import safe_run_id
from jobs.runs.warehouse import Warehouse
from jobs.upkeep.old_dates import (
    OldDates,
    find_old_dates,
    remove_from_delta,
    remove_from_postgresql,
    second_sink,
)
from jobs.upkeep.waste import KINDS, SAFE_DAYS, Waste, find

MIB = 2**20
LOG_DAYS = 30
TIDY_HELP = """Remove the scratch of a run, whether it went well or not; its results stay.

    nightreel tidy --run-id <run>

The last task of a DAG run, after failures too: a job that was killed leaves spilled data and
half-unpacked deliveries in <warehouse>/staging/<run_id>. Checkpoints of a training that has not
finished stay, for `nightreel train` or `refit` to go on from. They, and what a run leaves that ran
out of time, go with `nightreel cleanup` when nothing was written there for a day.
"""


def unfinished_training(warehouse: Warehouse, run_id: str) -> str | None:
    """The step of a run that has begun to train and not come to its end; None if there is none."""
    if read_json(warehouse.record_file(run_id, "train")) is None:
        return "train"
    evaluation = read_json(warehouse.record_file(run_id, "evaluate")) or {}
    refitted = read_json(warehouse.record_file(run_id, "refit")) is not None
    return "refit" if evaluation.get("refits") and not refitted else None


def remove(waste: Waste) -> None:
    """Remove it. A run is first renamed, so that a killed cleanup leaves no half of one."""
    for path in waste.paths:
        if waste.kind == "files":
            path.unlink()
            continue
        if waste.kind == "runs":
            # Nobody starts to work on it while it goes.
            with if_free(path / ".lock") as free:
                if free:
                    path = path.rename(path.with_name(f".removed-{path.name}"))
                    shutil.rmtree(path)
            continue
        shutil.rmtree(path)


def show(found: list[Waste], old: OldDates) -> None:
    """Print what is to be removed. The files of a date go later, as those of older versions do."""
    rows = [(waste.name, f"{waste.bytes / MIB:.1f}") for waste in found]
    rows += [(f"date {ds} of recommendations", "") for ds in old.delta]
    rows += [(f"date {ds} of recommendations in PostgreSQL", "") for ds in old.postgresql]
    if rows:
        show_table("To be removed", ["", "MiB"], rows, numbers={"MiB"})


def whole(text: str) -> int:
    """The type of arguments that count, from 0."""
    if not (text.isascii() and text.isdigit() and int(text) <= 100_000):
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 100000, found {text!r}")
    return int(text)


def days(text: str) -> int:
    """The type of --keep-days: Delta's log itself forgets versions after 30 days."""
    if (number := whole(text)) > LOG_DAYS:
        raise argparse.ArgumentTypeError(f"expected at most {LOG_DAYS}, found {text!r}")
    return number


def main(argv: list[str] | None = None) -> None:
    """`nightreel cleanup`."""
    parser = command_arguments(__doc__)
    parser.add_argument("--keep-runs", type=whole, default=30, help="runs to keep (default: 30)")
    parser.add_argument(
        "--keep-days", type=days, default=SAFE_DAYS, help="of table versions, up to 30 (default: 7)"
    )
    parser.add_argument("--dry-run", action="store_true", help="only show what would be removed")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args(argv)
    warehouse, keep_days, dry_run = warehouse_of(arguments), arguments.keep_days, arguments.dry_run
    if keep_days < SAFE_DAYS:
        print(
            "Warning: whoever still reads a version that was replaced more than "
            f"{keep_days} days ago fails, and tables can be restored only as far back as that."
        )
    conf = load_configuration(warehouse=arguments.warehouse)
    # The lock of publish: no file goes that a run is about to commit.
    lock = publishing(warehouse) if warehouse.tables.is_dir() and not dry_run else nullcontext()
    with second_sink(conf, dry_run) as server:
        with lock:
            found = find(warehouse, arguments.keep_runs, keep_days)
            old = find_old_dates(warehouse, conf.publish.keep_dates, server)
            show(found, old)
            if not dry_run:
                remove_from_delta(warehouse, old)
                for waste in found:
                    remove(waste)
        if not dry_run:
            remove_from_postgresql(server, old)
    counts = {kind: sum(len(w.paths) for w in found if w.kind == kind) for kind in KINDS}
    freed = sum(waste.bytes for waste in found)
    what = [f"{name} {counts[kind]}" for kind, name in KINDS.items()]
    if dates := len({*old.delta, *old.postgresql}):
        what.append(f"dates {dates}")
    done = "Nothing was changed: this was a dry run. To be removed" if dry_run else "Removed"
    if found or dates:
        print(f"{done}: {', '.join(what)}; {freed / MIB:.1f} MiB.")
    else:
        print(f"There is nothing to remove in {warehouse}.")
    if arguments.json:
        print(json.dumps({"dry_run": dry_run, **counts, "dates": dates, "bytes": freed}))


def tidy(argv: list[str] | None = None) -> None:
    """Run from the command line; a run that never began has nothing to remove."""
    arguments = step_arguments(TIDY_HELP).parse_args(argv)
    warehouse, run_id = warehouse_of(arguments), safe_run_id(arguments.run_id)
    staging, checkpoints = warehouse.staging(run_id), warehouse.checkpoints(run_id)
    if not staging.is_dir():
        print("there is no scratch to remove")
    elif checkpoints.is_dir() and (step := unfinished_training(warehouse, run_id)):
        for path in staging.iterdir():
            if path == checkpoints:
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        print(
            f"removed {staging}, but for its checkpoints: {step} has not finished, and goes on "
            "from there when it is run again"
        )
    else:
        shutil.rmtree(staging)
        print(f"removed {staging}")
