"""The object-store sink: bytes a second beside boto3's, memory, and what a reader meets meanwhile.

    PYTHONPATH=. python tests/benchmarks/object_store_sink.py [users, 200000 without]

Publishes 20 rows a user for two dates and copies each to an S3 server (moto) on this machine. While
the second date is copied, a reader counts each date's rows over and over: it may meet none of the
second, or all. In the same run, boto3 uploads the first date's files to the same server.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import duckdb
from deltalake import DeltaTable

from jobs.published.delta import file_paths, open_table
from jobs.runs.warehouse import Warehouse
from jobs.sinks.remote_tables import copy_tables, prepare
from jobs.sinks.table_copy import copy_table, current
from tests.benchmarks.lookup import DATES, make
from tests.servers.s3 import bucket_client, environment, s3_server


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def count_rows(table: str, stop: threading.Event, seen: list[dict]) -> None:
    """Note how many rows each date has, until told to stop."""
    while not stop.is_set():
        rows = DeltaTable(table).scan(columns=["ds"])
        counts = duckdb.from_arrow(rows).aggregate("ds::varchar, count(*)").fetchall()
        seen.append(dict(counts))


def watch(stop: threading.Event, peak: list[int]) -> None:
    while not stop.wait(0.01):
        peak.append(resident())


def main() -> None:
    users = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as folder, s3_server() as endpoint:
        os.environ |= environment(endpoint)
        client = bucket_client(endpoint)
        client.create_bucket(Bucket="bucket")
        warehouse, place = Path(folder), "s3://bucket/nightreel"
        make(warehouse, DATES[:2], users)
        open_table(Warehouse(warehouse), "recommendations").restore(0)
        files = file_paths(open_table(Warehouse(warehouse), "recommendations"))
        prepare(Warehouse(warehouse), place)
        stop, peak = threading.Event(), [resident()]
        before = peak[0]
        watcher = threading.Thread(target=watch, args=(stop, peak))
        watcher.start()
        started = time.perf_counter()
        folder_of_rows = warehouse / "tables" / "recommendations"
        count, size = copy_table(current(folder_of_rows), f"{place}/tables/recommendations")
        took = time.perf_counter() - started
        stop.set()
        watcher.join()
        memory = (max(peak) - before) / 2**20
        print(f"{20 * users:,} rows in {count} files: {size / took / 1e6:.0f} MB/s with the commit")
        print(f"{memory:.0f} MiB more memory, for {size / 2**20:.0f} MiB of files")
        started = time.perf_counter()
        for number, file in enumerate(files):
            client.upload_file(file, "bucket", f"peer/{number}")
        peer = time.perf_counter() - started
        print(f"boto3's upload_file of the same files: {size / peer / 1e6:.0f} MB/s")
        print(f"the sink has {peer / took:.2f} times its speed")
        copy_tables(Warehouse(warehouse), place)
        started = time.perf_counter()
        assert copy_tables(Warehouse(warehouse), place)["files"] == 0
        print(f"all tables, with nothing new: {time.perf_counter() - started:.2f} s")
        open_table(Warehouse(warehouse), "recommendations").restore(1)
        seen: list[dict] = []
        stop = threading.Event()
        table = f"{place}/tables/recommendations"
        reader = threading.Thread(target=count_rows, args=(table, stop, seen))
        reader.start()
        copy_tables(Warehouse(warehouse), place)
        time.sleep(1)
        stop.set()
        reader.join()
        whole = [{date: 20 * users for date in DATES[:n]} for n in (1, 2)]
        torn = [counts for counts in seen if counts not in whole]
        print(f"{len(seen)} reads while the second date was copied, torn {len(torn)}; "
              f"{seen.count(whole[1])} met it")  # fmt: skip
        sys.exit(bool(torn))


if __name__ == "__main__":
    main()
