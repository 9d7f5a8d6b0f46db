"""How a delivery of one's own lies in its files: as conf says, else told from them.

One file holds the ratings, another may hold the movies; each is CSV or like it. Columns are found
by the names in the first line, or, where there are none, by their order: user, movie, rating, time;
of titles movie, title, genres. Separator and unit of time are told from lines all over the file.
Contents are shown of files that are called ratings or movies, and of those that hold ratings: any
other may be anybody's.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path, PurePath

from jobs.release.layouts import TABLES, Layout, Table
from jobs.release.peeking import PIECE, encoding_of, whole_lines
from jobs.runs.errors import JobError
from jobs.runs.settings.delivery import ColumnSettings, IngestSettings

SEPARATORS = ("\t", ";", "|", "::", ",")
# Files that lie beside ratings.
OTHERS = {"movies", "users", "tags", "links", "readme", "licence", "license"}
# What columns are usually called, without regard to case, spaces and marks between words.
USUAL: dict[str, tuple[str, ...]] = {
    "user": ("user", "userid", "uid", "customer", "customerid", "reviewer", "reviewerid"),
    "movie": (
        "movie",
        "movieid",
        "film",
        "filmid",
        "item",
        "itemid",
        "iid",
        "product",
        "productid",
    ),
    "rating": ("rating", "ratings", "score", "stars", "overall"),
    "time": ("timestamp", "time", "date", "datetime", "ratedat", "unixtime"),
    "title": ("title", "name", "movietitle", "originaltitle"),
    "genres": ("genres", "genre", "categories", "category"),
}
FIELDS = {
    "user": "user_id",
    "movie": "movie_id",
    "rating": "rating",
    "time": "timestamp",
    "title": "title",
    "genres": "genres",
}
NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?")
ID = re.compile(r"\d+(\.0+)?")
LARGEST_ID = 2**31 - 1
# Times by what most of them look like.
TIMES: dict[str, str] = {
    # Before seconds: so few of these are of the year 1970 only.
    "yyyyMMdd": r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])",
    "seconds": r"\d{1,10}(\.\d+)?",
    "milliseconds": r"\d{12,13}(\.0+)?",
    "microseconds": r"\d{15,16}(\.0+)?",
    "dates": r"\d{4}-\d\d?-\d\d?([ T].*)?",
}
# Lines that are looked at.
ENOUGH = 20_000
# Of the first line: who sends it says how long it is.
MOST_COLUMNS = 1000


def candidates(names: Collection[str]) -> list[str]:
    """Which of the files may hold ratings, best first; several only where none is called so."""
    tables = sorted(name for name in names if PurePath(name).suffix.lower() in TABLES)
    named = [name for name in tables if PurePath(name).stem.lower() == "ratings"]
    return named or [name for name in tables if PurePath(name).stem.lower() not in OTHERS]


def own_layout(raw: Path, source: str, said: IngestSettings | None, scale: Layout | None) -> Layout:
    """The layout of somebody's own files; `scale` is another's whose ratings there are.

    Raises JobError that says what cannot be told, and which setting says it.
    """
    settings = said.columns if said else ColumnSettings()
    names = {path.name for path in raw.iterdir() if path.is_file()}
    found = candidates(names)
    if len(found) != 1:
        raise JobError(
            f"{source} holds {len(found) or 'no'} files that may be its ratings. Expected one that "
            f"ends in {', '.join(sorted(TABLES))}; of several, call it ratings.csv, and the one "
            "of titles movies.csv."
        )
    file = raw / found[0]
    ratings = Peeked(file, source, said.separator if said else None)
    table, aside = ratings.table(("user", "movie", "rating"), ("time",), settings)
    for name in ("user_id", "movie_id"):
        ratings.refuse_other_ids(table, name)
    movies = None
    encoding = encoding_of(file)
    for name in sorted(names):
        if PurePath(name).stem.lower() == "movies" and PurePath(name).suffix.lower() in TABLES:
            peeked = Peeked(raw / name, source, said.separator if said else None)
            # A number is that of the ratings' column.
            by_name = {"movie": None} if isinstance(settings.movie, int) else {}
            named = settings.model_copy(update=by_name)
            movies, others = peeked.table(("movie", "title"), ("genres",), named)
            encoding, aside = encoding_of(raw / name), aside + others
    asked = said.time if said else None
    low_high = said.rating_scale if said else None
    return Layout(
        table,
        movies,
        None,
        encoding=encoding,
        rating_step=scale.rating_step if scale and not low_high else None,
        rating_range=low_high or (scale.rating_range if scale else None),
        time=(asked or ratings.time(table)) if "timestamp" in table.fields else "none",
        own=True,
        aside=tuple(aside),
    )


class Peeked:
    """The first line of a file, and others from all over it, cut into fields."""

    def __init__(self, file: Path, source: str, separator: str | None) -> None:
        self.file, self.label = file, f"{source}: {file.name}"
        with file.open("rb") as content:
            start = content.read(4)
        if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise JobError(f"{self.label} is written in UTF-16. Save it as UTF-8.")
        if start == b"PAR1":
            raise JobError(f"{self.label} is Parquet, which is not read here. Write it as CSV.")
        lines = list(islice(whole_lines(file, "UTF-8"), ENOUGH))
        if not lines:
            raise JobError(f"{self.label}: expected lines of at most {PIECE:,} bytes, found none.")
        self.separator = separator or usual_separator(lines)
        self.first, *self.rows = (self.cut(line) for line in lines)
        self.header = not any(map(NUMBER.fullmatch, self.first))
        if not self.header:
            self.rows.insert(0, self.first)

    def cut(self, line: str) -> list[str]:
        fields = (
            line.split(self.separator) if len(self.separator) > 1 else one_row(line, self.separator)
        )
        return [field.strip() for field in fields[:MOST_COLUMNS]]

    @property
    def shown(self) -> str:
        """The names of its columns, of a file that is called as one of ours."""
        if self.file.stem.lower() not in ("ratings", "movies") or not self.header:
            return ""
        return f" Its columns: {', '.join(self.first)[:200]}."

    def table(
        self, needed: tuple[str, ...], more: tuple[str, ...], said: ColumnSettings
    ) -> tuple[Table, list[str]]:
        """Its table, and the columns that nobody reads. Raises JobError if a needed one lacks."""
        order = (*needed, *more)
        places = {role: self.place(role, getattr(said, role), order) for role in order}
        for role in more:
            # By order it may stand where conf says that another does.
            if getattr(said, role) is None and places[role] in [places[each] for each in needed]:
                places[role] = None
        for role in needed:
            if places[role] is None:
                how = (
                    f"one of {', '.join(USUAL[role][:4])}"
                    if self.header
                    else "a first line of names"
                )
                raise JobError(
                    f"{self.label} has no column of the {role}: expected {how}, or its name or "
                    f"number in ingest.columns.{role}.{self.shown}"
                )
        roles = {place: role for role, place in places.items() if place is not None}
        if len(roles) < sum(place is not None for place in places.values()):
            raise JobError(f"{self.label}: ingest.columns names one column twice.")
        fields = [
            FIELDS[roles[place]] if place in roles else f"aside_{place + 1}"
            for place in range(len(self.first))
        ]
        aside = [
            name if self.header else f"column {place + 1}"
            for place, name in enumerate(self.first) if place not in roles
        ]  # fmt: skip
        quoted = len(self.separator) == 1
        return Table(self.file.name, self.separator, tuple(fields), self.header, quoted), aside

    def place(self, role: str, said: str | int | None, order: tuple[str, ...]) -> int | None:
        """Where the column of a role stands, from 0; None if there is none.

        `order`: of the roles of all columns, where these have no names.
        """
        if isinstance(said, int):
            if said > len(self.first):
                raise JobError(
                    f"{self.label} has {len(self.first)} columns, and ingest.columns.{role} is "
                    f"{said}.{self.shown}"
                )
            return said - 1
        if said is not None:
            places = [place for place, name in enumerate(self.first) if name == said]
            # A file of titles may call its ids otherwise.
            if places or role not in ("movie", "title", "genres"):
                return self.the_only(role, places) if places and self.header else None
        if not self.header:
            place = order.index(role)
            return place if place < len(self.first) else None
        names = [re.sub(r"[\W_]", "", name).lower() for name in self.first]
        return self.the_only(role, [n for n, name in enumerate(names) if name in USUAL[role]])

    def the_only(self, role: str, places: list[int]) -> int | None:
        if len(places) > 1:
            raise JobError(
                f"{self.label} has {len(places)} columns that may be the {role}. Say which, by its "
                f"name or number, in ingest.columns.{role}.{self.shown}"
            )
        return places[0] if places else None

    def values(self, table: Table, name: str) -> Iterator[str]:
        """What a column holds, in the lines that were looked at and have as many fields."""
        place = table.fields.index(name)
        return (row[place] for row in self.rows if len(row) == len(table.fields))

    def refuse_other_ids(self, table: Table, name: str) -> None:
        """Raise JobError where most ids are no whole numbers that the tables hold."""
        found = list(self.values(table, name))
        for problem, wrong in (
            ("no whole numbers", [value for value in found if not ID.fullmatch(value)]),
            (
                f"beyond {LARGEST_ID}",
                [value for value in found if ID.fullmatch(value) and float(value) > LARGEST_ID],
            ),
        ):
            if len(wrong) * 2 > len(found):
                raise JobError(
                    f"{self.label}: {name} holds ids that are {problem}, as {wrong[0][:40]!r}. "
                    f"Tables hold whole numbers from 1 to {LARGEST_ID}: number them first, as "
                    "docs/your-own-data.md shows."
                )

    def time(self, table: Table) -> str:
        """How most times are written; `none` if all are empty."""
        counts = Counter(map(kind_of_time, filter(None, self.values(table, "timestamp"))))
        if not counts:
            return "none"
        [(kind, _)] = counts.most_common(1)
        if not kind:
            raise JobError(
                f"{self.label}: times are neither seconds, milliseconds or microseconds since 1970 "
                "nor dates as 2018-01-17. Say how they are written in ingest.time, as in "
                "--set ingest.time=dd.MM.yyyy"
            )
        return kind


def kind_of_time(text: str) -> str:
    return next((kind for kind, form in TIMES.items() if re.fullmatch(form, text)), "")


def one_row(line: str, separator: str) -> list[str]:
    """The fields of a line of CSV; none of one that is no CSV."""
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return []


def usual_separator(lines: Iterable[str]) -> str:
    """What cuts most lines into equally many fields, at least two; a comma if nothing does."""
    some = list(islice(lines, 200))

    def agreeing(separator: str) -> tuple[int, int]:
        cut: Callable[[str], list[str]] = (
            (lambda line: line.split(separator))
            if len(separator) > 1
            else (lambda line: one_row(line, separator))
        )
        counts = Counter(len(cut(line)) for line in some)
        counts.pop(1, None)
        counts.pop(0, None)
        [(fields, share)] = counts.most_common(1) or [(0, 0)]
        return share, fields

    return max(reversed(SEPARATORS), key=agreeing)
