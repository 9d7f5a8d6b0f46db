"""How ratings spread over the scale and over time."""

from __future__ import annotations

from duckdb import DuckDBPyConnection

from jobs.pages.page import Part, Plot, Section, Text, count, number, share
from jobs.pages.plots import columns, timeline
from jobs.pages.tables import Overall

# Up to how many days are drawn by which unit, and how its beginning is written.
UNITS = [
    (60, "day", "%Y-%m-%d"),
    (420, "week", "%Y-%m-%d"),
    (6 * 365, "month", "%Y-%m"),
]
LONGEST = ("year", "%Y")


def ratings(connection: DuckDBPyConnection, sizes: Overall) -> Section:
    """The distribution of ratings, and when they were given."""
    parts = [distribution(connection, sizes), generosity(connection), over_time(connection, sizes)]
    return Section("Ratings", parts)


def distribution(connection: DuckDBPyConnection, sizes: Overall) -> Plot:
    """How often each rating was given."""
    found = connection.execute(
        "select rating, count(*) from ratings where rating is not null group by 1 order by 1"
    ).fetchall()
    most, times = max(found, key=lambda row: (row[1], row[0]))
    high = sum(n for rating, n in found if rating >= 4)
    labels = [f"{rating:g}" for rating, _ in found]
    texts = [share(n, sizes.ratings) for _, n in found]
    return Plot(
        columns(labels, [n for _, n in found], texts, "rating"),
        f"{most:g} is the most frequent rating, given {number(times)} times. The mean is "
        f"{number(sizes.mean, 2)}, and {share(high, sizes.ratings)} of ratings are 4 or better.",
        "Bar chart: share of each rating value. "
        + ", ".join(f"{label}: {text}" for label, text in zip(labels, texts, strict=True)),
    )


def generosity(connection: DuckDBPyConnection) -> Plot:
    """How the users' own mean ratings spread, in steps of a quarter."""
    found = dict(
        connection.execute("""
        select round(4 * total / ratings) / 4, count(*) from user_counts
        where ratings > 0 group by 1
        """).fetchall()
    )
    first = min(found)
    steps = [first + step / 4 for step in range(int(4 * (max(found) - first)) + 1)]
    [(low, high, raters)] = connection.execute("""
        select quantile_disc(total / ratings, 0.1), quantile_disc(total / ratings, 0.9), count(*)
        from user_counts where ratings > 0
        """).fetchall()
    labels = [f"{step:g}" for step in steps]
    return Plot(
        timeline(labels, [found.get(step, 0) for step in steps], "users", "own mean", wide=False),
        f"Users differ in how well they rate: the own mean of four in five of the {number(raters)} "
        f"lies between {number(low, 2)} and {number(high, 2)}.",
        "Histogram: the users' own mean ratings.",
    )


def over_time(connection: DuckDBPyConnection, sizes: Overall) -> Part:
    """Ratings per day, week, month or year, whichever gives a picture of some dozen bars."""
    if sizes.first is None or sizes.last is None:
        return Text("The ratings carry no time, so there is no plot of ratings over time.")
    days = (sizes.last - sizes.first).days
    unit, style = next(((unit, style) for most, unit, style in UNITS if days <= most), LONGEST)
    found = connection.execute(f"""
        with counted as (
            select date_trunc('{unit}', rated_at)::date beginning, count(*) n
            from ratings where rated_at is not null group by 1
        ), bounds as (select min(beginning) first, max(beginning) last from counted)
        select strftime(beginning, '{style}'), coalesce(n, 0)
        from (
            select unnest(generate_series(first, last, interval 1 {unit}))::date beginning
            from bounds
        ) left join counted using (beginning) order by beginning
        """).fetchall()
    labels, counts = [label for label, _ in found], [n for _, n in found]
    most = max(counts)
    busiest = labels[counts.index(most)]
    period = f"{sizes.first:%Y-%m-%d} to {sizes.last:%Y-%m-%d}"
    untimed = sizes.ratings - sizes.timed
    without = (
        f" Left out: {count(untimed, 'rating')} ({share(untimed, sizes.ratings)}) without a time."
        if untimed
        else ""
    )
    if unit == "week":
        busiest = f"from {busiest} on"
    return Plot(
        timeline(labels, counts, f"ratings per {unit}"),
        f"The ratings were given from {period}; the busiest {unit}, {busiest}, has "
        f"{number(most)} of them, {share(most, sizes.timed)}.{without}",
        f"Bar chart: ratings per {unit}, {period}.",
        wide=True,
    )
