"""The embedding model: the dot product of a user's and a movie's embedding, with or without biases.

Without biases it is James Le's baseline; with them, biased matrix factorisation (Koren, Bell and
Volinsky, "Matrix Factorization Techniques for Recommender Systems", 2009).
"""

from torch import Tensor, nn


class EmbeddingModel(nn.Module):
    """U users and M movies with K factors each.

    `mean` is the mean training rating; it is part of the score only where there are biases.
    Embeddings start uniform in (-init_scale, init_scale), biases at zero.
    """

    def __init__(
        self, users: int, movies: int, factors: int, biases: bool, mean: float, init_scale: float
    ) -> None:
        super().__init__()
        self.user = nn.Embedding(users, factors)
        self.movie = nn.Embedding(movies, factors)
        nn.init.uniform_(self.user.weight, -init_scale, init_scale)
        nn.init.uniform_(self.movie.weight, -init_scale, init_scale)
        self.biases = biases
        self.mean = mean if biases else 0.0
        if biases:
            self.user_bias = nn.Embedding(users, 1)
            self.movie_bias = nn.Embedding(movies, 1)
            nn.init.zeros_(self.user_bias.weight)
            nn.init.zeros_(self.movie_bias.weight)

    def forward(self, user_B: Tensor, movie_B: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of B pairs, and the squared length of all that each pair touches (for L2)."""
        user_BK, movie_BK = self.user(user_B), self.movie(movie_B)
        score_B = (user_BK * movie_BK).sum(1)
        square_B = user_BK.square().sum(1) + movie_BK.square().sum(1)
        if self.biases:
            user_bias_B = self.user_bias(user_B).squeeze(1)
            movie_bias_B = self.movie_bias(movie_B).squeeze(1)
            score_B = self.mean + score_B + user_bias_B + movie_bias_B
            square_B = square_B + user_bias_B.square() + movie_bias_B.square()
        return score_B, square_B
