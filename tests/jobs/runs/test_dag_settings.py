"""What the DAGs repeat of the jobs is the same in both.

The DAGs run in Airflow's environment, which has no settings of ours, and this one has no Airflow:
so their files are read, not imported, but for the one that needs no Airflow.
"""

import ast
from pathlib import Path
from runpy import run_path
from typing import Any, get_args

import pytest

from jobs.runs.configuration import allowed_keys
from jobs.runs.run import safe_run_id
from jobs.runs.schemas import PUBLISHED
from jobs.runs.settings.delivery import RELEASES
from jobs.runs.settings.training import RetrainSettings
from jobs.runs.settings.whole import with_models
from tests.jobs.examples import small_run

DAGS = Path(__file__).resolve().parents[3] / "dags"


def literal(file: str, name: str) -> Any:
    """The value that a file of the DAGs assigns to a name at its top level."""
    [value] = [
        node.value
        for node in ast.parse((DAGS / file).read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
    ]
    return ast.literal_eval(value)


def test_the_forms_offer_every_release():
    assert sorted(literal("nightreel_common/parameters.py", "RELEASES")) == sorted(RELEASES)


def test_every_published_table_can_be_restored():
    assert sorted(literal("restore.py", "TABLES")) == sorted(PUBLISHED)


@pytest.mark.parametrize("run_id", ["tuesday", "manual__2026-03-01T09:30:00.1+00:00", "..r. 1/2-"])
def test_a_record_lies_where_the_dags_look_for_it(tmp_path, run_id):
    run = small_run(tmp_path, run_id=safe_run_id(run_id))
    with run.step("ingest"):
        pass
    record_file = run_path(str(DAGS / "nightreel_common/records.py"))["record_file"]
    assert record_file(run.warehouse.folder, run_id, "ingest").is_file()


def test_modes_are_policies_of_training():
    policies = get_args(RetrainSettings.model_fields["policy"].annotation)
    assert set(literal("nightly.py", "POLICIES").values()) <= set(policies)


@pytest.mark.parametrize(
    "key",
    [
        *literal("nightly.py", "SETTINGS").values(),
        *literal("nightreel_common/parameters.py", "SCORING").values(),
    ],
)
def test_every_parameter_changes_a_setting_that_exists(key):
    *section, name = key.split(".")
    assert name in allowed_keys(with_models(), section)
