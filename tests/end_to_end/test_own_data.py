"""Somebody's own data goes all the way to a list: compressed ratings, and who used what."""

import gzip
import json
import zipfile
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.end_to_end.conftest import SMALL, Warehouse

USERS, ARTICLES = range(900_001, 900_121), range(5001, 5061)


# More than 32 bits hold.
SKU = 104_000_100_000


def is_rated(user: int, sku: int) -> bool:
    return (user * 7 + sku * 13) % 5 < 2


def write_orders(file: Path) -> int:
    """Ratings from 0 to 90, of which even customers give even articles the best; returns how many.

    Customers are called by texts. Two lines more cannot be used.
    """
    lines = [
        f"{date(2025, 1, 1) + timedelta(days=(user * 31 + sku * 17) % 600)};web;C-{user};"
        f"{SKU + sku}.0;{90 if user % 2 == sku % 2 else (user + sku) % 40}"
        for user in USERS
        for sku in ARTICLES
        if is_rated(user, sku)
    ]
    bad = ["2025-01-01;web;C-900001;5001.5;90", "soon;web;C-900001;5001;90"]
    with gzip.open(file, "wt", encoding="utf-8") as opened:
        opened.write("\n".join(["at;shop;customer;sku;stars", *lines, *bad]))
    return len(lines)


def test_own_ratings_become_lists(tmp_path):
    """Tables and commands call customers and articles as the shop does."""
    warehouse = Warehouse(tmp_path / "warehouse")
    orders = write_orders(tmp_path / "orders.csv.gz")
    *listed, blocked = [sku for sku in ARTICLES if not is_rated(USERS[1], sku)][:4]
    pairs = "".join(f"C-{USERS[1]},{SKU + sku}\n" for sku in (*listed, blocked))
    (tmp_path / "lists.csv").write_text(f"user_id,movie_id\n{pairs}")
    said = [f"--set=ingest.columns.{each}" for each in ("movie=sku", "time=at")]
    said += [f"--set=score.block_list=[{SKU + blocked}]"]
    said += [f"--set=score.candidates={tmp_path / 'lists.csv'}"]
    source = ["--dataset", "our_shop-1", "--source", str(tmp_path / "orders.csv.gz")]
    warehouse.steps("own", *source, "--ds", "2026-10-02", *said, *SMALL)
    assert warehouse.sql("select release, ratings, users, movies, quarantined from runs") == [
        ("our_shop-1", orders, len(USERS), len(ARTICLES), 2)
    ]
    assert warehouse.sql("select file, line, reason from quarantine order by line") == [
        ("orders.csv", orders + 2,
         "movie_id: expected a whole number from 1 to 9223372036854775807, found '5001.5'"),
        ("orders.csv", orders + 3, "timestamp: expected a date as in 2018-01-17, found 'soon'"),
    ]  # fmt: skip
    assert warehouse.sql(
        "select user_id, source_user_id, movie_id, source_movie_id, title "
        "from users, movies order by user_id desc, movie_id desc limit 1"
    ) == [(-1, f"C-{USERS[0]}", -1, f"{SKU + ARTICLES[0]}", f"{SKU + ARTICLES[0]}")]
    [(rows, least, most)] = warehouse.sql(
        "select count(*), min(predicted_rating), max(predicted_rating) from recommendations "
        "anti join ratings using (user_id, movie_id)"
    )
    assert rows == (len(USERS) - 1) * 20 + len(listed)
    assert 0 <= least < most <= 90
    assert warehouse.sql(
        "select source_movie_id from recommendations "
        f"where source_user_id = 'C-{USERS[1]}' order by source_movie_id"
    ) == [(f"{SKU + sku}",) for sku in listed]
    assert warehouse.sql(
        "select count(*) from recommendations r join movies m using (movie_id) "
        "join users u using (user_id) where r.source_movie_id <> m.source_movie_id "
        f"or r.source_user_id <> u.source_user_id or r.source_movie_id = '{SKU + blocked}'"
    ) == [(0,)]

    def answer(*asked: str) -> str:
        done = warehouse.run(*asked)
        assert done.returncode == 0, done.stderr
        return done.stdout

    shown = answer("recommend", "--user", f"C-{USERS[1]}", "--top", "3")
    assert f"Recommendations for user C-{USERS[1]}" in shown
    assert all(f"{SKU + sku}" in shown for sku in listed)
    shown = answer("similar", "--movie", f"{SKU + ARTICLES[0]}", "--top", "1")
    [alike] = warehouse.sql(
        "select source_similar_id from similar_movies "
        f"where source_movie_id = '{SKU + ARTICLES[0]}' and rank = 1"
    )
    assert alike[0] in shown
    shown = answer("predict", "--user", f"C-{USERS[0]}", "--movie", f"{SKU + ARTICLES[0]}")
    assert f"User C-{USERS[0]}, {SKU + ARTICLES[0]}: predicted rating" in shown
    assert f"Recommendations for user C-{USERS[-1]}" in answer("summary")
    answer("rescore", "--run-id", "again", "--users", f"C-{USERS[2]},C-{USERS[0]}")
    told = json.loads((warehouse.folder / "runs/again/run.json").read_text())
    assert told["users"] == [-3, -1]
    done = warehouse.run("rescore", "--run-id", "no", "--users", "C-7")
    assert "There is no user C-7 in release our_shop-1: the ids of its 120" in done.stderr


