"""Fetching over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from jobs.release.transfer import TransferError, note_start, resume_point, write_rest

TIMEOUT = (10, 60)  # seconds to connect, seconds without a byte
CHUNK = 1 << 16  # an interrupted transfer loses less than this


def read_text(url: str) -> str | None:
    """The beginning of a small text; None where there is none. Raises TransferError."""
    with in_plain_words():
        response = requests.get(url, timeout=TIMEOUT)
        if response.status_code in (403, 404, 410):
            return None
        response.raise_for_status()
        return response.text[:1000]


def fetch_rest(url: str, part: Path) -> None:
    """Fetch what `part` lacks. The server decides whether that is the rest or the whole file.

    Raises TransferError.
    """
    headers = {"Accept-Encoding": "identity"}
    have, state = resume_point(part, url)
    if state:
        # With If-Range, a file that has changed since comes whole instead of as a wrong rest.
        headers |= {"Range": f"bytes={have}-", "If-Range": state}
    with in_plain_words(), requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as got:
        if got.status_code == 416 and have:  # the part is as long as the file, or longer
            part.unlink()
            return fetch_rest(url, part)
        got.raise_for_status()
        if got.status_code != 206:
            have = 0
            note_start(part, url, state_of(got))
        length = got.headers.get("Content-Length")
        write_rest(part, have, have + int(length) if length else None, got.iter_content(CHUNK))


def state_of(response: requests.Response) -> str | None:
    """A mark that changes with the file's content: the strong ETag, else the date."""
    etag = response.headers.get("ETag", "W/")
    return response.headers.get("Last-Modified") if etag.startswith("W/") else etag


@contextmanager
def in_plain_words() -> Iterator[None]:
    """Turn what requests raises into a TransferError."""
    try:
        yield
    except requests.RequestException as error:
        raise TransferError(*plain_words(error)) from None


def plain_words(error: requests.RequestException) -> tuple[str, bool]:
    """Say what happened, and whether it would happen again."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        status = error.response.status_code
        lasting = 400 <= status < 500 and status not in (408, 429)
        return f"the server answered {status} {error.response.reason}", lasting
    for kind, problem in (
        (requests.exceptions.SSLError, "the server's certificate was not accepted"),
        (requests.Timeout, "the server did not answer in time"),
        (requests.exceptions.ChunkedEncodingError, "the transfer was interrupted"),
        (requests.ConnectionError, "the server cannot be reached"),
    ):
        if isinstance(error, kind):
            return problem, False
    return str(error), True
