"""Which files the parameters of a run may name: all, or those that NIGHTREEL_INPUTS lets them.

Whoever may trigger a run in Airflow names files that the workers' user reads. The variable, in the
workers' environment, holds the folders that these may lie in, as PATH holds folders.
"""

from __future__ import annotations

import os
from pathlib import Path

from jobs.runs.errors import JobError

VARIABLE = "NIGHTREEL_INPUTS"


def refuse_outside(setting: str, path: str) -> None:
    """Raise JobError for a file or folder that lies, links followed, in none of these folders."""
    folders = [folder for folder in os.environ.get(VARIABLE, "").split(os.pathsep) if folder]
    found = Path(path).expanduser().resolve()
    if folders and not any(found.is_relative_to(Path(folder).resolve()) for folder in folders):
        raise JobError(
            f"{setting}: {path} lies in none of the folders that runs may read from. These are "
            f"named by {VARIABLE}, in the environment of the jobs."
        )
