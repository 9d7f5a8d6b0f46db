"""Where a step's record lies: all that DAGs know of the warehouse.

Imports nothing, so that the tests of the jobs can hold it against where the jobs write.
"""

import re
from pathlib import Path


def record_file(warehouse: Path, run_id: str, step: str) -> Path:
    """The file that a step writes last; a folder has no colon or plus sign of Airflow's run ids."""
    run = re.sub(r"[^A-Za-z0-9_.-]+", "-", run_id).strip(".-")
    return warehouse / "runs" / run / "steps" / f"{step}.json"
