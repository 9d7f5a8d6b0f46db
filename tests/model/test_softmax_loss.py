"""The blocked softmax: torch's cross-entropy, and what is sampled of it comes near."""

import pytest
import torch
from torch import nn

from model import softmax_loss as made
from model.softmax_loss import sampled_softmax_loss, softmax_loss

P, M, K = 2500, 90, 8


@pytest.fixture
def parts():
    torch.manual_seed(1)
    hidden_PK = torch.randn(P, K, requires_grad=True)
    output_MK = (torch.randn(M, K) / 2).requires_grad_()
    bias_M = torch.randn(M, requires_grad=True)
    return hidden_PK, torch.randint(0, M, (P,)), torch.rand(P), output_MK, bias_M


def with_gradients(loss, hidden_PK, target_P, weight_P, output_MK, bias_M):
    return loss, *torch.autograd.grad(loss, [hidden_PK, output_MK, bias_M])


def by_torch(hidden_PK, target_P, weight_P, output_MK, bias_M):
    score_PM = hidden_PK @ output_MK.T + bias_M
    return (weight_P * nn.functional.cross_entropy(score_PM, target_P, reduction="none")).sum()


@pytest.mark.parametrize(("number", "error"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
@pytest.mark.parametrize("scale", [1, 40])
def test_loss_and_gradients_are_torchs(parts, monkeypatch, number, error, scale):
    # Scores so large that their exponentials overflow are cut, and only then.
    monkeypatch.setattr(made, "product_type", lambda _: number)
    parts[0].data *= scale
    found = with_gradients(softmax_loss(*parts), *parts)
    wanted = with_gradients(by_torch(*parts), *parts)
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.isfinite().all()
        if scale == 1:
            assert (ours - theirs).norm() < error * theirs.norm()


def test_a_sampled_softmax_has_the_whole_ones_gradient_in_the_mean(parts):
    hidden_PK, _, weight_P, output_MK, bias_M = parts
    share_M = torch.rand(M) + 0.1
    share_M /= share_M.sum()
    whole_MK, sampled_MK = torch.zeros(2, M, K)
    for seed in range(100):
        torch.manual_seed(seed)
        target_P = torch.multinomial(share_M, 100, replacement=True)
        drawn = hidden_PK[:100], target_P, weight_P[:100], output_MK, bias_M
        whole_MK += torch.autograd.grad(by_torch(*drawn), output_MK)[0]
        loss = sampled_softmax_loss(*drawn, share_M, 40)
        sampled_MK += torch.autograd.grad(loss, output_MK)[0]
    # Its logarithm is a little biased.
    assert (sampled_MK - whole_MK).norm() < 0.1 * whole_MK.norm()
