"""MLflow's client, whose server has to answer in time."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from jobs.runs.errors import JobError

# MLflow's own are 120 seconds and 7 more attempts: a server that hangs would be waited for half an
# hour at each question.
LIMITS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}
"""Seconds without a byte, and further attempts, unless the environment says otherwise."""
UNUSED = ("pandas", "polars", "pyspark")
"""What MLflow loads, where it is installed, for data sets that nobody logs here: half of the time
that its import takes. Without them it is what mlflow-skinny installs."""
STORE_FAILED = ("BAD_REQUEST", "TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR")
"""What MLflow says where its database cannot be read or written, as on a full disk."""


def client_of(uri: str) -> Any:
    """A client of the store or server at an address; see `Answering` for what it raises."""
    # MLflow takes seconds to import, and asks git for a commit that it does not need here.
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    for name, value in LIMITS.items():
        os.environ.setdefault(name, value)
    with absent(UNUSED):
        from mlflow import MlflowClient

    # Creating the store's tables is logged line by line, and what fails there with its traceback.
    for name in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return Answering(asking(uri, lambda: MlflowClient(uri)), uri)


@contextmanager
def absent(packages: tuple[str, ...]) -> Iterator[None]:
    """Let an import find these packages not installed, unless they are loaded already."""
    hidden = [name for name in packages if name not in sys.modules]
    # Python's own sign for it.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


class Answering:
    """A client whose methods raise JobError where server or store do not answer.

    What they do answer, MlflowException with its error code, they raise as ever.
    """

    def __init__(self, client: Any, uri: str) -> None:
        self.client, self.uri = client, uri

    def __getattr__(self, name: str) -> Any:
        asked = getattr(self.client, name)
        if not callable(asked):
            return asked
        return lambda *arguments, **named: asking(self.uri, lambda: asked(*arguments, **named))


def asking(uri: str, question: Callable[[], Any]) -> Any:
    """The answer of a server, or of a store in a file."""
    import requests
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return question()
    except MlflowException as error:
        if uri.startswith(("http://", "https://")):
            silent = "API request to " in str(error)
        else:
            silent = error.error_code in STORE_FAILED
        if not silent:
            raise
        found = str(error)
    except (requests.RequestException, SQLAlchemyError) as error:
        found = str(error)
    raise JobError(
        f"MLflow at {uri} does not answer: {' '.join(found.split())[:300]}. Once it does, run the "
        "step again."
    )
