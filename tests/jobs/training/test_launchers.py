"""Ranks on this host, on others over ssh and on Spark; and how they end when one is killed."""

import fcntl
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.runs.configuration import load_configuration
from jobs.runs.errors import JobError
from jobs.runs.files import is_held
from jobs.runs.settings.training import TrainSettings
from jobs.runs.settings.whole import with_models
from jobs.training.horovodrun import own_hosts
from jobs.training.launchers import launch
from jobs.training.rank_failures import failure
from model.factors import load_factors
from model.settings import TrainingSpec, chosen
from tests.servers.ssh import ssh_server

ROOT = Path(__file__).resolve().parents[3]
USERS, MOVIES = 30, 20
SMALL = [
    "ranks=2",
    "matrix_factorisation.factors=4",
    "matrix_factorisation.batch_size=100",
    "matrix_factorisation.epochs=3",
    "matrix_factorisation.patience=1000000",
]
ENDLESS = "matrix_factorisation.epochs=1000000"

# A job that holds a lock and trains until somebody kills it.
JOB = """
import sys
from pathlib import Path
from jobs.runs.command import run_command
from jobs.runs.configuration import load_configuration
from jobs.training.launchers import launch
from jobs.runs.files import exclusive
from model.settings import read_spec

def main():
    folder = Path(sys.argv[1])
    with exclusive(folder / ".lock", "nobody"):
        settings = load_configuration(sys.argv[2:]).train
        launch(read_spec(folder / "spec.json"), settings, folder / "scratch")

run_command(main)
"""


def settings_of(*overrides: str) -> TrainSettings:
    changes = [f"train.{each}" for each in (*SMALL, *overrides)]
    return load_configuration(changes, form=with_models()).train


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """400 ratings to train and 80 to validate, in four row groups each."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    pairs = random.permutation(USERS * MOVIES)[:480].astype(np.int32)
    ratings = pa.table(
        {
            "user_idx": pairs // MOVIES,
            "movie_idx": pairs % MOVIES,
            "rating": random.integers(1, 6, 480).astype(np.float32),
        }
    )
    for split, start, size in (("train", 0, 100), ("validation", 400, 20)):
        (folder / split).mkdir()
        for number in range(4):
            rows = ratings.slice(start + number * size, size)
            pq.write_table(rows, folder / split / f"{number}.parquet")
    for entity, size in (("user", USERS), ("movie", MOVIES)):
        ids = np.arange(size, dtype=np.int32)
        (folder / f"{entity}_index").mkdir()
        table = pa.table({f"{entity}_id": ids + 1, f"{entity}_idx": ids})
        pq.write_table(table, folder / f"{entity}_index" / "0.parquet")
    return folder


def spec_of(data: Path, output: Path, settings: TrainSettings) -> TrainingSpec:
    return TrainingSpec(
        train=str(data / "train"),
        validation=str(data / "validation"),
        user_index=str(data / "user_index"),
        movie_index=str(data / "movie_index"),
        output=str(output / "factors"),
        checkpoints=str(output / "checkpoints"),
        events=None,
        rating_min=1,
        rating_max=5,
        **chosen(settings.model, settings.learning(settings.model)),
        provenance={},
    )


def train_with(data: Path, folder: Path, *overrides: str) -> dict:
    """Launch; returns the manifest of what was trained."""
    settings = settings_of(*overrides)
    spec = spec_of(data, folder, settings)
    launch(spec, settings, folder / "scratch")
    return load_factors(Path(spec.output)).manifest


@pytest.fixture(scope="module")
def on_this_host(data, tmp_path_factory) -> dict:
    return train_with(data, tmp_path_factory.mktemp("local"))


def losses(manifest: dict) -> list[float]:
    assert manifest["metrics"]["ranks"] == 2
    return [epoch["validation_loss"] for epoch in manifest["history"]]


@pytest.fixture
def sshd(tmp_path, monkeypatch) -> Iterator[list[str]]:
    """An ssh server on two loopback addresses; returns horovodrun's options to reach it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = ssh_server(tmp_path, ["127.0.0.2", "127.0.0.3"], port)
    monkeypatch.setenv("PATH", server.path)
    running = subprocess.Popen(server.command)
    try:
        wait_for(lambda: connects("127.0.0.3", port))
        options = [*server.options, "--network-interfaces", "lo"]
        yield [f"horovodrun_options={json.dumps(options)}"]
    finally:
        running.terminate()
        running.wait()


