"""The console command: every command is there, and errors are sentences."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.nightreel import COMMANDS, STEPS, dispatch
from jobs.runs.errors import JobError
from jobs.runs.run import STEPS as STEPS_OF_A_RUN

JOBS = Path(__file__).resolve().parents[2] / "jobs"


def test_help_lists_every_command_in_the_order_of_a_run(capsys):
    dispatch(["--help"])
    lines = capsys.readouterr().out.splitlines()
    listed = [line.split()[0] for line in lines if line.startswith("  ")]
    assert listed == list(COMMANDS)
    assert tuple(STEPS) == STEPS_OF_A_RUN


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_exists_and_its_help_teaches(command, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["nightreel"])
    with pytest.raises(SystemExit) as stop:
        dispatch([command, "--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: nightreel {command} ")
    assert f"nightreel {command} " in printed.split("\n\n", 1)[1]
    assert "--warehouse" in printed


def test_it_says_which_version_it_is(capsys):
    dispatch(["--version"])
    assert re.fullmatch(r"nightreel \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_an_unknown_command_suggests_the_nearest():
    with pytest.raises(JobError, match=r"no command recomend\. Did you mean recommend\?"):
        dispatch(["recomend"])


def test_errors_are_one_sentence_and_status_1(tmp_path):
    command = [sys.executable, "-m", "jobs.nightreel", "sql", "from runs"]
    done = subprocess.run([*command, "--warehouse", tmp_path], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("nightreel: There is no table recommendations in ")


@pytest.mark.parametrize("file", sorted(JOBS.glob("*.py")), ids=lambda file: file.stem)
def test_a_step_that_is_run_by_its_path_is_read_to_its_end_first(file):
    """spark-submit names a file: what stands below its call of main is not there yet."""
    statements = ast.parse(file.read_text()).body
    calls = [n for n, part in enumerate(statements) if isinstance(part, ast.If)]
    assert calls in ([], [len(statements) - 1])
