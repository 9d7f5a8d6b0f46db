"""Play a release's past again: how good lists are that were trained more or less often.

    nightreel ingest --run-id past --dataset ml-1m --source ml-1m.zip
    nightreel etl --run-id past
    nightreel replay --run-id past --members visits --policies always never --periods 6

At each cut, models of order learn from the ratings before it, and are measured on what users go on
to rate until the next: NDCG of lists beside those of the most popular movies. Policies say which
cuts train; conf/base.yaml names them. Writes runs/<run>/replay.html and the run's rows of the table
`replays`, in place of those of an earlier replay. What was trained with the same settings on the
same data is not trained again, so a replay that was stopped goes on.

--part trains one member at one cut alone, as tasks of the DAG `replay` do side by side.
"""

from __future__ import annotations

import json
from typing import Any

from jobs.comparing.asked import as_asked
from jobs.comparing.replayed import (
    histories_of,
    outcomes,
    part_named,
    parts_of,
    periods,
    rows_of,
    train_part,
)
from jobs.engines.duck import write_few_rows
from jobs.pages.page import write_page
from jobs.pages.replay import replay_page
from jobs.published.commit import commit_alone
from jobs.runs.command import positive, run_command, step_arguments
from jobs.runs.errors import JobError
from jobs.runs.run import Run


def replay(run: Run) -> dict[str, Any]:
    """Train and measure what has no result yet, write table and page; the figures of the step."""
    histories = histories_of(run)
    cut = periods(run, histories)
    needed = parts_of(run, cut)
    found = list(outcomes(run, cut, histories))
    if not found:
        raise JobError("In no period did anybody rate who had rated before: say fewer cuts.")
    rows = rows_of(run, found)
    write_few_rows(run.output("replays"), "replays", rows)
    commit_alone(run, "replays")
    file = run.output("replay.html")
    write_page(replay_page(run, found), file)
    print(f"replay: {file.as_uri()}", flush=True)
    return {"periods": len(cut), "trainings": len(needed), "rows": len(rows)}


def main(argv: list[str] | None = None) -> None:
    """Run the step from the command line."""
    parser = step_arguments(__doc__)
    parser.add_argument("--members", nargs="+", help="models of order (default: as in conf)")
    parser.add_argument("--policies", nargs="+", help="of always, weekly, fold-in, never")
    parser.add_argument("--periods", type=positive, help="how many, of equally many ratings")
    parser.add_argument("--cuts", nargs="+", help="dates to cut at, in place of periods")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--part", metavar="NAME", help="train visits-3 alone")
    only.add_argument("--json", action="store_true", help="list the names of all parts, and stop")
    arguments = parser.parse_args(argv)
    run = as_asked(arguments, "replay", ("members", "policies", "periods", "cuts"))
    if not (arguments.json or arguments.part):
        with run.step("replay") as figures:
            figures.update(replay(run))
        return
    run.record("etl")
    histories = histories_of(run)
    parts = parts_of(run, periods(run, histories))
    if arguments.json:
        print(json.dumps([part.name for part in parts]))
    else:
        train_part(run, part_named(parts, arguments.part), histories)


if __name__ == "__main__":
    run_command(main)
