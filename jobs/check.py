"""Check a run's clean data before anything is made of it.

    nightreel check --run-id <run>

The rules look at columns, scale, repeated and replaced ratings, quarantine, unknown movies and
users, missing times, empty splits, and the number of ratings against the newest published run of
the release. Their thresholds are the section `quality` of conf. What they found goes to the table
`quality`, whether the data passes or not; if one fails, the run stops here with examples. So it
does if score.* names genres, movies or users that the release does not have.
"""

from __future__ import annotations

from dataclasses import astuple

from jobs.cleaning.quality import Delivered, Finding, findings
from jobs.engines.duck import open_tables, write_few_rows
from jobs.published.commit import commit_alone
from jobs.published.runs_table import previous_ratings
from jobs.release.detection import detect_layout
from jobs.runs import schemas
from jobs.runs.command import run_command, step_arguments
from jobs.runs.errors import JobError
from jobs.runs.run import Run, run_of
from jobs.scoring.filters import allowed_movies
from jobs.scoring.given_ids import kept_lists, require_known, write_candidates


def check(run: Run) -> list[Finding]:
    """Apply every rule to a run's data."""
    with open_tables({name: run.data(name) for name in schemas.DELIVERED}) as tables:
        data = Delivered(
            tables=tables,
            layout=detect_layout(run.raw, run.conf.ingest),
            rating_range=run.rating_range,
            etl=run.record("etl"),
            splits=run.conf.etl.splits,
            previous_ratings=previous_ratings(run),
        )
        return list(findings(data, run.conf.quality))


def show(run: Run, found: list[Finding]) -> None:
    """Write the findings to the table `quality`, in place of those of an earlier attempt."""
    rows = [(run.run_id, run.ds, *astuple(finding)) for finding in found]
    write_few_rows(run.output("quality"), "quality", rows)
    commit_alone(run, "quality")


def main(argv: list[str] | None = None) -> None:
    """Run the step from the command line."""
    run = run_of(step_arguments(__doc__).parse_args(argv))
    with run.step("check") as figures:
        found = check(run)
        show(run, found)
        failed = [finding for finding in found if not finding.passed]
        if failed:
            raise JobError(
                f"The data of run {run.run_id} failed {len(failed)} of {len(found)} rules, and "
                "nothing is made of it. All findings: table quality.\n"
                + "\n".join(f"  {finding}." for finding in failed)
            )
        # A filter that cannot be meant stops the run before it trains, not after.
        if lists := kept_lists(run):
            require_known(lists, run)
            write_candidates(lists, run)
        figures.update(rules=len(found), movies_allowed=len(allowed_movies(run).movie_ids))


if __name__ == "__main__":
    run_command(main)
