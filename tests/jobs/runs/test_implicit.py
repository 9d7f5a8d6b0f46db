"""What goes with data that holds no ratings, and what does not."""

import pytest

from jobs.runs.configuration import load_configuration
from jobs.runs.errors import JobError
from jobs.runs.files import write_json
from jobs.runs.implicit import for_ones, require_measure, require_order
from tests.jobs.examples import small_run


def test_the_model_of_ratings_is_off():
    assert for_ones(load_configuration(["train.model=bayesian"])).train.model == "biases"


@pytest.mark.parametrize(
    "asked",
    ["train.order.model=none", "score.order_by=rating", "score.lower_bound=1",
     "score.uncertainty=true"],
)  # fmt: skip
def test_what_only_ratings_give_is_refused(asked):
    with pytest.raises(JobError, match=f"{asked.removesuffix('=1')} does not go with that"):
        for_ones(load_configuration([asked]))


def test_nothing_is_ordered_by_ones(tmp_path):
    run = small_run(tmp_path)
    figures = {"implicit": True, "order_users": 0, "order_validation_users": 0}
    run.record_file("etl").parent.mkdir(parents=True)
    write_json(run.record_file("etl"), figures)
    with pytest.raises(JobError, match="It takes users with at least 3 lines each"):
        require_measure(run)
    with pytest.raises(JobError, match="no model of order is good enough"):
        require_order(run, None)
    require_order(run, "1")
    write_json(run.record_file("etl"), figures | {"implicit": False})
    require_measure(run)
    require_order(run, None)
