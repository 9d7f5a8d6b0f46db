"""Whose error on which ratings, from what evaluate wrote down."""

from dataclasses import replace

import pytest

from jobs.runs.evaluation import Evaluation

ERRORS = {"test_rmse": 0.8, "test_mae": 0.6, "bias_rmse": 0.9, "mean_rmse": 1.1}
LATER = {"inside", "measured_on", "fallback_version", "order", "promotes", "measured_ratings"}
EVALUATION = Evaluation(ERRORS, True, "it beats the biases", "4", "4")


def test_a_record_is_read_as_it_was_written():
    record = EVALUATION.record()
    assert record == {
        **{"measured_on": "test", **ERRORS, "promoted": True, "reason": "it beats the biases"},
        **{"candidate_version": "4", "model_version": "4", "fallback_version": None},
        **{"measured_ratings": None, "inside": {}, "order": None, "promotes": True},
    }
    assert Evaluation.of_record(record | {"seconds": 1.5}) == EVALUATION
    # Records have not always named these.
    older = {k: v for k, v in record.items() if k not in LATER}
    assert Evaluation.of_record(older) == EVALUATION


@pytest.mark.parametrize(
    ("changes", "scores", "rmse"),
    [
        ({}, "model", 0.8),
        ({"fallback_version": "5"}, "biases", 0.9),
        ({"promoted": False, "errors": ERRORS | {"champion_rmse": 0.7}}, "champion", 0.7),
        ({"promoted": False}, "champion", None),
    ],
)
def test_what_scores_and_its_error(changes, scores, rmse):
    evaluation = replace(EVALUATION, **changes)
    assert (evaluation.scores, evaluation.rmse_of_scored("test")) == (scores, rmse)
    assert evaluation.rmse_of_scored("validation") is None


def test_errors_are_the_model_s_own_by_the_split_that_they_are_on():
    errors = {"validation_rmse": 0.7, "bias_rmse": 0.9, "bias_mae": 0.8, "validation_mae": 0.5}
    evaluation = replace(EVALUATION, errors=errors, measured_on="validation")
    assert list(evaluation.rmse.items()) == [("biases", 0.9), ("model", 0.7)]
    assert evaluation.mae == {"biases": 0.8, "model": 0.5}
    assert evaluation.rmse_of_scored("test") is None
    # The biases that are promoted on validation ratings have no error on test ratings either.
    biases = replace(evaluation, fallback_version="5")
    assert (biases.rmse_of_scored("validation"), biases.rmse_of_scored("test")) == (0.9, None)
