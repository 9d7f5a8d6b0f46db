"""Two runs at once on a warehouse that nobody has used: both make MLflow's store, and end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

FIRST_RUN = """
import sys
from pathlib import Path
from jobs.training.promotion import set_champion
from jobs.training.registering import register
from jobs.training.registry import Registry
from tests.jobs.examples import small_run
from tests.model.examples import factors

run = small_run(Path(sys.argv[1]), run_id=sys.argv[2])
factors([[1]], [[1]]).save(run.output("factors"))
registry = Registry.of(run)
import mlflow
print("ready", flush=True)
sys.stdin.readline()
version = register(registry, run.run_id, run.output("factors"), {}, {"test_rmse": 0.9})
print(version, set_champion(registry, version, run))
"""


def at_once(folder: Path, times: int) -> Iterator[tuple[str, str, str]]:
    """Rows of place, fault and outcome."""
    failed = lost = 0
    for number in range(times):
        warehouse = folder / f"fresh-{number}"
        warehouse.mkdir()
        runs = [
            subprocess.Popen(
                [sys.executable, "-c", FIRST_RUN, warehouse, name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            for name in ("a", "b")
        ]
        for run in runs:
            assert run.stdout is not None
            run.stdout.readline()
        told = [run.communicate("go\n")[0].split() for run in runs]
        failed += any(run.returncode for run in runs)
        # Two versions, and both agree on who is champion.
        lost += sorted(each[0] for each in told if each) != ["1", "2"]
    yield (
        "MLflow's store",
        f"two first runs at once, {times} times",
        f"{failed} failed, {lost} lost",
    )
