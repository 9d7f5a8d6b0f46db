"""`make nightly`: which parameters it gives the run, and what it shows of Airflow's output."""

import importlib.util
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parents[2] / "conf/airflow/run_nightly.py"
specification = importlib.util.spec_from_file_location("run_nightly", FILE)
assert specification is not None
assert specification.loader is not None
run_nightly = importlib.util.module_from_spec(specification)
specification.loader.exec_module(run_nightly)

BASH = "airflow.task.hooks.airflow.providers.standard.hooks.subprocess.SubprocessHook"
SPARK = "airflow.task.hooks.airflow.providers.apache.spark.hooks.spark_submit.SparkSubmitHook"


def shown(text: str) -> list[str]:
    return list(run_nightly.shown(text.splitlines(keepends=True)))


def test_only_what_was_given_becomes_a_parameter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ml-1m.zip").touch()
    variables = {"DATASET": "ml-1m", "SOURCE": "ml-1m.zip", "RANKS": "2", "TOP_K": "50", "DS": ""}
    assert run_nightly.parameters_of(variables) == {
        "dataset": "ml-1m",
        # Absolute, because the task runs in another folder.
        "source": str(tmp_path / "ml-1m.zip"),
        "ranks": 2,
        "top_k": "50",
    }
    # Left for the schema to refuse, and for ingest to explain.
    wrong = {"RANKS": "two", "SOURCE": "missing.zip"}
    assert run_nightly.parameters_of(wrong) == {"ranks": "two", "source": "missing.zip"}


def test_a_source_that_holds_something_secret_reaches_no_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    for source, variable in (
        ("https://hidden@host/r.zip", "NIGHTREEL_SOURCE"),
        ("https://host/r.zip?signature=hidden", "NIGHTREEL_SOURCE"),
        ("https://host/r.zip#hidden", "NIGHTREEL_SOURCE"),
        ("postgresql://me:hidden@host/shop?table=orders", "PGPASSWORD"),
    ):
        monkeypatch.setenv("SOURCE", source)
        assert run_nightly.main() == 1
        said = capfd.readouterr()
        assert variable in said.err
        assert "hidden" not in said.out + said.err
    assert not list(tmp_path.iterdir())


def test_the_steps_own_lines_are_shown() -> None:
    output = f"""WARNING|py.warnings|Could not import graphviz.
You might need to install the graphviz package.
INFO|airflow.models.dagrun|Created dag run.
INFO|{BASH}|Running command: ['bash', '-c', 'exec python jobs/ingest.py']
INFO|{BASH}|Output:
INFO|{BASH}|ingest: 3 files | 24 MB
INFO|{BASH}|Command exited with return code 0
INFO|{SPARK}|Spark-Submit cmd: spark-submit jobs/etl.py
INFO|{SPARK}|WARNING: Using incubator modules: jdk.incubator.vector
INFO|{SPARK}|12:00:00 WARN Executor: something to know
INFO|task|::endgroup::
"""
    assert shown(output) == [
        "ingest: 3 files | 24 MB",
        "12:00:00 WARN Executor: something to know",
    ]


def test_summary_and_tidy_are_shown_only_if_they_fail() -> None:
    def output(task: str) -> str:
        return f"""INFO|airflow.sdk.definitions.dag|[DAG TEST] starting task_id={task} map_index=-1
INFO|{BASH}|Output:
INFO|{BASH}|{task} says this
"""

    failed = """ERROR|task|Task failed with exception
airflow.sdk.exceptions.AirflowException: Bash command failed.
"""
    text = output("score.report") + output("summary") + output("tidy")
    assert shown(text) == ["score.report says this"]
    assert shown(text + failed) == [
        "score.report says this",
        "tidy says this",
        "Bash command failed.",
    ]


def test_a_failed_step_is_shown_without_airflows_traceback() -> None:
    output = f"""INFO|{SPARK}|Traceback (most recent call last):
INFO|{SPARK}|ZeroDivisionError: division by zero
ERROR|task|Task failed with exception
Traceback (most recent call last):
  File "task_runner.py", line 1579, in _run_task
    result = _execute_task(context=context, ti=ti, log=log)
airflow.sdk.exceptions.AirflowException: Cannot execute: spark-submit jobs/etl.py.
Last spark-submit output:
ZeroDivisionError: division by zero
INFO|task|::endgroup::
DagRun failed
"""
    assert shown(output) == [
        # The step's own traceback stays.
        "Traceback (most recent call last):",
        "ZeroDivisionError: division by zero",
        "Cannot execute: spark-submit jobs/etl.py.",
    ]


def test_a_refused_parameter_is_shown_in_one_line() -> None:
    output = """Traceback (most recent call last):
  File "airflow", line 8, in <module>
airflow.sdk.exceptions.ParamValidationError: Invalid input for param ranks: 0 is too small

Failed validating 'minimum' in schema:
    {'type': ['null', 'integer']}
"""
    assert shown(output) == ["Invalid input for param ranks: 0 is too small"]
