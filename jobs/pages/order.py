"""How well lists name what users went on to rate: those of the run, and simpler ones."""

from __future__ import annotations

from jobs.pages.page import Plot, Section, Table, Text, count, number
from jobs.pages.plots import bars
from jobs.runs.order_evaluation import NAMES, OrderEvaluation

WHAT = {
    "next-visit": "what they rated on their last visit",
    "time": "what they rated after a day that is the same for all",
    "leave-last-out": "the movie that they rated last",
}


def order(found: OrderEvaluation) -> Section:
    """The decision, and the figures of all lists that were measured."""
    whose = [each for each in NAMES if each in found.ndcg_10]
    names = [NAMES[each] for each in whose]
    shown = [number(found.ndcg_10[each], 4) for each in whose]
    hits = [number(found.hr_10[each], 4) for each in whose]
    verdict = "promoted" if found.promoted else "not promoted"
    caption = f"NDCG at 10 of lists for {count(found.users, 'user')}, of {WHAT[found.split]}."
    headers = ["Lists", "NDCG@10", "HR@10"]
    return Section(
        "Order",
        [
            Text(
                f"Version {found.candidate_version} of the models of order was {verdict}: "
                f"{found.reason}. More figures, with intervals, are in the table metrics."
            ),
            Plot(
                bars(names, [found.ndcg_10[each] for each in whose], digits=4),
                caption,
                "Bar chart of NDCG at 10. "
                + ", ".join(map(": ".join, zip(names, shown, strict=True))),
            ),
            Table(
                "Share of users of whom a movie was among the first ten (HR), and NDCG",
                headers,
                list(zip(names, shown, hits, strict=True)),
                frozenset(headers[1:]),
                wide=False,
            ),
        ],
    )
