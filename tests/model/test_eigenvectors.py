"""Leading eigenvectors: torch's, whichever way they are found."""

import pytest
import torch

from model.eigenvectors import leading


@pytest.mark.parametrize("rows", [20, 300])
def test_they_span_what_torchs_do(rows):
    random = torch.Generator().manual_seed(1)
    turn_RR = torch.linalg.qr(torch.randn(rows, rows, generator=random)).Q
    square_RR = turn_RR @ torch.diag(0.9 ** torch.arange(rows)) @ turn_RR.T
    found_RK = leading(square_RR, 5, seed=2)
    torch.testing.assert_close(found_RK.T @ found_RK, torch.eye(5), atol=1e-4, rtol=0)
    wanted_RK = turn_RR[:, :5]
    torch.testing.assert_close((found_RK.T @ wanted_RK).abs(), torch.eye(5), atol=0.01, rtol=0)
