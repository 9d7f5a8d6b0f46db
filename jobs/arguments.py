"""The arguments that commands have in common."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.warehouse import warehouse_folder

if TYPE_CHECKING:
    from jobs.run import Run


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


def run_of(arguments: argparse.Namespace) -> Run:
    """The run that `step_arguments` name."""
    from jobs.run import open_run

    return open_run(warehouse_of(arguments), arguments.run_id)


def warehouse_of(arguments: argparse.Namespace) -> Path:
    """The warehouse: as in --warehouse, else NIGHTREEL_WAREHOUSE, else conf."""
    named = arguments.warehouse or os.environ.get("NIGHTREEL_WAREHOUSE")
    if not named:
        # Reading and checking conf takes longer than most questions take to answer.
        from jobs.configuration import load_configuration

        named = load_configuration().warehouse
    return warehouse_folder(named)


def positive(text: str) -> int:
    """The type of arguments that are ids or counts."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) < 2**31):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text!r}")
    return int(text)


def day(text: str) -> date:
    """The type of arguments that are dates."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected YYYY-MM-DD, found {text!r}") from None


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
