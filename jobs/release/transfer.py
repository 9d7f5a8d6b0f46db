"""What downloads over HTTP and from object stores have in common: partial files, and failures."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from jobs.engines.terminal import show_transfer
from jobs.runs.files import write_json


class TransferError(Exception):
    """What happened, in plain words, and whether it would happen again."""

    def __init__(self, problem: str, lasting: bool) -> None:
        super().__init__(problem)
        self.lasting = lasting


def note_of(part: Path) -> Path:
    """Where it stands which URL, in which state, a partial file was begun from."""
    return part.with_name(f"{part.name}.json")


def resume_point(part: Path, url: str) -> tuple[int, str | None]:
    """The bytes of a partial file of `url`, and the state of the source that they are of."""
    have = part.stat().st_size if part.is_file() else 0
    note = json.loads(note_of(part).read_text()) if note_of(part).is_file() else {}
    return (have, note["state"]) if have and note.get("url") == url else (0, None)


def note_start(part: Path, url: str, state: str | None) -> None:
    """Note what a partial file is begun from; without a state, it cannot be continued."""
    note_of(part).unlink(missing_ok=True)
    if state:
        write_json(note_of(part), {"url": url, "state": state})


def write_rest(part: Path, have: int, total: int | None, chunks: Iterable[bytes]) -> None:
    """Write what comes behind the `have` bytes that are there, showing how far it is."""
    with (
        part.open("ab" if have else "wb") as file,
        show_transfer("ingest", part.stem, have, total) as advance,
    ):
        for chunk in chunks:
            file.write(chunk)
            advance(len(chunk))
