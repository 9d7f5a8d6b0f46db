"""Fetch one file, over HTTP or from an object store: resumed, and checked by the MD5 beside it."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar
from urllib.parse import urlsplit

from jobs.release import http_transfer, object_transfer
from jobs.release.transfer import TransferError, note_of
from jobs.runs.addresses import is_object_uri
from jobs.runs.errors import JobError
from model.files import sync

ATTEMPTS = 4
T = TypeVar("T")


class DownloadError(JobError):
    """A file could not be fetched."""


def name_of(url: str) -> str:
    """The name of the file at an address. Raises DownloadError if it names none."""
    name = Path(urlsplit(url).path).name
    if not name:
        raise DownloadError(f"{url} names no file: expected a URL that ends in a zip's name.")
    return name


def download(
    url: str, folder: Path, checksum_required: bool, max_gib: float, pause: float = 1.0
) -> Path:
    """Fetch `url` into `folder` and return the file. Nobody else may fetch that name meanwhile.

    What an earlier attempt left in `<name>.part` is continued. A file that lies there already is
    not fetched again where its checksum is the published one. `pause` is the wait in seconds
    after the first failed attempt; it doubles after each. Raises DownloadError if the file cannot
    be had, or is not the one whose MD5 stands in `<url>.md5`; where there is no such checksum,
    only if `checksum_required`; or if it has more than `max_gib` GiB.
    """
    name = name_of(url)
    folder.mkdir(parents=True, exist_ok=True)
    target, part = folder / name, folder / f"{name}.part"
    expected = retried(lambda: published_md5(url), url, pause)
    if expected is None and checksum_required:
        raise DownloadError(f"{url}.md5 holds no checksum, so {name} could not be verified.")
    if expected and target.is_file() and md5_of(target) == expected:
        print(f"ingest: {target} is complete already, MD5 {expected} verified", flush=True)
        return target
    most = int(max_gib * 2**30)
    retried(lambda: transfer_of(url).fetch_rest(url, part, most), url, pause)
    found = md5_of(part)
    if expected and found != expected:
        part.unlink()
        raise DownloadError(
            f"{url} arrived damaged and was removed: its MD5 is {found}, "
            f"{url}.md5 says {expected}. Run again to fetch it anew."
        )
    result = f"MD5 {found} verified" if expected else f"not verified: there is no {url}.md5"
    print(f"ingest: downloaded {url}, {result}", flush=True)
    sync(part)
    part.replace(target)
    sync(folder)
    note_of(part).unlink(missing_ok=True)
    return target


def transfer_of(url: str) -> ModuleType:
    """The module that fetches from there."""
    return object_transfer if is_object_uri(url) else http_transfer


def retried(action: Callable[[], T], url: str, pause: float) -> T:
    """Call `action` until it succeeds, at most ATTEMPTS times; a lasting fault ends it at once."""
    problem = None
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        try:
            return action()
        except TransferError as error:
            problem = error
        if problem.lasting:
            break
        print(f"ingest: {url}: {problem} (attempt {attempt + 1} of {ATTEMPTS})", flush=True)
    raise DownloadError(f"{url} could not be downloaded: {str(problem).rstrip('.')}.")


def published_md5(url: str) -> str | None:
    """Read the checksum in `<url>.md5`, as md5 or md5sum write it; None where there is none."""
    text = transfer_of(url).read_text(f"{url}.md5")
    found = re.search(r"\b[0-9a-fA-F]{32}\b", text or "")
    return found.group().lower() if found else None


def md5_of(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "md5").hexdigest()
