"""The decision to promote."""

import pytest

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
