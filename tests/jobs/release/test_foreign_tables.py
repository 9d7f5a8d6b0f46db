"""Tables of others: what is read of them, and what is said where they cannot be read."""

from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from jobs.release.detection import detect_layout
from jobs.release.foreign_tables import parted
from jobs.release.obtain import obtain
from jobs.release.raw import describe
from jobs.runs.configuration import load_configuration
from jobs.runs.errors import JobError
from tests.servers.postgresql import PASSWORD, postgresql_server


def delivery_of(source: str, folder: Path, *settings: str) -> tuple[Path, str]:
    """What ingest makes of a source, in an empty folder, and what it says it is."""
    said = ["ingest.dataset=mine", f"ingest.source={source!r}", *settings]
    folder.mkdir()
    return obtain(load_configuration(said).ingest, folder.parent / "downloads", folder)


def test_the_newest_version_of_a_delta_table(tmp_path):
    table = str(tmp_path / "orders")
    rows = {"user": [3, 1, 2], "item": [5, 5, 6], "stars": [1.0, 2.0, 3.0], "shop": ["a", "b", "a"]}
    write_deltalake(table, pa.table(rows), partition_by=["shop"])
    DeltaTable(table).delete("user = 1")
    found, source = delivery_of(table, tmp_path / "one")
    assert source == f"{table} at version 1"
    assert pq.read_table(found / "ratings.parquet").to_pydict() == {
        "user": [2, 3], "item": [6, 5], "stars": [3.0, 1.0], "shop": ["a", "a"]
    }  # fmt: skip
    # The same rows in other files are the same delivery.
    DeltaTable(table).optimize.compact()
    again, _ = delivery_of(table, tmp_path / "two")
    assert describe(again) == describe(found)
    with pytest.raises(JobError, match="orders holds more than 1e-08 GiB"):
        delivery_of(table, tmp_path / "three", "ingest.max_unpacked_gib=1e-8")
    (tmp_path / "orders/_delta_log/00000000000000000001.json").write_text("{")
    with pytest.raises(JobError, match="orders is a Delta table that cannot be read: "):
        delivery_of(table, tmp_path / "four")


def test_a_table_in_postgresql(tmp_path, monkeypatch):
    with postgresql_server() as dsn:
        source = f"{dsn}&table=shop.orders"
        with pytest.raises(JobError, match=r"cannot be reached.* Look at ingest\.source"):
            delivery_of(source, tmp_path / "no")
        monkeypatch.setenv("PGPASSWORD", PASSWORD)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("create schema shop")
            connection.execute(
                "create table shop.orders (customer bigint, item int, stars real, time timestamptz)"
            )
            connection.execute(
                "insert into shop.orders values (2, 6, 4.5, '2025-01-01 01:30+01'), (1, 5, 3, null)"
            )
        found, said = delivery_of(source, tmp_path / "one")
        assert (found / "ratings.csv").read_text() == (
            "customer,item,stars,time\n1,5,3,\n2,6,4.5,2025-01-01 00:30:00+00\n"
        )
        assert said == source
        assert detect_layout(found, load_configuration(
            ["ingest.dataset=mine", f"ingest.source={source!r}"]
        ).ingest).time == "dates"  # fmt: skip
        with pytest.raises(JobError, match=r"table absent cannot be read: relation .* A view with"):
            delivery_of(f"{dsn}&table=absent", tmp_path / "two")


def test_the_table_stands_in_the_address():
    found = parted("postgresql://me@host/shop?sslmode=require&table=public.ratings")
    assert found == ("postgresql://me@host/shop?sslmode=require", "public.ratings")
    for wrong in ("", "?table=", "?table=a;drop", "?table=a.b.c"):
        with pytest.raises(JobError, match="expected the name of a table or view"):
            parted(f"postgresql://me@host/shop{wrong}")
    with pytest.raises(JobError, match=r"holds credentials(?!.*hidden)"):
        load_configuration(
            ["ingest.dataset=mine", "ingest.source='postgresql://me:hidden@host/shop?table=t'"]
        )
