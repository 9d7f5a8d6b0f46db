"""What commands load before their first work: a step that takes a moment must not begin with more.

tests/benchmarks/startup.py has the seconds.
"""

import subprocess
import sys

import pytest

# They take from a quarter of a second to three seconds.
HEAVY = {"torch", "horovod", "petastorm", "pyspark", "mlflow", "pandas", "matplotlib"}
LOADS = {
    "ingest": set(),
    "check": set(),
    "plan": set(),
    "promote": set(),
    "publish": set(),
    "rescore": set(),
    "train": {"torch", "horovod"},
    "evaluate": {"torch", "horovod"},
    "refit": {"torch", "horovod"},
    "score": {"pyspark"},
    "explore": {"matplotlib"},
    "report": {"matplotlib"},
}


@pytest.mark.parametrize("command", LOADS)
def test_a_command_loads_only_what_it_always_needs(command):
    code = f"import sys, jobs.{command}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert HEAVY & set(loaded.stdout.split()) == LOADS[command]
