"""A search for a member's settings: trainings drawn by Optuna, chosen by validation rows alone.

The study is a journal in runs/<run>/comparison/search/<member>, where what came of each training is
kept, too. A search that was stopped goes on: with the training that it was at, then others, as if
it had never been stopped; only a training that is stopped a second time has failed, as one may need
more memory than there is. With more trials or search_minutes than before, the search goes on from
what it has.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

import yaml

from jobs.comparing.entrants import space_of
from jobs.comparing.studies import next_trial, note, open_study, stops_of, tried_in
from jobs.comparing.trials import Tried, ceilings_of, short, told, try_out
from jobs.runs.errors import JobError
from jobs.runs.files import exclusive, read_json, write_json
from jobs.runs.run import Run
from jobs.runs.settings.comparing import CompareSettings
from model.family import ORDER_MODELS
from model.files import make_folder

# How long is searched, of what decides a search; what a training with given settings comes to, as
# far as it ends, is the same.
BUDGETS = ("trials", "search_minutes", "minutes")


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
        outside = [name for name, values in space.items() if not values.holds(own[name])]
        # Of other data, seeds or settings of conf it is another study, in the same journal. So it
        # is of other minutes of a training, by which some fail; but those that did not are kept.
        name, place = name_of(asked, "trials", "search_minutes"), name_of(asked, *BUDGETS)
        study = open_study(
            run.output(folder) / "study.journal",
            name,
            member,
            space,
            None if outside else {name: own[name] for name in space},
        )
        if outside and not tried_in(study):
            print(f"compare: {not_the_first(member, own, outside)}", flush=True)
        while goes_on(tried := tried_in(study), conf):
            trial = next_trial(study, space, conf.seeds[0])
            curves = [each.curve for each in Found(member, tried).ended if each.curve]
            drawn = {key: rounded(value, own[key]) for key, value in trial.params.items()}
            if stops_of(trial) > 1:
                one = Tried(drawn, 0.0, why_not="the process that trained it was stopped twice")
            else:
                one = try_out(run, member, drawn, f"{folder}/{place}", ceilings_of(curves))
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
        "search_minutes": conf.search_minutes,
        "minutes": conf.minutes,
    }


def name_of(asked: dict[str, Any], *apart: str) -> str:
    """A name for all that decides a search, apart from some of it."""
    return digest({key: value for key, value in asked.items() if key not in apart})[:12]


def not_the_first(member: str, own: dict[str, Any], outside: list[str]) -> str:
    """Why a search does not begin with what conf has, in a sentence."""
    named = ", ".join(f"{name}={short(own[name])}" for name in outside)
    return (
        f"{member} begins with settings drawn at random, not with those of conf, which lie outside "
        f"of what is searched: {named}"
    )


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
