"""Fetch one file over HTTP: resumed where it broke off, checked against the MD5 beside it."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import requests

from jobs.errors import JobError
from jobs.progress import show_transfer
from jobs.run import write_json

ATTEMPTS = 4
TIMEOUT = (10, 60)  # seconds to connect, seconds without a byte
CHUNK = 1 << 16  # an interrupted transfer loses less than this
T = TypeVar("T")


class DownloadError(JobError):
    """A file could not be fetched."""


def download(url: str, folder: Path, checksum_required: bool, pause: float = 1.0) -> Path:
    """Fetch `url` into `folder` and return the file.

    What an earlier attempt left in `<name>.part` is continued. A file that lies there already is
    not fetched again where its checksum is the published one. `pause` is the wait in seconds
    after the first failed attempt; it doubles after each. Raises DownloadError if the file cannot
    be had, or is not the one whose MD5 stands in `<url>.md5`; where there is no such checksum,
    only if `checksum_required`.
    """
    name = Path(urlsplit(url).path).name
    if not name:
        raise DownloadError(f"{url} names no file: expected a URL that ends in a zip's name.")
    folder.mkdir(parents=True, exist_ok=True)
    target, part = folder / name, folder / f"{name}.part"
    expected = retried(lambda: published_md5(url), url, pause)
    if expected is None and checksum_required:
        raise DownloadError(f"{url}.md5 holds no checksum, so {name} could not be verified.")
    if expected and target.is_file() and md5_of(target) == expected:
        print(f"ingest: {target} is complete already, MD5 {expected} verified", flush=True)
        return target
    retried(lambda: fetch_rest(url, part), url, pause)
    found = md5_of(part)
    if expected and found != expected:
        part.unlink()
        raise DownloadError(
            f"{url} arrived damaged and was removed: its MD5 is {found}, "
            f"{url}.md5 says {expected}. Run again to fetch it anew."
        )
    result = f"MD5 {found} verified" if expected else f"not verified: there is no {url}.md5"
    print(f"ingest: downloaded {url}, {result}", flush=True)
    part.replace(target)
    note_of(part).unlink(missing_ok=True)
    return target


def retried(action: Callable[[], T], url: str, pause: float) -> T:
    """Call `action` until it succeeds, at most ATTEMPTS times; a lasting fault ends it at once."""
    problem, lasting = "", False
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        try:
            return action()
        except requests.RequestException as error:
            problem, lasting = plain_words(error)
        if lasting:
            break
        print(f"ingest: {url}: {problem} (attempt {attempt + 1} of {ATTEMPTS})", flush=True)
    raise DownloadError(f"{url} could not be downloaded: {problem}.")


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


def published_md5(url: str) -> str | None:
    """Read the checksum in `<url>.md5`, as md5 or md5sum write it; None where there is none."""
    response = requests.get(f"{url}.md5", timeout=TIMEOUT)
    if response.status_code in (403, 404, 410):
        return None
    response.raise_for_status()
    found = re.search(r"\b[0-9a-fA-F]{32}\b", response.text[:1000])
    return found.group().lower() if found else None


def md5_of(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "md5").hexdigest()


def note_of(part: Path) -> Path:
    """Where it stands which URL, in which state, a partial file was begun from."""
    return part.with_name(f"{part.name}.json")


def fetch_rest(url: str, part: Path) -> None:
    """Fetch what `part` lacks. The server decides whether that is the rest or the whole file."""
    headers = {"Accept-Encoding": "identity"}
    have = part.stat().st_size if part.is_file() else 0
    note = json.loads(note_of(part).read_text()) if note_of(part).is_file() else {}
    if have and note.get("url") == url:
        # With If-Range, a file that has changed since comes whole instead of as a wrong rest.
        headers |= {"Range": f"bytes={have}-", "If-Range": note["state"]}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == 416 and have:  # the part is as long as the file, or longer
            part.unlink()
            return fetch_rest(url, part)
        response.raise_for_status()
        if response.status_code != 206:
            have = 0
            note_of(part).unlink(missing_ok=True)
            state = state_of(response)
            if state:
                write_json(note_of(part), {"url": url, "state": state})
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        with part.open("ab" if have else "wb") as file:
            with show_transfer(part.stem, have, total) as advance:
                for chunk in response.iter_content(CHUNK):
                    file.write(chunk)
                    advance(len(chunk))


def state_of(response: requests.Response) -> str | None:
    """A mark that changes with the file's content: the strong ETag, else the date."""
    etag = response.headers.get("ETag", "W/")
    return response.headers.get("Last-Modified") if etag.startswith("W/") else etag
