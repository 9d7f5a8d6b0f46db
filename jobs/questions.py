"""The arguments that all commands on published tables have in common."""

from __future__ import annotations

import argparse
from datetime import date, datetime
from pathlib import Path

from jobs.configuration import load_configuration
from jobs.run import warehouse_folder


def question_arguments(description: str) -> argparse.ArgumentParser:
    """A parser that knows --warehouse and shows the description as it is written."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--warehouse", help="folder of all that is written (default: as in conf)")
    return parser


def warehouse_of(arguments: argparse.Namespace) -> Path:
    """The warehouse: as in --warehouse, else NIGHTREEL_WAREHOUSE, else conf."""
    return warehouse_folder(load_configuration(warehouse=arguments.warehouse))


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
