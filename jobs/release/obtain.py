"""Releases of MovieLens: where to get one, and what tells two apart."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jobs.release.dated import day_of
from jobs.release.download import DownloadError, download, name_of
from jobs.release.foreign_tables import is_delta, is_postgresql, write_delta, write_postgresql
from jobs.release.sample import write_sample
from jobs.release.unpacking import MAX_FILES, MAX_PARTS, copy_folder, take_over
from jobs.runs.addresses import is_object_uri
from jobs.runs.errors import JobError
from jobs.runs.files import exclusive
from jobs.runs.settings.delivery import RELEASES, IngestSettings

GROUPLENS = "https://files.grouplens.org/datasets/movielens"


@contextmanager
def incoming_folder(staging: Path) -> Iterator[Path]:
    """A folder in a run's scratch for what is still to be checked, gone afterwards.

    Each attempt has one of its own: an earlier one may still be at work.
    """
    staging.mkdir(parents=True, exist_ok=True)
    own = Path(tempfile.mkdtemp(prefix="delivery-", dir=staging))
    # That one is for us alone; what is moved to raw/ is for all who may read the warehouse.
    folder = own / "files"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(own, ignore_errors=True)
        with suppress(OSError):
            # Empty, unless another attempt is at work.
            staging.rmdir()


def obtain(
    settings: IngestSettings, downloads: Path, folder: Path, keeps: bool = True
) -> tuple[Path, str]:
    """Bring a release's files into an existing, empty folder; zips are fetched to `downloads`.

    They stay there if it `keeps` them. Returns the folder that holds the files, `folder` or one in
    it where there is nothing else, and where they came from. Raises JobError, saying what else can
    be done, if they cannot be had.
    """
    source = settings.source
    if settings.dataset == "sample":
        if source:
            raise JobError(
                f"ingest.source is {source}, but ingest.dataset is sample, which is generated. "
                "Name the release that the source holds, as in --dataset ml-1m."
            )
        write_sample(folder)
        return folder, "generated, seed 1"
    most = MAX_FILES if settings.dataset in RELEASES else MAX_PARTS
    web = source is None or source.startswith(("http://", "https://"))
    if source and is_postgresql(source):
        source = write_postgresql(source, folder, settings.max_unpacked_gib)
    elif source and not web and is_delta(source):
        source = write_delta(source, folder, settings.max_unpacked_gib)
    elif source is None or web or is_object_uri(source):
        source = source or f"{GROUPLENS}/{settings.dataset}.zip"
        lock = downloads / f".{name_of(source)}.lock"
        # Another address may end in the same name, and another run's download take its place.
        with exclusive(lock, "another run to have unpacked its download of that name"):
            file = fetch(settings, source, downloads)
            take_over(file, folder, settings.max_unpacked_gib, most)
            if not keeps:
                file.unlink()
    elif Path(source).is_dir():
        copy_folder(Path(source), folder, settings.max_unpacked_gib, most)
    elif Path(source).is_file():
        take_over(Path(source), folder, settings.max_unpacked_gib, most)
    else:
        raise JobError(
            f"ingest.source {source} does not exist. "
            f"Expected a zip or a folder with the files of {settings.dataset}, a file of ratings, "
            "or the address of a zip or such a file: https://..., s3://bucket/..., gs:// or "
            "abfss://, or of a table: postgresql://...?table=."
        )
    # A zip of GroupLens holds one folder, which holds the files; packed again, it holds more.
    while len(entries := list(folder.iterdir())) == 1 and entries[0].is_dir():
        name = entries[0].name
        if settings.dataset not in RELEASES and (name.lower() == "ratings" or day_of(name)):
            # Of one's own, such a folder says what its files are.
            break
        [folder] = entries
    return folder, source


def fetch(settings: IngestSettings, url: str, downloads: Path) -> Path:
    """Download a release. Raises JobError that names the ways to do without the network."""
    release = settings.dataset
    try:
        # GroupLens publishes a checksum for each release, others need not.
        required = url.startswith(GROUPLENS)
        return download(url, downloads, required, settings.max_download_gib)
    except DownloadError as error:
        earlier = downloads / f"{release}.zip"
        if earlier.is_file():
            error = DownloadError(f"{error}\nAn earlier download lies here: SOURCE={earlier}")
        raise JobError(
            f"{error}\nThere are two ways without a download. With a copy of the release, as a zip "
            f"or a folder: make nightly DATASET={release} SOURCE=path/to/{release}.zip\n"
            "With the built-in sample: make nightly"
        ) from None
