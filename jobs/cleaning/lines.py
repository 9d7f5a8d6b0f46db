"""Lines of a delivery: read, cut into fields, and why one cannot be used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from jobs.release.layouts import ID_KINDS, Layout, Table

# A block's number is that of its file, and so many bits of where it starts there.
START_BITS = 48
# Of an id that is a text: more than any UUID, URL or path that serves as one.
MOST_ID_BYTES = 500


def read_lines(spark: SparkSession, raw: Path, table: Table, encoding: str) -> DataFrame:
    r"""The lines of a table's files without their headers: content, and (block, position) to order.

    Spark cuts files into blocks; `position` counts up within a block, without saying from where.
    Lines end at \n, \r or \r\n.
    """
    # The text reader passes bytes on as they are; only here they become characters.
    value = F.col("value")
    ascii_only = F.is_valid_utf8(value) & (F.octet_length(value) == F.length(value))
    decoded = F.decode(value.cast("binary"), encoding)
    files = [raw / file for file in table.files]
    read = spark.read.text([literal_path(file) for file in files])
    lines = read.select(
        F.when(ascii_only, value).otherwise(decoded).alias("content")
        if encoding != "UTF-8"
        else F.make_valid_utf8(value).alias("content"),
        F.col("_metadata.file_block_start").alias("block"),
        F.monotonically_increasing_id().alias("position"),
        F.col("_metadata.file_path").alias("path"),
    )
    lines = in_blocks(lines, files, read.inputFiles())
    return without_ends(lines, table.header, [blank_end(file) for file in files])


def in_blocks(rows: DataFrame, files: Sequence[Path], addresses: Sequence[str]) -> DataFrame:
    """Rows without `path`: the number of that file is in `block`, too, where there are several.

    `addresses` of all files, as Spark calls them.
    """
    if len(files) == 1:
        return rows.drop("path")
    # By join, because looking a path up in a list takes the longer, the longer that is.
    number = {file: n for n, file in enumerate(files)}
    # Of the same file, a row says file:/ and the list file:///.
    first = [
        (re.sub("^file:///", "file:/", path), number[path_of(path)] << START_BITS)
        for path in addresses
    ]
    known = rows.sparkSession.createDataFrame(first, "path string, first bigint")
    joined = rows.join(F.broadcast(known), "path")
    return joined.withColumn("block", F.col("block") + F.col("first")).drop("path", "first")


def without_ends(lines: DataFrame, header: bool, blanks: list[int]) -> DataFrame:
    """Lines without each file's first, if that is a header, and its empty ones at the end.

    `blanks` holds the number of these, by file.
    """
    block, position = F.col("block"), F.col("position")
    if len(blanks) == 1 and header:
        # The first partition begins with the first block.
        lines = lines.filter((block != 0) | (position != 0))
    if not (any(blanks) or (header and len(blanks) > 1)):
        return lines
    file = F.shiftright(block, START_BITS).cast("int")
    place = F.struct("block", "position")
    ends = lines.groupBy(file.alias("file")).agg(F.min(place), F.max(place)).collect()
    of_file = {number: (first, last) for number, first, last in ends}
    absent = (-1, -1), (-1, -1)
    firsts, lasts = zip(*(of_file.get(n, absent) for n in range(len(blanks))), strict=True)

    def of(values: Iterable[int]) -> Column:
        return F.get(F.array(*(F.lit(value).cast("bigint") for value in values)), file)

    if header and len(blanks) > 1:
        is_first = (block == of(b for b, _ in firsts)) & (position == of(p for _, p in firsts))
        lines = lines.filter(~is_first)
    if any(blanks):
        until = of(p - blank for (_, p), blank in zip(lasts, blanks, strict=True))
        lines = lines.filter((block < of(b for b, _ in lasts)) | (position <= until))
    return lines


def literal_path(file: Path) -> str:
    """A path as Spark takes it, for which some characters stand for others."""
    return re.sub(r"([\\*?{}\[\]])", r"\\\1", str(file))


def path_of(uri: str) -> Path:
    """The file that an address of Spark's names."""
    return Path(unquote(urlsplit(uri).path))


def blank_end(file: Path) -> int:
    """How many empty lines the file ends with: they are an editor's, and no lines of the release.

    Empty lines elsewhere are quarantined.
    """
    with file.open("rb") as content:
        content.seek(max(0, file.stat().st_size - 1024))
        end = content.read()
    return max(0, end[len(end.rstrip(b"\r\n")) :].count(b"\n") - 1)


def with_fields(lines: DataFrame, table: Table) -> DataFrame:
    """One string column per field, and `reason`: why the line cannot be used, null where it can."""
    if table.names:
        # Rows of Parquet have come in columns.
        return lines
    names, separator = table.fields, table.separator
    parts = [field(F.col("content"), separator, n + 1) for n in range(len(names))]
    # The line has as many fields as there are names if these fields are all of it.
    length = reduce(add, (F.octet_length(F.col(name)) for name in names))
    whole = length + (len(names) - 1) * len(separator) == F.octet_length("content")
    cut = lines.select(
        "content", "block", "position", *(p.alias(n) for p, n in zip(parts, names, strict=True))
    )
    if table.quoted:
        plain = whole & ~F.contains("content", F.lit('"'))
        return with_quoted_fields(cut.withColumn("plain", plain), table)
    found = F.size(F.split("content", re.escape(separator), -1)).cast("string")
    reason = F.when(~whole, F.concat(F.lit(f"expected {len(names)} fields, found "), found))
    columns = [F.when(whole, F.col(name)).alias(name) for name in names]
    return cut.select("content", "block", "position", reason.alias("reason"), *columns)


