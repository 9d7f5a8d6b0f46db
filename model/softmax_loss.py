"""Cross-entropy of the softmax over a whole catalogue, its gradients made in the forward pass.

The scores of P positions times M movies are never held: they are made, used and forgotten in blocks
of rows. Matrix products run in bfloat16 where the processor has it; sums stay in float32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

ROWS_PER_BLOCK = 1024
# exp of much more would overflow; the maximum is not subtracted, which saves passes.
MOST = 60.0


def product_type(device: torch.device) -> torch.dtype:
    """In which numbers to multiply."""
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


class SoftmaxLoss(torch.autograd.Function):
    """Sum over positions of their weight times the cross-entropy of their target.

    hidden_PK, target_P, weight_P, output_MK, bias_M; scores are hidden . output + bias.
    """

    @staticmethod
    def forward(
        context: Any,
        hidden_PK: Tensor,
        target_P: Tensor,
        weight_P: Tensor,
        output_MK: Tensor,
        bias_M: Tensor,
    ) -> Tensor:
        """The loss; its gradients are kept."""
        number = product_type(hidden_PK.device)
        output, bias = output_MK.to(number), bias_M.to(number)
        longest = hidden_PK.norm(dim=1).amax() if len(hidden_PK) else 0.0
        bounded = longest * output_MK.norm(dim=1).amax() + bias_M.amax() < MOST
        sum_P1 = hidden_PK.new_empty(len(hidden_PK), 1)
        hidden_gradient_PK = torch.empty_like(hidden_PK)
        output_gradient_MK, bias_gradient_M = torch.zeros_like(output_MK), torch.zeros_like(bias_M)
        for start in range(0, len(hidden_PK), ROWS_PER_BLOCK):
            block = slice(start, start + ROWS_PER_BLOCK)
            power_BM = torch.addmm(bias, hidden_PK[block].to(number), output.T)
            power_BM = (power_BM if bounded else power_BM.clamp_(max=MOST)).exp_()
            sum_P1[block] = power_BM.sum(1, keepdim=True, dtype=torch.float32)
            # Divided by their sums they are the shares: that is left to the smaller matrices.
            factor_B1 = weight_P[block, None] / sum_P1[block]
            hidden_gradient_PK[block] = (power_BM @ output) * factor_B1
            output_gradient_MK += power_BM.T @ (hidden_PK[block] * factor_B1).to(number)
            bias_gradient_M += (power_BM.T @ factor_B1.to(number))[:, 0]
        target_PK = output_MK[target_P]
        target_score_P = (hidden_PK * target_PK).sum(1) + bias_M[target_P]
        loss = (weight_P * (sum_P1[:, 0].log() - target_score_P)).sum()
        hidden_gradient_PK -= weight_P[:, None] * target_PK
        output_gradient_MK.index_add_(0, target_P, weight_P[:, None] * hidden_PK, alpha=-1)
        bias_gradient_M.index_add_(0, target_P, weight_P, alpha=-1)
        context.save_for_backward(hidden_gradient_PK, output_gradient_MK, bias_gradient_M)
        return loss

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """What was kept, times the gradient of the loss."""
        hidden_PK, output_MK, bias_M = context.saved_tensors
        (factor,) = gradients
        return hidden_PK * factor, None, None, output_MK * factor, bias_M * factor


def softmax_loss(
    hidden_PK: Tensor, target_P: Tensor, weight_P: Tensor, output_MK: Tensor, bias_M: Tensor
) -> Tensor:
    """The weighted sum of cross-entropies over all M movies."""
    return SoftmaxLoss.apply(hidden_PK, target_P, weight_P, output_MK, bias_M)


def sampled_softmax_loss(
    hidden_PK: Tensor,
    target_P: Tensor,
    weight_P: Tensor,
    output_MK: Tensor,
    bias_M: Tensor,
    share_M: Tensor,
    negatives: int,
) -> Tensor:
    """An estimate of it from the P targets and so many movies drawn by their share of all targets.

    All positions have the same candidates. A candidate's score is lowered by the logarithm of the
    chance of its being one, so that the sum of exponentials is that of all movies in expectation
    (Yi et al., "Sampling-Bias-Corrected Neural Modeling", 2019).
    """
    drawn_N = torch.multinomial(share_M, negatives, replacement=True)
    candidate_C, place_N = torch.unique(torch.cat([target_P, drawn_N]), return_inverse=True)
    chance_C = -torch.expm1((len(target_P) + negatives) * torch.log1p(-share_M[candidate_C]))
    bias_C = bias_M[candidate_C] - chance_C.clamp(min=1e-9).log()
    target_place_P = place_N[: len(target_P)]
    return softmax_loss(hidden_PK, target_place_P, weight_P, output_MK[candidate_C], bias_C)
