"""What models of order that learn by steps share: lists and rows come from their encoder."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from torch import Tensor

from model.data.history_data import HistoryData
from model.earlier_weights import Weights, differing, refused, take_over
from model.factors import Factors, load_factors
from model.family import Encoder, Rows, name_of
from model.settings import LoopSettings
from model.training.autograd import ModuleLearner
from model.validation_lists import validation_figures


class OrderLearner(ModuleLearner):
    """A learner whose users' rows its encoder makes of their histories at any time."""

    reads = "histories"
    objective = "order"
    data: HistoryData
    settings: LoopSettings
    movie_weights: ClassVar[tuple[str, ...]]
    """Which of the module's weights have a row or a number for each movie."""

    @staticmethod
    def earlier_weights(factors: Factors, folder: Path) -> Weights:
        """The module's weights, as `Factors` and encoder of an earlier training have them."""
        raise NotImplementedError

    def start_from(self, folder: Path, data: HistoryData) -> str:
        """Take over an earlier model's weights, its movies' rows by id."""
        factors, ours = load_factors(folder), name_of(type(self))
        theirs = factors.manifest["model"]
        if theirs != ours:
            raise ValueError(
                f"The model to start from is of {theirs}, and this one of {ours}. Start without "
                "an earlier model: train.warm_start=false."
            )
        weights = self.earlier_weights(factors, folder)
        if other := differing(self.module, weights, self.movie_weights):
            raise refused(ours, self.settings, factors, other)
        known = take_over(self.module, weights, self.movie_weights, factors, data.movie_ids)
        return f"the rows of {known:,} movies, and all other weights,"

    @property
    def made(self) -> Encoder:
        """What makes users' rows, with the weights of this moment."""
        raise NotImplementedError

    @property
    def movie_MK(self) -> Tensor:
        """What users' rows are multiplied with."""
        raise NotImplementedError

    @property
    def movie_bias_M(self) -> Tensor:
        """What is added; nothing unless a member says so."""
        return self.movie_MK.new_zeros(self.data.movies)

    def validate(self, data: HistoryData) -> dict[str, float]:  # type: ignore[override]
        """Lists of the weights of this moment, on all ranks' validation ratings."""
        return validation_figures(data, self.made.encode, self.movie_MK, self.movie_bias_M)

    def score(self, user_B: Tensor, movie_B: Tensor) -> Tensor:
        """From this rank's histories, each encoded anew."""
        place_B = np.searchsorted(self.data.histories.user_U, user_B.cpu().numpy())
        user_BK = self.made.encode(self.data.histories.take(place_B))
        movie = movie_B.long()
        return (user_BK * self.movie_MK[movie]).sum(1) + self.movie_bias_M[movie]

    def rows(self) -> Rows:
        """All ranks' users by their whole histories."""
        user_UK = self.data.whole_rows(self.made)
        none_U = user_UK.new_zeros(len(user_UK))
        return Rows(user_UK, self.movie_MK, none_U, self.movie_bias_M, 0.0)
