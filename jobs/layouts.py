"""How a release lies in its files: which files, how fields are separated, which ratings exist."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jobs.errors import JobError

RATING_FIELDS = ["user_id", "movie_id", "rating", "timestamp"]
MOVIE_FIELDS = ["movie_id", "title", "genres"]
USER_FIELDS = ["user_id", "gender", "age", "occupation", "zip_code"]

# The README of ml-1m: a user's occupation is a number from 0 to 20.
OCCUPATIONS = [
    "other or not specified",
    "academic/educator",
    "artist",
    "clerical/admin",
    "college/grad student",
    "customer service",
    "doctor/health care",
    "executive/managerial",
    "farmer",
    "homemaker",
    "K-12 student",
    "lawyer",
    "programmer",
    "retired",
    "sales/marketing",
    "scientist",
    "self-employed",
    "technician/engineer",
    "tradesman/craftsman",
    "unemployed",
    "writer",
]


@dataclass(frozen=True)
class Layout:
    """One way of writing a release. Fields stand in the order of the *_FIELDS lists."""

    ratings: str
    movies: str
    users: str | None
    separator: str
    header: bool
    encoding: str
    rating_step: float
    """Ratings run from this step to 5 in multiples of it."""

    @property
    def rating_range(self) -> tuple[float, float]:
        return self.rating_step, 5.0


def detect_layout(raw: Path, release: str) -> Layout:
    """The layout of a delivery, told from its files. Raises JobError where it is none of ours."""
    step = 1.0 if release in ("sample", "ml-100k", "ml-1m") else 0.5
    if (raw / "ratings.dat").is_file():
        users = "users.dat" if (raw / "users.dat").is_file() else None
        encoding = "UTF-8" if release == "ml-10m" else "ISO-8859-1"
        return Layout("ratings.dat", "movies.dat", users, "::", False, encoding, step)
    if (raw / "ratings.csv").is_file():
        layout = Layout("ratings.csv", "movies.csv", None, ",", True, "UTF-8", step)
        check_header(raw / layout.ratings, "userId,movieId,rating,timestamp")
        check_header(raw / layout.movies, "movieId,title,genres")
        return layout
    found = ", ".join(sorted(path.name for path in raw.iterdir()))
    raise JobError(
        f"{raw}: expected ratings.dat and movies.dat, or ratings.csv and movies.csv; "
        f"found {found or 'nothing'}."
    )


def check_header(file: Path, expected: str) -> None:
    """Refuse a CSV file whose columns are not the ones that its rows are read as."""
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        found = lines.readline().strip().replace('"', "")
    if found != expected:
        raise JobError(f"{file}: line 1: expected the header {expected}, found {found[:80]!r}.")
