"""Users who asked to be forgotten, left out of a delivery before it is kept.

What is kept of a delivery then never held them: nothing that is made of it can. Lines and rows go
whole, also those that could not have been used. Files that are not read may tell of anybody: of a
delivery with people to be left out, they are not kept, but for a licence and a README.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from jobs.release.columns import one_row
from jobs.release.layouts import Layout, Table
from jobs.release.parquet_columns import texts

# Whoever is looked for: as a delivery's own files write ids, and GroupLens's.
WHOLE = re.compile(r"0*([1-9][0-9]*)(\.0+)?")
PIECE = 1 << 22
# Ratings of ml-100k that are a split of their own, and files that tell of nobody.
SPLIT = re.compile(r"u[1-5ab]\.(base|test)")
OF_NOBODY = re.compile(r"(readme|licen[cs]e|manifest|copying)\b.*", re.IGNORECASE)

Names = Callable[[str], bool]
"""Whether a field is the id of somebody who is looked for."""


def leave_out(delivery: Path, layout: Layout, users: Collection[str]) -> dict[str, int]:
    """Take users out of a delivery's files, in place; returns what went: `lines` and `files`.

    `users` are ids as tables call them. Files are made anew: one that another delivery shares stays
    as it was.
    """
    if not users:
        return {"lines": 0, "files": 0}
    tables = naming_tables(layout)
    read = {file for table in layout.tables for file in table.files} | {layout.genre_file}
    lines, files = 0, 0
    for path in sorted(path for path in delivery.rglob("*") if path.is_file()):
        name = path.relative_to(delivery).as_posix()
        if name in read or OF_NOBODY.fullmatch(path.name):
            continue
        if SPLIT.fullmatch(name) and not layout.own:
            tables.append(replace(layout.ratings, file=name, parts=()))
            continue
        path.unlink()
        files += 1
    for table in tables:
        named = naming(users, kind_in(table, layout))
        for file in table.files:
            if table.names:
                lines += leave_out_rows(delivery / file, table, named)
            else:
                marks = marks_of(users, layout.encoding)
                lines += leave_out_lines(delivery / file, table, layout.encoding, marks, named)
    return {"lines": lines, "files": files}


def naming_tables(layout: Layout) -> list[Table]:
    """Those that have a column of users."""
    return [table for table in (layout.ratings, layout.users) if table]


def kind_in(table: Table, layout: Layout) -> str:
    """What ids of users are in one of these, one of ID_KINDS."""
    return "int" if table is layout.users else layout.ids_of("user")


def lines_naming(lines: Iterable[tuple[str, str]], layout: Layout, users: Collection[str]) -> int:
    """How many lines name one of these users, of lines as `quarantine` has them: file, content."""
    of_file = {file: table for table in naming_tables(layout) for file in table.files}
    named = {table: naming(users, kind_in(table, layout)) for table in of_file.values()}
    found = 0
    for file, content in lines:
        table = of_file.get(file)
        if table is None and SPLIT.fullmatch(file) and not layout.own:
            table = layout.ratings
        found += table is not None and line_names(content, table, named[table])
    return found


def line_names(text: str, table: Table, named: Names) -> bool:
    """Whether a line of a table, or a row of one in JSON, has somebody in the column of users."""
    place = table.fields.index("user_id")
    if table.names:
        value = json.loads(text)[table.names[place]]
        # As Parquet holds it, a whole number may have a point.
        return value is not None and named(str(value))
    fields = one_row(text, table.separator) if table.quoted and '"' in text else []
    # What is no CSV is looked at as if it had no quotes.
    fields = fields or text.replace('"', "").split(table.separator)
    # Quotes after a space are none to a CSV parser: the line goes all the same.
    return len(fields) > place and (named(fields[place]) or named(fields[place].strip(' "')))


def in_words(left_out: dict[str, int]) -> str:
    """What `leave_out` returned."""
    return f"{left_out['lines']:,} lines, and {left_out['files']:,} files that nobody reads"


def naming(users: Collection[str], kind: str) -> Names:
    """Which fields name one of these users, in a column of one of ID_KINDS: as etl reads ids."""
    wanted = frozenset(users)
    if kind == "string":
        return lambda field: field.strip(" ") in wanted

    def is_wanted(field: str) -> bool:
        found = WHOLE.fullmatch(field.strip(" "))
        return found is not None and found[1] in wanted

    return is_wanted


def marks_of(users: Collection[str], encoding: str) -> re.Pattern[bytes]:
    """What stands in every line that names one of these users, also where quotes are doubled."""
    written = {each for user in users for each in (user, user.replace('"', '""'))}
    return re.compile(b"|".join(re.escape(each.encode(encoding, "replace")) for each in written))


def leave_out_lines(
    file: Path, table: Table, encoding: str, marks: re.Pattern[bytes], named: Names
) -> int:
    """Take lines out of a text file; returns how many. Without one of `marks`, none goes."""

    def goes(line: bytes) -> bool:
        # Most lines, and most pieces, need no looking at.
        if not marks.search(line):
            return False
        text = line.decode(encoding, "replace").rstrip("\r\n").removeprefix("\ufeff")
        return line_names(text, table, named)

    left_out = 0
    with file.open("rb") as content, instead_of(file) as new:
        with new.open("wb") as kept:
            names = table.header
            for piece in whole_pieces(content):
                if not (names or marks.search(piece)):
                    kept.write(piece)
                    continue
                lines = piece.splitlines(keepends=True)
                # The line of names stays, whatever somebody is called.
                first, names = lines[:names], False
                stay = first + [line for line in lines[len(first) :] if not goes(line)]
                left_out += len(lines) - len(stay)
                kept.write(b"".join(stay))
        if not left_out:
            new.unlink()
    return left_out


def whole_pieces(content: BinaryIO) -> Iterator[bytes]:
    r"""A file in pieces that end where a line does, by \n or \r."""
    rest = b""
    while piece := content.read(PIECE):
        piece = rest + piece
        # An \r at the very end may be half of the end of a line.
        end = max(piece.rfind(b"\n", 0, -1), piece.rfind(b"\r", 0, -1)) + 1
        if end and piece[end - 1 : end + 1] == b"\r\n":
            end += 1
        rest = piece[end:]
        if end:
            yield piece[:end]
    yield rest


def leave_out_rows(file: Path, table: Table, named: Names) -> int:
    """Take rows out of a Parquet file, whose schema stays; returns how many."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    column = table.names[table.fields.index("user_id")]
    left_out = 0
    with pq.ParquetFile(file) as content, instead_of(file) as new:
        kinds = {content.schema.column(n).physical_type for n in range(len(content.schema))}
        with pq.ParquetWriter(
            new, content.schema_arrow, use_deprecated_int96_timestamps="INT96" in kinds
        ) as kept:
            for batch in content.iter_batches():
                stays = [not named(field) for field in texts(batch[column])]
                left_out += len(stays) - sum(stays)
                kept.write_batch(batch.filter(pa.array(stays, pa.bool_())))
        if not left_out:
            new.unlink()
    return left_out


@contextmanager
def instead_of(file: Path) -> Iterator[Path]:
    """Yield a name to write under; what is there in the end takes the place of `file`."""
    new = file.with_name(f".{file.name}.rest")
    yield new
    if new.exists():
        new.replace(file)
