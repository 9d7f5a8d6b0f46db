"""Which layout a delivery has, told from its files."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from pathlib import Path

from jobs.release.layouts import ITEM_FIELDS, LAYOUTS, Layout
from jobs.release.own_layout import own_layout
from jobs.release.parts import candidates
from jobs.release.peeking import encoding_of, pieces
from jobs.runs.errors import JobError
from jobs.runs.settings.delivery import RELEASES, IngestSettings

MAX_GENRES = 1 << 16  # bytes of u.genre, which is read as one
# Of GroupLens's CSV files, whose columns never change.
HEADERS = ("userId,movieId,rating,timestamp", "movieId,title,genres")


def detect_layout(raw: Path, said: IngestSettings | None = None, source: str = "") -> Layout:
    """The layout of a delivery: GroupLens's, whatever the release is called, or somebody's own.

    `said` holds what conf says of own files, and `source` is what messages call the delivery.
    Raises JobError where its files cannot be read.
    """
    source = source or str(raw)
    of_grouplens = said is None or said.dataset in RELEASES
    found = {path.name for path in raw.iterdir() if path.is_file()}
    if said is None or not said.describes_files:
        for layout in LAYOUTS:
            if set(layout.required) <= found and (of_grouplens or not layout.ratings.header):
                if layout.ratings.header and not headers_are_usual(raw, layout):
                    break
                return grouplens_layout(raw, layout)
        if of_grouplens:
            refuse_incomplete(found, source)
    scale = LAYOUTS[-1] if of_grouplens else None
    return own_layout(raw, source, said, scale)


def refuse_incomplete(found: set[str], source: str) -> None:
    """Raise JobError for a release of GroupLens without one of its files, or another folder."""
    dated = [layout for layout in LAYOUTS if not layout.ratings.header]
    missing = [
        f"{name} is missing" for layout in dated if set(layout.required) & found
        for name in layout.required if name not in found
    ]  # fmt: skip
    if not missing and candidates(found):
        return
    # What else lies there may be anybody's: a source is any folder that somebody named.
    ours = sorted(name for name in found if any(name in layout.required for layout in LAYOUTS))
    expected = ", or ".join(" and ".join(layout.required) for layout in LAYOUTS)
    raise JobError(
        f"{source}: {' and '.join(missing) or 'this is no release that is read here'}. "
        f"Expected {expected}; found {', '.join(ours) or 'none of them'}."
    )


def headers_are_usual(raw: Path, layout: Layout) -> bool:
    """Whether CSV files have the columns of GroupLens's, in their order."""
    for name, expected in zip(layout.required, HEADERS, strict=True):
        with (raw / name).open(encoding="utf-8-sig", errors="replace") as lines:
            # No more of it than tells: who sends it says how long a line is.
            if lines.readline(1000).strip().replace('"', "") != expected:
                return False
    return True


def grouplens_layout(raw: Path, layout: Layout) -> Layout:
    """A layout of GroupLens, as the files of this delivery have it."""
    movies = layout.movies
    assert movies
    if layout.users and not (raw / layout.users.file).is_file():
        layout = replace(layout, users=None)
    if layout.ratings.header:
        return layout
    layout = replace(layout, encoding=encoding_of(raw / movies.file))
    if layout.genre_file:
        genres = read_genres(raw / layout.genre_file)
        flags = tuple(f"genre_{number}" for number in range(len(genres)))
        movies = replace(movies, fields=ITEM_FIELDS + flags)
        return replace(layout, movies=movies, genres=genres)
    step = rating_step_of(raw / layout.ratings.file)
    return replace(layout, rating_step=step, rating_range=(step, 5.0))


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
