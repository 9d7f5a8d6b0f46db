"""The size of a release, and what is missing or faulty in it."""

from __future__ import annotations

from duckdb import DuckDBPyConnection

from jobs.pages.page import Part, Section, Table, Text, count, listed, number, share
from jobs.pages.tables import Overall, has_details

# What would make a row doubtful: table, what is looked for, and the condition in SQL.
FAULTS = [
    ("ratings", "rating missing", "rating is null"),
    (
        "ratings",
        "rating not 0.5 to 5 in halves",
        "rating not between 0.5 and 5 or rating * 2 % 1 > 0",
    ),
    ("ratings", "time missing", "rated_at is null"),
    ("movies", "title missing", "coalesce(title, '') = ''"),
    ("movies", "no release year", "year is null"),
    ("movies", "release year before 1880 or in the future", "year < 1880 or year > {year} + 1"),
    ("movies", "no genre", "coalesce(len(genres), 0) = 0"),
    ("users", "gender missing", "coalesce(gender, '') = ''"),
    ("users", "age missing", "age is null"),
    ("users", "occupation missing", "coalesce(occupation, '') = ''"),
    ("users", "zip code missing", "coalesce(zip_code, '') = ''"),
]
ORPHANS = [
    (
        "ratings",
        "movie not in movies",
        "select sum(ratings) from movie_counts anti join movies using (movie_id)",
    ),
    (
        "ratings",
        "user not in users",
        "select sum(ratings) from user_counts anti join users using (user_id)",
    ),
]


def faults(connection: DuckDBPyConnection, year: int) -> list[tuple[str, str, int]]:
    """Table, fault, rows with it. Details of users count only where the release has any."""
    found = []
    for table in ("ratings", "movies", "users"):
        if table == "users" and not has_details(connection):
            continue
        checks = [(name, test.format(year=year)) for of, name, test in FAULTS if of == table]
        counts = ", ".join(f"count(*) filter (where {condition})" for _, condition in checks)
        row = connection.execute(f"select {counts} from {table}").fetchone() or ()
        found += [(table, name, rows) for (name, _), rows in zip(checks, row, strict=True)]
        for name, query in [(name, query) for of, name, query in ORPHANS if of == table]:
            [(rows,)] = connection.execute(query).fetchall()
            found.append((table, name, int(rows or 0)))
    return found


def faulty_values(connection: DuckDBPyConnection, sizes: Overall, year: int) -> Section:
    """Missing and faulty values of each table, and the lines that cleaning set aside."""
    found = faults(connection, year)
    rows = {"ratings": sizes.ratings, "movies": sizes.movies, "users": sizes.users}
    bad = {table for table, _, n in found if n}
    clean = [table for table in dict.fromkeys(table for table, *_ in found) if table not in bad]
    parts: list[Part] = []
    if clean:
        parts.append(Text(f"No missing or faulty values were found in {listed(clean)}."))
    if not has_details(connection):
        parts.append(Text("The release says nothing about its users but their ids."))
    cells = [
        (table, fault, number(n) if n else "none", share(n, rows[table]))
        for table, fault, n in found
    ]
    headers = ["Table", "Looked for", "Rows", "Share"]
    numbers = frozenset({"Rows", "Share"})
    parts.append(Table("Checks of the clean tables", headers, cells, numbers))
    return Section("Missing and faulty values", [*parts, *quarantined(connection)])


def quarantined(connection: DuckDBPyConnection) -> list[Part]:
    """The lines in quarantine by reason, the found value left out, each with an example."""
    # What was found stands after the comma; ids stand in the middle of their reasons.
    reasons = connection.execute(r"""
        select regexp_replace(regexp_replace(reason, ', found .*$', '', 's'), '_id \d+', '_id'),
            count(*), file, arg_min(line, line), arg_min(content, line)
        from quarantine group by 1, file order by 2 desc, 1, file
        """).fetchall()
    if not reasons:
        return [Text("No line of the delivery had to be set aside: the quarantine is empty.")]
    lines = sum(n for _, n, *_ in reasons)
    cells = [
        (reason, number(n), f"{file}, line {line:,}: {content[:120]}")
        for reason, n, file, line, content in reasons
    ]
    were = "was" if lines == 1 else "were"
    return [
        Text(f"{count(lines, 'line')} of the delivery {were} set aside and used for nothing."),
        Table("Quarantine by reason", ["Reason", "Lines", "Example"], cells, frozenset({"Lines"})),
    ]
