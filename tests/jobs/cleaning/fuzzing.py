"""Deliveries with damage of every kind, from a seed; and the sum that must still come out."""

import random
from collections import Counter
from functools import reduce
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.cleaning import movies, ratings
from jobs.cleaning.lines import blank_end, read_lines
from jobs.release.detection import detect_layout
from jobs.runs.errors import JobError
from jobs.runs.run import Run

# Inserted into lines: separators, quotes, marks, halves of characters, numbers that are none.
ODD = [
    b"::", b"|", b"\t", b",", b'"', b'""', b"\\", b"\0", b"\x1a", b"\xff", b"\xc3", b"\xed\xa0\x80",
    b"\xef\xbb\xbf", b"\xf0\x9f\x8e\xac", b"\xe2\x80\xa8", b"\xc2\x85", b" ", b"-", b"+", b"e9",
    b"NaN", b"Infinity", b"null", b"0x1F", b"99999999999999999999", b".", b"(", b")", b"(1995)",
    b"'; drop table ratings; --", b"x" * 5000,
]  # fmt: skip

# Good lines of each file: of a rating {u}, {m}, {r} and {t} are filled in, of a movie {m}.
GOOD = {
    "u.data": {
        "u.data": "{u}\t{m}\t{r}\t{t}",
        "u.item": "{m}|Misérables, Les ({y})|01-Jan-{y}||http://us.imdb.com|0|1|0",
        "u.user": "{m}|24|M|technician|85711",
    },
    "ratings.dat": {
        "ratings.dat": "{u}::{m}::{r}::{t}",
        "movies.dat": "{m}::Misérables, Les ({y})::Drama|War",
        "users.dat": "{m}::F::1::10::48067",
    },
    "ratings.csv": {
        "ratings.csv": "{u},{m},{r}.5,{t}",
        "movies.csv": '{m},"Misérables, ""Les"" ({y})",Drama|War',
    },
}
HEADERS = {"ratings.csv": b"userId,movieId,rating,timestamp", "movies.csv": b"movieId,title,genres"}


