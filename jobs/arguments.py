"""The arguments that commands have in common."""

from __future__ import annotations

import argparse
from datetime import date, datetime
from pathlib import Path

from jobs.configuration import load_configuration
from jobs.run import Run, open_run, warehouse_folder


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
    return open_run(warehouse_of(arguments), arguments.run_id)


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
