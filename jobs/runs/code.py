"""Which code makes a run."""

from __future__ import annotations

import os
import subprocess
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def code_version(root: Path = ROOT) -> str:
    """The package's version and, of a checkout, its commit: 0.1.0+c278a4e, or 0.1.0+c278a4e.dirty.

    dirty: with changes that are not committed; 0.1.0+unknown: git does not say.
    """
    own = version("nightreel")
    if not (root / ".git").exists():
        return own
    # The caller's git may be told to work elsewhere.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    described = ["git", "-C", str(root), "describe", "--always", "--exclude=*", "--dirty=.dirty"]
    try:
        told = subprocess.run(
            described, env=variables, capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        # No git here, or none that may read the checkout.
        return f"{own}+unknown"
    return f"{own}+{told.stdout.strip()}"
