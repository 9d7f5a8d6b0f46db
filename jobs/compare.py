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

    nightreel compare --run-id try --search matrix_factorisation --trials 30 --search-minutes 20

searches for settings first, by validation ratings alone, and has what it finds take part.
--folds 5 trains each model of ratings five times, and holds another fifth back each time. --promote
makes the best by validation champions, if the gates of a nightly run let them.
"""

from __future__ import annotations

import json
from typing import Any

from jobs.comparing.asked import as_asked
from jobs.comparing.crowning import crown_best
from jobs.comparing.entrants import entrant_named, entrants_of
from jobs.comparing.folds import clear_folds
from jobs.comparing.leaderboard import rows_of
from jobs.comparing.results import compare_one, result_of
from jobs.comparing.search import found_of
from jobs.engines.duck import write_few_rows
from jobs.pages.comparison import comparison
from jobs.pages.page import write_page
from jobs.published.commit import commit_alone
from jobs.runs.command import positive, run_command, step_arguments
from jobs.runs.errors import JobError
from jobs.runs.run import Run
from jobs.runs.settings.comparing import CompareSettings


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
    searches = [search for member in run.conf.compare.search if (search := found_of(run, member))]
    for search in searches:
        print(f"compare: the settings chosen for {search.member}, for conf:\n{search.snippet}")
    crowned = list(crown_best(run, found)) if run.conf.compare.promote else []
    rows = rows_of(run, found)
    write_few_rows(run.output("comparisons"), "comparisons", rows)
    commit_alone(run, "comparisons")
    file = run.output("comparison.html")
    write_page(comparison(run, found, searches, crowned), file)
    print(f"compare: {file.as_uri()}", flush=True)
    clear_folds(run)
    measured = [result for result in found if not result.why_not]
    left_out = len(found) - len(measured)
    figures: dict[str, Any] = {"measured": len(measured), "left_out": left_out, "rows": len(rows)}
    for one in crowned:
        figures[f"{one.objective}_promoted"] = one.promoted
        figures[f"{one.objective}_version"] = one.version
    return figures


def main(argv: list[str] | None = None) -> None:
    """Run the step from the command line."""
    parser = step_arguments(__doc__)
    parser.add_argument("--members", nargs="+", help="models of the family (default: as in conf)")
    parser.add_argument("--seeds", nargs="+", type=positive, help="one training from each")
    parser.add_argument("--minutes", type=positive, help="the most that a training may take")
    parser.add_argument("--search", nargs="+", metavar="MEMBER", help="search for its settings")
    parser.add_argument("--trials", type=positive, help="most trainings of one search")
    parser.add_argument("--search-minutes", type=positive, help="then it begins no other training")
    parser.add_argument("--folds", type=positive, help="cross-validate models of ratings")
    parser.add_argument("--promote", action="store_true", help="make the best champions")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--part", metavar="NAME", help="train and measure bayesian-7 alone")
    only.add_argument("--json", action="store_true", help="list the names of all parts, and stop")
    arguments = parser.parse_args(argv)
    run = as_asked(arguments, "compare", tuple(CompareSettings.model_fields))
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
