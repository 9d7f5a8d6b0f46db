"""Opening an object store, and saying in plain words what went wrong there.

obstore and delta-rs share the same clients, so both take credentials, region and endpoint from the
same variables (AWS_*, GOOGLE_*, AZURE_*) or from the role of the machine.
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from typing import Any

import obstore
from deltalake.exceptions import DeltaError
from obstore.exceptions import BaseError
from obstore.store import from_url

from jobs.runs.errors import JobError

FAILURES = (BaseError, DeltaError, OSError)
"""What obstore and delta-rs raise."""
MARK = ".nightreel"
MAX_RETRIES, RETRY_SECONDS = 5, 30
DELTA_OPTIONS = {"max_retries": str(MAX_RETRIES), "retry_timeout": f"{RETRY_SECONDS}s"}
"""For delta-rs, whose own are ten and three minutes, in which it lets no other thread work."""


def open_store(uri: str) -> Any:
    """The store of everything under an address; nothing is asked of it yet.

    A request that fails is sent again for half a minute; one that takes as long as that has failed.
    Raises JobError if the environment names an endpoint of S3 that cannot be used.
    """
    if uri.startswith("s3"):
        require_endpoint()
    # Options of the HTTP client would take the place of all that the environment says of it.
    retries = {"max_retries": MAX_RETRIES, "retry_timeout": timedelta(seconds=RETRY_SECONDS)}
    return from_url(uri, retry_config=retries)  # type: ignore[call-overload]


def require_endpoint() -> None:
    """Raises JobError if the endpoint of S3, where one is named, is none that the client takes."""
    allowed = os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("true", "1")
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"):
        endpoint = os.environ.get(name)
        # The client panics at it, with a traceback of its own.
        if endpoint and not re.match(r"https?://[^/]", endpoint):
            raise JobError(f"{name} is {endpoint!r}: expected an address such as https://host:9000")
        if endpoint and endpoint.startswith("http:") and not allowed:
            raise JobError(
                f"{name} is {endpoint}, without TLS. If that is right: AWS_ALLOW_HTTP=true"
            )


def require_writable(uri: str) -> None:
    """Leave a mark. Raises JobError if there is no such bucket, or one may not read or write it."""
    try:
        store = open_store(uri)
        # delta-rs lists a table's log, and reads it.
        next(iter(obstore.list(store, chunk_size=1)), None)
        obstore.put(store, MARK, b"Nightreel may write here.\n")
    except FAILURES as error:
        raise JobError(
            f"Object store {uri} cannot be used, and nothing was published: {sentence(error)}. "
            "Look at publish.object_store in conf, and at the variables that hold the credentials."
        ) from None


def sentence(error: Exception) -> str:
    """What the store or its client said, in one line; credentials are never in it."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).partition("\n\nDebug source")[0]
    # A signed address holds its signature there.
    text = re.sub(r"(https?://[^\s?]+)\?\S+", r"\1", text)
    if code := re.search(r"<Code>(.*?)</Code>", text):
        message = re.search(r"<Message>(.*?)</Message>", text)
        return f"{message[1].rstrip('.')} ({code[1]})" if message else code[1]
    if "169.254." in text:
        return "there are no credentials in the environment, and this machine has no role"
    if "error sending request" in text:
        server = re.search(r"https?://[^/\s]+", text)
        return f"{server[0] if server else 'the server'} cannot be reached, or does not answer"
    if status := re.search(r"status code\W+(\d{3} [A-Z][\w ]+)", text):
        return f"the server answered {status[1].strip()}"
    return " ".join(text.split()).rstrip(".")
