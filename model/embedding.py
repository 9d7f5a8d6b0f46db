"""The embedding model: the dot product of a user's and a movie's embedding, with or without biases.

Without biases it is James Le's baseline; with them, biased matrix factorisation (Koren, Bell and
Volinsky, "Matrix Factorization Techniques for Recommender Systems", 2009).
"""

import torch
from torch import Tensor, nn


class EmbeddingModel(nn.Module):
    """U users and M movies with K factors each, in one table: a step is then one gather.

    Rows 0 to U-1 are users, the M after them movies; columns 0 to K-1 are factors, and column K,
    where there are biases, is the bias. `mean` is the mean training rating; it is part of the score
    only where there are biases. Factors start uniform in (-init_scale, init_scale), biases at zero.
    """

    def __init__(
        self, users: int, movies: int, factors: int, biases: bool, mean: float, init_scale: float
    ) -> None:
        super().__init__()
        self.users, self.factors, self.biases = users, factors, biases
        self.mean = mean if biases else 0.0
        table_NW = torch.zeros(users + movies, factors + biases)
        table_NW[:, :factors].uniform_(-init_scale, init_scale)
        self.table = nn.Parameter(table_NW)

    def rows(self, user_B: Tensor, movie_B: Tensor) -> Tensor:
        """The 2 B rows of the table that B pairs touch: users first, then movies."""
        return torch.cat([user_B.long(), movie_B.long() + self.users])

    def score(self, user_BW: Tensor, movie_BW: Tensor) -> Tensor:
        """Scores of B pairs, unclipped, from their rows."""
        K = self.factors
        score_B = (user_BW[:, :K] * movie_BW[:, :K]).sum(1)
        if self.biases:
            score_B = score_B + user_BW[:, K] + movie_BW[:, K] + self.mean
        return score_B

    def forward(self, user_B: Tensor, movie_B: Tensor) -> Tensor:
        """Scores of B pairs, unclipped."""
        weight_CW = self.table.index_select(0, self.rows(user_B, movie_B))
        return self.score(*weight_CW.chunk(2))
