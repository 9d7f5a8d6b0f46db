"""The page of a comparison: who is best, at what price, how alike lists are, and for whom."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.comparing.entrants import Result
from jobs.comparing.leaderboard import By, Standing, agreement, standings
from jobs.pages.page import Page, Plot, Section, Table, Text, number
from jobs.pages.plots import scatter
from jobs.runs.run import Run
from model.list_measure import EVERYBODY

MEASURE = {"rating": "RMSE", "order": "NDCG@10"}


def comparison(run: Run, results: Sequence[Result]) -> Page:
    """The page about all results of a run."""
    measured = [result for result in results if result.why_not is None]
    by_rating, by_order = standings(measured, "rating"), standings(measured, "order")
    figures = [(number(len(measured)), "trainings and baselines measured")]
    if by_rating:
        figures.append((by_rating[0].member, f"lowest RMSE, {by_rating[0].value:.4f}"))
    if by_order:
        figures.append((by_order[0].member, f"highest NDCG@10, {by_order[0].value:.4f}"))
    parts = [board("rating", by_rating), board("order", by_order), likeness(by_order)]
    parts += [segments(by_order), left_out(results)]
    return Page(
        title=f"Comparison on {run.release}",
        lead=f"Models trained on the same data of run {run.run_id}, date {run.ds}, and measured on "
        "what was held back. Intervals are of 95%, by drawing users; two models are compared over "
        "the same users. All figures are in the table comparisons.",
        figures=figures,
        sections=[part for part in parts if part],
    )


def board(by: By, found: Sequence[Standing]) -> Section | None:
    """Members from the best on, and what each costs."""
    if not found:
        return None
    name = MEASURE[by]
    others = ["MAE"] if by == "rating" else ["HR@10", "Coverage"]
    headers = ["Member", "Seeds", name, "Interval", "Spread", *others]
    headers += ["To the best", "Seconds", "CPU s", "MB"]
    rows = []
    for each in found:
        own = [each.mean("mae")] if by == "rating" else [each.mean("hr", 10)]
        own += [] if by == "rating" else [each.mean("coverage", 10)]
        against = each.against_best
        rows.append(
            [
                each.member,
                number(each.seeds) if each.results[0].entrant.seed is not None else "–",
                number(each.value, 4),
                f"{each.low:.4f}–{each.high:.4f}",
                number(each.spread, 4) if each.seeds > 1 else "–",
                *(number(value, 4) for value in own),
                "–" if against is None else against.verdict,
                number(each.seconds, 1),
                number(each.cpu_seconds, 1),
                number(each.results[0].size / 1e6, 1),
            ]
        )
    trained = [each for each in found if each.results[0].entrant.seed is not None]
    said = ", ".join(f"{e.member}: {e.value:.4f} after {e.seconds:.1f} s" for e in trained)
    plots = []
    if trained:
        points = {each.member: (each.seconds, each.value) for each in trained}
        plots.append(
            Plot(
                scatter(points, "seconds of training", name),
                f"{name} against the seconds of one training. {said}.",
                f"Points, one for each member. {said}",
            )
        )
    numbers = frozenset(headers) - {"Member", "Interval", "To the best"}
    better = "lower" if by == "rating" else "higher"
    caption = (
        f"{name}, {better} is better: the mean over seeds, and the largest less the least of them. "
        "Open: chance may have made the difference to the best"
    )
    title = "Predicted ratings" if by == "rating" else "Order"
    return Section(title, [Table(caption, headers, rows, numbers), *plots])


def likeness(found: Sequence[Standing]) -> Section | None:
    """How far every two members' lists agree."""
    pairs = [
        [one, other, number(shared, 3), number(biased, 3)]
        for one, other, shared, biased in agreement(found)
    ]
    if not pairs:
        return None
    headers = ["Member", "and", "Overlap@10", "Rank-biased overlap"]
    text = (
        "The share of ten movies that both name, and rank-biased overlap, which weights places by "
        "depth: 1 where two orders are the same. Members that are as good and agree little are "
        "worth blending."
    )
    table = Table("Means over users", headers, pairs, frozenset(headers[2:]))
    return Section("Agreement of lists", [Text(text), table])


def segments(found: Sequence[Standing]) -> Section | None:
    """NDCG at 10 by what is known of users and movies."""
    names = sorted(
        {
            str(segment)
            for each in found
            for _, segment, name, k, *_ in each.results[0].figures
            if segment != EVERYBODY and (name, k) == ("ndcg", 10)
        }
    )
    if not names:
        return None
    headers = ["Segment", *(each.member for each in found)]
    rows = [
        [segment, *(number(each.mean("ndcg", 10, segment), 4) for each in found)]
        for segment in names
    ]
    caption = "NDCG@10 by activity, gender, genre and gap; a dash: nobody belongs to it"
    return Section("For whom", [Table(caption, headers, rows, frozenset(headers[1:]))])


def left_out(results: Sequence[Result]) -> Section | None:
    """What was not measured, and why."""
    rows = [[result.entrant.name, result.why_not] for result in results if result.why_not]
    if not rows:
        return None
    told = [[name, str(why)] for name, why in rows]
    return Section("Left out", [Table("What has no figures, and why", ["Training", "Why"], told)])
