"""ETL of a release, beside the same work written by hand with pandas and with Polars.

    pip install polars
    PYTHONPATH=. python tests/benchmarks/etl_speed.py ../shared/data/ml-1m.zip

"The same work": read ratings, movies and users of the '::' layout as text; set lines aside that
cannot be used, with file, line and reason; keep the newest of repeated ratings; deal them to splits
by a hash; number users and movies; list each user's rated movies; write all of it as Parquet, the
splits shuffled into 16 files. The peers check fields and scale, and no more: no encodings, no other
layout. Nightreel's time is that of `nightreel etl`, with and without the start of Python and Spark.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

try:
    import polars as pl
except ImportError:
    sys.exit("This benchmark needs Polars: pip install polars")

ROOT = Path(__file__).resolve().parents[2]
FILES = 16
FIELDS = {
    "ratings": ["user_id", "movie_id", "rating", "timestamp"],
    "movies": ["movie_id", "title", "genres"],
    "users": ["user_id", "gender", "age", "occupation", "zip_code"],
}
KEYS = {"movies": "movie_id", "users": "user_id"}


def with_pandas(raw: Path, out: Path) -> int:
    """The whole work; returns the number of ratings."""
    bad, tables = [], {}
    for name, fields in FIELDS.items():
        text = (raw / f"{name}.dat").read_text(encoding="ISO-8859-1").splitlines()
        lines = pd.Series(text, dtype="string[pyarrow]")
        parts = lines.str.split("::", expand=True).reindex(columns=range(len(fields)))
        parts.columns = pd.Index(fields)
        ok = lines.str.count("::") == len(fields) - 1
        for key in {"user_id", "movie_id", "rating", "timestamp"} & set(fields):
            parts[key] = pd.to_numeric(parts[key], errors="coerce")
            ok &= parts[key].notna()
        if name == "ratings":
            ok &= parts["rating"].isin([1, 2, 3, 4, 5])
        wrong = lines[~ok]
        bad.append(pd.DataFrame({"file": name, "line": wrong.index + 1, "content": wrong}))
        tables[name] = parts[ok]
    movies = tables["movies"].drop_duplicates("movie_id")
    movies = movies.assign(
        year=pd.to_numeric(movies["title"].str.extract(r"\((\d{4})\)$")[0]),
        genres=movies["genres"].str.split("|"),
    )
    ratings = tables["ratings"]
    ratings = ratings[ratings["movie_id"].isin(movies["movie_id"])]
    ratings = ratings.sort_values("timestamp", kind="stable")
    ratings = ratings.drop_duplicates(["user_id", "movie_id"], keep="last")
    dealt = pd.util.hash_pandas_object(ratings[["user_id", "movie_id"]], index=False) % 10
    split = dealt.map(dict.fromkeys(range(8), "train") | {8: "validation", 9: "test"})
    ratings = ratings.assign(split=split).sort_values(["user_id", "movie_id"])
    users = tables["users"].drop_duplicates("user_id").sort_values("user_id")
    rated = ratings.groupby("user_id")["movie_id"].agg(list).reset_index()
    indexed = ratings.assign(
        user_idx=users["user_id"].searchsorted(ratings["user_id"]),
        movie_idx=movies["movie_id"].sort_values().searchsorted(ratings["movie_id"]),
    )[["user_idx", "movie_idx", "rating", "split"]].sample(frac=1, random_state=1)
    results = {"ratings": ratings, "movies": movies, "users": users, "rated": rated}
    for name, rows in {**results, "quarantine": pd.concat(bad)}.items():
        rows.to_parquet(out / f"{name}.parquet", index=False)
    for name, rows in indexed.groupby("split"):
        for part in range(FILES):
            rows.iloc[part::FILES].to_parquet(out / f"{name}-{part}.parquet", index=False)
    return len(ratings)


def with_polars(raw: Path, out: Path) -> int:
    """The whole work; returns the number of ratings."""
    bad, tables = [], {}
    for name, fields in FIELDS.items():
        text = (raw / f"{name}.dat").read_text(encoding="ISO-8859-1").splitlines()
        lines = pl.DataFrame({"content": text}).with_row_index("line", 1)
        parts = pl.col("content").str.split("::")
        rows = lines.with_columns(
            (parts.list.len() == len(fields)).alias("ok"),
            *(parts.list.get(i, null_on_oob=True).alias(f) for i, f in enumerate(fields)),
        )
        numbers = [f for f in ("user_id", "movie_id", "rating", "timestamp") if f in fields]
        rows = rows.with_columns(pl.col(numbers).cast(pl.Int64, strict=False))
        ok = pl.col("ok") & pl.all_horizontal(pl.col(numbers).is_not_null())
        if name == "ratings":
            ok &= pl.col("rating").is_between(1, 5)
        wrong = rows.filter(~ok).select(pl.lit(name).alias("file"), "line", "content")
        bad.append(wrong)
        tables[name] = rows.filter(ok).select(fields)
    movies = tables["movies"].unique("movie_id", keep="first").sort("movie_id")
    movies = movies.with_columns(
        pl.col("title").str.extract(r"\((\d{4})\)$").cast(pl.Int32).alias("year"),
        pl.col("genres").str.split("|"),
    )
    users = tables["users"].unique("user_id", keep="first").sort("user_id")
    ratings = tables["ratings"].join(movies.select("movie_id"), "movie_id", how="semi")
    ratings = ratings.sort("timestamp", maintain_order=True)
    ratings = ratings.unique(["user_id", "movie_id"], keep="last")
    dealt = pl.struct("user_id", "movie_id").hash(20) % 10
    train = pl.when(dealt < 8).then(pl.lit("train"))
    split = train.when(dealt < 9).then(pl.lit("validation")).otherwise(pl.lit("test"))
    ratings = ratings.with_columns(split.alias("split")).sort("user_id", "movie_id")
    rated = ratings.group_by("user_id", maintain_order=True).agg("movie_id")
    indexed = (
        ratings.join(users.select("user_id").with_row_index("user_idx"), "user_id")
        .join(movies.select("movie_id").with_row_index("movie_idx"), "movie_id")
        .select("user_idx", "movie_idx", "rating", "split")
        .sample(fraction=1, shuffle=True, seed=1)
    )
    results = {"ratings": ratings, "movies": movies, "users": users, "rated": rated}
    for name, rows in {**results, "quarantine": pl.concat(bad)}.items():
        rows.write_parquet(out / f"{name}.parquet")
    for (name,), rows in indexed.partition_by("split", as_dict=True).items():
        for part in range(FILES):
            rows.gather_every(FILES, part).write_parquet(out / f"{name}-{part}.parquet")
    return ratings.height


def nightreel(source: Path, folder: Path) -> tuple[float, float, int, Path]:
    """Seconds of the command and of the step alone, ratings, and where the raw files lie."""
    variables = os.environ | {"NIGHTREEL_WAREHOUSE": str(folder)}

    def call(*words: str) -> str:
        command = [sys.executable, "-m", "jobs.nightreel", *words, "--run-id", "speed"]
        done = subprocess.run(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, check=True)
        return done.stdout.decode()

    call("ingest", "--dataset", "ml-1m", "--source", str(source))
    start = time.perf_counter()
    call("etl")
    seconds = time.perf_counter() - start
    record = json.loads(call("summary", "--json", "--step", "etl"))
    [raw] = folder.glob("raw/ml-1m/*")
    return seconds, record["seconds"], record["ratings"], raw


def timed(work: Callable[[Path, Path], int], raw: Path) -> tuple[float, int]:
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        ratings = work(raw, Path(out))
        return time.perf_counter() - start, ratings


def main() -> None:
    """Measure all three in one run."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory(prefix="nightreel-etl-speed-") as folder:
        command, step, ratings, raw = nightreel(Path(sys.argv[1]).resolve(), Path(folder))
        print(f"nightreel  {command:6.1f} s, of which the step {step:.1f} s; {ratings:,} ratings")
        for name, work in (("pandas", with_pandas), ("polars", with_polars)):
            seconds, found = timed(work, raw)
            print(
                f"{name:10} {seconds:6.1f} s: nightreel's step takes {step / seconds:.1f} times it"
            )
            if found != ratings:
                sys.exit(f"{name} finds {found:,} ratings: not the same work.")


if __name__ == "__main__":
    main()
