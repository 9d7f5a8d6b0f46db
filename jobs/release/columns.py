"""Which column of own files is which: as conf says, else told from their lines.

Columns are found by the names in the first line, or, where there are none, by their order: user,
movie, rating, time; of titles movie, title, genres. Separator and unit of time are told from lines
all over the files. Contents are shown of files that are called ratings or movies, and of those that
hold ratings: any other may be anybody's.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice

from jobs.release.layouts import ID_KINDS, Table
from jobs.release.parts import Named
from jobs.release.peeking import PARQUET, PIECE, whole_lines
from jobs.runs.errors import JobError
from jobs.runs.settings.delivery import ColumnSettings

SEPARATORS = ("\t", ";", "|", "::", ",")
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
        "book",
        "bookid",
        "isbn",
        "game",
        "gameid",
        "appid",
        "joke",
        "jokeid",
    ),
    "rating": ("rating", "ratings", "score", "stars", "overall", "bookrating"),
    "time": ("timestamp", "time", "date", "datetime", "ratedat", "unixtime"),
    # Never by its name alone: in many files it says something else.
    "deleted": (),
    "title": ("title", "name", "movietitle", "originaltitle"),
    "genres": ("genres", "genre", "categories", "category"),
}
FIELDS = {
    "user": "user_id",
    "movie": "movie_id",
    "rating": "rating",
    "time": "timestamp",
    "deleted": "deleted",
    "title": "title",
    "genres": "genres",
}
NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?")
WHOLE = re.compile(r"[0-9]{1,19}(\.0+)?")
LARGEST_ID, LARGEST_LONG = 2**31 - 1, 2**63 - 1
# Times by what most of them look like.
TIMES: dict[str, str] = {
    # Before seconds: so few of these are of the year 1970 only.
    "yyyyMMdd": r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])",
    "seconds": r"\d{1,10}(\.\d+)?",
    "milliseconds": r"\d{12,13}(\.0+)?",
    "microseconds": r"\d{15,16}(\.0+)?",
    "nanoseconds": r"\d{18,19}",
    "dates": r"\d{4}-\d\d?-\d\d?([ T].*)?",
}
# Lines that are looked at.
ENOUGH = 20_000
# Of the first line: who sends it says how long it is.
MOST_COLUMNS = 1000


class Peeked:
    """The first line of a table's files, and others from all over them, cut into fields."""

    def __init__(self, named: Named, separator: str | None) -> None:
        self.named, self.label = named, named.label(named.files[0])
        few = -(-ENOUGH // len(named.files))
        first, *others = ([*islice(lines_of(named, file), few)] for file in named.files)
        self.separator = separator or usual_separator(first)
        self.first = self.cut(first[0])
        if re.fullmatch(r"\d+:", first[0].strip()):
            raise JobError(
                f"{self.label} begins with {first[0].strip()[:20]}, as files of the Netflix prize "
                "do, where a movie's number stands above its ratings. Put it into each line: "
                "awk -F: 'NF == 2 {movie = $1; next} {print movie \",\" $0}', and set "
                "ingest.columns to {movie: 1, user: 2, rating: 3, time: 4}."
            )
        self.header = not any(map(NUMBER.fullmatch, self.first))
        for file, lines in zip(named.files[1:], others, strict=True):
            self.refuse_other_columns(file, self.cut(lines[0]))
        begin = 1 if self.header else 0
        self.rows = [self.cut(line) for lines in (first, *others) for line in lines[begin:]]

    def refuse_other_columns(self, file: str, first: list[str]) -> None:
        """Raise JobError where a part does not begin as the first one does."""
        same = first == self.first if self.header else len(first) == len(self.first)
        if not same:
            raise JobError(
                f"{self.named.label(file)} has other columns than {self.named.files[0]}. The parts "
                "of a table have the same in the same order, and either all begin with their "
                "names or none."
            )

    def cut(self, line: str) -> list[str]:
        fields = (
            line.split(self.separator) if len(self.separator) > 1 else one_row(line, self.separator)
        )
        return [field.strip() for field in fields[:MOST_COLUMNS]]

    @property
    def shown(self) -> str:
        """The names of its columns, of a file that is called as one of ours."""
        if not self.named.usual or not self.header:
            return ""
        return f" Its columns: {', '.join(self.first)[:200]}."

    def lacks_ratings(self, said: ColumnSettings) -> bool:
        """Whether there is nothing but user, movie and perhaps time, so that a line is a one.

        Or, where conf names a column that deletes, that too.

        Where a column is that nobody asks for, it may be the rating.
        """
        deletions = of_deletions(said)
        if not self.header:
            return len(self.first) == 2 + len(deletions)
        roles = ("user", "movie", "rating", "time", *deletions)
        places = {role: self.place(role, getattr(said, role), roles) for role in roles}
        found = sum(place is not None for place in places.values())
        return places["rating"] is None and found == len(self.first)

    def table(
        self, needed: tuple[str, ...], more: tuple[str, ...], said: ColumnSettings
    ) -> tuple[Table, list[str]]:
        """Its table, and the columns that nobody reads. Raises JobError if a needed one lacks."""
        order = (*needed, *more)
        places = {role: self.place(role, getattr(said, role), order) for role in order}
        for role in more:
            # By order it may stand where conf says that another does.
            others = [places[each] for each in order if each != role]
            if getattr(said, role) is None and places[role] in others:
                places[role] = None
        for role in needed:
            if places[role] is None:
                how = (
                    f"one of {', '.join(USUAL[role][:4])}"
                    if self.header
                    else "a first line of names"
                )
                ones = " If every line is a one, set ingest.implicit to true." * (role == "rating")
                raise JobError(
                    f"{self.label} has no column of the {role}: expected {how}, or its name or "
                    f"number in ingest.columns.{role}.{ones}{self.shown}"
                )
        roles: dict[int, str] = {}
        for role, place in places.items():
            if place is not None and (other := roles.setdefault(place, role)) != role:
                # In a file of titles, numbers in conf would be those of the ratings' file.
                how = (
                    "Give the file a first line of names, as movie,title,genres."
                    if "title" in order and not self.header
                    else f"Say in ingest.columns.{other} and ingest.columns.{role} which each is."
                )
                raise JobError(
                    f"{self.label}: column {place + 1} would be both the {other} and the {role}. "
                    f"{how}"
                )
        fields = [
            FIELDS[roles[place]] if place in roles else f"aside_{place + 1}"
            for place in range(len(self.first))
        ]
        aside = [
            name if self.header else f"column {place + 1}"
            for place, name in enumerate(self.first) if place not in roles
        ]  # fmt: skip
        quoted = len(self.separator) == 1
        file, *parts = self.named.files
        table = Table(file, self.separator, tuple(fields), self.header, quoted, tuple(parts))
        return table, aside

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

    def ids(self, table: Table, name: str) -> str:
        """What ids a column holds, one of ID_KINDS.

        They are text where a number begins with a 0, or more than a tenth are no numbers. Raises
        JobError where most are other numbers than whole ones: they belong to another column, or
        have lost their last digits.
        """
        found = [value for value in self.values(table, name) if value]
        whole = [value.partition(".")[0] for value in found if WHOLE.fullmatch(value)]
        fitting = [int(digits) for digits in whole if int(digits) <= LARGEST_LONG]
        decimal = [value for value in found if NUMBER.fullmatch(value) and not value.isdigit()]
        decimal = [value for value in decimal if not WHOLE.fullmatch(value)]
        if len(decimal) * 2 > len(found):
            raise JobError(
                f"{self.label}: {name} holds numbers that are no ids, as {decimal[0][:40]!r}. "
                f"Expected {ID_KINDS['int']}, or text. If they are in the right column, set "
                f"ingest.ids to string; if not, say in ingest.columns which it is.{self.shown}"
            )
        padded = any(digits[0] == "0" and len(digits) > 1 for digits in whole)
        if padded or (len(found) - len(fitting) - len(decimal)) * 10 > len(found):
            return "string"
        return "bigint" if max(fitting, default=0) > LARGEST_ID else "int"

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


def of_deletions(said: ColumnSettings) -> tuple[str, ...]:
    """The role of the column that deletes ratings, where conf names one."""
    return ("deleted",) if said.deleted is not None else ()


def lines_of(named: Named, file: str) -> Iterator[str]:
    """Lines from all over a file, at least one. Raises JobError where it holds none."""
    path, label = named.raw / file, named.label(file)
    with path.open("rb") as content:
        start = content.read(4)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise JobError(f"{label} is written in UTF-16. Save it as UTF-8.")
    if start == PARQUET:
        raise JobError(f"{label} is Parquet, and {named.files[0]} is not. Write both as one.")
    lines = whole_lines(path, "UTF-8")
    first = next(lines, None)
    if first is None:
        raise JobError(f"{label}: expected lines of at most {PIECE:,} bytes, found none.")
    return chain([first], lines)


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