def field(line: Column, separator: str, number: int) -> Column:
    """A field of a line, from 1; of one with too few fields empty, or its last."""
    found = F.substring_index(F.substring_index(line, separator, number), separator, -1)
    if len(separator) == 1:
        return found
    # Of a:::b, substring_index sees two separators. split_part sees one, but makes a regular
    # expression of it for each line.
    several = F.contains(line, F.lit(separator + separator[-1]))
    return F.when(several, F.split_part(line, F.lit(separator), F.lit(number))).otherwise(found)


def with_quoted_fields(cut: DataFrame, table: Table) -> DataFrame:
    """Fields of CSV: of `plain` lines as they were cut, of others as a CSV parser sees them."""
    names = table.fields
    schema = ", ".join(f"{name} string" for name in [*names, "malformed"])
    options = {"columnNameOfCorruptRecord": "malformed", "escape": '"', "sep": table.separator}
    # Only what needs a parser goes through one.
    parsed = F.when(~F.col("plain"), F.from_csv("content", schema, options))
    rows = cut.withColumn("parsed", parsed)
    wrong = F.col("parsed.malformed").isNotNull()
    reason = F.when(wrong, f"expected {len(names)} fields, found a line that is not CSV")
    columns = [
        F.when(F.col("plain"), F.nullif(F.col(name), F.lit("")))
        .when(~wrong, F.col(f"parsed.{name}"))
        .alias(name)
        for name in names
    ]
    return rows.select("content", "block", "position", reason.alias("reason"), *columns)


def without_controls(text: Column) -> Column:
    """A text for readers: tabs and ends of lines as spaces, other control characters left out.

    A terminal obeys them, and PostgreSQL takes no text that holds a NUL.
    """
    return F.regexp_replace(F.regexp_replace(text, r"[\t\n\x0B\f\r\x85]+", " "), r"\p{Cc}", "")


def first_reason(*reasons: Column) -> Column:
    """The first reason that applies; the one already found comes first."""
    return F.coalesce(F.col("reason"), *reasons)


def digits(name: str, kind: str) -> Column:
    """A field of one to ten digits as a number; null where it is anything else."""
    value = F.col(name).try_cast(kind)
    return F.when(plain(F.col(name), kind) | F.col(name).rlike("^[0-9]{1,10}$"), value)


def plain(text: Column, kind: str, most: int = 9_999_999_999) -> Column:
    """Whether a text says a whole number, from 0, as we would: then it needs no pattern."""
    value = text.try_cast(kind)
    return (value.cast("string") == text) & value.between(0, most)


def own_id(name: str) -> Column:
    """A field of own files as an id: as `digits`, with spaces around it, or written as 1.0."""
    text = F.trim(name)
    whole = F.regexp_extract(text, r"^([0-9]{1,10})(\.0+)?$", 1)
    found = F.when(plain(text, "int"), text).otherwise(F.when(whole != "", whole))
    return found.try_cast("int")


def source_id(name: str, kind: str) -> Column:
    """A field of own files as an id of one of ID_KINDS but `int`; null where it is none.

    As it is written, without spaces around it; of whole numbers without zeros around them. A text
    with control characters is none: a terminal obeys them, and PostgreSQL takes no NUL; neither is
    one of more than MOST_ID_BYTES, which its index would refuse, or of bytes that are no UTF-8.
    """
    text = F.trim(name)
    if kind == "string":
        fits = F.octet_length(text).between(1, MOST_ID_BYTES) & F.is_valid_utf8(text)
        return F.when(fits & ~text.rlike(r"\p{Cc}"), text)
    number = F.regexp_extract(text, r"^([0-9]{1,19})(\.0+)?$", 1).try_cast("bigint")
    return F.when(number > 0, number.cast("string"))


def own_number_of(source: Column) -> Column:
    """The number of a source's id that is one of ours; null of any other id."""
    return F.when(source.rlike("^[1-9][0-9]{0,9}$"), source.try_cast("int"))


def id_columns(entity: str, layout: Layout) -> dict[str, Column]:
    """<entity>_id of a layout's fields, null where it is no id.

    Where ids are not of the kind `int` also source_<entity>_id, null where that is no id; the
    number is then null of all that are no numbers of ours.
    """
    name, kind = f"{entity}_id", layout.ids_of(entity)
    if kind == "int":
        return {name: own_id(name) if layout.own else digits(name, "int")}
    source = source_id(name, kind)
    return {name: own_number_of(source), f"source_{name}": source}


def not_an_id(name: str, kind: str, found: Column) -> Column:
    """The reason why a field is no id of a kind; `found` is the last of its `id_columns`."""
    found = found > 0 if kind == "int" else found.isNotNull()
    expected = "an id" if kind == "string" else f"a {ID_KINDS[kind].replace('numbers', 'number')}"
    return F.when(~F.coalesce(found, F.lit(False)), unusable(name, expected))


def unusable(name: str, expected: str) -> Column:
    found = F.coalesce(F.concat(F.lit("'"), F.col(name), F.lit("'")), F.lit("nothing"))
    return F.concat(F.lit(f"{name}: expected {expected}, found "), found)


def refuse_repeated(rows: DataFrame, name: str, key: str) -> DataFrame:
    """Give all but the first usable line of a key a reason, which calls it by a name."""
    order = Window.partitionBy(key, F.col("reason").isNull()).orderBy("block", "position")
    repeated = F.col("reason").isNull() & (F.row_number().over(order) > 1)
    reason = F.when(
        repeated, F.concat(F.lit(f"{name} "), key, F.lit(" was given by an earlier line"))
    )
    return rows.withColumn("reason", F.coalesce("reason", reason))
