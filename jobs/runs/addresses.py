"""Addresses in object stores, as in s3://bucket/folder."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pydantic_core import PydanticCustomError

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


def is_object_uri(text: str) -> bool:
    """Whether it names something in an object store."""
    return text.partition("://")[0].lower() in SCHEMES and "://" in text


def without_password(uri: str) -> str:
    """Any address, or a path. Raises PydanticCustomError, which repeats nothing, for a password."""
    if re.search(r"://[^/@]*:[^/@]*@", uri):
        raise CREDENTIALS
    return uri


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
