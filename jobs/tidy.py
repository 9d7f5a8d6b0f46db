"""Remove the scratch of a run, whether it went well or not; its results stay.

    nightreel tidy --run-id <run>

The last task of a DAG run, after failures too: a job that was killed leaves spilled data and
half-unpacked deliveries in <warehouse>/staging/<run_id>. What a run leaves that ran out of time,
`nightreel cleanup` removes after a day.
"""

from __future__ import annotations

import shutil

from jobs.arguments import step_arguments, warehouse_of
from jobs.command import run_command
from jobs.run import safe_run_id


def main(argv: list[str] | None = None) -> None:
    """Run from the command line; a run that never began has nothing to remove."""
    arguments = step_arguments(__doc__).parse_args(argv)
    staging = warehouse_of(arguments) / "staging" / safe_run_id(arguments.run_id)
    if staging.is_dir():
        shutil.rmtree(staging)
        print(f"removed {staging}")
    else:
        print("there is no scratch to remove")


if __name__ == "__main__":
    run_command(main)
