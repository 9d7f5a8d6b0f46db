"""Drills in forked processes, in which the n-th change of a file fails, kills or waits."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs.runs.command import run_command

FAIL, KILL, WAIT = 1, 2, 3
SOURCE = Path(__file__).with_name("injection.c")
FOLDER, LIBRARY = "DRILL_FOLDER", "DRILL_LIBRARY"


def preload(folder: Path) -> None:
    """Start this process again with the injection loaded before libc."""
    if LIBRARY in os.environ:
        return
    library = folder / "injection.so"
    compiled = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(compiled, check=True)
    told = {"LD_PRELOAD": str(library), FOLDER: str(folder / "drilled"), LIBRARY: str(library)}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | told)


def arm(number: int, action: int = 0, argument: int = 0) -> None:
    """Have the n-th change below DRILL_FOLDER from here on fail, kill or wait."""
    ctypes.CDLL(os.environ[LIBRARY]).arm(number, action, argument)


def changes() -> int:
    """How many there were since `arm`."""
    return ctypes.CDLL(os.environ[LIBRARY]).calls()


def forked(do: Callable[[], Any]) -> Any:
    """What `do` returns in a process of its own, as JSON; None if that was killed.

    The caller has started no threads: neither delta-rs nor DuckDB survives a fork.
    """
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        try:
            answer = do()
        except BaseException as error:
            answer = {"broke": repr(error)}
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(process, 0)
    return json.loads(answer) if answer else None


def ended(act: Callable[[], None]) -> str:
    """How a command ends: well, with a sentence, or with a traceback."""
    try:
        run_command(act)
    except SystemExit as stop:
        return "sentence" if str(stop).startswith("nightreel: ") else f"exit {stop}"
    except BaseException as error:
        return f"traceback {error!r}"
    return "well"


ERRORS = {"I/O error": errno.EIO, "full disk": errno.ENOSPC}