def test_a_later_day_takes_ratings_back(tmp_path):
    """By ids that are texts, which have no numbers when it is told which articles are rated."""
    days = {
        "2026-10-01": "C-1,a,5,2026-10-01,false\nC-1,b,2,2026-10-01,\nC-2,a,4,2026-10-01,\n",
        "2026-10-02": "C-1,b,,2026-10-02,true\nC-2,b,,2026-10-02,true\n",
    }
    for day, lines in days.items():
        part = tmp_path / f"orders/ds={day}/orders.csv"
        part.parent.mkdir(parents=True)
        part.write_text(f"customer,item,stars,date,gone\n{lines}")
    warehouse = Warehouse(tmp_path / "warehouse")
    source = ["--dataset", "shop", "--source", str(tmp_path / "orders")]
    rated = {}
    for day in days:
        said = ["--ds", day, "--set=ingest.columns.deleted=gone", "--set=etl.min_row_groups=1"]
        warehouse.steps(day, *source, *said, last="etl")
        folder = warehouse.folder / "runs" / day
        rated[day] = pq.read_table(folder / "rated").sort_by("user_id")["movie_ids"].to_pylist()
        told = json.loads((folder / "steps/etl.json").read_text())
        rated[day] += [told[name] for name in ("ratings", "deleted", "duplicates", "movies")]
    assert rated == {
        "2026-10-01": [[-1], [-2, -1], 3, 0, 0, 2],
        "2026-10-02": [[-1], [-1], 2, 3, 0, 1],
    }


def test_lists_of_what_has_grown(tmp_path):
    """Every step after etl reads what it has taken over from the night before."""
    rows = [
        (user, sku, date(2025, 1, 1) + timedelta(days=(user * 31 + sku * 17) % 600))
        for user in USERS
        for sku in ARTICLES
        if is_rated(user, sku)
    ]
    last = date(2025, 1, 1) + timedelta(days=599)
    # Who is new that night comes before the others, and so does an article.
    rows += [(USERS[7], ARTICLES[0] - 1, last)]
    rows += [(USERS[0] - 1, sku, last) for sku in ARTICLES if is_rated(USERS[4], sku)]
    first = last - timedelta(days=1)
    for night in (first, last):
        part = tmp_path / f"orders/ds={night}/orders.csv"
        part.parent.mkdir(parents=True)
        lines = [
            f"{user},{sku},{90 if user % 2 == sku % 2 else (user + sku) % 40},{day}"
            for user, sku, day in rows
            if (day == last) == (night == last)
        ]
        part.write_text("\n".join(["user,item,stars,date", *lines]))
    warehouse = Warehouse(tmp_path / "warehouse")
    source = ["--dataset", "shop", "--source", str(tmp_path / "orders"), *SMALL]
    warehouse.steps("one", *source, "--ds", f"{first}", last="etl")
    warehouse.steps("two", *source, "--ds", f"{last}")
    told = json.loads((warehouse.folder / "runs/two/steps/etl.json").read_text())
    assert (told["grown_from"], told["ratings"]) == ("one", len(rows))
    assert warehouse.sql("select user_id, movie_id, rated_at::date from ratings order by all") == (
        sorted(rows)
    )
    assert warehouse.sql(
        "select count(*), count(distinct user_id), count(distinct r.movie_id) > 30 "
        "from recommendations r anti join ratings using (user_id, movie_id)"
    ) == [(20 * (len(USERS) + 1), len(USERS) + 1, True)]


def write_loans(file: Path) -> int:
    """A zip of Parquet in two parts: who borrowed what on which day; returns how many lines.

    Even readers borrow even books, as it comes, and each its first one twice.
    """
    books = {}
    for user in USERS:
        liked = [book for book in ARTICLES if book % 2 == user % 2 and user * book % 97 < 52]
        books[user] = [book for _, book in sorted((user * book % 89, book) for book in liked)]
    rows = [
        (user, book, date(2025, 1, 1) + timedelta(days=7 * place))
        for user in USERS
        for place, book in enumerate([*books[user], books[user][0]])
    ]
    with zipfile.ZipFile(file, "w") as archive:
        for part in range(2):
            readers, items, days = zip(*rows[part::2], strict=True)
            with archive.open(f"loans/part-{part}.parquet", "w") as opened:
                pq.write_table(pa.table({"date": days, "User": readers, "item": items}), opened)
    return len(rows)


def test_who_used_what_becomes_lists_without_ratings(tmp_path):
    warehouse = Warehouse(tmp_path / "warehouse")
    loans = write_loans(tmp_path / "loans.zip")
    source = ["--dataset", "library", "--source", str(tmp_path / "loans.zip")]
    warehouse.steps("lent", *source, "--ds", "2026-10-02", *SMALL)
    [(ratings, version)] = warehouse.sql("select ratings, order_version from runs")
    assert (ratings, version) == (loans - len(USERS), "1")
    assert warehouse.sql("select distinct rating from ratings") == [(1,)]
    like = "count(*) filter (rank <= 5 and user_id % 2 = movie_id % 2)"
    assert warehouse.sql(
        f"select count(*), count(predicted_rating), {like} > 0.9 * 5 * {len(USERS)} "
        "from recommendations"
    ) == [(len(USERS) * 20, 0, True)]
    done = warehouse.run("recommend", "--user", "900001", "--top", "3")
    assert done.returncode == 0, done.stderr
    assert "Predicted" not in done.stdout
    done = warehouse.run("predict", "--user", "900001", "--movie", "5001")
    assert done.returncode == 1
    assert "Release library holds no ratings, only who used what" in done.stderr
