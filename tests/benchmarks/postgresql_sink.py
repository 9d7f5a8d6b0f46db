"""The PostgreSQL sink: rows a second, and how long a reader waits at worst while a date is swapped.

    PYTHONPATH=. python tests/benchmarks/postgresql_sink.py [users, 50000 without]

Publishes 20 rows a user, starts a server of its own, and loads the date twice: the second time two
readers poll one user's rows of the view `current`, and every answer must be whole. In the same run,
psql's own COPY of the same rows as CSV, without an index or a swap.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from datetime import date
from pathlib import Path

import duckdb
import psycopg

from jobs.published.delta import file_paths, open_table
from jobs.runs.warehouse import Warehouse
from jobs.sinks.postgresql import connection_to
from jobs.sinks.postgresql_dates import load
from tests.benchmarks.lookup import DATES, make
from tests.servers.postgresql import PASSWORD, postgresql_server


def poll(dsn: str, stop: threading.Event, waits: list[float], torn: list[int]) -> None:
    """Ask until told to stop; note how long each answer took, and what was not whole."""
    with psycopg.connect(dsn, autocommit=True) as reader:
        while not stop.is_set():
            started = time.perf_counter()
            rows = reader.execute(
                'select rank from nightreel."current" where user_id = 2000'
            ).fetchall()
            waits.append(time.perf_counter() - started)
            if len(rows) != 20:
                torn.append(len(rows))


def main() -> None:
    os.environ["PGPASSWORD"] = PASSWORD
    with tempfile.TemporaryDirectory() as folder, postgresql_server() as dsn:
        warehouse, ds = Path(folder), date.fromisoformat(DATES[-1])
        make(warehouse, DATES[-1:], int(sys.argv[1]) if len(sys.argv) > 1 else 50_000)
        waits: list[float] = []
        torn: list[int] = []
        with connection_to(dsn) as connection:
            started = time.perf_counter()
            rows = load(connection, Warehouse(warehouse), ds)
            first = time.perf_counter() - started
            print(f"{rows:,} rows: {rows / first:,.0f} a second, with index, statistics and swap")
            stop = threading.Event()
            readers = [
                threading.Thread(target=poll, args=(dsn, stop, waits, torn)) for _ in range(2)
            ]
            for reader in readers:
                reader.start()
            load(connection, Warehouse(warehouse), ds)
            time.sleep(0.5)
            stop.set()
            for reader in readers:
                reader.join()
        waits.sort()
        print(f"{len(waits):,} reads during the second load, torn {len(torn)}")
        median, worst = 1000 * waits[len(waits) // 2], 1000 * waits[-1]
        print(f"a read took {median:.1f} ms; at worst {worst:.0f}")
        files = file_paths(open_table(Warehouse(warehouse), "recommendations"))
        out = warehouse / "rows.csv"
        duckdb.read_parquet(files, hive_partitioning=True).write_csv(str(out), header=False)
        with psycopg.connect(dsn) as peer:
            peer.execute("create table peer (like nightreel.recommendations)")
            names = ", ".join(duckdb.read_parquet(files, hive_partitioning=True).columns)
        psql = next(Path(dsn.partition("host=")[2]).glob("**/bin/psql"), "psql")
        copy = f"\\copy peer ({names}) from '{out}' with (format csv)"
        started = time.perf_counter()
        subprocess.run([psql, "-q", "-d", dsn, "-c", copy], check=True)
        alone = time.perf_counter() - started
        print(f"psql's \\copy alone: {rows / alone:,.0f} rows a second")
        print(f"the sink takes {first / alone:.2f} times as long")
        sys.exit(bool(torn))


if __name__ == "__main__":
    main()
