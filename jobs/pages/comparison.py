"""The page of a comparison: who is best, at what price, how alike lists are, and for whom."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.comparing.crowning import Crowning
from jobs.comparing.leaderboard import (
    By,
    Standing,
    agreement,
    lacking_folds,
    share_learned_of,
    standings,
)
from jobs.comparing.results import Result
from jobs.comparing.search import Found
from jobs.comparing.trials import short
from jobs.pages.page import Page, Plot, Section, Table, Text, number
from jobs.pages.plots import scatter
from jobs.runs.run import Run
from model.list_measure import EVERYBODY

MEASURE = {"rating": "RMSE", "order": "NDCG@10"}


def comparison(
    run: Run, results: Sequence[Result], searches: Sequence[Found], crowned: Sequence[Crowning]
) -> Page:
    """The page about all results of a run."""
    measured = [result for result in results if result.why_not is None]
    learned = share_learned_of(run, measured)
    by_rating, by_order = standings(measured, "rating"), standings(measured, "order", learned)
    figures = [(number(len(measured)), "trainings and baselines measured")]
    if by_rating:
        figures.append((by_rating[0].member, f"lowest RMSE, {by_rating[0].value:.4f}"))
    if best := [each for each in by_order if not each.flattered]:
        figures.append((best[0].member, f"highest NDCG@10, {best[0].value:.4f}"))
    parts = [board(run, "rating", by_rating), board(run, "order", by_order), champions(crowned)]
    parts += [found(search) for search in searches]
    parts += [likeness(by_order), segments(by_order), left_out(results)]
    folds = run.conf.compare.folds
    validated_across = (
        f" Models of ratings are measured by {folds} folds, each held back once; orders once, by "
        "what came later, of which a model that learns from the other folds would have seen some."
        if folds
        else ""
    )
    return Page(
        title=f"Comparison on {run.release}",
        lead=f"Models trained on the same data of run {run.run_id}, date {run.ds}, and measured on "
        "what was held back. Intervals are of 95%, by drawing users; two models are compared over "
        "the same users. All figures are in the table comparisons." + validated_across,
        figures=figures,
        sections=[part for part in parts if part],
    )


def board(run: Run, by: By, found: Sequence[Standing]) -> Section | None:
    """Members from the best on, and what each costs."""
    if not found:
        return None
    name, orders = MEASURE[by], by == "order"
    others = ["MAE"] if by == "rating" else ["HR@10", "Coverage"]
    of_folds = ["Folds"] if any(each.folds for each in found) else []
    headers = ["Member", "Seeds", *of_folds, name, "Interval", "Spread", "Validation", *others]
    headers += ["To the best", "Seconds", "CPU s", "MB"]
    rows = []
    for each in found:
        own = [each.mean("mae")] if by == "rating" else [each.mean("hr", 10)]
        own += [] if by == "rating" else [each.mean("coverage", 10)]
        against = each.against_best
        rows.append(
            [
                each.member,
                number(each.seeds or None),
                *(number(each.folds or None) for _ in of_folds),
                number(each.value, 4),
                f"{each.low:.4f}–{each.high:.4f}",
                number(each.spread, 4) if each.trainings > 1 else "–",
                # Of another measure, what is validated is none of this board's.
                number(each.validated if each.results[0].entrant.orders == orders else None, 4),
                *(number(value, 4) for value in own),
                "flattered" if each.flattered else "–" if against is None else against.verdict,
                number(each.seconds, 1),
                number(each.cpu_seconds, 1),
                number(each.results[0].size / 1e6, 1),
            ]
        )
    fair = [each for each in found if not each.flattered]
    trained = [each for each in fair if each.results[0].entrant.seed is not None]
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
    caption = f"{name} of {held_back(run, by)}; {better} is better"
    trainings = "seeds and folds" if of_folds else "seeds"
    text = (
        f"Means over {trainings}; the spread is the largest less the least of them. Settings and "
        "champions are chosen by the column Validation."
    )
    if any(each.against_best and each.against_best.verdict == "open" for each in found):
        text += " Open: chance may have made the difference to the best."
    if learned := max(each.learned for each in found):
        text += (
            f" Flattered: {learned:.0%} of the ratings asked for were among those that models of "
            "ratings learned from, because etl's split ignores time."
        )
    title = "Predicted ratings" if by == "rating" else "Order"
    return Section(title, [Text(text), Table(caption, headers, rows, numbers), *plots])


def held_back(run: Run, by: By) -> str:
    """What a leaderboard measures on, in words."""
    if by == "order":
        return f"what users went on to rate ({run.record('etl')['order_split']})"
    if run.conf.compare.folds:
        return "the ratings of every fold"
    if (part := run.conf.etl.splits[-1]) == "test":
        return "the test ratings"
    return f"the {part} ratings, as there are no others, by which best epochs were chosen, too"


def champions(crowned: Sequence[Crowning]) -> Section | None:
    """What became of the best by validation."""
    if not crowned:
        return None
    headers = ["Section", "Best by validation", "Version", "Champion", "What the gate found"]
    rows = [
        [
            each.objective,
            each.entrant,
            each.version or "–",
            "yes" if each.promoted else "no",
            each.reason,
        ]
        for each in crowned
    ]
    return Section("Champions", [Table("Put through the gates of a night", headers, rows)])


def found(search: Found) -> Section:
    """What a search has tried, the best first, and what it has chosen, as conf has it."""
    names = list(search.best.settings)
    value = "NDCG@10" if search.orders else "RMSE"
    headers = ["Trial", f"Validation {value}", "Ended", "Epochs", "Seconds", *names]
    place = {id(tried): number(trial) for trial, tried in enumerate(search.tried, 1)}
    others = [tried for tried in search.tried if tried not in search.ended]
    rows = [
        [
            place[id(tried)],
            number(tried.value, 4),
            "failed" if tried.why_not else "given up" if tried.given_up else "by itself",
            number(len(tried.curve) or None),
            number(tried.seconds, 1),
            *(short(tried.settings[name]) for name in names),
        ]
        for tried in [*search.ended, *others]
    ]
    text = (
        f"Chosen by validation rows alone, of {len(search.tried)} trainings from one seed. To have "
        f"these settings every night, put this into conf: {search.snippet_in_line}"
    )
    numbers = frozenset(headers) - {"Ended"}
    table = Table("Trainings, the best first", headers, rows, numbers)
    return Section(f"Search for {search.member}", [Text(text), table])


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
    # In the order in which they were measured: of gaps and of numbers of ratings the least first.
    names = dict.fromkeys(
        str(segment)
        for each in found
        for _, segment, name, k, *_ in each.results[0].figures
        if segment != EVERYBODY and (name, k) == ("ndcg", 10)
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
    """What was not measured, or counts for nothing, and why."""
    rows = [[result.entrant.name, result.why_not] for result in results if result.why_not]
    measured = [result for result in results if not result.why_not]
    lacking = "measured, but counted in no leaderboard: this seed lacks a fold"
    rows += [[result.entrant.name, lacking] for result in lacking_folds(measured)]
    if not rows:
        return None
    return Section("Left out", [Table("What is left out, and why", ["Training", "Why"], rows)])
