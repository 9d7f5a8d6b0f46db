"""Processes that begin as copies of one that has imported everything, which takes seconds each."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from jobs.nightreel import COMMANDS

SERVER = multiprocessing.get_context("forkserver")
# What ranks and commands import, some of it as late as they need it.
SERVER.set_forkserver_preload(
    [
        "model.training.worker",
        *sorted({place.split(":")[0] for place, _ in COMMANDS.values()}),
        "mlflow.store.model_registry.sqlalchemy_store",
        "mlflow.store.tracking.sqlalchemy_store",
        "tests.servers.forked",
    ]
)


def forked(
    work: Callable[..., None], *arguments: Any, said: Path, errors: Path | None = None
) -> ForkServerProcess:
    """Start a process that works; what it prints goes to the file `said`, errors there or apart."""
    process = SERVER.Process(target=begin, args=(work, arguments, said, errors), daemon=True)
    process.start()
    return process


def begin(
    work: Callable[..., None], arguments: tuple[Any, ...], said: Path, errors: Path | None
) -> None:
    say_into(said, errors)
    work(*arguments)


def say_into(said: Path, errors: Path | None = None) -> None:
    """Let all that this process prints from now on go to a file, or to two."""
    sys.stdout.flush()
    sys.stderr.flush()
    with said.open("wb") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    if errors:
        with errors.open("wb") as output:
            os.dup2(output.fileno(), 2)
