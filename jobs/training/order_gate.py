"""Measure a run's model of order, register it, and decide whether it becomes the champion.

It is good enough if, by NDCG at 10 on the same users, a paired bootstrap finds it better than the
most popular movies and not worse than the champion, and if its lists name at least
evaluate.coverage_share of the number of movies that the champion's do.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jobs.runs.order_evaluation import OrderEvaluation, Ranking
from jobs.runs.run import Run
from jobs.training.order_lists import (
    Question,
    by_factors,
    by_order,
    by_popularity,
    by_recent_popularity,
    question,
)
from jobs.training.registering import register
from jobs.training.registry import Registry
from jobs.training.specs import same_order_split
from model.bootstrap import Difference, difference
from model.data.histories import read_histories
from model.data.indexes import read_ids
from model.data.movie_genres import movie_genres
from model.factors import Factors, load_factors
from model.list_measure import EVERYBODY, Catalogue, Figure, measure
from model.ranking.ranker import Ranked
from model.ranking_metrics import accuracy, ranks_of

Found = dict[Ranking, list[Figure]]


def decide(
    popularity: Difference,
    champion: Difference | None,
    coverage: float,
    champion_coverage: float | None,
    least_share: float,
    needed: bool = False,
) -> tuple[bool, str]:
    """Whether a model becomes the champion, and why, in a sentence; None: there is no champion.

    `needed`: nothing else can order movies, so that the first need not surely be better than the
    most popular ones. The differences are those of its NDCG at 10 from that of the most popular
    movies and from the champion's; coverage is the share of movies that lists name.
    """
    found = f"NDCG@10 {told(popularity)} that of the most popular movies"
    enough = ("better", "open") if needed and champion is None else ("better",)
    if popularity.verdict not in enough:
        return False, f"{found}, which is not surely better"
    if champion is None or champion_coverage is None:
        return True, found
    against = f"NDCG@10 {told(champion)} the champion's"
    if champion.verdict == "worse":
        return False, f"{against}, which is worse"
    if coverage < least_share * champion_coverage:
        return False, (
            f"its lists name {coverage:.1%} of the movies, less than {least_share:g} times the "
            f"champion's {champion_coverage:.1%}"
        )
    return True, f"{against}, and {told(popularity)} that of the most popular movies"


def told(found: Difference) -> str:
    """0.0123 (0.0100 to 0.0150) above."""
    direction = "above" if found.value >= 0 else "below"
    return f"{abs(found.value):.4f} ({found.low:+.4f} to {found.high:+.4f}) {direction}"


def evaluate_order(
    run: Run, rating: Factors | None = None, folder: Path | None = None
) -> tuple[OrderEvaluation, dict[str, list[Figure]]]:
    """Measure, register, decide: of the run's own training, or of another with its settings.

    `rating` orders movies where nothing else does; None: it is not measured. Returns also the
    figures of everything that was measured, by what `metrics` calls it.
    """
    folder, registry = folder or run.output("order"), Registry.of(run, "order")
    own = load_factors(folder)
    asked = question_of(run)
    lists: dict[Ranking, Ranked] = {
        "model": by_order(asked, own, folder),
        "popularity": by_popularity(asked),
        "recent_popularity": by_recent_popularity(asked),
    }
    if rating is not None:
        lists["rating"] = by_factors(asked, rating)
    if run.order_champion:
        # What it scores by may have learned from what is to be named.
        champion_folder, champion = registry.measured(run.order_champion)
        warn_of_another_split(own, champion, run.order_champion)
        lists["champion"] = by_order(asked, champion, champion_folder)
    catalogue = catalogue_of(run, asked)
    found: Found = {who: measure(ranked, asked.held, catalogue) for who, ranked in lists.items()}
    ndcg = {whose: ndcg_10(asked, ranked) for whose, ranked in lists.items()}
    against_champion = difference(ndcg["model"], ndcg["champion"]) if "champion" in ndcg else None
    promoted, reason = decide(
        difference(ndcg["model"], ndcg["popularity"]),
        against_champion,
        value_of(found["model"], "coverage"),
        value_of(found["champion"], "coverage") if "champion" in found else None,
        run.conf.evaluate.coverage_share,
        run.implicit,
    )
    name = run.conf.train.order.model
    params = run.conf.train.tracked(name) | own.manifest["data"]
    ours = [figure for figure in found["model"] if figure.segment == EVERYBODY]
    metrics = {f"{figure.name}_{figure.k}": round(figure.value, 5) for figure in ours}
    version = register(registry, run.run_id, folder, params, metrics)
    print(f"order version {version}: {'' if promoted else 'not '}good enough: {reason}", flush=True)
    evaluation = OrderEvaluation(
        split=own.manifest["data"]["order_split"],
        users=len(asked.held),
        ndcg_10={whose: round(value_of(rows, "ndcg"), 5) for whose, rows in found.items()},
        hr_10={whose: round(value_of(rows, "hr"), 5) for whose, rows in found.items()},
        promoted=promoted,
        reason=reason,
        candidate_version=version,
        model_version=version if promoted else run.order_champion,
    )
    return evaluation, named(found, version, run.order_champion)


def question_of(run: Run) -> Question:
    """What etl held back of the users' histories."""
    user_ids_U = read_ids(str(run.data("user_index")), "user")
    movie_ids_M = read_ids(str(run.data("movie_index")), "movie")
    return question(read_histories(run.data("histories")), user_ids_U, movie_ids_M)


def catalogue_of(run: Run, asked: Question) -> Catalogue:
    """What the run's data says of movies and users, by row number."""
    users = pq.read_table(run.data("users"), columns=["user_id", "gender"]).sort_by("user_id")
    genre_MG, genres = movie_genres(run.data("movies"), asked.movie_ids_M)
    learned = asked.learned
    return Catalogue(
        count_M=np.bincount(learned.movie_N, minlength=len(asked.movie_ids_M)),
        users=int((learned.count_U > 0).sum()),
        genre_MG=genre_MG,
        genres=genres,
        gender_U=users["gender"].fill_null("").to_numpy().astype(str),
    )


def ndcg_10(asked: Question, ranked: Ranked) -> NDArray[np.float64]:
    """NDCG at 10 of each of the users: what decides."""
    targets = asked.held.targets
    return accuracy(ranks_of(ranked, targets), targets, 10)["ndcg"]


def warn_of_another_split(own: Factors, champion: Factors, version: str) -> None:
    """Say so where the champion may have learned from what is to be named."""
    if not same_order_split(own.manifest["data"], champion.manifest["data"]):
        print(
            f"champion {version} of order was trained on another split, so it may have learned "
            "from some of these movies and look better than it is.",
            flush=True,
        )


def value_of(rows: list[Figure], name: str) -> float:
    """A figure at 10 of all users."""
    wanted = (EVERYBODY, name, 10)
    [value] = [row.value for row in rows if (row.segment, row.name, row.k) == wanted]
    return value


def named(found: Found, version: str, champion: str | None) -> dict[str, list[Figure]]:
    """The figures by the version that they are of, or by what stands in for one."""
    names: dict[Ranking, str] = {"model": f"order/{version}", "champion": f"order/{champion}"}
    return {names.get(whose, whose): rows for whose, rows in found.items()}
