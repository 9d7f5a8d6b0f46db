"""What ends a job early, with a sentence for the person who reads it."""


class JobError(Exception):
    """What was found, where, what was expected and what to do, in plain words.

    A job that raises it writes nothing more and exits with status 1; no traceback is shown.
    """


class NotNeeded(Exception):
    """The run makes no such step, in plain words; nothing is wrong, and nothing is done."""
