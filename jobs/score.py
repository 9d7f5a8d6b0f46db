"""Score every movie that a user has not rated, for every user, and keep the best.

    nightreel score --run-id <run>

Reads the `Factors` of the run's own versions if they were good enough, else of the champions, each
user's rated movies and, where a model orders movies, each user's history; writes `scored`: the rows
of the recommendations table, partitioned by ds as the table is; and `similar_movies`, as that table
is, unless chosen users are scored. Never a rated movie, whatever its
split; never one that the filters of `score` in conf take away; one that a model has not learned
only at the places of score.new_movies, by what is known of it (model/new_movies.py).
Users who are new to the model of ratings, or have rated since it learned, are folded in: their rows
are solved for tonight (model/fold_in.py).
Movies are ranked by the model of order, with users' rows made of their histories of today; without
one by unclipped predicted rating, so that the best do not all tie at the top of the scale, damped
by score.damping or less score.lower_bound standard deviations. With score.mode=incremental, users
for whom nothing has changed since the newest published run keep its rows. With score.reasons every
row names the rated movie that speaks most for it (model/reasons.py). With score.repeat_after no
movie comes again that the user's lists of the nights before held; with score.diversity, calibration
or genre_cap, lists are chosen of each user's best (model/ranking/reranking.py). With
score.challenger, another version scores a share of the users in the champion's stead, or with
score.shadow everybody once more, into `shadow` (jobs/scoring/variants.py).

A pandas UDF of Spark scores (jobs/scoring/score_users.py): it is handed numbers of ranges of users,
maps the model, writes their rows itself (jobs/scoring/task.py), and only figures come back.
"""

from __future__ import annotations

from concurrent.futures import Future
from threading import Thread
from typing import Any

from jobs.engines.spark import spark_session
from jobs.runs.command import run_command, step_arguments
from jobs.runs.errors import JobError
from jobs.runs.run import Run, run_of


def score(run: Run, version: str) -> dict[str, Any]:
    """Score with this version of ratings, and the run's of order, as champions; the figures."""
    plans = Future[dict[str, Any]]()

    def plan() -> None:
        try:
            # torch and others: seconds, in which Java starts.
            from jobs.scoring.models import Models
            from jobs.scoring.score_users import plans_of

            plans.set_result(plans_of(run, Models.of(run, version, run.order_version)))
        except BaseException as error:
            plans.set_exception(error)

    # Of a pool, the end of this process would wait: for a plan that nobody needs any more.
    Thread(target=plan, daemon=True).start()
    daemon = "jobs.scoring.worker_daemon"
    spark = spark_session("score", run.staging, run.raw, worker_daemon=daemon)
    planned = plans.result()
    from jobs.scoring.score_users import score_planned

    return score_planned(spark, run, planned)


def main(argv: list[str] | None = None) -> None:
    """Run the step from the command line."""
    run = run_of(step_arguments(__doc__).parse_args(argv))
    with run.step("score") as figures:
        version = run.model_version
        if version is None:
            raise JobError(
                f"No model to score with: {run.evaluation.reason}, and release "
                f"{run.release} has no champion yet. Change the settings of train and run again."
            )
        figures.update(score(run, version))


if __name__ == "__main__":
    run_command(main)
