"""Take over what others packed, without trusting it: zips are unpacked, files and folders copied.

What gzip or Zstandard have compressed is decompressed, wherever it lies. A link, a path that leads
out of the folder, or more bytes or files than allowed stop it with a JobError; what was written
until then is the caller's to remove. Empty folders are left out.
"""

from __future__ import annotations

import io
import lzma
import re
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from jobs.release.layouts import TABLES
from jobs.runs.errors import JobError

# Left by macOS and Windows, and by Nightreel in raw/: no part of a release.
NOT_DELIVERED = {"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini", "manifest.json"}
CHUNK = 1 << 20
# No release of GroupLens has as many as thirty files; all of one are kept, its licence too. What
# grows has some for each day.
MAX_FILES = 1000
MAX_PARTS = 100_000
# Bytes of a zip's directory, all of which zipfile keeps in memory.
MAX_DIRECTORY = 4 << 20
MAX_NAME = 255
# By the end of a file's name: what it was compressed with, as Arrow calls it.
COMPRESSED = {".gz": "gzip", ".zst": "zstd"}
# The memory that others take, as LZMA, is the sender's to choose.
COMPRESSIONS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
# All that zipfile raises for a bad zip.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    OSError,
    ValueError,
)


class Careful(io.FileIO):
    """A zip that is open for reading, whose directory has a limit: zipfile reads it in one piece.

    Raises JobError where that is exceeded.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_DIRECTORY:
            raise too_many_files(Path(str(self.name)), MAX_FILES)
        return super().read(-1 if size is None else size) or b""


class Allowance:
    """Counts the bytes really written, whatever a header says about them."""

    def __init__(self, source: Path, max_gib: float) -> None:
        self.source, self.max_gib = source, max_gib
        self.left = int(max_gib * 2**30)

    def spend(self, count: int) -> None:
        """Take `count` bytes. Raises JobError once there are not enough left."""
        self.left -= count
        if self.left < 0:
            raise JobError(
                f"{self.source} holds more than {self.max_gib:g} GiB of files, so it is refused. "
                "If it is the right one, raise the limit with --set ingest.max_unpacked_gib=..."
            )


def take_over(file: Path, folder: Path, max_gib: float, most: int = MAX_FILES) -> None:
    """Unpack a zip, or copy any other file of a table, into an existing, empty folder.

    Raises JobError for a bad or hostile zip, as one of more than `most` files, and for what is
    neither.
    """
    with file.open("rb") as content:
        start = content.read(4)
    table = PurePath(file.name.removesuffix(compression_of(file.name) or "")).suffix.lower()
    # Whatever a file is called, a zip says what it is; and what is called a table and is none, too.
    if start.startswith(b"PK") or table not in TABLES:
        unpack_zip(file, folder, max_gib, most)
    else:
        write_file(folder / file.name, read_file(file), Allowance(file, max_gib))


def is_delivered(path: PurePath) -> bool:
    """Whether a file of a delivery is part of it, and not what a system has left there."""
    return NOT_DELIVERED.isdisjoint(path.parts) and not path.name.startswith("._")


def unpack_zip(file: Path, folder: Path, max_gib: float, most: int = MAX_FILES) -> None:
    """Unpack a zip into an existing, empty folder. Raises JobError for a bad or hostile zip."""
    allowance = Allowance(file, max_gib)
    with Careful(file) as opened, opened_zip(file, opened) as archive:
        # Everything that the directory shows is checked before the first byte is written.
        # zipfile's own is_dir looks at the last character of a name that may have none.
        members = [member for member in archive.infolist() if not member.filename.endswith("/")]
        if len(members) > most:
            raise too_many_files(file, most)
        paths = [safe_path(file, member) for member in members]
        refuse_clashes(file, paths)
        for member, path in zip(members, paths, strict=True):
            if is_delivered(path):
                write_file(folder / path, read_member(file, archive, member), allowance)


def opened_zip(file: Path, opened: Careful) -> zipfile.ZipFile:
    """What an open file holds. Raises JobError if that is no zip, or a damaged one."""
    try:
        return zipfile.ZipFile(opened)
    except DAMAGE as error:
        opened.seek(0)
        if opened.read(2) != b"PK":
            raise JobError(
                f"{file} is not a zip file. Expected a zip, a folder, or a file of ratings that "
                f"ends in {', '.join(sorted(TABLES))}, {' or '.join(COMPRESSED)}."
            ) from None
        raise damaged(file, ", its directory at the end cannot be read", error) from None


def copy_folder(source: Path, folder: Path, max_gib: float, most: int = MAX_FILES) -> None:
    """Copy a folder's files into an existing, empty folder.

    Raises JobError for links in it, and where it holds more than `most` files and folders.
    """
    allowance = Allowance(source, max_gib)
    for file in sorted(few_files(source, most)):
        path = file.relative_to(source)
        if file.is_symlink() or not (file.is_file() or file.is_dir()):
            raise JobError(
                f"{file} is a link or no plain file, so {source} is refused. "
                "Put the file itself in its place."
            )
        if file.is_file() and is_delivered(path):
            write_file(folder / path, read_file(file), allowance)


def few_files(source: Path, most: int) -> Iterator[Path]:
    """What lies in a folder. Raises JobError if that is too much, before all of it was listed."""
    for number, path in enumerate(source.rglob("*")):
        if number >= most:
            raise too_many_files(source, most)
        yield path


def too_many_files(source: Path, most: int) -> JobError:
    kind = "it is no release of MovieLens" if most == MAX_FILES else "it is refused"
    return JobError(
        f"{source} holds more than {most:,} files, so {kind}. Give the ratings alone, as a zip or "
        "a folder."
    )


def safe_path(file: Path, member: zipfile.ZipInfo) -> PurePosixPath:
    """Where a member of a zip belongs. Raises JobError if that is not inside the folder."""
    name = member.filename.replace("\\", "/")
    path = PurePosixPath(name)
    problem = None
    if path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", name):
        problem = "has a path that leads out of the folder"
    elif not path.parts:
        problem = "has no name"
    elif any(len(part.encode(errors="replace")) > MAX_NAME for part in path.parts):
        problem = "has a name that is too long"
    elif any(unicodedata.category(character) == "Cc" for character in name):
        problem = "has control characters in its name"
    elif stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
        problem = "is a link or no plain file"
    elif member.compress_type not in COMPRESSIONS:
        problem = "is compressed by another method than deflate"
    elif member.flag_bits & 1:
        problem = "is protected by a password"
    if problem:
        raise JobError(
            f"{file}: its member {member.filename!r} {problem}, so nothing of it was taken over. "
            "Get the zip from its publisher, or unpack it yourself and give the folder as --source."
        )
    return path


def refuse_clashes(file: Path, paths: list[PurePosixPath]) -> None:
    """Raise JobError if one path stands for two files, or for a file and a folder."""
    seen: set[PurePosixPath] = set()
    folders = {parent for path in paths for parent in path.parents}
    for path in paths:
        if path in seen or path in folders:
            raise JobError(f"{file} holds {path} twice. Get the zip from its publisher.")
        seen.add(path)


def read_member(file: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield a member piece by piece; its CRC is checked at the end."""
    try:
        with archive.open(member) as content:
            while chunk := content.read(CHUNK):
                yield chunk
    except DAMAGE as error:
        raise damaged(file, f" in {member.filename}", error) from None


