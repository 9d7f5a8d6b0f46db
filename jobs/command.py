"""How a job's main ends: 0, or a sentence on standard error and 1."""

import sys
from collections.abc import Callable

from jobs.errors import JobError


def run_command(main: Callable[[], None]) -> None:
    """Call `main`; show a JobError as its sentence, without a traceback, and exit with 1."""
    try:
        main()
    except JobError as error:
        print(f"nightreel: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
