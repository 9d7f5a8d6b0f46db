"""Skip-gram: the loss over all pairs by hand, and users' rows as decayed means."""

from math import exp

import numpy as np
import torch
from torch.nn.functional import logsigmoid

from model.data.histories import Histories
from model.data.windows import WindowShard
from model.prod2vec import Prod2vecEncoder, pairs_loss
from tests.model.conftest import settings
from tests.model.test_visits import data_of

MOVIES = 6


def rows(seed: int) -> torch.Tensor:
    return torch.randn(MOVIES, 3, generator=torch.Generator().manual_seed(seed))


def test_the_loss_is_that_of_all_pairs_within_reach():
    chosen = settings("prod2vec", reach=2, negatives=5.0)
    histories = data_of([[(m, 0) for m in (0, 1, 2, 3)], [(4, 0), (5, 0)]], MOVIES).train
    batch = WindowShard(histories, 3, seed=1, rank=0).windows(np.array([0, 4]), np.array([3, 1]))
    given, after, drawn = rows(1), rows(2), torch.tensor([0, 3, 3])
    expected = 0.0
    for movie, other in [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (4, 5)]:
        expected -= logsigmoid(given[movie] @ after[other]).item()
        expected -= 5 * logsigmoid(-(after[drawn] @ given[movie])).mean().item()
    loss = pairs_loss(given, after, batch, drawn, chosen)
    assert torch.isclose(loss, torch.tensor(expected), rtol=1e-5)


def test_later_movies_count_more_and_unlearned_ones_not_at_all():
    given = rows(1)
    given[5] = 0
    histories: Histories = data_of([[(0, 0), (5, 0), (2, 0)], []], MOVIES).histories
    encoder = Prod2vecEncoder(given, 2.0)
    row, nothing = encoder.encode(histories)
    part = exp(-1 / 2)
    parts = torch.stack([part * given[0], torch.zeros(3), given[2]]) / (1 + part)
    assert torch.allclose(encoder.parts(histories), parts)
    assert torch.allclose(row, (part * given[0] + given[2]) / (1 + part))
    assert not nothing.any()
