"""Addresses, as they may be kept with a run and shown: without what is secret in them.

NIGHTREEL_SOURCE holds the address of a release with what is: user and password, or what stands
behind a ?, as in a presigned address. Only the request itself has that.
"""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit, urlunsplit

from pydantic_core import PydanticCustomError

from jobs.runs.errors import JobError

# What delta-rs and obstore read alike; they differ on az://.
SCHEMES = ("s3", "s3a", "gs", "abfs", "abfss")
FORMS = (
    "s3://bucket/folder, gs://bucket/folder or "
    "abfss://container@account.dfs.core.windows.net/folder"
)

CREDENTIALS = PydanticCustomError(
    "password",
    "holds credentials, or a ? or #. Leave them out here, and give them by the environment, as in "
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS, "
    "AZURE_STORAGE_ACCOUNT_KEY, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
)

WEB_CREDENTIALS = PydanticCustomError(
    "password",
    "holds a user, a password, or a ? or #. Leave them out here, as it is kept with the run, and "
    "give the whole address by the environment: NIGHTREEL_SOURCE, for a release; "
    "MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD or MLFLOW_TRACKING_TOKEN, for MLflow",
)


def is_object_uri(text: str) -> bool:
    """Whether it names something in an object store."""
    return text.partition("://")[0].lower() in SCHEMES and "://" in text


def without_secrets(uri: str) -> str:
    """Any address, or a path. Raises PydanticCustomError, which repeats nothing, for a secret one.

    On the web that is whoever stands before an @ and whatever comes behind a ? or #; of a database
    it is a password, and a user may stay.
    """
    if re.match(r"https?:/*(.*@|.*[?#])", uri, re.IGNORECASE | re.DOTALL):
        raise WEB_CREDENTIALS
    if re.search(r"://[^/@]*:[^@]*@|://.*[?&;][^=]*(pass|secret|token|key)[^=]*=", uri):
        raise CREDENTIALS
    try:
        urlsplit(uri)
    except ValueError:
        raise ValueError("Expected an address, as in https://host/ml-1m.zip, or a path") from None
    return uri


def public_part(uri: str) -> str:
    """An address of the web without what may be secret; anything else as it is."""
    if not re.match("https?:", uri, re.IGNORECASE):
        return uri
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host, query="", fragment=""))


def request_address(url: str) -> str:
    """What to ask a web server for: `url` with what NIGHTREEL_SOURCE adds to it.

    That is meant for its own file and the checksum beside it alone. Never to be shown.
    """
    whole = os.environ.get("NIGHTREEL_SOURCE", "")
    try:
        shown, parts = public_part(whole), urlsplit(whole)
    except ValueError:
        raise JobError("NIGHTREEL_SOURCE holds no address.") from None
    if whole and url in (shown, f"{shown}.md5"):
        return urlunsplit(urlsplit(url)._replace(netloc=parts.netloc, query=parts.query))
    return url


def checked_uri(uri: str) -> str:
    """An address in an object store, without a slash at its end.

    Raises ValueError, of which pydantic makes a sentence, for anything else; PydanticCustomError,
    which repeats nothing, for one that holds credentials, as settings are kept with a run.
    """
    try:
        parts = urlsplit(uri)
        # An Azure container stands before an @, as a user would.
        has_user = "@" in parts.netloc and not parts.scheme.startswith("abfs")
        has_secret = has_user or parts.password is not None or parts.query or parts.fragment
    except ValueError:
        raise ValueError(f"Expected {FORMS}") from None
    if has_secret:
        raise CREDENTIALS
    if parts.scheme not in SCHEMES or not parts.netloc:
        raise ValueError(f"Expected {FORMS}")
    return f"{parts.scheme}{uri.rstrip('/')[len(parts.scheme) :]}"
