"""Measure a run's models on what was held back, and decide whether they become champions.

    nightreel evaluate --run-id <run>

How a model of ratings is measured and judged is told in jobs/training/rating_gate.py, and how one
of order is, where the run has one, in jobs/training/order_gate.py. Metrics and versions go to
MLflow, and all figures become rows of the table `metrics`. The step's record names the versions
that scoring uses.
"""

from __future__ import annotations

from dataclasses import replace

from jobs.runs.command import run_command, step_arguments
from jobs.runs.errors import JobError
from jobs.runs.evaluation import Evaluation
from jobs.runs.run import Run, run_of
from jobs.training.metrics_table import write_metrics
from jobs.training.order_gate import evaluate_order
from jobs.training.rating_gate import evaluate_rating
from model.factors import load_factors
from model.list_measure import Figure
from model.ranking.lower_bound import by_rating


def evaluate(run: Run) -> Evaluation:
    """Measure, register, decide; write the figures down."""
    evaluation = evaluate_rating(run)
    if biases := evaluation.fallback_version:
        print(f"nothing better was learned: version {biases} is the biases alone", flush=True)
    of_order: dict[str, list[Figure]] = {}
    if run.trains_order:
        factors, score = load_factors(run.output("factors")), run.conf.score
        rating = by_rating(factors, score.damping, score.lower_bound)
        order, of_order = evaluate_order(run, rating)
        evaluation = replace(evaluation, order=order)
    write_metrics(run, evaluation, of_order)
    return evaluation


def main(argv: list[str] | None = None) -> None:
    """Run the step from the command line."""
    run = run_of(step_arguments(__doc__).parse_args(argv))
    with run.step("evaluate") as figures:
        try:
            evaluation = evaluate(run)
            # Which step comes next, the DAG learns from this record.
            figures.update(evaluation.record(), refits=run.conf.train.refit and evaluation.promotes)
        except ValueError as error:
            raise JobError(str(error)) from error


if __name__ == "__main__":
    run_command(main)