def read_file(file: Path) -> Iterator[bytes]:
    """Yield a file piece by piece."""
    with file.open("rb") as content:
        while chunk := content.read(CHUNK):
            yield chunk


def write_file(target: Path, chunks: Iterator[bytes], allowance: Allowance) -> None:
    """Write a file, decompressed, under its name without .gz or .zst."""
    if compressed := compression_of(target.name):
        target = target.with_name(target.name.removesuffix(compressed))
        chunks = decompressed(chunks, COMPRESSED[compressed], allowance.source)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("xb") as file:
            for chunk in chunks:
                allowance.spend(len(chunk))
                file.write(chunk)
    except FileExistsError:
        raise JobError(
            f"{allowance.source} holds {target.name} twice, compressed and not. Leave one of them."
        ) from None


def compression_of(name: str) -> str | None:
    """The end of a name that says how the file is compressed; None where it is not."""
    return next((end for end in COMPRESSED if name.endswith(end) and name != end), None)


def decompressed(chunks: Iterator[bytes], codec: str, source: Path) -> Iterator[bytes]:
    """Yield what was compressed piece by piece. Raises JobError where it is damaged."""
    # Loading it takes as long as most commands do.
    import pyarrow as pa

    try:
        with pa.CompressedInputStream(pa.PythonFile(Chunks(chunks), mode="r"), codec) as stream:
            while chunk := stream.read(CHUNK):
                yield chunk
    except (OSError, pa.ArrowInvalid) as error:
        raise damaged(source, "", error) from None


class Chunks(io.RawIOBase):
    """Pieces of bytes as a file that is read from its start."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.chunks, self.rest = chunks, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a part of a buffer; 0 is the end."""
        view = memoryview(buffer)
        self.rest = self.rest or next(self.chunks, b"")
        count = min(len(view), len(self.rest))
        view[:count], self.rest = self.rest[:count], self.rest[count:]
        return count


def damaged(file: Path, where: str, error: Exception) -> JobError:
    return JobError(
        f"{file} is truncated or damaged{where} ({error}). Get a whole copy of it and run again."
    )
