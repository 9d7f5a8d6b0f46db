"""Fetching from an object store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, PreconditionError

from jobs.engines.object_store import open_store, sentence
from jobs.release.transfer import TransferError, note_start, resume_point, write_rest

CHUNK = 8 << 20
"""Bytes of one request: little enough for its time limit on a slow line."""
TEXT = 1000
"""Bytes that are read of a text."""


def read_text(uri: str) -> str | None:
    """The beginning of a small text; None where there is none. Raises TransferError."""
    with in_plain_words():
        store, name = located(uri)
        try:
            # Piece by piece: the object may have any length.
            first = next(iter(obstore.get(store, name).stream(min_chunk_size=TEXT)), b"")
            return bytes(first)[:TEXT].decode(errors="replace")
        except FileNotFoundError:
            return None
        except PermissionDeniedError as error:
            # What S3 says of an absent object to those who may not list the bucket.
            if "AccessDenied" in str(error):
                return None
            raise


def fetch_rest(uri: str, part: Path, most: int) -> None:
    """Fetch what `part` lacks: the whole object if it has changed since.

    Raises TransferError, for an object of more than `most` bytes too.
    """
    with in_plain_words():
        store, name = located(uri)
        found = obstore.head(store, name)
        state, size = found["e_tag"], found["size"]
        have, earlier = resume_point(part, uri)
        if not state or state != earlier or have > size:
            have = 0
            note_start(part, uri, state)
        write_rest(part, have, size, chunks(store, name, have, size, state), most)


def chunks(store: Any, name: str, start: int, size: int, state: str | None) -> Iterator[bytes]:
    """An object's bytes from `start`; stops with PreconditionError where it has changed."""
    for at in range(start, size, CHUNK):
        end = min(at + CHUNK, size)
        found = obstore.get(store, name, options={"range": (at, end), "if_match": state})
        yield bytes(found.bytes())


def located(uri: str) -> tuple[Any, str]:
    """The store, and the name of an object in it."""
    folder, _, name = uri.rpartition("/")
    return open_store(folder), name


@contextmanager
def in_plain_words() -> Iterator[None]:
    """Turn what obstore raises into a TransferError."""
    try:
        yield
    except PreconditionError:
        raise TransferError("it has changed during the transfer", lasting=False) from None
    except FileNotFoundError:
        raise TransferError("there is no such object, or no such bucket", lasting=True) from None
    except BaseError as error:
        # The client has tried again already.
        raise TransferError(sentence(error), lasting=True) from None