def connects(host: str, port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((host, port)) == 0


def wait_for(reached: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def said(folder: Path, pattern: str) -> bool:
    """Whether a job of `start_job` has said that."""
    return bool(re.search(pattern, (folder / "said").read_text(), re.DOTALL))


def ranks_of(folder: Path) -> dict[int, psutil.Process]:
    """The ranks that train for a job with this scratch folder, wherever they were started."""
    found = {}
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            if command[1:3] == ["-m", "model.training.worker"] and str(folder) in command[3]:
                found[int(process.environ()["HOROVOD_RANK"])] = process
        except (psutil.Error, KeyError):
            continue
    return found


def is_shared(lock: Path) -> bool:
    """Whether anybody holds the ranks' lock, for all of them share it."""
    if not lock.is_file():
        return False
    with lock.open() as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def processes_of(folder: Path) -> list[int]:
    """All processes on whose command lines the folder of a job stands."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if str(folder) in " ".join(process.cmdline()):
                found.append(process.pid)
    return found


def start_job(data: Path, folder: Path, *overrides: str) -> subprocess.Popen[str]:
    """A job in a process of its own, its output in folder/said."""
    settings = settings_of(*overrides)
    (folder / "spec.json").write_text(json.dumps(asdict(spec_of(data, folder, settings))))
    command = [sys.executable, "-c", JOB, str(folder)]
    command += [f"train.{each}" for each in (*SMALL, *overrides)]
    with (folder / "said").open("w") as said:
        return subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said, text=True)


def test_on_other_hosts_as_on_this_one(data, tmp_path, on_this_host, sshd):
    there = train_with(data, tmp_path, 'hosts="127.0.0.2:1,127.0.0.3:1"', *sshd)
    assert losses(there) == losses(on_this_host)


def test_on_spark_as_on_this_host(data, tmp_path, on_this_host, spark):
    assert losses(train_with(data, tmp_path, "launcher=spark")) == losses(on_this_host)


def test_ranks_on_a_spark_that_nobody_has_named_are_refused(data, tmp_path, monkeypatch):
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    with pytest.raises(JobError, match=r"names has no spark\.master: name it there"):
        train_with(data, tmp_path, "launcher=spark")


def test_the_sentence_of_a_rank_is_that_of_the_job(data, tmp_path, capfd):
    with pytest.raises(JobError, match=r"^The loss is not a finite number"):
        train_with(
            data,
            tmp_path,
            "matrix_factorisation.optimiser=sgd",
            "matrix_factorisation.learning_rate=1e9",
        )
    assert "Traceback" not in capfd.readouterr().out


def test_a_killed_rank_ends_the_job_with_a_sentence(data, tmp_path):
    def kill() -> None:
        wait_for(lambda: 1 in ranks_of(tmp_path))
        ranks_of(tmp_path)[1].kill()

    threading.Thread(target=kill, daemon=True).start()
    with pytest.raises(JobError, match=r"rank 1 was ended by SIGKILL, as .* when memory runs out"):
        train_with(data, tmp_path, ENDLESS)
    assert not ranks_of(tmp_path)
    assert not (tmp_path / "factors").exists()


def test_ranks_end_with_a_killed_job_and_hold_their_own_lock_until_then(data, tmp_path):
    job = start_job(data, tmp_path, ENDLESS)
    lock = tmp_path / "scratch" / "ranks.lock"
    wait_for(lambda: len(ranks_of(tmp_path)) == 2 and is_shared(lock))
    job.send_signal(signal.SIGKILL)
    job.wait()
    # What the job held is free, whatever its ranks do.
    assert not is_held(tmp_path / ".lock")
    while ranks := ranks_of(tmp_path):
        held = is_shared(lock)
        assert held or ranks != ranks_of(tmp_path)
        time.sleep(0.05)
    wait_for(lambda: not is_shared(lock), seconds=10)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_an_elastic_job_ends_while_its_ranks_start(data, tmp_path, ending):
    """horovodrun, asked to end then, waits for ever: it is not asked only."""
    job = start_job(data, tmp_path, "elastic=true", ENDLESS)
    wait_for(lambda: len(ranks_of(tmp_path)) == 2)
    job.send_signal(ending)
    job.wait(timeout=60)
    wait_for(lambda: not ranks_of(tmp_path) and not processes_of(tmp_path), seconds=30)
    assert not is_held(tmp_path / ".lock")


def test_the_others_go_on_when_a_rank_of_an_elastic_job_is_killed(data, tmp_path):
    job = start_job(data, tmp_path, "elastic=true", "matrix_factorisation.epochs=300")
    wait_for(lambda: said(tmp_path, r"epoch +2/300 "))
    ranks_of(tmp_path)[1].kill()
    assert job.wait(timeout=120) == 0, (tmp_path / "said").read_text()
    assert said(tmp_path, "with 200, 200,.* with 400,.*going on from a commit: epoch ")
    manifest = load_factors(tmp_path / "factors").manifest
    assert [epoch["epoch"] for epoch in manifest["history"]] == list(range(1, 301))
    assert manifest["metrics"]["ranks"] == 1


def test_a_host_that_is_found_joins_an_elastic_job(data, tmp_path):
    hosts, script = tmp_path / "hosts", tmp_path / "discover.sh"
    hosts.write_text("127.0.0.1:1\n")
    script.write_text(f"#!/bin/sh\ncat '{hosts}'\n")
    script.chmod(0o755)
    elastic = ["elastic=true", f"discovery_script={script}", "ranks=1", "max_ranks=2"]
    options = 'horovodrun_options=["--network-interfaces", "lo"]'
    job = start_job(data, tmp_path, *elastic, options, ENDLESS)
    wait_for(lambda: said(tmp_path, r"with 400,.*epoch +2/"))
    with hosts.open("a") as found:
        found.write("127.0.0.01:1\n")
    wait_for(lambda: said(tmp_path, r"with 200, 200,.*going on from a commit: epoch .*\nepoch "))
    job.terminate()
    job.wait(timeout=60)
    wait_for(lambda: not ranks_of(tmp_path), seconds=10)


def test_a_host_that_ssh_does_not_reach_is_named(tmp_path):
    said = "Process name: 1\nExit code: 255\n"
    error = failure(tmp_path / "spec.json", said, hosts="near:1,far:1")
    assert "a host of train.hosts (near:1,far:1) could not be reached over ssh" in str(error)


def test_every_own_host_is_this_machine():
    hosts = [host.split(":")[0] for host in own_hosts(4).split(",")]
    assert len(set(hosts)) == 4
    assert {socket.gethostbyname(host) for host in hosts} == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["launcher=process"], "launcher process runs one rank, and ranks is 2"),
        (["launcher=spark", "hosts=a:2"], "hosts needs launcher horovodrun, not spark"),
        (["hosts=a:1"], "2 ranks, and room for 1 of them on a:1"),
        (["hosts=a"], r"train\.hosts: found 'a'"),
        (["hosts=a:2"], "hosts and discovery_script need the network interface"),
        (["min_ranks=1"], "min_ranks, max_ranks and discovery_script need elastic"),
        (["elastic=true", "min_ranks=3"], "expected min_ranks <= ranks <= max_ranks"),
    ],
)
def test_a_launch_that_cannot_be_is_refused(overrides, sentence):
    with pytest.raises(JobError, match=sentence):
        settings_of(*overrides)
