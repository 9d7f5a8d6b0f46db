"""Whole runs, as a person makes them: each step is its command, in a process of its own."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from jobs.published.views import connect
from jobs.runs.run import STEPS
from jobs.runs.warehouse import warehouse_named
from tests.servers.commands import ROOT, SPARK, run_command


@dataclass
class Warehouse:
    """A warehouse of its own, and the commands that work on it."""

    folder: Path

    def variables(self) -> dict[str, str]:
        return os.environ | {"NIGHTREEL_WAREHOUSE": str(self.folder)}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end, whatever that is."""
        return run_command(arguments, self.variables(), seconds=900)

    def call(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run any command line to its end."""
        return subprocess.run(
            command,
            env=self.variables(),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    def steps(
        self, run_id: str, *ingest: str, first: str = "ingest", last: str = "publish"
    ) -> None:
        """Run the steps of a run, from `first` to `last`; each must succeed."""
        for step in STEPS[STEPS.index(first) : STEPS.index(last) + 1]:
            options = ingest if step == "ingest" else ()
            done = self.run(step, "--run-id", run_id, *options)
            assert done.returncode == 0, f"{step}: {done.stdout}\n{done.stderr}"

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command in a process group of its own, to be killed whole."""
        return subprocess.Popen(
            [sys.executable, "-m", "jobs.nightreel", *arguments],
            env=self.variables() | SPARK,
            cwd=ROOT,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def sql(self, query: str) -> list[tuple]:
        with connect(warehouse_named(str(self.folder))) as tables:
            return tables.sql(query).fetchall()

    def content(self) -> dict[str, list[tuple]]:
        """Every row of every published table, but for times, and versions, which go on."""
        rows = {}
        for table in ("movies", "users", "ratings", "quarantine", "recommendations"):
            rows[table] = self.sql(f"select * from {table} order by all")
        timeless = "* exclude (seconds, finished_at, started_at, versions)"
        rows["runs"] = self.sql(f"select {timeless} from runs order by all")
        return rows


# Settings with which the few ratings of `write_delivery` are learned within seconds.
SMALL = [
    f"--set={setting}"
    for setting in (
        "train.matrix_factorisation.factors=8",
        "train.matrix_factorisation.learning_rate=0.01",
        "train.matrix_factorisation.batch_size=256",
        "train.matrix_factorisation.epochs=20",
        "etl.min_row_groups=4",
    )
]


def write_delivery(folder: Path, users: int = 120, movies: int = 60) -> Path:
    """Ratings of two tastes in the 1M layout: even users like even movies, odd users odd ones."""
    folder.mkdir(parents=True)

    def rating(user: int, movie: int) -> int:
        return 5 if user % 2 == movie % 2 else 1 + (user + movie) % 3

    lines = [
        f"{user}::{movie}::{rating(user, movie)}::{978300000 + user}"
        for user in range(1, users + 1)
        for movie in range(1, movies + 1)
        if (user * 7 + movie * 13) % 5 < 2
    ]
    lines += ["1::2::3", f"1::{movies + 9}::3::978300000"]
    # The last of them nobody has rated.
    titles = [f"{movie}::Movie {movie} ({1950 + movie})::Drama" for movie in range(1, movies + 2)]
    (folder / "ratings.dat").write_text("\n".join(lines) + "\n", encoding="latin-1")
    (folder / "movies.dat").write_text("\n".join(titles) + "\n", encoding="latin-1")
    return folder


@pytest.fixture(scope="session")
def delivery(tmp_path_factory) -> Path:
    return write_delivery(tmp_path_factory.mktemp("delivery") / "small")


@pytest.fixture(scope="session")
def published(tmp_path_factory, delivery) -> Warehouse:
    """A warehouse with one published run, `first`. Tests may add to it, and must leave it whole."""
    warehouse = Warehouse(tmp_path_factory.mktemp("warehouse"))
    options = ["--dataset", "ml-1m", "--source", str(delivery), "--ds", "2026-01-02", *SMALL]
    warehouse.steps("first", *options)
    return warehouse
