"""ELSA: its loss is that of the scores which it never makes."""

import torch
from torch import nn

from model.data.sets import sets_of
from model.elsa import ElsaEncoder, UnitRows, distances
from tests.model.data.test_histories import histories_of


def test_distances_are_those_of_scores_to_what_was_rated():
    torch.manual_seed(1)
    lists = [[0, 3], [1, 2, 4], [4, 0]]
    rows = UnitRows(torch.tensor([3, 1, 2, 1, 2, 0]), 4)
    unit_MK = rows().double()
    assert not unit_MK[5].any()
    torch.testing.assert_close(unit_MK[:5].norm(dim=1).float(), torch.ones(5))
    x_UM = torch.zeros(3, 6).double()
    for user, movies in enumerate(lists):
        x_UM[user, movies] = 1
    score_UM = x_UM @ (unit_MK @ unit_MK.T - torch.eye(6))
    wanted_U = (nn.functional.normalize(score_UM) - nn.functional.normalize(x_UM)).square().sum(1)
    found_U = distances(sets_of(histories_of(lists)), unit_MK)
    torch.testing.assert_close(found_U, wanted_U)
    # Of movies that are not rated, the rows' products are these scores.
    user_UK = ElsaEncoder(unit_MK).encode(histories_of(lists))
    torch.testing.assert_close((user_UK @ unit_MK.T)[x_UM == 0], score_UM[x_UM == 0])
