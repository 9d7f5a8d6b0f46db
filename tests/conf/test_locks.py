"""The locks hold what conf/requirements-*.txt pin, each with the digests of its files."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONF = Path(__file__).resolve().parents[2] / "conf"
PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)


def pins(*names: str) -> dict[str, str]:
    """Version of each package that stands in the files."""
    text = "\n".join((CONF / name).read_text() for name in names)
    return {re.sub("[-_.]+", "-", name).lower(): version for name, version in PIN.findall(text)}


@pytest.mark.parametrize(
    ("requirements", "locks"),
    [
        (
            ["requirements-jobs.txt", "requirements-test.txt"],
            ["locks/jobs.lock", "locks/torch.lock", "horovod/source.txt"],
        ),
        (["requirements-airflow.txt"], ["locks/airflow.lock"]),
        (["requirements-audit.txt"], ["locks/audit.lock"]),
        (["requirements-text.txt"], ["locks/text.lock"]),
    ],
)
def test_a_lock_agrees_with_its_requirements(requirements, locks):
    wanted, locked = pins(*requirements), pins(*locks)
    assert {name: locked.get(name) for name in wanted} == wanted, "run: make locks"


def test_every_locked_file_has_a_digest():
    for lock in (*(CONF / "locks").glob("*.lock"), CONF / "horovod/source.txt"):
        text = re.sub(r"^#.*\n", "", lock.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
        for line in filter(str.strip, text.splitlines()):
            assert re.search(r"==\S+ .*--hash=sha256:[0-9a-f]{64}", line), (lock.name, line)


def test_another_source_of_horovod_is_not_built(tmp_path):
    """Its setup.py would run as whoever installs."""
    conf = tmp_path / "conf"
    shutil.copytree(CONF / "horovod", conf / "horovod")
    index = tmp_path / "index" / "horovod"
    index.mkdir(parents=True)
    source = tmp_path / "horovod-0.28.1"
    source.mkdir()
    trace = tmp_path / "was-run"
    (source / "setup.py").write_text(f"open({str(trace)!r}, 'w')\n")
    (source / "PKG-INFO").write_text("Metadata-Version: 1.0\nName: horovod\nVersion: 0.28.1\n")
    shutil.make_archive(str(index / "horovod-0.28.1"), "gztar", tmp_path, "horovod-0.28.1")
    built = subprocess.run(
        ["bash", conf / "horovod" / "build_wheel.sh", sys.executable],
        env={
            **{"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
            **{"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index)},
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert built.returncode == 1
    assert "what arrived is not the source that conf/horovod/source.txt names" in built.stderr
    assert not trace.exists()
