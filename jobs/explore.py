"""Look at a run's clean data before anything is learned from it, and write what is to be seen.

    nightreel explore --run-id <run>

Reads the clean tables. Writes runs/<run>/exploration.html, one page for a browser: what is missing
or faulty, how ratings, genres, users and movies spread, mean ratings, the merged table. Every plot
has a sentence that says what it shows.
"""

from __future__ import annotations

from jobs.pages.activity import activity
from jobs.pages.faults import faulty_values
from jobs.pages.genres import genres
from jobs.pages.means import means
from jobs.pages.merged import merged
from jobs.pages.page import Page, number, write_page
from jobs.pages.rating_values import ratings
from jobs.pages.tables import clean_tables, overall
from jobs.runs.command import run_command, step_arguments
from jobs.runs.run import Run, run_of


def exploration(run: Run) -> Page:
    """The page about a run's clean tables. Raises JobError if they are missing."""
    with clean_tables(run) as connection:
        sizes = overall(connection)
        return Page(
            title=f"Exploration of {run.release}",
            lead=f"The clean data of run {run.run_id}, date {run.ds}. Density is the "
            "share of ratings that there are among all pairs of a user and a movie with any.",
            figures=[
                (number(sizes.ratings), "ratings"),
                (number(sizes.users), "users"),
                (number(sizes.movies), "movies"),
                (number(sizes.mean, 2), "mean rating"),
                (sizes.density, "density"),
            ],
            sections=[
                faulty_values(connection, sizes, run.ds.year),
                ratings(connection, sizes),
                genres(connection, sizes),
                activity(connection, sizes),
                means(connection, sizes),
                merged(connection, sizes),
            ],
        )


def explore(run: Run) -> dict[str, int | str]:
    """Write the page; returns the figures of the step."""
    file = run.output("exploration.html")
    size = write_page(exploration(run), file)
    print(f"explore: {file.as_uri()}", flush=True)
    return {"bytes": size}


def main(argv: list[str] | None = None) -> None:
    """Run the step from the command line."""
    run = run_of(step_arguments(__doc__).parse_args(argv))
    with run.step("explore") as figures:
        figures.update(explore(run))


if __name__ == "__main__":
    run_command(main)
