"""Fetching over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import requests

from jobs.release.transfer import TransferError, note_start, resume_point, within, write_rest
from jobs.runs.addresses import request_address

TIMEOUT = (10, 60)  # seconds to connect, seconds without a byte
CHUNK = 1 << 16  # an interrupted transfer loses less than this
PATIENCE = 120.0  # seconds for an answer's headers, and for each chunk
TEXT = 1000  # bytes that are read of a text
SLOW = f"the server sends less than {CHUNK >> 10} KiB in {PATIENCE:.0f} seconds"


class Session(requests.Session):
    """Follows redirects, but from https to https alone."""

    def get_redirect_target(self, response: requests.Response) -> str | None:
        target = super().get_redirect_target(response)
        if target and response.url.startswith("https:") and target.lower().startswith("http:"):
            raise TransferError(
                f"it leads on to {urlsplit(target).hostname} without TLS, where anybody on the way "
                "could change it",
                lasting=True,
            )
        return target


def read_text(url: str) -> str | None:
    """The beginning of a small text; None where there is none. Raises TransferError."""
    # As it is sent: what is compressed may be any length.
    headers = {"Accept-Encoding": "identity"}
    with (
        in_plain_words(),
        within(PATIENCE, "the server did not answer in time"),
        Session() as session,
        session.get(request_address(url), headers=headers, stream=True, timeout=TIMEOUT) as got,
    ):
        if got.status_code in (403, 404, 410):
            return None
        got.raise_for_status()
        return next(got.iter_content(TEXT), b"").decode(errors="replace")


def fetch_rest(url: str, part: Path, most: int) -> None:
    """Fetch what `part` lacks. The server decides whether that is the rest or the whole file.

    Raises TransferError, for a file of more than `most` bytes too.
    """
    headers = {"Accept-Encoding": "identity"}
    have, state = resume_point(part, url)
    if state:
        # With If-Range, a file that has changed since comes whole instead of as a wrong rest.
        headers |= {"Range": f"bytes={have}-", "If-Range": state}
    with in_plain_words(), Session() as session:
        with within(PATIENCE, "the server did not answer in time"):
            got = session.get(request_address(url), headers=headers, stream=True, timeout=TIMEOUT)
        with got:
            if got.status_code == 416 and have:  # the part is as long as the file, or longer
                part.unlink()
                return fetch_rest(url, part, most)
            got.raise_for_status()
            if got.status_code != 206:
                have = 0
                note_start(part, url, state_of(got))
            length = got.headers.get("Content-Length")
            total = have + int(length) if length and length.isdecimal() else None
            write_rest(part, have, total, chunks(got), most)


def chunks(response: requests.Response) -> Iterator[bytes]:
    """What the server sends, piece by piece; raises TransferError where one takes too long."""
    pieces = response.iter_content(CHUNK)
    while True:
        with within(PATIENCE, SLOW):
            piece = next(pieces, b"")
        if not piece:
            return
        yield piece


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
    # Its own words may hold the whole address.
    return f"it is no address that can be fetched ({type(error).__name__})", True
