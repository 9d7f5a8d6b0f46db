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
        raise JobError(
            f"--{first['loc'][0]}: {first['msg'].removeprefix('Value error, ')}."
        ) from None
    return replace(run, conf=run.conf.model_copy(update={section: settings}))
