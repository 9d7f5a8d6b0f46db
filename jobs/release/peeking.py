"""Parts of a file, as many as tell how it is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

PIECES, PIECE = 16, 1 << 16
# What Parquet begins with.
PARQUET = b"PAR1"


def encoding_of(*files: Path) -> str:
    """UTF-8 if most lines with letters beyond ASCII are that, or there are none; else ISO-8859-1.

    Any bytes are that. Most, because one damaged line must not make the others unreadable, nor one
    cut at the edge of a piece. Of many parts of a table, some are looked at.
    """
    some = files[:: -(-len(files) // PIECES)]
    lines = [line for file in some for piece in pieces(file) for line in piece.splitlines()]
    beyond = [line for line in lines if not line.isascii()]
    broken = [line for line in beyond if "\ufffd" in line.decode("UTF-8", "replace")]
    return "UTF-8" if len(broken) * 2 < max(len(beyond), 1) else "ISO-8859-1"


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


def whole_lines(file: Path, encoding: str) -> Iterator[str]:
    """Lines from all over a file that are not blank, without one cut at the edge of a piece."""
    for number, piece in enumerate(pieces(file)):
        lines = piece.decode(encoding, "replace").removeprefix("\ufeff").splitlines()
        # A piece begins and ends anywhere; the first at a line's start, a short last one at an end.
        whole = lines[number > 0 : len(lines) - (len(piece) == PIECE)]
        yield from (line for line in whole if line.strip())


def is_parquet(file: Path) -> bool:
    with file.open("rb") as content:
        return content.read(len(PARQUET)) == PARQUET
