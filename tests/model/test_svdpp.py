"""Sums over who rated what by hand, and gradients against autograd's."""

import horovod.torch as hvd
import pytest
import torch

from model.data.datasets import read_dataset
from model.data.ratings import Ratings
from model.family import Step
from model.svdpp import Graph, Svdpp

# User 0 rated movies 0 and 1, user 1 movie 0; user 2 nothing. Rows 3 and 4 are the movies.
RATINGS = Ratings(*map(torch.tensor, ([0, 0, 1], [0, 1, 0], [4.0, 2.0, 5.0])))


def test_a_row_has_the_rows_of_the_other_side_over_the_root_of_their_number():
    values_NK = torch.tensor([[1.0], [2.0], [50.0], [10.0], [20.0]])
    sum_N = Graph(RATINGS, 3, 2).sums(values_NK)[:, 0]
    root = 2**0.5
    assert sum_N.tolist() == pytest.approx([30 / root, 10, 0, 3 / root, 1])


def test_what_goes_back_is_the_gradient():
    graph = Graph(RATINGS, 3, 2)
    values_NK = torch.randn(5, 3, requires_grad=True)
    weight_NK = torch.randn(5, 3)
    (graph.sums(values_NK) * weight_NK).sum().backward()
    torch.testing.assert_close(graph.back(weight_NK), values_NK.grad)


def test_implicit_rows_move_by_the_gradient_of_all_ratings_since_they_last_did(spec):
    """By sgd a move is the gradient times the rate; own rows stand still, as theirs is none."""
    chosen = spec(
        model="svdpp",
        optimiser="sgd",
        implicit_every=2,
        implicit_rate=1e6,
        implicit_regularisation=0.5,
    )
    hvd.init()
    data = read_dataset(chosen, torch.device("cpu"))
    made = Svdpp(chosen.settings, data, 1)
    batch = made_of(data)
    implicit_NK = (0.1 * torch.randn_like(made.implicit)).requires_grad_()
    made.implicit.data.copy_(implicit_NK.detach())
    made.sum_NK.copy_(made.graph.sums(made.implicit.detach()))
    rows = made.rows()
    whole_NK = made.table.detach()[:, :-1] + made.graph.sums(implicit_NK)
    user_BK, movie_BK = whole_NK[batch.user_N.long()], whole_NK[batch.movie_N.long() + data.users]
    error_B = (user_BK * movie_BK).sum(1) + rows.mean - batch.rating_N
    penalty = (made.share_N1 * implicit_NK.square()).sum()
    (error_B.square().mean() + 0.5 * penalty).backward()
    for number in (0, 1):
        made.step(batch, Step(len(batch), 1e-9, (1, 1, number, 0)))
        if number == 0:
            torch.testing.assert_close(made.implicit.detach(), implicit_NK.detach())
    moved_NK = (implicit_NK - made.implicit).detach() / 1e-3
    torch.testing.assert_close(moved_NK, implicit_NK.grad, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(made.sum_NK, made.graph.sums(made.implicit.detach()))


def made_of(data) -> Ratings:
    """Every training rating, in one batch."""
    [batch] = data.train.blocks()
    return batch
