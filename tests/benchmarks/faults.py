"""Drills: what readers see, and what the next command mends, after every fault at every place.

    PYTHONPATH=. python tests/benchmarks/faults.py [--only publish power ...] [--every 5]

Prints a table of place, fault and outcome, and ends with 1 if anything was lost, torn, mixed, or
not repaired by the next try, or ended in a traceback. `--every 5` hits each fifth change of a file
instead of every one. Power failures need the right to mount a disk image, faults in files a C
compiler; what cannot be drilled here says why.

DRILLS names them all: each yields rows, given a folder and the arguments.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from tests.benchmarks.drills import changes, first_runs, outside, power, reads
from tests.benchmarks.drills.forks import LIBRARY, preload

Rows = Iterable[tuple[str, str, str]]
DRILLS: dict[str, Callable[[Path, argparse.Namespace], Rows]] = {
    **{name: partial(changes.every_change, name) for name in changes.PLACES},
    "interleaved": lambda folder, told: changes.interleaved(folder),
    "reads": lambda folder, told: reads.mixed(folder),
    "power": lambda folder, told: power.failures(folder),
    "outside": lambda folder, told: outside.drills(),
    "first runs": lambda folder, told: first_runs.at_once(folder, told.times),
}
# Counts of what must not be.
WRONG = re.compile(r"\b[1-9][0-9]* (lost|torn|traceback|not repaired|mixed|failed)")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=DRILLS, default=list(DRILLS))
    parser.add_argument("--every", type=int, default=1, help="hit every n-th change (default: 1)")
    parser.add_argument("--times", type=int, default=20, help="of first runs (default: 20)")
    told = parser.parse_args()
    folder = Path(os.environ.get("DRILLS", "") or tempfile.mkdtemp(prefix="drills-"))
    os.environ["DRILLS"] = str(folder)
    if LIBRARY not in os.environ and shutil.which("cc") is None:
        sys.exit("There is no C compiler, and faults in files cannot be made: install cc.")
    preload(folder)
    wrong = False
    try:
        for name in told.only:
            for place, fault, outcome in DRILLS[name](folder, told):
                print(f"| {place} | {fault} | {outcome} |", flush=True)
                wrong |= bool(WRONG.search(outcome)) and "control" not in fault
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(wrong)


if __name__ == "__main__":
    main()
