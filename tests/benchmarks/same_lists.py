"""The same lists, made in other ways: incrementally and in full, by `predict`, and by torch alone.

    PYTHONPATH=. python tests/benchmarks/same_lists.py ../shared/data/ml-1m.zip FOLDER \
        [--set train.order.model=transformer ...]

A first night learns from the release without the ten newest ratings of every twentieth user, and
without one user. A second night has the whole release, does not train, and scores only for whom
something has changed; `rescore` then scores everybody for a date of its own. Then:

- both tables must hold the same rows, but for date and run;
- `nightreel predict --pairs` must say of all published pairs what the table says;
- the model of order, its encoder asked for one user at a time and all movies multiplied out by
  torch in float64, must have the same first movies for every user. Where two movies change places,
  their scores may differ by 1e-5 of the best one's size.

Ends with a sentence and 1 if something differs. Everything is written into FOLDER.
"""

import argparse
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from jobs.published.views import connect
from jobs.runs.run import STEPS, Run, open_run
from jobs.runs.warehouse import Warehouse
from jobs.scoring.models import Models
from jobs.training.registry import Registry
from model.data.histories import read_histories
from model.data.indexes import read_ids
from model.family import load
from tests.benchmarks.hidden_tenth import RATINGS, call

EVERY, NEWEST = 20, 10
TIES = 1e-5
TABLE = "* exclude (ds, run_id) from recommendations where run_id"


def deliveries(release: Path, folder: Path) -> tuple[Path, Path]:
    """The release without what came later, and whole; each a folder of its name."""
    for part in ("before", "whole"):
        with zipfile.ZipFile(release) as archive:
            archive.extractall(folder / part)
    [file] = [file for name in RATINGS for file in (folder / "before").glob(f"*/{name}")]
    separator, head = RATINGS[file.name]
    lines = file.read_text(encoding="latin-1").splitlines(keepends=True)
    first, rated = lines[:head], np.array(lines[head:], object)
    fields = pd.DataFrame([line.split(separator)[:4] for line in rated]).astype(float)
    newest = fields.sort_values([0, 3], kind="stable").groupby(0).tail(NEWEST).index
    users = np.sort(fields[0].unique())
    later = fields.index.isin(newest) & fields[0].isin(users[::EVERY]) | (fields[0] == users[1])
    file.write_text("".join([*first, *rated[~later]]), encoding="latin-1")
    print(f"{release.stem}: {later.sum():,} of {len(rated):,} ratings come later", flush=True)
    return file.parent, folder / "whole" / file.parent.name


def nights(folder: Path, deliveries: tuple[Path, Path], release: str, options: list[str]) -> Run:
    """Make both nights and the full scoring; returns the second."""
    for name, ds, delivery, more in (
        ("before", "2026-01-01", deliveries[0], []),
        (
            "incremental",
            "2026-01-02",
            deliveries[1],
            ["--set=retrain.policy=never", "--set=score.mode=incremental"],
        ),
    ):
        given = ["--dataset", release, "--source", str(delivery), "--ds", ds, *options, *more]
        steps = STEPS if not more else [s for s in STEPS if s in ("ingest", "etl", "check", "plan")]
        steps = [*steps, *(["score", "publish"] if more else [])]
        for step in steps:
            call(folder, step, "--run-id", name, *(given if step == "ingest" else []))
    call(folder, "rescore", "--run-id", "full", "--ds=2026-01-03", "--set=score.mode=full")
    for step in ("score", "publish"):
        call(folder, step, "--run-id", "full")
    return open_run(Warehouse(folder), "incremental")


def compare_tables(run: Run) -> bool:
    """Whether the incremental table is the full one."""
    with connect(run.warehouse, ("recommendations",)) as tables:
        rows, differing = (
            tables.sql(query).fetchall()[0][0]
            for query in (
                f"select count(*) from (select {TABLE} = 'full')",
                f"""select count(*) from (
                    (select {TABLE} = 'full' except all select {TABLE} = 'incremental') union all
                    (select {TABLE} = 'incremental' except all select {TABLE} = 'full'))""",
            )
        )
    score = run.record("score")
    print(
        f"incremental: {score['users_scored']:,} users scored, {score['users_kept']:,} kept, of "
        f"whom the model of ratings folds {score['users_folded_in']:,} in; {differing} of "
        f"{rows:,} rows are others in full",
        flush=True,
    )
    return rows > 0 and score["users_kept"] > 0 and differing == 0


