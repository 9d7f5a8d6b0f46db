"""Several ranks on this machine, for tests and benchmarks."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from model.settings import TrainingSpec
from tests.servers.forked import forked

NO_LIMIT = resource.RLIM_INFINITY


def launcher(ranks: int) -> list[str]:
    """What stands before the command of a rank."""
    if ranks == 1:
        return []
    return [str(Path(sys.executable).with_name("horovodrun")), "-np", str(ranks), "--gloo"]


class StandingRanks:
    """Ranks of one horovodrun that train one spec after another: to start them takes seconds."""

    def __init__(self, ranks: int, folder: Path) -> None:
        self.ranks, self.folder, self.trained = ranks, folder, 0
        command = [sys.executable, "-m", "tests.servers.standing_rank", str(folder)]
        self.horovodrun = subprocess.Popen(
            [*launcher(ranks), *command],
            stdout=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.getcwd()},
        )

    def __call__(self, spec: TrainingSpec, seconds: float = 120) -> str:
        """Train a spec, and return what the first rank said."""
        self.trained += 1
        file = self.tell(self.trained, asdict(spec))
        ended = [file.with_suffix(f".ended-{rank}") for rank in range(self.ranks)]
        deadline = time.monotonic() + seconds
        while not all(one.exists() for one in ended):
            assert self.horovodrun.poll() is None, "the ranks have ended"
            assert time.monotonic() < deadline, f"the ranks have not trained in {seconds} s"
            time.sleep(0.01)
        said = file.with_suffix(".said-0").read_text()
        assert not any(one.read_text() for one in ended), said
        return said

    def tell(self, number: int, what: object) -> Path:
        """Write N.json, whole at once: a rank reads it as soon as it is there."""
        file = self.folder / f"{number}.json"
        file.with_suffix(".tmp").write_text(json.dumps(what))
        return file.with_suffix(".tmp").rename(file)

    def end(self) -> None:
        self.tell(self.trained + 1, None)
        self.horovodrun.wait(60)


def one_rank(spec: TrainingSpec, file: Path, file_bytes: int = NO_LIMIT) -> ForkServerProcess:
    """Start a process that trains as `python -m model.training.worker` does; `said` reads it.

    No file that it writes may grow longer than `file_bytes`.
    """
    file.write_text(json.dumps(asdict(spec)))
    return forked(work, file, file_bytes, said=file.with_suffix(".said"))


def said(file: Path) -> str:
    """What the last training of this spec file has printed."""
    return file.with_suffix(".said").read_text()


def work(file: Path, file_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    # Here, because tests of jobs import this file too, and not all that the loop needs.
    from model.training import worker

    sys.argv = ["worker", str(file)]
    worker.main()
