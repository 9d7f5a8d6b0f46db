"""Mean ratings: of movies by genre and release year, of users by age, gender and occupation."""

from __future__ import annotations

from duckdb import DuckDBPyConnection

from jobs.pages.page import Part, Plot, Section, Text, count, number
from jobs.pages.plots import dots, lines
from jobs.pages.tables import Overall, has_details

# Means of fewer ratings than this say more about chance.
ENOUGH = 50
# ml-1m gives an age as the lower end of a range.
AGES = {1: "under 18", 18: "18–24", 25: "25–34", 35: "35–44", 45: "45–49", 50: "50–55", 56: "56+"}
GENDERS = {"F": "women", "M": "men"}
Groups = list[tuple[str, float, int]]


def means(connection: DuckDBPyConnection, sizes: Overall) -> Section:
    """Who and what is rated well."""
    genres: Groups = connection.execute("""
        select genre, sum(total) / sum(ratings), sum(ratings)::bigint
        from (select movie_id, unnest(genres) genre from movies)
        join movie_counts using (movie_id)
        group by genre having sum(ratings) > 0 order by 2 desc, genre
        """).fetchall()
    parts: list[Part] = [comparison(genres, sizes, "genre")] if genres else []
    if has_details(connection):
        ages = {row[0] for row in connection.execute("select distinct age from users").fetchall()}
        codes = ages - {None} <= set(AGES)
        by_age = groups(connection, "age" if codes else "(age // 10 * 10)", "1")
        if codes:
            by_age = [(AGES[int(age)], mean, n) for age, mean, n in by_age]
        else:
            by_age = [(f"{age}–{int(age) + 9}", mean, n) for age, mean, n in by_age]
        genders = groups(connection, "gender", "2 desc, 1")
        genders = [(GENDERS.get(gender, gender), mean, n) for gender, mean, n in genders]
        occupations = groups(connection, "occupation", "2 desc, 1")
        for name, found in (("occupation", occupations), ("age", by_age), ("gender", genders)):
            if found:
                parts.append(comparison(found, sizes, name))
    else:
        parts.append(Text("Nothing is known of the users: no means by age, gender and occupation."))
    return Section("Mean ratings", [*parts, by_year(connection, sizes)])


def groups(connection: DuckDBPyConnection, by: str, order: str) -> Groups:
    """The mean rating and number of ratings of each group of users; unknown ones are left out."""
    return connection.execute(f"""
        select {by}, sum(total) / sum(ratings), sum(ratings)::bigint
        from users join user_counts using (user_id) where nullif({by}::text, '') is not null
        group by 1 having sum(ratings) > 0 order by {order}
        """).fetchall()


def comparison(found: Groups, sizes: Overall, name: str) -> Plot:
    """A plot of the groups' means, and which are the highest and the lowest."""
    # A group that hardly anybody is in may be drawn, and is not worth a sentence.
    weighty = [row for row in found if row[2] >= ENOUGH] or found
    best, worst = max(weighty, key=lambda row: row[1]), min(weighty, key=lambda row: row[1])
    sentence = f"Highest mean rating by {name}: {best[0]}, {number(best[1], 2)}"
    if best != worst:
        sentence += f"; lowest: {worst[0]}, {number(worst[1], 2)}"
    labels, values = [str(label) for label, *_ in found], [mean for _, mean, _ in found]
    shown = ", ".join(f"{a}: {b:.2f}" for a, b in zip(labels, values, strict=True))
    return Plot(
        dots(labels, values, sizes.mean),
        f"{sentence}. The upright line is the mean of all, {number(sizes.mean, 2)}.",
        f"Mean rating by {name}. {shown}",
    )


def by_year(connection: DuckDBPyConnection, sizes: Overall) -> Part:
    """The mean rating of each release year's movies."""
    found = connection.execute(
        """
        select year, sum(total) / sum(ratings) from movies join movie_counts using (movie_id)
        where year is not null group by year having sum(ratings) >= ? order by year
        """,
        [ENOUGH],
    ).fetchall()
    if len(found) < 2:
        return Text(f"Fewer than two release years have {ENOUGH} ratings: no means by year.")
    best, worst = max(found, key=lambda row: row[1]), min(found, key=lambda row: row[1])
    years, values = [year for year, _ in found], [mean for _, mean in found]
    half = len(found) // 2
    early, late = sum(values[:half]) / half, sum(values[half:]) / (len(values) - half)
    older = "better" if early > late else "worse"
    return Plot(
        lines(years, {"mean": values}, "release year", "mean rating", wide=True),
        f"Movies of {best[0]} are rated best, {number(best[1], 2)}, those of {worst[0]} worst, "
        f"{number(worst[1], 2)}; the older half of the years is rated {older} than the newer one, "
        f"{number(early, 2)} against {number(late, 2)}. "
        f"Only the {count(len(found), 'year')} with {ENOUGH} ratings or more are drawn.",
        f"Curve: mean rating by release year, {years[0]} to {years[-1]}.",
        wide=True,
    )
