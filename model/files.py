"""What is forced to disk before anything points to it, and folders that appear whole or not at all.

A name can reach the disk before the content does: after a power failure a file that was written
and renamed may be there and empty. So content is synced first, then the folder that names it, and
only then is anything written that relies on it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def sync(path: Path) -> None:
    """Force a file's content, or a folder's names, to disk. An OSError names the path."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Force all files in a folder, and all names, to disk; links are not followed.

    What others replace there meanwhile, they force to disk themselves.
    """
    for inner, _, names in os.walk(folder, topdown=False):
        for name in names:
            if not os.path.islink(file := Path(inner, name)):
                with suppress(FileNotFoundError):
                    sync(file)
        with suppress(FileNotFoundError):
            sync(Path(inner))


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, of which a power failure leaves all that is reported."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in reversed(missing):
        sync(made.parent)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to write into; if all goes well it then takes the place of `folder`.

    When writing fails, `folder` stays as it was.
    """
    temporary = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    make_folder(temporary)
    try:
        yield temporary
        sync_tree(temporary)
    except BaseException:
        # On a full disk, what is half written stands in the way of the next attempt.
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    temporary.replace(folder)
    sync(folder.parent)
