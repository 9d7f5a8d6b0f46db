"""Report on a published run: how it learned, where it errs, what it recommends, what changed.

    nightreel report --run-id <run>

Reads what the run wrote. Writes runs/<run>/report.html, one page for a browser. A run that trained
no model, or that scored the data of an earlier run again, leaves out what it has not.
"""

from __future__ import annotations

from duckdb import DuckDBPyConnection

from jobs.pages.challenger import challenger
from jobs.pages.coverage import add_scored, coverage, recommended
from jobs.pages.drift import drift
from jobs.pages.errors import errors, held_back
from jobs.pages.examples import examples
from jobs.pages.learning import learning
from jobs.pages.order import order
from jobs.pages.page import Page, Section, Text, number, share, write_page
from jobs.pages.scope import scope
from jobs.pages.tables import clean_tables, overall
from jobs.pages.uncertainty import uncertainty
from jobs.runs.command import run_command, step_arguments
from jobs.runs.errors import JobError
from jobs.runs.run import Run, run_of
from model.factors import load_factors


def model_sections(connection: DuckDBPyConnection, run: Run) -> list[Section]:
    """Learning and errors of the run's own model; a sentence if it trained none."""
    if not run.trains:
        why = run.why_not("train")
        return [
            Section("Learning", [Text(f"This run trained no model. {why[0].upper()}{why[1:]}")])
        ]
    try:
        factors = load_factors(run.output("factors"))
    except ValueError as error:
        raise JobError(str(error)) from error
    best = run.record("train")["best_epoch"]
    history = factors.manifest.get("history", [])
    held = held_back(connection, run)
    refit_ratings = run.record("score").get("refit_ratings")
    sections = [
        learning(history, best, run.evaluation, refit_ratings),
        errors(connection, factors, held),
    ]
    if factors.knows_sd:
        sections.append(uncertainty(factors, held))
    found = run.evaluation.order
    return [*sections, order(found)] if found else sections


def run_report(run: Run) -> Page:
    """The page about a published run. Raises JobError if something that it read is missing."""
    published = run.record("publish")
    evaluation = run.evaluation if run.trains else None
    test_rmse = evaluation.errors.get("test_rmse") if evaluation else None
    split = evaluation.measured_on if evaluation else "test"
    with clean_tables(run) as connection:
        add_scored(connection, run)
        sizes, given = overall(connection), recommended(connection)
        return Page(
            title=f"Run report: {run.release}, {run.ds}",
            lead=f"Run {run.run_id}, scored by model version {published['model_version']}.",
            figures=[
                (number(published[f"{split}_rmse"], 4), f"{split} RMSE of the version that scored"),
                (number(sizes.ratings), "ratings"),
                (number(given.users), "users with recommendations"),
                (number(published["rows_published"]), "recommendations"),
                (share(given.movies, sizes.movies), "of the catalogue recommended"),
            ],
            sections=[
                *model_sections(connection, run),
                scope(run.record("score"), run.conf.score),
                coverage(connection, given),
                *challenger(connection, run),
                examples(connection),
                drift(connection, run, sizes, test_rmse),
            ],
        )


def report(run: Run) -> dict[str, int | str]:
    """Write the page; returns the figures of the step."""
    file = run.output("report.html")
    size = write_page(run_report(run), file)
    print(f"report: {file.as_uri()}", flush=True)
    return {"bytes": size}


def main(argv: list[str] | None = None) -> None:
    """Run the step from the command line."""
    run = run_of(step_arguments(__doc__).parse_args(argv))
    with run.step("report") as figures:
        figures.update(report(run))


if __name__ == "__main__":
    run_command(main)
