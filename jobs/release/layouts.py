"""How a release lies in its files: which files, how fields are separated, which ratings exist.

Three layouts hold every release of GroupLens that has ratings, and the built-in sample:

    u.data, u.item        ml-100k
    ratings.dat           ml-1m and the sample, in whole stars; ml-10m, in half stars
    ratings.csv           ml-20m, ml-25m, ml-32m, ml-latest, ml-latest-small

Other files are somebody's own: jobs/release/own_layout.py tells how they are written.
"""

from __future__ import annotations

from dataclasses import dataclass

RATING_FIELDS = ("user_id", "movie_id", "rating", "timestamp")
MOVIE_FIELDS = ("movie_id", "title", "genres")
# After these, u.item has a flag for each genre of u.genre.
ITEM_FIELDS = ("movie_id", "title", "release_date", "video_release_date", "url")
NO_GENRE = "unknown"
# What ids are: whole numbers from 1 to 2^31 - 1, which are kept as they are; such to 2^63 - 1; or
# any text. Each is also one of the next kind.
ID_KINDS = {
    "int": "whole numbers from 1 to 2147483647",
    "bigint": "whole numbers from 1 to 9223372036854775807",
    "string": "text",
}
# Ends of the names of files that may hold a table.
TABLES = {".csv", ".tsv", ".tab", ".txt", ".dat", ".data", ".parquet"}


@dataclass(frozen=True)
class Table:
    """One file of a release: its path, what stands between its fields, and their names."""

    file: str
    separator: str
    fields: tuple[str, ...]
    header: bool = False
    """Whether the first line names the fields."""
    quoted: bool = False
    """Whether a field may stand in quotes, as in CSV."""
    parts: tuple[str, ...] = ()
    """Further files that hold more of its rows, written as the first one."""
    names: tuple[str, ...] = ()
    """Of Parquet, what its columns are called there; empty where files hold lines."""

    @property
    def files(self) -> tuple[str, ...]:
        """All of its files, in the order of its rows."""
        return (self.file, *self.parts)

    @property
    def name(self) -> str:
        """What messages call it."""
        more = len(self.parts)
        return f"{self.file} and {more} more part{'s' * (more > 1)}" if more else self.file


@dataclass(frozen=True)
class Layout:
    """One way of writing a release."""

    ratings: Table
    movies: Table | None
    """None where ratings alone were delivered: then the movies are those rated."""
    users: Table | None
    """None where the delivery has no such file."""
    encoding: str
    rating_step: float | None
    """Ratings are multiples of this step; None: any number."""
    rating_range: tuple[float, float] | None
    """The lowest and the highest rating that there can be; None: those of the data."""
    genre_file: str | None = None
    genres: tuple[str, ...] = ()
    """What the genre flags of a movie stand for; empty where movies name their genres."""
    time: str = "seconds"
    """How times are written: in seconds, milli-, micro- or nanoseconds since 1970, as ISO 8601's
    `dates`, or as a pattern of Spark says; `none`: there are none."""
    own: bool = False
    """Written by whoever: numbers may have spaces around them, whole ones end in `.0`, others hold
    a decimal comma, and a time may be missing."""
    aside: tuple[str, ...] = ()
    """Columns that are not read, by name or number."""
    user_ids: str = "int"
    """What ids of users are, one of ID_KINDS."""
    movie_ids: str = "int"

    @property
    def tables(self) -> tuple[Table, ...]:
        return tuple(table for table in (self.ratings, self.movies, self.users) if table)

    @property
    def required(self) -> tuple[str, ...]:
        """The files that it cannot do without."""
        movies = self.movies.file if self.movies else None
        return tuple(name for name in (self.ratings.file, movies, self.genre_file) if name)

    def ids_of(self, entity: str) -> str:
        """What ids of users or movies are, one of ID_KINDS."""
        return self.user_ids if entity == "user" else self.movie_ids

    @property
    def implicit(self) -> bool:
        """Whether no rating is delivered, so that every line is a one."""
        return "rating" not in self.ratings.fields

    @property
    def deletes(self) -> bool:
        """Whether a line may say that there is no rating any more."""
        return "deleted" in self.ratings.fields

    @property
    def scale(self) -> str:
        """Which ratings there are, in words."""
        if not self.rating_range:
            return "any number"
        low, high = self.rating_range
        steps = f" in steps of {self.rating_step:g}" if self.rating_step else ""
        return f"{low:g} to {high:g}{steps}"

    def __str__(self) -> str:
        files = " and ".join(table.name for table in self.tables)
        scale = f"ratings {self.scale}" if self.rating_range else "ratings on a scale of their own"
        scale = "every line a one" if self.implicit else scale
        words = [f"{files} in {self.encoding}", scale]
        if self.own:
            words += ["no times" if self.time == "none" else f"times as {self.time}"]
            kinds = {"users": self.user_ids, "movies": self.movie_ids}
            words += [f"ids of {k} as {ID_KINDS[v]}" for k, v in kinds.items() if v != "int"]
            words += ["deletions by a column"] if self.deletes else []
            words += [] if self.movies else ["titles are the ids, for there is no file of movies"]
        if self.aside:
            words.append(f"kept aside: {', '.join(self.aside)}")
        return ", ".join(words)


# The only list of them: ingest checks a delivery by it, etl reads by it. Encoding and rating step
# are those of the release that needs no looking; jobs/release/detection.py looks.
LAYOUTS = (
    Layout(
        Table("u.data", "\t", RATING_FIELDS),
        Table("u.item", "|", ITEM_FIELDS),
        Table("u.user", "|", ("user_id", "age", "gender", "occupation", "zip_code")),
        encoding="ISO-8859-1",
        rating_step=1.0,
        rating_range=(1.0, 5.0),
        genre_file="u.genre",
    ),
    Layout(
        Table("ratings.dat", "::", RATING_FIELDS),
        Table("movies.dat", "::", MOVIE_FIELDS),
        Table("users.dat", "::", ("user_id", "gender", "age", "occupation", "zip_code")),
        encoding="ISO-8859-1",
        rating_step=1.0,
        rating_range=(1.0, 5.0),
    ),
    Layout(
        Table("ratings.csv", ",", RATING_FIELDS, header=True, quoted=True),
        Table("movies.csv", ",", MOVIE_FIELDS, header=True, quoted=True),
        None,
        encoding="UTF-8",
        rating_step=0.5,
        rating_range=(0.5, 5.0),
    ),
)
