"""How a command ends: 0, or a sentence on standard error and 1."""

import errno
import signal
import sys
from collections.abc import Callable

from jobs.errors import JobError, NotNeeded

# What the machine lacks, and not what the code does wrong.
FULL_OR_FORBIDDEN = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}


def run_command(main: Callable[[], None]) -> None:
    """Call `main`; show a JobError as its sentence, without a traceback, and exit with 1."""
    # Being asked to end is an exception like others: what was begun is cleaned up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        main()
    except NotNeeded as reason:
        print(reason)
    except JobError as error:
        sys.exit(f"nightreel: {error}")
    except OSError as error:
        if error.errno not in FULL_OR_FORBIDDEN:
            raise
        sys.exit(f"nightreel: {error.filename or 'while writing'}: {error.strerror}.")
