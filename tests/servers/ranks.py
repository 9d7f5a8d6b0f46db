"""Several ranks on this machine, for tests and benchmarks."""

from __future__ import annotations

import sys
from pathlib import Path


def launcher(ranks: int) -> list[str]:
    """What stands before the command of a rank."""
    if ranks == 1:
        return []
    return [str(Path(sys.executable).with_name("horovodrun")), "-np", str(ranks), "--gloo"]
