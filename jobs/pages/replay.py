"""The page of a replay: how good lists were in each period, and what training less often costs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jobs.comparing.periods import written
from jobs.comparing.replayed import Outcome
from jobs.pages.page import Page, Plot, Section, Table, Text, count, number
from jobs.pages.plots import lines
from jobs.runs.run import Run
from model.bootstrap import difference, intervals

MEANING = {
    "always": "trained at every cut",
    "weekly": "trained where seven days have passed since the last training",
    "fold-in": "trained at the first cut, rows of users made at each",
    "never": "trained at the first cut, rows of users of that day",
}


def replay_page(run: Run, found: Sequence[Outcome]) -> Page:
    """The page about all periods of a run."""
    members = list(dict.fromkeys(each.member for each in found if each.policy))
    periods = list(dict.fromkeys(each.period for each in found))
    return Page(
        title=f"The past of {run.release} played again",
        lead=f"What lists would have been worth, had run {run.run_id}, date {run.ds}, been made at "
        f"{count(len(periods), 'cut')} of its past: models learned from what was rated before, and "
        "are measured on what users went on to rate until the next cut. Intervals are of 95%, by "
        "drawing users. All figures are in the table replays.",
        figures=[
            (number(len(periods)), "periods"),
            (written(periods[0].start), "first cut"),
            (written(periods[-1].stop - 1), "last rating"),
        ],
        sections=[*(of_member(found, member) for member in members), cuts(found)],
    )


def of_member(found: Sequence[Outcome], member: str) -> Section:
    """A member's policies side by side, beside the most popular movies."""
    of_policy = {
        str(each.policy or each.member): [
            one for one in found if (one.member, one.policy) == (each.member, each.policy)
        ]
        for each in found
        if each.member == member or each.policy is None
    }
    curves = {
        policy: [float(one.ndcg_B.mean()) for one in own]
        for policy, own in of_policy.items()
        if policy in MEANING
    }
    said = (
        f"{policy}: {', '.join(number(value, 4) for value in values)}"
        for policy, values in curves.items()
    )
    plot = Plot(
        lines(sorted({one.period.number for one in found}), curves, "period", "NDCG@10"),
        f"NDCG@10 of {member} in each period, by policy.",
        "; ".join(said),
    )
    best = of_policy.get("always")
    headers = ["Policy", "NDCG@10", "Interval", "To always", "Verdict", "Trainings", "Seconds"]
    rows = []
    for policy, own in of_policy.items():
        ndcg_B = np.concatenate([one.ndcg_B for one in own])
        [mean] = intervals(ndcg_B[None])
        against = ["–", "–"]
        if best is not None and own is not best:
            found_difference = difference(ndcg_B, np.concatenate([one.ndcg_B for one in best]))
            against = [f"{found_difference.value:+.4f}", found_difference.verdict]
        trained = [one for one in own if one.trained == one.period]
        rows.append(
            [
                policy,
                number(mean.value, 4),
                f"{mean.low:.4f}–{mean.high:.4f}",
                *against,
                number(len(trained)) if own[0].policy else "–",
                number(sum(one.seconds or 0 for one in own), 1) if own[0].policy else "–",
            ]
        )
    meaning = "; ".join(f"{policy}: {MEANING[policy]}" for policy in curves)
    caption = (
        "Means over the users of all periods. Against always, the same users are drawn for both; "
        "open: chance may have made the difference"
    )
    numbers = frozenset(headers) - {"Policy", "Interval", "Verdict"}
    return Section(member, [Text(f"{meaning}."), Table(caption, headers, rows, numbers), plot])


def cuts(found: Sequence[Outcome]) -> Section:
    """The periods, and who took part."""
    users = {each.period: len(each.ndcg_B) for each in found}
    rows = [
        [number(period.number), written(period.start), written(period.stop - 1), number(took)]
        for period, took in users.items()
    ]
    headers = ["Period", "From", "To", "Users"]
    caption = "Users who had rated before a period, and rated in it"
    return Section("Periods", [Table(caption, headers, rows, frozenset({"Period", "Users"}))])
