"""The decision to promote."""

import pytest

from jobs.deals import same_split
from jobs.evaluate import decide


@pytest.mark.parametrize(
    ("test", "bias", "champion", "promoted"),
    [
        (0.86, 0.90, None, True),  # the first model that beats the biases
        (0.91, 0.90, None, False),
        (0.90, 0.90, None, False),  # as good as the biases is not better
        (0.91, 0.90, 0.92, False),  # better than the champion, yet not than the biases
        (0.86, 0.90, 0.87, True),
        (0.872, 0.90, 0.87, True),  # worse, but within the tolerance
        (0.873, 0.90, 0.87, False),
    ],
)
def test_decide(test, bias, champion, promoted):
    decision = decide(test, bias, champion, tolerance=0.0025)
    assert decision.promoted == promoted
    assert f"{test:.4f}" in decision.reason


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
