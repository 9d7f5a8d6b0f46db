"""Why ranks failed, as a sentence: one that a rank left, or else what horovodrun said of it."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from jobs.runs.errors import JobError
from model.training.worker import error_files

SSH_FAILED = 255
EXITED = re.compile(r"Process (\d+) exit with status code (\d+)|Exit code: (\d+)")


def failure(spec_file: Path, said: str, hosts: str | None = None) -> JobError:
    """Why training failed: the sentence of a rank, or else what horovodrun said of it."""
    for file in error_files(spec_file):
        return JobError(file.read_text(encoding="utf-8"))
    found = EXITED.search(said)
    code = int(found[2] or found[3]) if found else 0
    if code == SSH_FAILED and hosts:
        return JobError(
            f"Training failed: a host of train.hosts ({hosts}) could not be reached over ssh, or "
            "the connection broke. Each needs ssh without a password from here; what ssh said is "
            "shown above."
        )
    if found and code - 128 in {*signal.Signals}:
        name = signal.Signals(code - 128).name
        who = f"rank {found[1]}" if found[1] else "a rank"
        why = ", as the system does when memory runs out" if name == "SIGKILL" else ""
        return JobError(
            f"Training failed: {who} was ended by {name}{why}. Run the step again: it goes on from "
            "the last checkpoint, if there was one yet. With train.elastic the other ranks go on."
        )
    last = [line.strip() for line in said.splitlines() if line.strip()][-1:]
    return JobError(
        f"Training failed: {last[0] if last else 'the ranks said nothing'} (what came before is "
        "shown above)."
    )
