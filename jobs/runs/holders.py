"""Who holds a lock: its holder's note in the lock's file, for those who wait."""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO


def note_holder(lock: TextIO) -> None:
    """Write into a lock's file that this process holds it. The note outlives the holder."""
    lock.seek(0)
    lock.truncate()
    json.dump(
        {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "command": command(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        lock,
    )
    lock.flush()


def command() -> str:
    """What this process was told to do: no more than command and run, as arguments hold paths."""
    words = [Path(sys.argv[0]).stem]
    with suppress(ValueError, IndexError):
        words += ["--run-id", sys.argv[sys.argv.index("--run-id") + 1]]
    return " ".join(words)


def holder_of(file: Path) -> str:
    """Who holds a lock that somebody holds, in words, by the note in its file."""
    try:
        note = json.loads(file.read_text(encoding="utf-8"))
        pid, host = int(note["pid"]), str(note["host"])
        told = f"process {pid} on {host} ({note['command']}), since {note['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "a process that has left no note"
    if host == socket.gethostname() and not Path("/proc", str(pid)).exists():
        return f"what {told}, has started: that process itself has ended"
    return told
