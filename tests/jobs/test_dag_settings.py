"""What dags/nightly.py repeats of jobs/configuration.py is the same in both.

The DAG runs in Airflow's environment, which has no pydantic settings of ours, and this one has no
Airflow: so the file is read, not imported.
"""

import ast
from pathlib import Path
from typing import Any

from jobs.configuration import RELEASES, Configuration, allowed_keys

DAG = Path(__file__).resolve().parents[2] / "dags/nightly.py"


def literal(name: str) -> Any:
    """The value that the DAG file assigns to a name at its top level."""
    [value] = [
        node.value
        for node in ast.parse(DAG.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
    ]
    return ast.literal_eval(value)


def test_the_form_offers_every_release():
    assert sorted(literal("RELEASES")) == sorted(RELEASES)


def test_every_parameter_changes_a_setting_that_exists():
    for key in literal("SETTINGS").values():
        section, name = key.split(".")
        assert section in Configuration.model_fields
        assert name in allowed_keys([section])
