"""What changed since the previous published run of the same release."""

from __future__ import annotations

from duckdb import DuckDBPyConnection

from jobs.engines.duck import add_view
from jobs.pages.coverage import TOP, add_scored
from jobs.pages.page import Part, Section, Table, Text, count, number, share
from jobs.pages.tables import Overall
from jobs.published.runs_table import Previous, previous_run
from jobs.runs import schemas
from jobs.runs.errors import JobError
from jobs.runs.run import Run, open_run


def drift(
    connection: DuckDBPyConnection, run: Run, sizes: Overall, test_rmse: float | None
) -> Section:
    """Data, error and recommendations beside those of the previous run."""
    title = "Change since the previous run"
    before = previous_run(run)
    if before is None:
        return Section(title, [Text("No earlier run of this release has been published.")])
    pairs: list[tuple[str, float | None, float | None, int]] = [
        ("ratings", before.ratings, sizes.ratings, 0),
        ("users", before.users, sizes.users, 0),
        ("movies", before.movies, sizes.movies, 0),
    ]
    told = [f"Compared with run {before.run_id} of {before.ds}."]
    earlier = folder_of(run, before)
    if earlier:
        if earlier.data("ratings").is_dir():
            pairs.append(("mean rating", mean_of(connection, earlier), sizes.mean, 4))
        told.append(overlap(connection, earlier))
    else:
        told.append("What it recommended is no longer there to compare with.")
    pairs.append(("test RMSE of its own model", before.test_rmse, test_rmse, 4))
    rows = [
        (name, number(old, digits), number(new, digits), change(old, new, digits))
        for name, old, new, digits in pairs
    ]
    headers = ["Figure", "Previous run", "This run", "Change"]
    table = Table("Data and error", headers, rows, frozenset(headers[1:]))
    parts: list[Part] = [Text(" ".join(told)), table]
    return Section(title, parts)


def folder_of(run: Run, before: Previous) -> Run | None:
    """The earlier run, if what it wrote is still there and readable here."""
    try:
        earlier = open_run(run.warehouse, before.run_id)
    except JobError:
        # Removed, or written by another version of Nightreel.
        return None
    return earlier if earlier.output("scored").is_dir() else None


def change(old: float | None, new: float | None, digits: int) -> str:
    """The difference with its sign."""
    if old is None or new is None:
        return "–"
    return "none" if round(new - old, digits) == 0 else f"{new - old:+,.{digits}f}"


def mean_of(connection: DuckDBPyConnection, run: Run) -> float | None:
    """The mean rating of another run's data."""
    add_view(connection, "earlier_ratings", run.data("ratings"), schemas.RATINGS)
    [(mean,)] = connection.execute("select avg(rating) from earlier_ratings").fetchall()
    return mean


def overlap(connection: DuckDBPyConnection, earlier: Run) -> str:
    """How many of the recommendations were given before, among users of both runs."""
    add_scored(connection, earlier, "earlier_scored")
    [(users, rows, same)] = connection.execute("""
        with now as (
            from scored semi join (select distinct user_id from earlier_scored) using (user_id)
        )
        select count(distinct user_id), count(*), (
            select count(*) from now semi join earlier_scored using (user_id, movie_id)
        ) from now
        """).fetchall()
    if not users:
        return "The two runs have no user in common."
    return (
        f"Of the recommendations up to rank {TOP} for the {count(users, 'user')} of both, "
        f"{share(same, rows)} were given before."
    )
