"""MLflow's client, whose server has to answer in time."""

from __future__ import annotations

import logging
import os
from typing import Any

from jobs.runs.errors import JobError

# MLflow's own are 120 seconds and 7 more attempts: a server that hangs would be waited for half an
# hour at each question.
LIMITS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}
"""Seconds without a byte, and further attempts, unless the environment says otherwise."""


def client_of(uri: str) -> Any:
    """A client of the store or server at an address; see `Answering` for what a server's raises."""
    # MLflow takes seconds to import, and asks git for a commit that it does not need here.
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    for name, value in LIMITS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    # Creating the store's tables is logged line by line.
    for name in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.WARNING)
    client = MlflowClient(uri)
    return Answering(client) if uri.startswith(("http://", "https://")) else client


class Answering:
    """A client whose methods raise JobError where the server does not answer.

    What it does answer, MlflowException with its error code, they raise as ever.
    """

    def __init__(self, client: Any) -> None:
        self.client = client

    def __getattr__(self, name: str) -> Any:
        asked = getattr(self.client, name)
        if not callable(asked):
            return asked

        def ask(*arguments: Any, **named: Any) -> Any:
            import requests
            from mlflow.exceptions import MlflowException

            try:
                return asked(*arguments, **named)
            except (MlflowException, requests.RequestException) as error:
                if isinstance(error, MlflowException) and "API request to " not in str(error):
                    raise
                raise JobError(
                    f"MLflow at {self.client.tracking_uri} does not answer: "
                    f"{' '.join(str(error).split())[:300]}. Once it does, run the step again."
                ) from None

        return ask
