"""Train several models on a run's data, measure them alike, and show who is best, at what price.

    nightreel ingest --run-id try --dataset ml-1m --source ml-1m.zip
    nightreel etl --run-id try
    nightreel compare --run-id try --members matrix_factorisation bayesian visits --seeds 7 8

Every member learns from the training ratings, or histories, of the run, with the settings that conf
has for it, and is measured on what was held back: RMSE of predicted ratings, and NDCG of lists
beside those of the most popular movies. Writes runs/<run>/comparison.html and the run's rows of the
table `comparisons`, in place of those of an earlier comparison. What was trained with the same
settings on the same data is not trained again, so a comparison that was stopped goes on.

--part trains and measures one of them alone, as tasks of the DAG `compare` do side by side; it also
tries one again that has failed.
"""

from __future__ import annotations

import json
from typing import Any

from jobs.comparing.asked import as_asked
from jobs.comparing.entrants import compare_one, entrant_named, entrants_of, result_of
from jobs.comparing.leaderboard import rows_of
from jobs.engines.duck import write_few_rows
from jobs.pages.comparison import comparison
from jobs.pages.page import write_page
from jobs.published.commit import commit_alone
from jobs.runs.command import positive, run_command, step_arguments
from jobs.runs.errors import JobError
from jobs.runs.run import Run


def compare(run: Run) -> dict[str, Any]:
    """Train and measure what has no result yet, write table and page; the figures of the step."""
    found = []
    for entrant in entrants_of(run):
        if (result := result_of(run, entrant)) is None:
            compare_one(run, entrant)
            result = result_of(run, entrant)
        assert result is not None
        found.append(result)
    if all(result.entrant.seed is None or result.why_not for result in found):
        reasons = "\n".join(f"  {r.entrant.name}: {r.why_not}" for r in found if r.why_not)
        raise JobError(f"None of the models could be trained and measured.\n{reasons}")
    rows = rows_of(run, found)
    write_few_rows(run.output("comparisons"), "comparisons", rows)
    commit_alone(run, "comparisons")
    file = run.output("comparison.html")
    write_page(comparison(run, found), file)
    print(f"compare: {file.as_uri()}", flush=True)
    measured = [result for result in found if not result.why_not]
    return {"measured": len(measured), "left_out": len(found) - len(measured), "rows": len(rows)}


def main(argv: list[str] | None = None) -> None:
    """Run the step from the command line."""
    parser = step_arguments(__doc__)
    parser.add_argument("--members", nargs="+", help="models of the family (default: as in conf)")
    parser.add_argument("--seeds", nargs="+", type=positive, help="one training from each")
    parser.add_argument("--minutes", type=positive, help="the most that a training may take")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--part", metavar="NAME", help="train and measure bayesian-7 alone")
    only.add_argument("--json", action="store_true", help="list the names of all parts, and stop")
    arguments = parser.parse_args(argv)
    run = as_asked(arguments, "compare", ("members", "seeds", "minutes"))
    if arguments.json:
        print(json.dumps([entrant.name for entrant in entrants_of(run)]))
    elif arguments.part:
        run.record("etl")
        compare_one(run, entrant_named(run, arguments.part))
    else:
        with run.step("compare") as figures:
            figures.update(compare(run))


if __name__ == "__main__":
    run_command(main)
