"""Somebody's own ratings, a compressed file of other columns, go all the way to a list."""

import gzip
from datetime import date, timedelta
from pathlib import Path

from tests.end_to_end.conftest import SMALL, Warehouse

USERS, ARTICLES = range(900_001, 900_121), range(5001, 5061)


def write_orders(file: Path) -> int:
    """Ratings from 0 to 90, of which even customers give even articles the best; returns how many.

    Two lines more cannot be used.
    """
    lines = [
        f"{date(2025, 1, 1) + timedelta(days=(user * 31 + sku * 17) % 600)};web;{user};{sku}.0;"
        f"{90 if user % 2 == sku % 2 else (user + sku) % 40}"
        for user in USERS
        for sku in ARTICLES
        if (user * 7 + sku * 13) % 5 < 2
    ]
    bad = ["2025-01-01;web;900001;5001.5;90", "soon;web;900001;5001;90"]
    with gzip.open(file, "wt", encoding="utf-8") as opened:
        opened.write("\n".join(["at;shop;customer;sku;stars", *lines, *bad]))
    return len(lines)


def test_own_ratings_become_lists(tmp_path):
    warehouse = Warehouse(tmp_path / "warehouse")
    orders = write_orders(tmp_path / "orders.csv.gz")
    said = [f"--set=ingest.columns.{each}" for each in ("movie=sku", "time=at")]
    source = ["--dataset", "our_shop-1", "--source", str(tmp_path / "orders.csv.gz")]
    warehouse.steps("own", *source, "--ds", "2026-10-02", *said, *SMALL)
    assert warehouse.sql("select release, ratings, users, movies, quarantined from runs") == [
        ("our_shop-1", orders, len(USERS), len(ARTICLES), 2)
    ]
    assert warehouse.sql("select file, line, reason from quarantine order by line") == [
        ("orders.csv", orders + 2,
         "movie_id: expected a whole number from 1 to 2147483647, found '5001.5'"),
        ("orders.csv", orders + 3, "timestamp: expected a date as in 2018-01-17, found 'soon'"),
    ]  # fmt: skip
    [(rows, least, most)] = warehouse.sql(
        "select count(*), min(predicted_rating), max(predicted_rating) from recommendations "
        "anti join ratings using (user_id, movie_id)"
    )
    assert rows == len(USERS) * 20
    assert 0 <= least < most <= 90
    done = warehouse.run("recommend", "--user", "900001", "--top", "3")
    assert done.returncode == 0, done.stderr
    assert "Recommendations for user 900001" in done.stdout
