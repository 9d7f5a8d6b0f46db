"""The autoencoder: its loss and its divergences are those of torch's own distributions."""

from dataclasses import replace

import torch
from torch import nn
from torch.distributions import Categorical, MixtureSameFamily, Normal, kl_divergence

from model.data.sets import sets_of
from model.vae import Reader, VaeEncoder, from_normal, log_composite, multinomial_loss
from tests.model.conftest import settings
from tests.model.data.test_histories import histories_of

LISTS = [[0, 3], [1, 2, 4], [4]]


def test_the_loss_is_the_cross_entropy_of_every_movie_rated():
    torch.manual_seed(1)
    row_BK, output_MK, bias_M = torch.randn(3, 4), torch.randn(6, 4), torch.randn(6)
    weights = [weight.requires_grad_() for weight in (row_BK, output_MK, bias_M)]
    score_BM = row_BK @ output_MK.T + bias_M
    pairs = [(user, movie) for user, movies in enumerate(LISTS) for movie in movies]
    users, movies = torch.tensor(pairs).T
    wanted = nn.functional.cross_entropy(score_BM[users], movies, reduction="sum")
    found = multinomial_loss(row_BK, sets_of(histories_of(LISTS)), output_MK, bias_M)
    torch.testing.assert_close(found, wanted, rtol=0.01, atol=0)
    slopes = torch.autograd.grad(found, weights), torch.autograd.grad(wanted, weights)
    for ours, theirs in zip(*slopes, strict=True):
        # Products are rounded to bfloat16 where the processor has it.
        assert (ours - theirs).norm() < 0.02 * theirs.norm()


def test_divergences_are_torchs():
    torch.manual_seed(1)
    mean_BK, log_variance_BK, code_BK = torch.randn(3, 2, 5)
    spread_BK = (log_variance_BK / 2).exp()
    wanted_BK = kl_divergence(Normal(mean_BK, spread_BK), Normal(0.0, 1.0))
    torch.testing.assert_close(from_normal(mean_BK, log_variance_BK), wanted_BK.sum(1))
    one_BK = torch.ones_like(mean_BK)
    means_BKS = torch.stack([0 * one_BK, mean_BK, 0 * one_BK], -1)
    spreads_BKS = torch.stack([one_BK, spread_BK, one_BK * torch.tensor(5.0).exp()], -1)
    shares = Categorical(torch.tensor([0.15, 0.75, 0.1]))
    mixture = MixtureSameFamily(shares, Normal(means_BKS, spreads_BKS))
    found_BK = log_composite(code_BK, mean_BK, log_variance_BK)
    torch.testing.assert_close(found_BK, mixture.log_prob(code_BK))


def test_a_row_does_not_depend_on_order_or_on_movies_that_are_unknown():
    torch.manual_seed(1)
    reader = Reader(6, replace(settings("vae"), hidden=8, latent=3))
    reader.known_M[5] = 0
    found = VaeEncoder(reader).encode(histories_of([[0, 3, 1], [1, 5, 0, 3], [5], [0]]))
    torch.testing.assert_close(found[0], found[1])
    assert not found[2].any()
    assert not torch.allclose(found[0], found[3])
