"""One run: its folder in the warehouse, the inputs fixed at its start, and the record of its steps.

    <warehouse>/runs/<run_id>/run.json         what was resolved at the start: date, release,
                                               digest of the delivery, settings, champion
    <warehouse>/runs/<run_id>/steps/<step>.json  written last by each step: seconds and figures
    <warehouse>/runs/<run_id>/<output>/        what the steps wrote
    <warehouse>/staging/<run_id>/              scratch: gone when the run has ended

A step's record is its completion mark. A step starts by taking away its own record and those of
the steps after it, so nothing that an earlier attempt left behind is ever taken for finished. Two
attempts never work on one run at once: the second waits until the first has ended.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jobs.runs.configuration import of_today, warehouse_of
from jobs.runs.errors import JobError, NotNeeded
from jobs.runs.evaluation import Evaluation
from jobs.runs.files import exclusive, is_held, read_json, remove_record, write_json
from jobs.runs.settings.whole import Configuration
from jobs.runs.warehouse import Warehouse
from model.files import sync_tree

# A nightly run makes all of these, less those that `plan` and `evaluate` make needless.
STEPS = (
    *("ingest", "etl", "check", "plan", "train", "evaluate", "refit"),
    *("score", "publish", "promote"),
)
TRAINING = ("train", "evaluate", "refit", "promote")
# Pages about a run, perhaps with a table of their own, which no other step needs, and the step that
# each comes after.
PAGES = {"explore": "etl", "compare": "etl", "replay": "etl", "report": "publish"}
# A run that scores the data of an earlier run again.
RESCORING = ("rescore", "score", "publish")


@dataclass(frozen=True)
class Run:
    """What every step of a run may rely on; fixed by ingest."""

    warehouse: Warehouse
    run_id: str
    ds: date
    release: str
    digest: str
    champion: str | None
    """Version that scores unless the run trains a better one; None when there was none."""
    conf: Configuration
    data_run: str | None = None
    """The earlier run whose clean data this one scores again; None: its own data."""
    users: list[int] | None = None
    """The users to score; None: all."""
    order_champion: str | None = None
    """Version that orders movies unless the run trains a better one; None where there is none, or
    where train.order.model is."""
    base_run: str | None = None
    """The published run whose rows may be taken over where nothing has changed; None: none."""
    etl_base: str | None = None
    """The run out of whose clean data this one's may grow; None: all is cleaned."""
    etl_new_kib: int | None = None
    """Size of what has come since that run: by it Java is started for etl."""
    named: str | None = None
    """The id as it was given, where a folder cannot be called so; None: as it is."""
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When its inputs were fixed."""

    @property
    def folder(self) -> Path:
        return self.warehouse.run(self.run_id)

    @property
    def raw(self) -> Path:
        """The delivery, unchanged: <warehouse>/raw/<release>/<digest>."""
        return self.warehouse.raw(self.release, self.digest)

    @property
    def staging(self) -> Path:
        """Scratch of the run's steps, for nobody else to read."""
        return self.warehouse.staging(self.run_id)

    def output(self, name: str) -> Path:
        """Folder of one output of this run, as in `output("scored")`."""
        return self.folder / name

    def data(self, name: str) -> Path:
        """Folder of one output of etl, of this run or of the one whose data it scores again."""
        return self.warehouse.run(self.data_run or self.run_id) / name

    def split(self, name: str) -> Path:
        """Folder of the ratings by row number of one split, as in `split("train")`."""
        return self.data("splits") / f"split={name}"

    def save(self) -> None:
        values = asdict(self) | {
            "ds": self.ds.isoformat(),
            "conf": self.conf.model_dump(),
            "started_at": self.started_at.isoformat(),
        }
        del values["warehouse"]
        write_json(self.warehouse.run_file(self.run_id), values)

    def record(self, step: str) -> dict[str, Any]:
        """The figures that a finished step wrote down. Raises JobError if it has not finished."""
        figures = self.finished(step)
        if figures is None:
            raise JobError(
                f"Step {step} of run {self.run_id} has not finished. "
                f"Run it first: nightreel {step} --run-id {self.run_id}"
            )
        return figures

    def record_file(self, step: str) -> Path:
        """Where a step's record lies; it need not be there."""
        return self.warehouse.record_file(self.run_id, step)

    def finished(self, step: str) -> dict[str, Any] | None:
        """The figures of a step; None if it has not finished, or is none of this run's."""
        return read_json(self.record_file(step))

    @property
    def data_started_at(self) -> datetime:
        """When the run began whose data this one scores: itself, or an earlier one."""
        if not self.data_run:
            return self.started_at
        return open_run(self.warehouse, self.data_run).started_at

    @property
    def etl_figures(self) -> dict[str, Any]:
        """The figures of the etl that made its data: of this run, or of the one it scores again."""
        cleaned = open_run(self.warehouse, self.data_run) if self.data_run else self
        return cleaned.record("etl")

    @property
    def rating_range(self) -> tuple[float, float]:
        """The lowest and the highest rating that there can be, as etl found the release's scale."""
        etl = self.etl_figures
        if "rating_min" not in etl:
            # Older records name the step alone, in words; every scale ran from one step to 5.
            return float(etl["rating_step"]), 5.0
        return etl["rating_min"], etl["rating_max"]

    @property
    def implicit(self) -> bool:
        """Whether every rating is a one, as its data says only who used what: etl found that."""
        cleaned = open_run(self.warehouse, self.data_run) if self.data_run else self
        return bool((cleaned.finished("etl") or {}).get("implicit"))

    @property
    def trains(self) -> bool:
        """Whether the run trains a model of its own, as `plan` decided."""
        return not self.data_run and self.record("plan")["train"]

    @property
    def model_version(self) -> str | None:
        """The version that scores: the run's own if it is good enough, else the champion."""
        return self.evaluation.model_version if self.trains else self.champion

    @property
    def trains_order(self) -> bool:
        """Whether a run that trains has a model of order: one is named, and can be measured."""
        return self.conf.train.order.model != "none" and self.measures_order

    @property
    def measures_order(self) -> bool:
        """Whether there are users who rated something later, by whom an order can be measured."""
        etl = self.etl_figures
        return all(etl.get(name) for name in ("order_users", "order_validation_users"))

    @property
    def order_version(self) -> str | None:
        """The version by which movies are ordered; None where predicted ratings do."""
        if self.conf.score.order_by == "rating":
            return None
        own = self.evaluation.order if self.trains else None
        return own.model_version if own else self.order_champion

    @property
    def evaluation(self) -> Evaluation:
        """What evaluate found of the run's own model. Raises JobError if it has not finished."""
        return Evaluation.of_record(self.record("evaluate"))

    @property
    def why_base(self) -> str:
        """Why the run has this base, or none, in words."""
        return self.record(self.steps()[0])["why_base"]

    @property
    def promoted(self) -> bool:
        """Whether the run's own model became the champion."""
        return bool((self.finished("promote") or {}).get("promoted"))

    @property
    def must_promote(self) -> bool:
        """Whether it owes a promotion, if it has published: that, the table `runs` knows.

        While the run is at work, it does not.
        """
        if self.finished("score") is None or self.finished("promote") is not None:
            return False
        return "promote" in self.steps() and not is_held(self.folder / ".lock")

    def steps(self) -> tuple[str, ...]:
        """The steps that this run makes, as far as it has been decided."""
        if self.data_run:
            return RESCORING
        plan, evaluation = self.finished("plan"), self.finished("evaluate")
        needless: set[str] = set()
        if plan and not plan["train"]:
            needless.update(TRAINING)
        elif evaluation:
            if not evaluation.get("promotes", evaluation["promoted"]):
                needless.add("promote")
            # What an older version of Nightreel has evaluated goes on as that would have.
            if not evaluation.get("refits", False):
                needless.add("refit")
        elif not self.conf.train.refit:
            needless.add("refit")
        return tuple(step for step in STEPS if step not in needless)

    @contextmanager
    def step(self, name: str, started: float | None = None) -> Iterator[dict[str, Any]]:
        """Run one step: check the steps before it, take its time, write its record at the end.

        Yields the record to fill; it is written only if the block ends without an error.
        `started`, of time.perf_counter(), counts what had to be done before the run was known.
        Raises NotNeeded if the run makes no such step.
        """
        # A scheduler that is killed leaves its tasks behind, and its successor starts them again.
        # Pages are written while other steps go on.
        lock = self.folder / (f".lock-{name}" if name in PAGES else ".lock")
        with exclusive(lock, "another attempt at this run to end"):
            before, stale = self.around(name)
            for step in before:
                self.record(step)
            for step in stale:
                remove_record(self.record_file(step))
            start = time.perf_counter() if started is None else started
            figures: dict[str, Any] = {}
            print(f"{name}: run {self.run_id}, {self.release}, {self.ds}", flush=True)
            yield figures
            figures["seconds"] = round(time.perf_counter() - start, 2)
            # What the record tells of is on disk before it.
            sync_tree(self.folder)
            write_json(self.record_file(name), figures)
            said = [f"{k} {v}" for k, v in figures.items() if not isinstance(v, dict)]
            print(f"{name}: done. " + ", ".join(said), flush=True)

    def around(self, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The steps that must have finished before a step, and those whose records it outdates.

        Raises NotNeeded if the run makes no such step.
        """
        steps, order = self.steps(), RESCORING if self.data_run else STEPS
        if name in PAGES:
            return (PAGES[name],), (name,)
        if name not in steps:
            # What an earlier attempt recorded, when it was needed, is no result of this one.
            remove_record(self.record_file(name))
            raise NotNeeded(f"{name}: not needed in run {self.run_id}. {self.why_not(name)}")
        outdated = order[order.index(name) :]
        pages = tuple(page for page, after in PAGES.items() if after in outdated)
        return steps[: steps.index(name)], outdated + pages

    def why_not(self, step: str) -> str:
        """Why the run makes no such step, in a sentence."""
        if self.data_run:
            return f"It scores the data of run {self.data_run} again."
        if step == "refit" and self.trains and not self.conf.train.refit:
            return "train.refit is false."
        decided = "evaluate" if step in ("refit", "promote") and self.trains else "plan"
        return f"{self.record(decided)['reason']}."


def safe_run_id(run_id: str) -> str:
    """A run id that may stand in a path: Airflow's hold colons and plus signs."""
    safe = re.sub(r"[^A-Za-z0-9_.-]+", "-", run_id).strip(".-")
    if not safe:
        raise JobError(f"--run-id {run_id!r}: expected letters, digits, '_', '-' or '.'.")
    return safe


def new_run_id(warehouse: Warehouse, given: str) -> tuple[str, str | None]:
    """The id of a run that starts, and the name that it was given if that is another.

    Raises JobError if it is the id of a run that was given another name.
    """
    run_id = safe_run_id(given)
    earlier = read_json(warehouse.run_file(run_id))
    # Older versions of Nightreel did not note names.
    if earlier is None or "named" not in earlier:
        return run_id, given if given != run_id else None
    name = earlier["named"] or run_id
    if given not in (run_id, name):
        raise JobError(
            f"--run-id {given!r}: run {name!r} has the folder {run_id} already. Choose another."
        )
    return run_id, earlier["named"]


def open_run(warehouse: Warehouse, run_id: str) -> Run:
    """A run that ingest has started. Raises JobError, naming the known runs, if there is none."""
    run_id = safe_run_id(run_id)
    file = warehouse.run_file(run_id)
    values = read_json(file)
    if values is None:
        known = ", ".join(warehouse.run_ids()) or "none"
        raise JobError(
            f"There is no run {run_id} in {warehouse}. Runs there: {known}. "
            "A run starts with: nightreel ingest --run-id <name>"
        )
    try:
        conf = Configuration.model_validate(of_today(values["conf"]))
    except ValidationError as error:
        raise JobError(
            f"{file} holds settings of another version of Nightreel, {error.error_count()} of them "
            f"unreadable here. Start the run again with: nightreel ingest --run-id {run_id}"
        ) from None
    # Older versions of Nightreel did not note when.
    started = values.get("started_at")
    at = (
        datetime.fromisoformat(started)
        if started
        else datetime.fromtimestamp(file.stat().st_mtime, UTC)
    )
    values |= {"ds": date.fromisoformat(values["ds"]), "conf": conf, "started_at": at}
    return Run(warehouse=warehouse, **values)


def run_of(arguments: argparse.Namespace) -> Run:
    """The run that `step_arguments` name."""
    return open_run(warehouse_of(arguments), arguments.run_id)
