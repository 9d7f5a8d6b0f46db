"""The error that stops a job with a sentence for the person who must act."""


class JobError(Exception):
    """What was found, where, what was expected and what to do, in plain words.

    A job that raises it writes nothing more and exits with status 1; no traceback is shown.
    """
