"""Make a run's model, or the biases that it did not beat, the champion: what scores from now on.

    nightreel promote --run-id <run>

Runs after evaluate has found the model good enough; otherwise there is nothing to do. A newer
champion that another run has set meanwhile stays.
"""

from __future__ import annotations

from jobs.runs.command import run_command, step_arguments
from jobs.runs.run import run_of
from jobs.training.registry import Registry


def main(argv: list[str] | None = None) -> None:
    """Run the step from the command line."""
    run = run_of(step_arguments(__doc__).parse_args(argv))
    with run.step("promote") as figures:
        evaluation = run.evaluation
        version = evaluation.fallback_version or evaluation.candidate_version
        registry = Registry.of(run)
        champion = registry.promote(version, run)
        promoted = champion == version
        if promoted:
            print(f"version {version} is the champion of {run.release}", flush=True)
        else:
            print("a later run has already set a newer champion: it stays", flush=True)
        # Of this run's own version None where the run has no test ratings.
        own = evaluation.rmse_of_scored("test")
        rmse = own if promoted else registry.test_rmse(champion)
        figures.update(
            promoted=promoted,
            model_version=champion,
            release=run.release,
            test_rmse=rmse,
        )


if __name__ == "__main__":
    run_command(main)
