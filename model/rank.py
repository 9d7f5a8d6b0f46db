"""One Horovod rank, as the launchers start it.

    horovodrun -np 2 python -m model.rank spec.json

`spec.json` holds a `TrainingSpec`. A rank that fails leaves its sentence beside it, in a file that
the launcher reads. A rank ends when its launcher does.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from pathlib import Path

from horovod.common.exceptions import HorovodInternalError

from model.elastic import train_elastic
from model.specification import read_spec
from model.training import train

SECONDS_BETWEEN_LOOKS = 2.0
# One look may fail because the machine is busy.
FAILED_LOOKS = 3


def error_files(spec_file: Path) -> list[Path]:
    """The sentences of the ranks that failed, the first to fail first."""
    files = spec_file.parent.glob(f"{spec_file.name}.error-*")
    return sorted(files, key=lambda file: file.stat().st_mtime_ns)


def run_rank(spec_file: str) -> None:
    """Train as one rank of those that the environment speaks of.

    Raises ValueError with a sentence, which is also written beside the spec.
    """
    end_with_launcher()
    file = Path(spec_file)
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
