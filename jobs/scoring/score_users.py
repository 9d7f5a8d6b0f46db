"""All users of a run are scored, by one variant or two, in tasks of Spark."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pandas as pd
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from jobs.engines.spark import show_tasks
from jobs.runs.errors import JobError
from jobs.runs.implicit import require_order
from jobs.runs.run import Run
from jobs.scoring.inputs import Inputs, write_inputs
from jobs.scoring.models import Models
from jobs.scoring.plan import ScoringPlan, plan_scoring
from jobs.scoring.similar import write_similar
from jobs.scoring.task import Scoring, even_ranges, score_range, task_device
from jobs.scoring.variants import CHALLENGER, CHAMPION, output_of, variants_of
from model.factors import is_trained
from model.ranking.reranking import Wanted

FIGURES = "users long, rows long, reasons long"
# Pairs of a task: about a second's work, and so the step by which progress is seen.
PAIRS_PER_TASK = 2_000_000_000


def scorer(scoring: Scoring, ranges: list[tuple[int, int]]) -> Callable[[str], Column]:
    """The pandas UDF that scores: the column of numbers of ranges in, users and rows of each out.

    A task writes its recommendations itself: through the JVM they would be converted twice.
    """

    # Spark's type stubs do not know that hints tell the kind of a UDF: here iterators of batches.
    @F.pandas_udf(FIGURES)  # type: ignore[call-overload]
    def score_ranges(numbers: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
        for batch in numbers:
            with task_device(scoring.device) as device:
                done = [score_range(scoring, ranges[number], device) for number in batch]
            yield pd.DataFrame(done, columns=["users", "rows", "reasons"])

    # It writes files: Spark must not evaluate it once for each use of its column.
    return score_ranges.asNondeterministic()


def score_all(spark: SparkSession, scoring: Scoring, inputs: Inputs) -> dict[str, int]:
    """Score all users of the inputs; how many they are, their rows, and those with a reason."""
    movies = len(inputs.catalogue.movie_idx_C)
    tasks = len(inputs.user_ids_U) * movies // PAIRS_PER_TASK
    tasks = max(tasks, 2 * spark.sparkContext.defaultParallelism)
    ranges = even_ranges(inputs.rated, movies, tasks, inputs.kept_U)
    numbers = spark.range(0, len(ranges), 1, len(ranges))
    done = numbers.select(scorer(scoring, ranges)("id").alias("done"))
    with show_tasks(spark, "score"):
        sums = (F.sum(f"done.{name}").alias(name) for name in ("users", "rows", "reasons"))
        [total] = done.agg(*sums).collect()
    return total.asDict()


def plans_of(run: Run, models: Models) -> dict[str, ScoringPlan]:
    """How the run's settings say to score with these champions, by name of the variant.

    Raises JobError if it cannot be done; nothing has been written then.
    """
    require_order(run, models.order.version if models.order else None)
    plans: dict[str, ScoringPlan] = {}
    for variant in variants_of(run, models):
        read = plans[CHAMPION].known if plans else None
        plans[variant.name] = plan_scoring(run, variant, read)
        by = f"by {run.conf.score.challenger}, " if variant.name == CHALLENGER else ""
        print(f"score: {by}{plans[variant.name]}", flush=True)
    return plans


def score_planned(spark: SparkSession, run: Run, plans: dict[str, ScoringPlan]) -> dict[str, Any]:
    """Score as planned; returns the figures.

    Those of a challenger stand by themselves; where it scores some of the users, all together too.
    """
    # What is left of an attempt that was killed, which can then write nothing more.
    for abandoned in run.staging.glob("scoring-*"):
        shutil.rmtree(abandoned)
    for output in ("scored", "shadow"):
        shutil.rmtree(run.output(output), ignore_errors=True)
    done = {name: score_variant(spark, plan, name) for name, plan in plans.items()}
    champion = plans[CHAMPION]
    similar = write_similar(run, champion.models, champion.movie_ids) if run.users is None else None
    figures = champion.figures | done[CHAMPION] | {"similar": similar}
    if beside := done.get(CHALLENGER):
        if not run.conf.score.shadow:
            figures |= {name: count + beside[name] for name, count in done[CHAMPION].items()}
        figures["challenger"] = plans[CHALLENGER].figures | beside
    return figures


def score_variant(spark: SparkSession, plan: ScoringPlan, variant: str) -> dict[str, int]:
    """Write the rows of a variant, beside those of others; returns how many there are of what."""
    run, base = plan.run, plan.base
    base_record = base and base.finished("score")
    # Another name at each attempt: processes that are kept keep what they have mapped.
    prepared = run.staging / f"scoring-{uuid4().hex}"
    inputs = write_inputs(plan, prepared)
    factors = plan.models.rating.folder
    if plan.model is not plan.models.rating.factors:
        factors = prepared / "rating"
        plan.model.save(factors)
    ranking = factors
    if plan.ranking is not plan.model:
        ranking = prepared / "ranking"
        plan.ranking.save(ranking)
    output = output_of(run, variant)
    target = run.output(output) / f"ds={run.ds.isoformat()}"
    target.mkdir(parents=True, exist_ok=True)
    top_k = run.conf.score.top_k
    scoring = Scoring(
        factors=factors,
        ranking=ranking,
        inputs=prepared,
        target=target,
        base=base.output(output) if base else None,
        top_k=None if top_k == "all" else top_k,
        device=run.conf.score.device,
        model_version=plan.figures["model_version"],
        order_version=plan.figures["order_version"],
        run_id=run.run_id,
        uncertainty=plan.uncertainty,
        explained=plan.explained.folder if plan.explained else None,
        implicit=run.implicit,
        wanted=Wanted(**run.conf.score.by_genres),
        new_movies=run.conf.score.new_movies,
        variant=variant,
    )
    scored = score_all(spark, scoring, inputs)
    if base and base.finished("score") != base_record:
        raise JobError(
            f"Run {base.run_id}, of which rows are taken over, was made again meanwhile. Run score "
            "again."
        )
    kept = int(inputs.kept_U.sum())
    trained = is_trained(plan.ranking.user_idx(inputs.user_ids_U), plan.ranking.user_trained_U)
    folded = plan.model.is_folded(plan.model.user_idx(inputs.user_ids_U))
    shutil.rmtree(prepared)
    users = scored["users"]
    return {
        "users": users,
        "users_scored": users - kept,
        "users_kept": kept,
        "users_popular": users - int(trained.sum()),
        "users_folded_in": int((folded & trained).sum()),
        "rows": scored["rows"],
        "reasons": scored["reasons"],
    }
