"""What is said of a host that lacks what a step needs, before Java or a rank is started."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.engines import host
from jobs.engines.host import require_java, require_java_scratch, require_own_scratch
from jobs.runs.errors import JobError

ROOT = Path(__file__).resolve().parents[3]
SPARK = "from jobs.engines.spark import spark_session as start; start('etl', Path('scratch'))"
RANKS = """
from jobs.runs.configuration import load_configuration
from jobs.training.launchers import launch
launch(None, load_configuration(['train.ranks=2']).train, Path('scratch'))
"""


def java_home(folder: Path, release: str | None, says: str = "") -> str:
    """Where a Java would lie: one that prints its version, and notes each time that it is run."""
    (folder / "bin").mkdir(parents=True)
    java = folder / "bin/java"
    java.write_text(f"#!/bin/sh\ntouch '{folder}/was-run'\necho '{says}' >&2\n")
    java.chmod(0o755)
    if release is not None:
        (folder / "release").write_text(release)
    return str(folder)


@pytest.mark.parametrize("version", ["17.0.15", "21", "21-ea"])
def test_a_java_that_spark_runs_on_is_not_started_to_be_asked(tmp_path, monkeypatch, version):
    home = java_home(tmp_path, f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    monkeypatch.setenv("JAVA_HOME", home)
    require_java()
    assert not (tmp_path / "was-run").exists()


def test_a_java_that_came_without_a_file_of_its_version_is_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("JAVA_HOME", java_home(tmp_path, None, 'openjdk version "17.0.1" 2021'))
    require_java()
    assert (tmp_path / "was-run").exists()


@pytest.mark.parametrize(
    ("release", "says", "found"),
    [
        ('JAVA_VERSION="11.0.2"', "", "is Java 11, and Spark needs Java 17 or 21"),
        ('JAVA_VERSION="1.8.0_392"', "", "is Java 8, and"),
        (None, 'openjdk version "25" 2025', "is Java 25, and"),
        (None, "Killed", "does not say its version, and"),
    ],
)
def test_another_java_is_named(tmp_path, monkeypatch, release, says, found):
    monkeypatch.setenv("JAVA_HOME", java_home(tmp_path, release, says))
    with pytest.raises(JobError, match=rf"^JAVA_HOME is {tmp_path}, which {found}"):
        require_java()
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    with pytest.raises(JobError, match=rf"^The java on PATH, {tmp_path}/bin/java, {found}"):
        require_java()


def test_no_java_is_said_so(tmp_path, monkeypatch):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(JobError, match=r"where there is no bin/java, and .* unset it to take"):
        require_java()
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(JobError, match=r"There is no java on PATH, and .* openjdk-17-jre-headless"):
        require_java()


def test_folders_that_are_not_there_are_said_so(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    monkeypatch.setenv("SPARK_SUBMIT_OPTS", f"-Xss8m -Djava.io.tmpdir={gone}")
    with pytest.raises(JobError, match=rf"^{gone}, where .*: No such file or directory\. Make"):
        require_java_scratch()
    monkeypatch.setattr(host.tempfile, "tempdir", str(gone))
    with pytest.raises(JobError, match=r"or name another by the variable TMPDIR\.$"):
        require_own_scratch()


def started(code: str, folder: Path, within: tuple[str, ...] = (), **variables: str) -> str:
    """What a job says that starts Spark or ranks, and fails; it may write into `folder`."""
    job = (
        "from pathlib import Path\nfrom jobs.runs.command import run_command\n"
        f"def main():\n    exec({code!r}, globals())\nrun_command(main)"
    )
    done = subprocess.run(
        [*within, sys.executable, "-c", job],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_spark_is_not_started_on_a_wrong_java(tmp_path):
    said = started(SPARK, tmp_path, JAVA_HOME="/nowhere")
    assert said.startswith("nightreel: JAVA_HOME is /nowhere, where there is no bin/java")
    assert not list(tmp_path.iterdir())


def test_a_java_that_ends_at_once_is_said_so(tmp_path):
    home = java_home(tmp_path / "java", 'JAVA_VERSION="17.0.15"', "No memory")
    said = started(SPARK, tmp_path, JAVA_HOME=home)
    assert "No memory" in said
    assert said.endswith("Spark's Java ended as soon as it began; it has said why above.\n")


def test_spark_submit_looks_at_java_too(tmp_path):
    """As Airflow calls it: Java starts before any of our Python."""
    home = java_home(tmp_path, 'JAVA_VERSION="11.0.2"')
    variables = {
        "JAVA_HOME": home,
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_CONF_DIR": str(ROOT / "conf/spark"),
        "PYTHONPATH": str(ROOT),
    }
    submit = Path(sys.executable).with_name("spark-submit")
    done = subprocess.run(
        [submit, ROOT / "jobs/etl.py", "--run-id=r"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert re.search(r"^nightreel: JAVA_HOME is .* is Java 11, and", done.stderr, re.MULTILINE)
    assert not (tmp_path / "was-run").exists()


def apart(namespace: str, change: str) -> tuple[str, ...]:
    """Words that run a command after a change of the system that it alone sees."""
    unshare = shutil.which("unshare")
    words = (str(unshare), f"--{namespace}", *["--map-root-user"] * (os.geteuid() != 0))
    words = (*words, "sh", "-c", f'{change} && exec "$@"', "sh")
    if not unshare or subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespace can be made here")
    return words


def mounted(options: str, folder: Path) -> tuple[str, ...]:
    """Words that run a command where a folder is a file system of its own."""
    return apart("mount", f'mount -t tmpfs -o {options} none "{folder}"')


def test_ranks_are_not_started_on_a_host_whose_name_has_no_address(tmp_path):
    within = apart("uts", "hostname no-such-name.invalid")
    said = started(RANKS, tmp_path, within)
    assert said.startswith("nightreel: The name of this host, no-such-name.invalid, has no address")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def folders(tmp_path):
    """Where a job works, and where temporary files go."""
    for name in ("work", "temporary"):
        (tmp_path / name).mkdir()
    return tmp_path / "work", tmp_path / "temporary"


def test_a_full_folder_for_temporary_files_stops_spark_and_ranks(folders):
    work, temporary = folders
    within = mounted("size=1m", temporary)
    for code, name, value in (
        (SPARK, "SPARK_SUBMIT_OPTS", f"-Djava.io.tmpdir={temporary}"),
        (SPARK, "TMPDIR", str(temporary)),
        (RANKS, "TMPDIR", str(temporary)),
    ):
        said = started(code, work, within, **{name: value})
        assert said.startswith(f"nightreel: {temporary}, where temporary files go, does not take 4")
        assert "No space left on device. Make room there, or name another" in said
    assert not list(work.iterdir())


def test_a_folder_without_programs_is_no_place_for_javas_libraries(folders):
    work, temporary = folders
    within = mounted("noexec", temporary)
    said = started(SPARK, work, within, SPARK_SUBMIT_OPTS=f"-Djava.io.tmpdir={temporary}")
    assert f"{temporary}, where Java unpacks the libraries that it loads, is mounted with" in said
    assert not list(work.iterdir())
