"""The warehouse: the folder of everything that Nightreel writes."""

from __future__ import annotations

import re
from pathlib import Path

from jobs.runs.errors import JobError


def warehouse_folder(name: str) -> Path:
    """The warehouse as an absolute folder. Raises JobError for a URI or a name that misleads."""
    if re.match(r"^[a-z][a-z0-9+.-]*://", name):
        raise JobError(
            f"warehouse {name}: expected a folder. "
            "On a cluster, mount the store as a folder that every host sees."
        )
    folder = Path(name).expanduser().resolve()
    # Spark takes some of these for a pattern, petastorm and Delta Lake others for parts of a URL.
    misleading = re.search(r"[\[\]{}*?#]|%[0-9A-Fa-f]{2}", str(folder))
    if misleading:
        raise JobError(
            f"warehouse {folder}: {misleading.group()} has a meaning of its own to Spark or Delta "
            "Lake. Choose a folder without [ ] { } * ? # and without % before two digits."
        )
    return folder
