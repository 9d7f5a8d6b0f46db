"""What a model is measured on, and the decision to promote."""

from dataclasses import replace

import numpy as np
import pytest

from jobs.evaluate import evaluate
from jobs.pages.learning import learning
from jobs.runs import schemas
from jobs.training.rating_gate import champion_errors, decide, errors_by_user
from jobs.training.registering import add_refitted, register
from jobs.training.registry import Registry
from jobs.training.specs import same_split
from model.data.ratings import read_ratings
from tests.jobs.examples import DOUBTFUL, MODEL, small_run, write


@pytest.mark.parametrize(
    ("test", "bias", "champion", "scores"),
    [
        (0.86, 0.90, None, "model"),  # the first model that beats the biases
        (0.91, 0.90, None, "biases"),
        (0.90, 0.90, None, "biases"),  # as good as the biases is not better
        (0.91, 0.90, 0.92, "biases"),  # better than the champion, yet not than the biases
        (0.91, 0.90, 0.901, "champion"),  # which the biases do not surely beat
        (0.91, 0.90, 0.87, "champion"),
        (0.86, 0.90, 0.87, "model"),
        (0.871, 0.90, 0.87, "model"),  # worse, but not surely
        (0.875, 0.90, 0.87, "champion"),
    ],
)
def test_decide(test, bias, champion, scores):
    decision = decide(*map(errors, (test, bias, champion)))
    assert decision.scores == scores
    assert f"{test:.4f}" in decision.reason


def errors(rmse):
    """Of 1,000 users, who differ more than models do; a difference of 0.001 is within chance."""
    if rmse is None:
        return None
    user_U = np.random.default_rng(1).exponential(size=1000)
    own_U = np.random.default_rng(round(rmse * 1e4)).normal(0, 0.03, 1000)
    error_U = user_U + own_U
    return error_U + rmse**2 - error_U.mean()


def test_errors_of_users_have_the_mean_of_all_ratings(tmp_path):
    run = small_run(tmp_path)
    rows = [(0, 0, 5.0), (0, 1, 3.0), (2, 0, 4.0)]
    write(run.output("splits"), schemas.INDEXED_RATINGS, {"split": "test"}, rows)
    held = read_ratings(run.split("test"))
    # Squared errors 4 and 1 of one user, 0 of the other, of 3 ratings.
    assert errors_by_user(np.array([3, 2, 4]), held).tolist() == pytest.approx([5 * 2 / 3, 0])


def test_biases_that_were_asked_for_need_not_beat_themselves():
    biases = errors(0.9)
    assert decide(biases, biases, None, model="biases").scores == "model"
    assert decide(biases, biases, errors(0.86), model="biases").scores == "champion"


def test_models_are_compared_on_one_deal():
    shares = {"train_share": 0.8, "validation_share": 0.1, "test_share": 0.1, "split_seed": 20}
    older = shares | {"row_group_rows": 50_000}
    new = shares | {"split": "random", "folds": 5, "fold": 1, "given": None}
    assert same_split(new, older)
    assert same_split(new, new | {"fold": 2})  # there are no folds in it
    assert not same_split(new, older | {"split_seed": 21})
    assert not same_split(new | {"split": "folds"}, older)
    assert not same_split(new | {"split": "folds"}, new | {"split": "folds", "fold": 2})
    assert not same_split(
        new | {"split": "given", "given": "u1"}, new | {"split": "given", "given": "u2"}
    )


def test_a_champion_is_compared_as_it_was_measured_whatever_it_scores_by(tmp_path):
    """Which has learned from the very ratings that decide."""
    run = small_run(tmp_path, champion="1")
    data = replace(MODEL, manifest={"data": run.conf.etl.model_dump()})
    data.save(run.output("factors"))
    registry = Registry.of(run)
    register(registry, run.run_id, run.output("factors"), {}, {})
    write(run.output("splits"), schemas.INDEXED_RATINGS, {"split": "test"}, [(0, 0, 4.75)])
    held = read_ratings(run.split("test"))
    assert champion_errors(run, registry, data, held) == pytest.approx(1)
    replace(data, mean=data.mean + 1).save(run.output("factors-refitted"))
    add_refitted(registry, "1", run.output("factors-refitted"), 5, "measured")
    assert registry.factors("1").predict(np.array([0]), np.array([0])) == [4.75]
    assert champion_errors(run, Registry.of(run), data, held) == pytest.approx(1)


def test_without_test_ratings_the_validation_ratings_are_measured_and_named(tmp_path):
    shares = ["etl.train_share=0.9", "etl.validation_share=0.1", "etl.test_share=0"]
    only = ["etl.split=position", "train.order.model=none"]
    run = small_run(tmp_path, overrides=[*only, *shares])
    # By row number: MODEL predicts 3.75 and 3.5.
    held = [(0, 0, 4.75), (1, 0, 3.5)]
    for split, rows in (("train", [(0, 0, 1.0), (1, 1, 5.0)]), ("validation", held)):
        write(run.output("splits"), schemas.INDEXED_RATINGS, {"split": split}, rows)
    manifest = {"settings": run.conf.train.learning(run.conf.train.model)}
    replace(DOUBTFUL, manifest=manifest).save(run.output("factors"))
    evaluation = evaluate(run)
    assert evaluation.measured_on == "validation"
    assert (
        evaluation.rmse["model"]
        == evaluation.errors["validation_rmse"]
        == pytest.approx(0.5**0.5, abs=1e-5)
    )
    # Off by 1 with a deviation of 0.5, and by 0 with one of 1.
    assert evaluation.inside == {"inside_50": 0.5, "inside_90": 0.5}
    assert not any(name.startswith("test") for name in evaluation.errors)
    assert "on the validation ratings" in evaluation.reason
    assert Registry.of(run).test_rmse(evaluation.candidate_version) is None
    text = repr(learning([], 1, evaluation))
    assert "on the validation ratings" in text
    assert "test" not in text
