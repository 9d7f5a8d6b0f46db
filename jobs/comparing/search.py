"""A search for a member's settings: trainings drawn by Optuna, chosen by validation rows alone.

The study is a journal in runs/<run>/comparison/search/<member>, where what came of each training is
kept, too. A search that was stopped goes on: with the training that it was at, then others, as if
it had never been stopped. With more trials or minutes than before, it goes on from what it has.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

import yaml

from jobs.comparing.entrants import space_of
from jobs.comparing.studies import next_trial, note, open_study, tried_in
from jobs.comparing.trials import Tried, ceilings_of, told, try_out
from jobs.runs.errors import JobError
from jobs.runs.files import exclusive, read_json, write_json
from jobs.runs.run import Run
from jobs.runs.settings.comparing import CompareSettings
from model.family import ORDER_MODELS
from model.files import make_folder


@dataclass(frozen=True)
class Found:
    """What a search has tried, in this order, and chosen of it."""

    member: str
    tried: list[Tried]

    @property
    def ended(self) -> list[Tried]:
        """Those with a value that were not given up, from the best on."""
        whole = [each for each in self.tried if each.value is not None and not each.given_up]
        return sorted(whole, key=lambda each: each.value or 0.0, reverse=self.orders)

    @property
    def orders(self) -> bool:
        """Whether values are of NDCG, and higher ones better."""
        return self.member in ORDER_MODELS

    @property
    def best(self) -> Tried:
        return self.ended[0]

    @property
    def snippet(self) -> str:
        """What to put into conf to have these settings every night."""
        return yaml.safe_dump(self.section, sort_keys=False)

    @property
    def snippet_in_line(self) -> str:
        """The same in one line."""
        return yaml.safe_dump(self.section, sort_keys=False, default_flow_style=True, width=9999)

    @property
    def section(self) -> dict[str, Any]:
        return {"train": {self.member: self.best.settings}}


def search(run: Run, member: str) -> Found:
    """Search, unless that was done. Raises JobError if no training of it has come to an end."""
    asked, conf, space = asked_of(run, member), run.conf.compare, space_of(member)
    folder = folder_of(member)
    make_folder(run.output(folder))
    with exclusive(run.output(folder) / ".lock", f"another search for {member} to end"):
        if (found := found_of(run, member)) is not None:
            return found
        own = run.conf.train.of(member)
        known = all(values.holds(own[name]) for name, values in space.items())
        # Of other data, seeds or settings of conf it is another study, in the same journal.
        name = digest({key: asked[key] for key in asked.keys() - {"trials", "minutes"}})[:12]
        study = open_study(
            run.output(folder) / "study.journal",
            name,
            member,
            {name: own[name] for name in space} if known else None,
        )
        while goes_on(tried := tried_in(study), conf):
            trial = next_trial(study, space, conf.seeds[0])
            curves = [each.curve for each in Found(member, tried).ended if each.curve]
            drawn = {key: rounded(value, own[key]) for key, value in trial.params.items()}
            one = try_out(run, member, drawn, f"{folder}/{name}", ceilings_of(curves))
            note(study, trial, one)
            print(f"compare: {member}, trial {len(tried) + 1}: {told(one)}", flush=True)
        found = Found(member, tried)
        if not found.ended:
            raise JobError(f"no trial of {member} could be trained: {tried[0].why_not}")
        kept = {"asked": digest(asked), "tried": [asdict(each) for each in tried]}
        write_json(run.output(folder) / "found.json", kept)
    return found


def folder_of(member: str) -> str:
    """Where a search lies, as an output of the run."""
    return f"comparison/search/{member}"


def found_of(run: Run, member: str) -> Found | None:
    """What a search has found; None if it has not ended, with these settings on these data."""
    kept = read_json(run.output(folder_of(member)) / "found.json")
    if kept is None or kept["asked"] != digest(asked_of(run, member)):
        return None
    return Found(member, [Tried(**each) for each in kept["tried"]])


def asked_of(run: Run, member: str) -> dict[str, Any]:
    """All that decides a search."""
    conf = run.conf.compare
    return {
        "conf": run.conf.train.learning(member),
        "etl": run.record("etl"),
        "digest": run.digest,
        "space": {name: asdict(values) for name, values in space_of(member).items()},
        "seed": conf.seeds[0],
        "trials": conf.trials,
        "minutes": conf.search_minutes,
    }


def digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def rounded(value: Any, own: Any) -> Any:
    """A drawn value as people write it: with four digits; what conf has stays as it is."""
    return float(f"{value:.4g}") if isinstance(value, float) and value != own else value


def goes_on(tried: list[Tried], conf: CompareSettings) -> bool:
    """Whether trials and minutes are left; those of earlier attempts count."""
    minutes = sum(each.seconds for each in tried) / 60
    return len(tried) < conf.trials and (
        conf.search_minutes is None or minutes < conf.search_minutes
    )
