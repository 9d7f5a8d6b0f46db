"""How a command begins and ends: its arguments, its errors as sentences."""

from __future__ import annotations

import argparse
import errno
import signal
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

from jobs.runs.errors import JobError, NotNeeded
from jobs.runs.text import visible

# What the machine lacks, and not what the code does wrong.
FULL_OR_FORBIDDEN = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}


def run_command(main: Callable[[], None]) -> None:
    """Call `main`; show a JobError as its sentence, without a traceback, and exit with 1."""
    # Being asked to end is an exception like others: what was begun is cleaned up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        main()
    except NotNeeded as reason:
        print(visible(str(reason)))
    except JobError as error:
        sys.exit(f"nightreel: {visible(str(error))}")
    except OSError as error:
        if error.errno not in FULL_OR_FORBIDDEN:
            raise
        sys.exit(visible(f"nightreel: {error.filename or 'while writing'}: {error.strerror}."))


def command_arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser that knows --warehouse and shows the description as it is written."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--warehouse", help="folder of all that is written (default: as in conf)")
    return parser


def step_arguments(description: str | None) -> argparse.ArgumentParser:
    """The arguments of every step but the first: which warehouse, which run."""
    parser = command_arguments(description)
    parser.add_argument(
        "--run-id", required=True, help="the run to work on, as named at `nightreel ingest`"
    )
    return parser


def positive(text: str) -> int:
    """The type of arguments that are counts."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) < 2**31):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text!r}")
    return int(text)


def source_id(text: str) -> str:
    """The type of arguments that are ids, as the source writes them."""
    if not (text := text.strip(" ")):
        raise argparse.ArgumentTypeError("expected an id, found nothing")
    return text


def day(text: str) -> date:
    """The type of arguments that are dates."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected YYYY-MM-DD, found {text!r}") from None


def refuse_future(ds: date) -> None:
    """Raises JobError: clean tables are those of the newest date, so nights would wait for it."""
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    if ds > tomorrow:
        raise JobError(f"--ds {ds}: expected a date up to {tomorrow}, for this one is to come.")


def moment(text: str) -> datetime:
    """The type of arguments that are times: UTC unless they say otherwise; a date is its end."""
    try:
        if len(text) == len("2026-11-23"):
            return datetime.combine(date.fromisoformat(text), time.max, UTC)
        at = datetime.fromisoformat(text)
    except ValueError:
        expected = "expected 2026-11-23 or 2026-11-23T02:00"
        raise argparse.ArgumentTypeError(f"{expected}, found {text!r}") from None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def version_or_moment(text: str) -> int | datetime:
    """The type of a reader's --at: the number of a version, or a time."""
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return moment(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"expected a version, or {str(error)[9:]}") from None
