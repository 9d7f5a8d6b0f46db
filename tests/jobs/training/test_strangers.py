"""What others on the host learn of ranks that train, and what they can make of their listeners."""

import base64
import http.client
import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from jobs.training.rank_environment import for_ranks
from tests.jobs.training.test_launchers import (
    ENDLESS,
    data,
    is_shared,
    processes_of,
    ranks_of,
    said,
    start_job,
    wait_for,
)

__all__ = ["data"]

PLANTED = {
    "PGPASSWORD": "planted-0",
    "AWS_SECRET_ACCESS_KEY": "planted-1",
    "NIGHTREEL_POSTGRESQL": "postgresql://reader:planted-2@host/name",
    "NIGHTREEL_SOURCE": "https://host/r.zip?signature=planted-3",
    "MLFLOW_TRACKING_PASSWORD": "planted-4",
    "AIRFLOW__API_AUTH__JWT_SECRET": "planted-5",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://airflow:planted-6@host/airflow",
    "PYTHON_KEYRING_PASSWORD": "planted-7",
}


@pytest.fixture(params=["elastic=false", "elastic=true"])
def training(request, data, tmp_path, monkeypatch) -> Iterator[Path]:
    """The folder of a job whose two ranks train, started with secrets in its environment."""
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    job = start_job(data, tmp_path, request.param, ENDLESS)
    try:
        wait_for(lambda: said(tmp_path, r"epoch +2/"))
        yield tmp_path
    finally:
        job.terminate()
        job.wait(timeout=60)


def listeners(folder: Path) -> list[tuple[str, int]]:
    """Where horovodrun and its ranks listen: `ss -ltn` of these alone."""
    found = []
    for pid in processes_of(folder):
        for link in psutil.Process(pid).net_connections():
            if link.status == psutil.CONN_LISTEN:
                found.append((link.laddr.ip, link.laddr.port))
    return found


def test_what_others_see_and_reach(training):
    ranks = ranks_of(training)
    assert set(ranks) == {0, 1}
    # Nothing secret stands on any command line, and nothing is in a rank that may not be seen.
    for process in psutil.process_iter(["cmdline"]):
        assert "planted-" not in " ".join(process.info["cmdline"] or [])
    for rank in ranks.values():
        assert "planted-" not in str(rank.environ())

    # All listeners, and what horovodrun opened for the ranks to find one another among them.
    open_to = listeners(training)
    assert open_to
    assert {host for host, _ in open_to} == {"127.0.0.1"}
    port = int(ranks[0].environ()["HOROVOD_GLOO_RENDEZVOUS_PORT"])
    assert ("127.0.0.1", port) in open_to

    # A pickle that would leave a file behind; then anything else, without the token or with one.
    trace = training / "was-run"

    class Stranger:
        def __reduce__(self):
            return (Path.touch, (trace,))

    bomb = base64.b64encode(pickle.dumps((Stranger(), b"")))
    addresses = json.dumps({"lo": [["127.0.0.1", 1]]}).encode()
    for method, path, body in (
        ("PUT", "/worker_addresses/x:0", bomb),
        ("PUT", "/worker_addresses/127.0.0.1:0", addresses),
        ("PUT", "/global/0", b"mine"),
        ("GET", "/rank_and_size/127.0.0.1:0", None),
        ("GET", "/global/0", None),
        ("HEAD", "/README.md", None),
        ("DELETE", "/global/0", None),
    ):
        for headers in ({}, {"Authorization": "Bearer guessed"}):
            assert ask(port, method, path, body, headers) == 403, (method, path)

    # Nor is a pickle unpacked for who has the token.
    secrets = Path(ranks[0].environ()["HOROVOD_RENDEZVOUS_SECRETS"])
    assert secrets.stat().st_mode & 0o077 == 0
    token = secrets.read_text().split()[0]
    known = {"Authorization": f"Bearer {token}"}
    elastic = "HOROVOD_ELASTIC" in ranks[0].environ()
    assert ask(port, "PUT", "/worker_addresses/x:0", bomb, known) == (400 if elastic else 200)
    assert not trace.exists()
    # They are still at it.
    assert is_shared(training / "scratch" / "ranks.lock")
    assert set(ranks_of(training)) == {0, 1}


def ask(port: int, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> int:
    """The status of the answer."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        client.request(method, path, body, headers)
        return client.getresponse().status
    finally:
        client.close()


def test_the_secrets_of_a_launch_go_with_it(data, tmp_path):
    job = start_job(data, tmp_path, ENDLESS)
    wait_for(lambda: len(ranks_of(tmp_path)) == 2)
    assert list((tmp_path / "scratch").glob("rendezvous-*"))
    job.terminate()
    job.wait(timeout=60)
    assert not list((tmp_path / "scratch").glob("rendezvous-*"))


def test_ranks_keep_what_they_compute_with():
    wanted = {
        **{"PATH": "/bin", "HOME": "/home/n", "LC_ALL": "C", "PYTHONPATH": "/p", "TZ": "UTC"},
        **{"OMP_NUM_THREADS": "2", "NCCL_DEBUG": "INFO", "CUDA_VISIBLE_DEVICES": "0"},
        **{"HOROVOD_FUSION_THRESHOLD": "1", "SSH_AUTH_SOCK": "/run/agent"},
    }
    unwanted = {"HTTPS_PROXY": "http://u:p@h", "HOROVOD_SECRET_KEY": "x", "EDITOR": "vi"}
    assert for_ranks(wanted | unwanted | PLANTED) == wanted