def published(run: Run) -> pd.DataFrame:
    """The newest table, by user and rank."""
    with connect(run.warehouse, ("recommendations",)) as tables:
        query = "select * from recommendations where run_id = 'full' order by user_id, rank"
        return tables.sql(query).df()


def compare_predictions(run: Run, table: pd.DataFrame) -> bool:
    """Whether `predict` says what is published."""
    pairs, out = (run.warehouse.folder / f"{name}.csv" for name in ("pairs", "predictions"))
    table[["user_id", "movie_id"]].to_csv(pairs, index=False)
    call(run.warehouse.folder, "predict", "--pairs", str(pairs), "--out", str(out))
    found = pd.read_csv(out)
    apart = np.abs(found["predicted_rating"] - table["predicted_rating"]).max()
    print(f"predict: {len(found):,} pairs, at most {apart:.1e} from the table", flush=True)
    return len(found) == len(table) and apart < TIES


def compare_lists(run: Run, table: pd.DataFrame) -> bool:
    """Whether torch alone has the same first movies."""
    order = Registry.of(run, "order")
    version, order_version = run.model_version, run.order_version
    if version is None or order_version is None:
        sys.exit("No model of order was good enough: there is nothing to compare.")
    factors, folder = order.factors(order_version), order.folder(order_version)
    encoder = load(factors.manifest["model"]).encoder(folder, torch.device("cpu"))
    user_ids, movie_ids = (read_ids(str(run.data(f"{of}_index")), of) for of in ("user", "movie"))
    histories = read_histories(run.data("histories"))
    known = histories.by_movie(factors.learned_movies(movie_ids))
    models = Models.of(run, version, order_version)
    named_M = np.isin(factors.movie_ids_M, models.known(factors.movie_ids_M.astype(np.int32)))
    movie_KM = torch.from_numpy(np.array(factors.movie_MK)).double().T
    bias_M = torch.from_numpy(np.array(factors.movie_bias_M)).double()
    lists = dict(list(table.groupby("user_id")["movie_id"]))
    equal, worst = 0, 0.0
    for place, user in enumerate(user_ids[histories.user_U]):
        row_K = encoder.encode(known.slice(place, place + 1))[0].double()
        score_M = row_K @ movie_KM + bias_M
        score_M[torch.from_numpy(~named_M)] = -torch.inf
        score_M[torch.from_numpy(known.slice(place, place + 1).movie_N.astype(int))] = -torch.inf
        ours = lists[user].to_numpy()
        best = score_M.topk(len(ours))
        equal += bool((factors.movie_ids_M[best.indices.numpy()] == ours).all())
        theirs = score_M[torch.from_numpy(factors.movie_idx(ours).astype(int))]
        apart = (theirs - best.values).abs().max() / best.values.abs().max()
        worst = max(worst, apart.item())
    print(
        f"torch: the lists of {equal:,} of {len(lists):,} users are the same; of the others, "
        f"scores differ in their place by at most {worst:.1e} of the best",
        flush=True,
    )
    return len(lists) == len(user_ids) and worst < TIES


def main() -> None:
    """Make the nights and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("release", type=Path, help="a zip of MovieLens")
    parser.add_argument("folder", type=Path, help="where everything is written; must not exist")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True)
    parts = deliveries(asked.release, asked.folder)
    options = [f"--set={setting}" for setting in asked.set]
    run = nights((asked.folder / "warehouse").resolve(), parts, asked.release.stem, options)
    table = published(run)
    same = [compare_tables(run), compare_predictions(run, table), compare_lists(run, table)]
    if not all(same):
        sys.exit("They are not the same.")


if __name__ == "__main__":
    main()
