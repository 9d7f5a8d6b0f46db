"""What a command says in place of a section of the run's settings."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace

from pydantic import ValidationError

from jobs.runs.errors import JobError
from jobs.runs.run import Run, run_of


def as_asked(arguments: Namespace, section: str, names: Sequence[str]) -> Run:
    """The run, with those of a section's settings that the command names.

    Raises JobError, naming the option, for a value that is not allowed.
    """
    run = run_of(arguments)
    told = {name: getattr(arguments, name) for name in names if getattr(arguments, name)}
    conf = getattr(run.conf, section)
    try:
        settings = type(conf).model_validate(conf.model_dump() | told)
    except ValidationError as error:
        first = error.errors()[0]
        # What contradicts one another has no place of its own.
        option = [f"--{place}: ".replace("_", "-") for place in first["loc"][:1]]
        said = first["msg"].removeprefix("Value error, ")
        raise JobError(f"{''.join(option)}{said}.") from None
    return replace(run, conf=run.conf.model_copy(update={section: settings}))
