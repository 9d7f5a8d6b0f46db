"""MovieLens 1M: counts as its README gives them, and two ranks as good as one."""

import dataclasses
from pathlib import Path

import pytest

from jobs.runs.run import open_run
from jobs.runs.warehouse import warehouse_named
from jobs.training.launchers import launch
from jobs.training.specs import rating_spec
from model.data.ratings import read_ratings
from model.factors import load_factors
from model.metrics import rmse
from tests.end_to_end.conftest import ROOT, Warehouse

RELEASE = ROOT.parent / "shared/data/ml-1m.zip"


@pytest.mark.skipif(not RELEASE.is_file(), reason=f"{RELEASE} does not exist")
def test_two_ranks_are_as_good_as_one(tmp_path):
    warehouse = Warehouse(tmp_path / "warehouse")
    warehouse.steps("ml-1m", "--dataset", "ml-1m", "--source", str(RELEASE), last="train")
    run = open_run(warehouse_named(str(warehouse.folder)), "ml-1m")
    figures = run.record("etl")
    assert (figures["ratings"], figures["quarantined"], figures["duplicates"]) == (1_000_209, 0, 0)
    assert (figures["users"], figures["movies"]) == (6_040, 3_883)

    both = dataclasses.replace(rating_spec(run), output=str(tmp_path / "two-ranks"))
    launch(both, run.conf.train.model_copy(update={"ranks": 2}), tmp_path)
    test = read_ratings(run.split("test"))
    pairs, rating_N = (test.user_N.numpy(), test.movie_N.numpy()), test.rating_N.numpy()
    errors = [
        rmse(load_factors(folder).predict(*pairs), rating_N)
        for folder in (run.output("factors"), Path(both.output))
    ]
    assert load_factors(Path(both.output)).manifest["metrics"]["ranks"] == 2
    assert abs(errors[0] - errors[1]) < 0.003
    assert max(errors) < 0.865
