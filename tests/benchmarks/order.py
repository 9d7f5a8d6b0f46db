"""MovieLens 1M with times that follow the known order, as a release that etl reads.

    PYTHONPATH=. python tests/benchmarks/order.py FOLDER [--without-last]
    nightreel ingest --run-id order --dataset ml-1m --source FOLDER/ml-1m

Writes FOLDER/ml-1m/{ratings,movies,users}.dat from ../shared/data, to be used there and passed on
to nobody. Known times stay, but for as many seconds as it takes to have one rating in each; users
without times rate a movie a second. With --without-last each user's last rating is left out, and
written to FOLDER/last.csv instead: what a nightly run's lists are to name.

    PYTHONPATH=. python tests/benchmarks/order.py FOLDER --look-up WAREHOUSE

looks these movies up in the published table, newest date: the share of users in whose list the
movie is, hit rate and NDCG at 10.
"""

import argparse
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from deltalake import DeltaTable, QueryBuilder

from tests.benchmarks.lists import RELEASES
from tests.benchmarks.order_data import in_order

K = 10


def write(folder: Path, releases: Path, without_last: bool) -> None:
    """The release, and perhaps last.csv."""
    ratings = in_order(releases / "ml-1m.zip", releases / "ml-1m-order.csv.gz")
    target = folder / "ml-1m"
    target.mkdir(parents=True, exist_ok=True)
    if without_last:
        last = ratings["user_id"] != ratings["user_id"].shift(-1)
        ratings[last][["user_id", "movie_id"]].to_csv(folder / "last.csv", index=False)
        ratings = ratings[~last]
    columns = [ratings[name].astype(str) for name in ratings.columns]
    lines = columns[0].str.cat(columns[1:], sep="::")
    (target / "ratings.dat").write_text("\n".join(lines) + "\n", encoding="latin-1")
    with zipfile.ZipFile(releases / "ml-1m.zip") as archive:
        for name in ("movies.dat", "users.dat"):
            (path,) = (file for file in archive.namelist() if file.endswith(f"/{name}"))
            (target / name).write_bytes(archive.read(path))
    print(f"{target}: {len(ratings):,} ratings of {ratings['user_id'].nunique():,} users")


def look_up(folder: Path, warehouse: Path) -> None:
    """How often the movies that were left out stand in the published lists."""
    last = pd.read_csv(folder / "last.csv").set_index("user_id")["movie_id"]
    table = DeltaTable(str(warehouse / "tables/recommendations"))
    wanted = (
        "select user_id, movie_id, rank from lists where ds = (select max(ds) from lists) "
        f"and rank <= {K}"
    )
    found = QueryBuilder().register("lists", table).execute(wanted).read_all()
    user_R, movie_R, rank_R = (np.asarray(found[name]) for name in ("user_id", "movie_id", "rank"))
    if len(user_R) == 0:
        sys.exit(f"{warehouse} has no published lists.")
    hit_R = last.reindex(user_R).to_numpy() == movie_R
    gain = (1 / np.log2(rank_R[hit_R] + 1)).sum()
    users = len(last)
    print(
        f"{users:,} users, of whom {len(np.unique(user_R)):,} have a list: HR@{K} "
        f"{hit_R.sum() / users:.4f}, NDCG@{K} {gain / users:.4f}"
    )


def main() -> None:
    """Write the release, or look its hidden movies up."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--without-last", action="store_true")
    parser.add_argument("--look-up", type=Path, metavar="WAREHOUSE")
    parser.add_argument("--releases", type=Path, default=RELEASES)
    arguments = parser.parse_args()
    if arguments.look_up:
        look_up(arguments.folder, arguments.look_up)
    else:
        write(arguments.folder, arguments.releases, arguments.without_last)


if __name__ == "__main__":
    main()
