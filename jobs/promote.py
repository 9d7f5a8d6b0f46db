"""Make a run's models champions: what predicts ratings and orders movies from now on.

    nightreel promote --run-id <run>

Runs after publish: no model becomes champion whose recommendations did not pass the audit. If
evaluate has found neither model good enough, nor put the biases in the place of that of ratings,
there is nothing to do. A newer champion that another run has set meanwhile stays. What a run that
was stopped before this step owes, the next one makes up for (jobs/training/promotion.py).
"""

from __future__ import annotations

from jobs.runs.command import run_command, step_arguments
from jobs.runs.run import run_of
from jobs.training.promotion import promote


def main(argv: list[str] | None = None) -> None:
    """Run the step from the command line."""
    run = run_of(step_arguments(__doc__).parse_args(argv))
    with run.step("promote") as figures:
        figures.update(promote(run))


if __name__ == "__main__":
    run_command(main)
