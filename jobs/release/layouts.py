"""How a release lies in its files: which files, how fields are separated, which ratings exist.

Three layouts hold every release of GroupLens that has ratings, and the built-in sample:

    u.data, u.item        ml-100k
    ratings.dat           ml-1m and the sample, in whole stars; ml-10m, in half stars
    ratings.csv           ml-20m, ml-25m, ml-32m, ml-latest, ml-latest-small
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from jobs.runs.errors import JobError

RATING_FIELDS = ("user_id", "movie_id", "rating", "timestamp")
MOVIE_FIELDS = ("movie_id", "title", "genres")
# After these, u.item has a flag for each genre of u.genre.
ITEM_FIELDS = ("movie_id", "title", "release_date", "video_release_date", "url")
NO_GENRE = "unknown"


@dataclass(frozen=True)
class Table:
    """One file of a release: its name, what stands between its fields, and their names."""

    file: str
    separator: str
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """One way of writing a release."""

    ratings: Table
    movies: Table
    users: Table | None
    """None where the delivery has no such file."""
    header: bool
    encoding: str
    rating_step: float
    """Ratings run from this step to 5 in multiples of it."""
    genre_file: str | None = None
    genres: tuple[str, ...] = ()
    """What the genre flags of a movie stand for; empty where movies name their genres."""

    @property
    def rating_range(self) -> tuple[float, float]:
        return self.rating_step, 5.0

    @property
    def required(self) -> tuple[str, ...]:
        """The files that it cannot do without."""
        names = (self.ratings.file, self.movies.file, self.genre_file)
        return tuple(name for name in names if name)

    def __str__(self) -> str:
        tables = [table.file for table in (self.ratings, self.movies, self.users) if table]
        low, high = self.rating_range
        scale = f"ratings {low:g} to {high:g} in steps of {self.rating_step:g}"
        return f"{' and '.join(tables)} in {self.encoding}, {scale}"


# The only list of them: ingest checks a delivery by it, etl reads by it. Encoding and rating step
# are those of the release that needs no looking; detect_layout looks.
LAYOUTS = (
    Layout(
        Table("u.data", "\t", RATING_FIELDS),
        Table("u.item", "|", ITEM_FIELDS),
        Table("u.user", "|", ("user_id", "age", "gender", "occupation", "zip_code")),
        header=False,
        encoding="ISO-8859-1",
        rating_step=1.0,
        genre_file="u.genre",
    ),
    Layout(
        Table("ratings.dat", "::", RATING_FIELDS),
        Table("movies.dat", "::", MOVIE_FIELDS),
        Table("users.dat", "::", ("user_id", "gender", "age", "occupation", "zip_code")),
        header=False,
        encoding="ISO-8859-1",
        rating_step=1.0,
    ),
    Layout(
        Table("ratings.csv", ",", RATING_FIELDS),
        Table("movies.csv", ",", MOVIE_FIELDS),
        None,
        header=True,
        encoding="UTF-8",
        rating_step=0.5,
    ),
)


def find_layout(folder: Path, source: str) -> Layout:
    """The layout whose files are there. Raises JobError that names what is missing in `source`."""
    found = sorted(path.name for path in folder.iterdir() if path.is_file())
    for layout in LAYOUTS:
        if set(layout.required) <= set(found):
            return layout
    missing = [
        f"{name} is missing" for layout in LAYOUTS if set(layout.required) & set(found)
        for name in layout.required if name not in found
    ]  # fmt: skip
    # What else lies there may be anybody's: a source is any folder that somebody named.
    ours = [name for name in found if any(name in layout.required for layout in LAYOUTS)]
    expected = ", or ".join(" and ".join(layout.required) for layout in LAYOUTS)
    raise JobError(
        f"{source}: {' and '.join(missing) or 'this is no release that is read here'}. "
        f"Expected {expected}; found {', '.join(ours) or 'none of them'}."
    )


def detect_layout(raw: Path) -> Layout:
    """The layout of a delivery, told from its files, whatever the release is called.

    Raises JobError where it is none of ours.
    """
    layout = find_layout(raw, str(raw))
    if layout.users and not (raw / layout.users.file).is_file():
        layout = replace(layout, users=None)
    if layout.header:
        check_header(raw / layout.ratings.file, "userId,movieId,rating,timestamp")
        check_header(raw / layout.movies.file, "movieId,title,genres")
        return layout
    layout = replace(layout, encoding=encoding_of(raw / layout.movies.file))
    if layout.genre_file:
        genres = read_genres(raw / layout.genre_file)
        flags = tuple(f"genre_{number}" for number in range(len(genres)))
        movies = replace(layout.movies, fields=ITEM_FIELDS + flags)
        return replace(layout, movies=movies, genres=genres)
    return replace(layout, rating_step=rating_step_of(raw / layout.ratings.file))


PIECES, PIECE = 16, 1 << 16
MAX_GENRES = 1 << 16  # bytes of u.genre, which is read as one


def check_header(file: Path, expected: str) -> None:
    """Refuse a CSV file whose columns are not the ones that its rows are read as."""
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        # No more of it than tells: who sends it says how long a line is.
        found = lines.readline(1000).strip().replace('"', "")
    if found != expected:
        raise JobError(f"{file}: line 1: expected the header {expected}, found {found[:80]!r}.")


def encoding_of(file: Path) -> str:
    """UTF-8 if most lines with letters beyond ASCII are that; else ISO-8859-1, as any bytes are.

    Most, because one damaged line must not make the others unreadable, nor one cut at the edge of a
    piece.
    """
    lines = [line for piece in pieces(file) for line in piece.splitlines()]
    beyond = [line for line in lines if not line.isascii()]
    broken = [line for line in beyond if "\ufffd" in line.decode("UTF-8", "replace")]
    return "UTF-8" if len(broken) * 2 < len(beyond) else "ISO-8859-1"


def rating_step_of(file: Path) -> float:
    """0.5 if more than a tenth of the ratings of a '::' file are half stars; else 1.

    In ml-10m a fifth of them are. One of a few bad lines in ml-1m must not change its scale.
    """
    found = [
        rating for piece in pieces(file)
        for rating in re.findall(rb"^\d+::\d+::([0-9.]+)::", piece, re.MULTILINE)
    ]  # fmt: skip
    halves = sum(rating.endswith(b".5") for rating in found)
    return 0.5 if halves * 10 > len(found) else 1.0


def pieces(file: Path) -> Iterator[bytes]:
    """Pieces from all over a file; the whole of a small one."""
    size = file.stat().st_size
    with file.open("rb") as content:
        if size <= PIECES * PIECE:
            yield content.read()
            return
        for number in range(PIECES):
            content.seek(number * size // PIECES)
            yield content.read(PIECE)


def read_genres(file: Path) -> tuple[str, ...]:
    """The names of u.genre, in the order of the flags in u.item."""
    names: list[str] = []
    if file.stat().st_size > MAX_GENRES:
        raise JobError(
            f"{file}: expected a line for each genre, found {MAX_GENRES:,} bytes and more."
        )
    for number, line in enumerate(file.read_text("ISO-8859-1").splitlines(), 1):
        name, _, place = line.strip().rpartition("|")
        if not line.strip():
            continue
        if not name or place != str(len(names)):
            raise JobError(
                f"{file}: line {number}: expected a genre and its number, as in "
                f"Drama|{len(names)}, found {line[:80]!r}."
            )
        names.append("".join(char for char in name if unicodedata.category(char) != "Cc"))
    return tuple(names)
