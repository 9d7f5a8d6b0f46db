"""One Horovod rank, as the launchers start it.

    python -m model.training.worker spec.json                      one rank
    horovodrun -np 2 python -m model.training.worker spec.json     two ranks

`spec.json` holds a `TrainingSpec`. A rank that fails leaves its sentence beside it, in a file that
the launcher reads. A rank ends when its launcher does, and until then holds a lock by which the
next attempt knows of it.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import threading
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import horovod.torch as hvd
import horovod.torch.elastic
from horovod.common.elastic import ObjectState
from horovod.common.exceptions import HorovodInternalError

from model.settings import TrainingSpec, read_spec
from model.training.loop import train
from model.training.resuming import Resumable

SECONDS_BETWEEN_LOOKS = 2.0
# One look may fail because the machine is busy.
FAILED_LOOKS = 3
# A multiple of loop.STEPS_BETWEEN_REPORTS; the end of an epoch is always committed.
STEPS_BETWEEN_COMMITS = 1024


def error_files(spec_file: Path) -> list[Path]:
    """The sentences of the ranks that failed, the first to fail first."""
    files = spec_file.parent.glob(f"{spec_file.name}.error-*")
    return sorted(files, key=lambda file: file.stat().st_mtime_ns)


def ranks_lock(spec_file: Path) -> Path:
    """What every rank holds, shared with the others, until it ends."""
    return spec_file.with_name("ranks.lock")


def run_rank(spec_file: str) -> None:
    """Train as one rank of those that the environment speaks of.

    Raises ValueError with a sentence, which is also written beside the spec.
    """
    end_with_launcher()
    file = Path(spec_file)
    with ranks_lock(file).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        train_as_told(file)


def train_as_told(file: Path) -> None:
    spec = read_spec(file)
    try:
        if os.environ.get("HOROVOD_ELASTIC") == "1":
            train_elastic(spec)
        else:
            train(spec)
    except (ValueError, OSError) as error:
        rank = os.environ.get("HOROVOD_RANK", "0")
        file.with_name(f"{file.name}.error-{rank}").write_text(str(error), encoding="utf-8")
        raise ValueError(str(error)) from error


def end_with_launcher() -> None:
    """End this process as soon as the launcher's rendezvous server answers no more.

    Over ssh nothing else tells a rank that its launcher was killed: it would train to the end.
    """
    host, port = (os.environ.get(f"HOROVOD_GLOO_RENDEZVOUS_{part}") for part in ("ADDR", "PORT"))
    if host and port:
        threading.Thread(target=watch, args=(host, int(port)), daemon=True).start()


def watch(host: str, port: int) -> None:
    failed = 0
    while failed < FAILED_LOOKS:
        time.sleep(SECONDS_BETWEEN_LOOKS)
        try:
            socket.create_connection((host, port), timeout=10).close()
            failed = 0
        except OSError:
            failed += 1
    print("The launcher has ended, and so does this rank.", file=sys.stderr, flush=True)
    os._exit(1)


def train_elastic(spec: TrainingSpec) -> dict[str, Any]:
    """As `train`, with ranks that may change meanwhile: the others go on from the last commit.

    Under horovodrun with --min-np, Horovod then gives all ranks that are left new numbers, and rank
    0 of these, which was there before, tells the others how far the training is. Shards are dealt
    anew: in the rest of that epoch some ratings may come twice and others not at all.
    """
    hvd.init()
    # None of it may call a collective outside `attempt`: ranks that join enter there.
    state = ObjectState(hvd.broadcast_object, hvd.rank, committed=None)

    def commit(training: Resumable) -> None:
        # By the step alone: of a rank that has just joined, nothing else is as on the others.
        if training.step % STEPS_BETWEEN_COMMITS == 0:
            training.synchronise()
            state.committed = deepcopy(training.state_dict())
            # Here it is noticed, too, that other ranks want to join.
            state.commit()

    @horovod.torch.elastic.run
    def attempt(state: Any) -> dict[str, Any]:
        return train(spec, deepcopy(state.committed), commit)

    return attempt(state)


def main() -> None:
    """Train as the spec file on the command line says."""
    try:
        run_rank(sys.argv[1])
    except ValueError as error:
        sys.exit(str(error))
    except HorovodInternalError:
        sys.exit("Another rank has ended, and without it this one cannot go on.")


if __name__ == "__main__":
    main()
