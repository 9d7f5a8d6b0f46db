"""What a file of a release says of itself: header, encoding, rating scale, genres.

Of a large file, pieces from all over it are looked at, so that it takes no time to ask again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from jobs.errors import JobError

PIECES, PIECE = 16, 1 << 16


def check_header(file: Path, expected: str) -> None:
    """Refuse a CSV file whose columns are not the ones that its rows are read as."""
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        found = lines.readline().strip().replace('"', "")
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
    for number, line in enumerate(file.read_text("ISO-8859-1").splitlines(), 1):
        name, _, place = line.strip().rpartition("|")
        if not line.strip():
            continue
        if not name or place != str(len(names)):
            raise JobError(
                f"{file}: line {number}: expected a genre and its number, as in "
                f"Drama|{len(names)}, found {line[:80]!r}."
            )
        names.append(name)
    return tuple(names)
