"""The learning rate as training goes on, worked out by hand."""

import pytest

from model.training.schedules import learning_rate
from tests.model.conftest import settings


@pytest.mark.parametrize(
    ("changes", "epoch", "share", "losses", "expected"),
    [
        ({}, 9, 0.5, [], 1.0),
        ({"schedule": "step"}, 2, 1.0, [], 1.0),
        ({"schedule": "step"}, 3, 0.1, [], 0.5),
        ({"schedule": "cosine", "decay": 0.1}, 1, 0.0, [], 1.0),
        ({"schedule": "cosine", "decay": 0.1}, 6, 0.0, [], 0.55),
        ({"schedule": "cosine", "decay": 0.1}, 10, 1.0, [], 0.1),
        ({"schedule": "plateau"}, 4, 0.0, [3, 2, 2.5], 1.0),
        ({"schedule": "plateau"}, 5, 0.0, [3, 2, 2.5, 2.4], 0.5),
        ({"schedule": "plateau"}, 7, 0.0, [3, 2, 2.5, 2.4, 2.3, 2.2], 0.25),
        ({"warmup_epochs": 2}, 1, 0.5, [], 0.25),
        ({"warmup_epochs": 2}, 3, 0.0, [], 1.0),
    ],
)
def test_the_learning_rate(changes, epoch, share, losses, expected):
    chosen = settings(**{"learning_rate": 1.0, "epochs": 10} | changes)
    assert learning_rate(chosen, epoch, share, losses) == pytest.approx(expected)