def good_lines(rng: random.Random, layout: str, name: str, count: int) -> list[bytes]:
    """`count` lines of one file, without its header; users rate movies more than once, too."""
    encoding = "UTF-8" if layout == "ratings.csv" else "latin-1"
    template, is_ratings = GOOD[layout][name], name == layout
    return [
        template.format(
            u=rng.randint(1, 50 + count // 40),
            m=rng.randint(1, 60) if is_ratings else number,
            r=rng.randint(1, 4),
            t=rng.choice([0, 978300760, 1767484799, 9999999999]),
            y=rng.randint(1900, 2026),
        ).encode(encoding)
        for number in range(1, count + 1)
    ]


def damaged_line(rng: random.Random, line: bytes) -> bytes:
    """The line with one to three changes; it stays one line."""
    for _ in range(rng.randint(1, 3)):
        start, end = sorted(rng.choices(range(len(line) + 1), k=2))
        kind = rng.randrange(6)
        if kind == 0:
            line = line[:start] + rng.choice(ODD) + line[start:]
        elif kind == 1:
            line = line[:start] + rng.choice(ODD) + line[end:]
        elif kind == 2:
            line = line[:start] + line[end:]
        elif kind == 3:
            line = line[:end] + line[start:end] + line[end:]
        elif kind == 4:
            line = line[:start]
        else:
            line = line[:start] + rng.randbytes(rng.randint(1, 4)) + line[start + 1 :]
    return line.replace(b"\n", b" ").replace(b"\r", b" ")


def damaged_file(rng: random.Random, content: bytes) -> bytes:
    """The file with one to three changes, which may join, cut and double lines."""
    for _ in range(rng.randint(1, 3)):
        start, end = sorted(rng.choices(range(len(content) + 1), k=2))
        ending = rng.choice([b"\r\n", b"\r", b"\n\n", b"\n" * 40])
        content = rng.choice(
            [
                b"",
                content[:start],
                content[start:],
                content[:start] + content[end:],
                content[end:] + content[:end],
                content[:start] + rng.randbytes(200) + content[start:],
                content[:start] + b"\n\r\n\r" + content[start:],
                content + ending,
                content.replace(b"\n", ending),
                b"\xef\xbb\xbf" + content,
                content.decode("latin-1").encode("utf-16"),
                content.replace(b"\n", b"\0"),
                content + b"\0" * 5000,
            ]
        )
    return content


def write_delivery(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    if "u.data" in files:
        (folder / "u.genre").write_text("unknown|0\nAction|1\nDrama|2\n")


def delivery_of_damaged_lines(rng: random.Random, layout: str, count: int) -> dict[str, bytes]:
    """Files with `count` rating lines, half of them damaged, and a few movies and users."""
    files = {}
    for name in GOOD[layout]:
        lines = good_lines(rng, layout, name, count if name == layout else 60)
        share = 0.5 if name == layout else 0.2
        lines = [damaged_line(rng, line) if rng.random() < share else line for line in lines]
        header = [HEADERS[name]] if name in HEADERS else []
        # What is no empty line at the end is a line.
        files[name] = b"\n".join([*header, *lines, lines[0]]) + b"\n"
    return files


def check_sum(spark: SparkSession, run: Run, figures: dict[str, int]) -> Counter:
    """Assert that every line is clean, quarantined as it stood, or a repeated rating.

    Returns how many lines of each file are in quarantine.
    """
    layout = detect_layout(run.raw)
    tables = [table.file for table in (layout.ratings, layout.movies, layout.users) if table]
    given = {name: (run.raw / name).read_bytes().split(b"\n")[:-1] for name in tables}
    rows = spark.read.parquet(str(run.output("quarantine"))).collect()
    quarantined = Counter(row.file for row in rows)
    for row in rows:
        was = given[row.file][row.line - 1].decode(layout.encoding, "replace")
        # Of half a character, Python and Spark make different numbers of marks.
        assert row.content.replace("\ufffd", "") == was.replace("\ufffd", ""), row
        assert row.reason
    header = int(layout.ratings.header)
    assert layout.movies
    assert figures["lines"] == len(given[layout.ratings.file]) - header
    clean = figures["ratings"] + figures["duplicates"]
    assert clean + quarantined[layout.ratings.file] == figures["lines"]
    movies = len(given[layout.movies.file]) - header
    assert figures["movies"] + quarantined[layout.movies.file] == movies
    return quarantined


def write_damaged_files(rng: random.Random, folder: Path, count: int) -> list[Path]:
    """`count` small deliveries in which files are damaged as a whole."""
    deliveries = []
    for number in range(count):
        layout = rng.choice(list(GOOD))
        files = {
            name: b"\n".join(
                [*([HEADERS[name]] if name in HEADERS else []), *good_lines(rng, layout, name, 30)]
            )
            + b"\n"
            for name in GOOD[layout]
        }
        for name in rng.sample(sorted(files), k=rng.randint(1, len(files))):
            files[name] = damaged_file(rng, files[name])
        deliveries.append(folder / str(number))
        write_delivery(deliveries[-1], files)
    return deliveries


def count_lines(spark: SparkSession, deliveries: list[Path]) -> Counter:
    """Assert that no line of the deliveries' ratings and movies files is lost, in one Spark job.

    Returns how many deliveries were refused, and how many lines are usable and unusable.
    """
    counts: Counter = Counter()
    expected: dict[str, int] = {}
    parsed: list[DataFrame] = []
    for raw in deliveries:
        try:
            layout = detect_layout(raw)
        except JobError:
            counts["refused files"] += 1
            continue
        assert layout.movies
        for table, parse in (
            (layout.ratings, ratings.parse_ratings),
            (layout.movies, movies.parse_movies),
        ):
            file = raw / table.file
            lines = parse(read_lines(spark, raw, table, layout.encoding), layout)
            parsed.append(lines.select(F.lit(str(file)).alias("file"), "reason"))
            # bytes.splitlines ends lines where Spark does: at \n, \r and \r\n.
            given = len(file.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines())
            expected[str(file)] = given - table.header - blank_end(file)
    every = (
        reduce(DataFrame.unionAll, parsed)
        .groupBy("file")
        .agg(F.count("*").alias("lines"), F.count("reason").alias("unusable"))
    )
    found = {row.file: row for row in every.collect()}
    for name, count in expected.items():
        assert (found[name].lines if name in found else 0) == max(count, 0), name
    counts["unusable lines"] = sum(row.unusable for row in found.values())
    counts["usable lines"] = sum(row.lines for row in found.values()) - counts["unusable lines"]
    return counts
