"""What downloads over HTTP and from object stores have in common: partial files, and failures."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.engines.terminal import show_transfer
from jobs.runs.files import read_json, write_json


class TransferError(Exception):
    """What happened, in plain words, and whether it would happen again."""

    def __init__(self, problem: str, lasting: bool) -> None:
        super().__init__(problem)
        self.lasting = lasting


class TooLarge(TransferError):
    """A file of more bytes than are allowed."""

    def __init__(self, most: int) -> None:
        super().__init__(
            f"it has more than {most / 2**30:g} GiB, so it is refused. If it is the right one, "
            "raise the limit with --set ingest.max_download_gib=...",
            lasting=True,
        )


def note_of(part: Path) -> Path:
    """Where it stands which URL, in which state, a partial file was begun from."""
    return part.with_name(f"{part.name}.json")


def resume_point(part: Path, url: str) -> tuple[int, str | None]:
    """The bytes of a partial file of `url`, and the state of the source that they are of."""
    have = part.stat().st_size if part.is_file() else 0
    note = read_json(note_of(part)) or {}
    return (have, note["state"]) if have and note.get("url") == url else (0, None)


def note_start(part: Path, url: str, state: str | None) -> None:
    """Note what a partial file is begun from; without a state, it cannot be continued."""
    note_of(part).unlink(missing_ok=True)
    if state:
        write_json(note_of(part), {"url": url, "state": state})


def write_rest(
    part: Path, have: int, total: int | None, chunks: Iterable[bytes], most: int
) -> None:
    """Write what comes behind the `have` bytes that are there, showing how far it is.

    Raises TransferError, and keeps nothing, once the file has or is said to have over `most` bytes.
    """
    try:
        refuse_larger(total or 0, most)
        with (
            part.open("ab" if have else "wb") as file,
            show_transfer("ingest", part.stem, have, total) as advance,
        ):
            for chunk in chunks:
                have += len(chunk)
                refuse_larger(have, most)
                file.write(chunk)
                advance(len(chunk))
    except TooLarge:
        part.unlink(missing_ok=True)
        note_of(part).unlink(missing_ok=True)
        raise


def refuse_larger(size: int, most: int) -> None:
    """Raises TooLarge for a file of more than `most` bytes."""
    if size > most:
        raise TooLarge(most)


@contextmanager
def within(seconds: float, problem: str) -> Iterator[None]:
    """Let the block take so long; then it ends in TransferError, whatever it is waiting for.

    Time limits of sockets begin anew with each byte. Works in the main thread alone.
    """

    def late(*_: object) -> None:
        raise TransferError(problem, lasting=False)

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
