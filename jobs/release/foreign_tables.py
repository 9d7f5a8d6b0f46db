"""Tables that others keep, as a source of ratings: one in PostgreSQL, or one of Delta Lake.

What it holds at this moment is written to one file of the delivery, in one order, so that the same
rows are the same delivery; from then on it is read as any file is.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from jobs.release.unpacking import Allowance
from jobs.runs.addresses import is_object_uri
from jobs.runs.errors import JobError

# A name, or one in a schema; anything else would have to be quoted, as nobody calls a table.
TABLE = re.compile(r"[A-Za-z_][\w$]*(\.[A-Za-z_][\w$]*)?")


def is_postgresql(source: str) -> bool:
    return source.startswith(("postgresql://", "postgres://"))


def is_delta(source: str) -> bool:
    """Whether a folder, or an address in an object store, is that of a table of Delta Lake."""
    if not is_object_uri(source):
        return (Path(source) / "_delta_log").is_dir()
    # What has an end to its name is a file, for which nothing need be asked.
    if "." in source.rpartition("/")[2]:
        return False
    import obstore

    from jobs.engines.object_store import FAILURES, open_store, sentence

    try:
        log = obstore.list(open_store(f"{source}/_delta_log"), chunk_size=1)
        return bool(next(iter(log), None))
    except FAILURES as error:
        raise JobError(f"ingest.source {source} cannot be read: {sentence(error)}.") from None


def write_delta(source: str, folder: Path, max_gib: float) -> str:
    """Write the newest version to `folder`; returns what was read, with that version.

    Raises JobError if it cannot be read.
    """
    import duckdb
    from deltalake import DeltaTable

    from jobs.engines.duck import open_memory, quoted
    from jobs.engines.object_store import DELTA_OPTIONS, FAILURES, require_endpoint, sentence

    remote = is_object_uri(source)
    if source.startswith("s3"):
        require_endpoint()
    target = folder / "ratings.parquet"
    try:
        table = DeltaTable(source, storage_options=DELTA_OPTIONS if remote else None)
        rows = table.scan()
        with open_memory() as connection:
            connection.execute(f"set temp_directory = {quoted(str(folder.parent / 'duckdb'))}")
            connection.register("delivered", rows)
            connection.execute(
                f"copy (from delivered order by all) to {quoted(str(target))} (format parquet)"
            )
    except (*FAILURES, duckdb.Error) as error:
        raise JobError(
            f"ingest.source {source} is a Delta table that cannot be read: {sentence(error)}."
        ) from None
    Allowance(Path(source), max_gib).spend(target.stat().st_size)
    return f"{source} at version {table.version()}"


def write_postgresql(source: str, folder: Path, max_gib: float) -> str:
    """Write a table, or a view, to `folder`; returns what was read.

    `source` is an address of libpq with ?table=; the password comes from PGPASSWORD or ~/.pgpass.
    Raises JobError if it cannot be read.
    """
    import psycopg

    from jobs.engines.postgresql_connection import connected, sentence

    dsn, table = parted(source)
    allowance = Allowance(Path(table), max_gib)
    with connected(dsn, "ingest.source") as connection:
        # Texts of times as they are read here.
        connection.execute("set timezone = 'UTC'")
        connection.execute("set datestyle = 'ISO'")
        named = ".".join(f'"{part}"' for part in table.split("."))
        query = f"copy (select * from {named} t order by t) to stdout (format csv, header)"
        try:
            with connection.cursor() as cursor, cursor.copy(query) as chunks:
                with (folder / "ratings.csv").open("wb") as file:
                    for chunk in chunks:
                        allowance.spend(len(chunk))
                        file.write(chunk)
        except psycopg.Error as error:
            raise JobError(
                f"ingest.source: table {table} cannot be read: {sentence(error)}. A view with the "
                "columns user, movie, rating and time alone can stand in for it."
            ) from None
    return source


def parted(source: str) -> tuple[str, str]:
    """The address of a database, and the table that ?table= names. Raises JobError without one."""
    parts = urlsplit(source)
    options = dict(parse_qsl(parts.query))
    table = options.pop("table", "")
    if not TABLE.fullmatch(table):
        raise JobError(
            "ingest.source: expected the name of a table or view behind the database, as in "
            "postgresql://user@host:5432/shop?table=public.ratings, of letters, digits and _."
        )
    return urlunsplit(parts._replace(query=urlencode(options, quote_via=quote))), table
