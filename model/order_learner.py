"""What models of order that learn by steps share: lists and rows come from their encoder."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from torch import Tensor

from model.data.history_data import HistoryData
from model.earlier import Earlier
from model.earlier_weights import Weights, differing, learned, refused, take_over
from model.factors import Factors
from model.family import Encoder, MovieTable, Rows, name_of
from model.settings import LoopSettings
from model.training.autograd import ModuleLearner
from model.validation_lists import validation_figures


class OrderLearner(ModuleLearner):
    """A learner whose users' rows its encoder makes of their histories at any time."""

    reads = "histories"
    objective = "order"
    data: HistoryData
    settings: LoopSettings
    movie_weights: ClassVar[dict[str, str]]
    """Which of the module's weights have a row for each movie, with the setting that says how long
    it is; or a number, with none."""
    drawn: ClassVar[bool] = True
    """Whether rows start at random, but for those that start at zero."""

    @staticmethod
    def earlier_weights(factors: Factors, folder: Path) -> Weights:
        """The module's weights, as `Factors` and encoder of an earlier training have them."""
        raise NotImplementedError

    def start_from(self, earlier: Earlier) -> str:
        """Take over an earlier model's weights, and its rows of known movies."""
        ours = name_of(type(self))
        if earlier.model != ours:
            raise ValueError(
                f"The model to start from is of {earlier.model}, and this one of {ours}. Start "
                f"without an earlier model: {earlier.without}."
            )
        weights = self.earlier_weights(earlier.factors, earlier.folder)
        if other := differing(self.module, weights, self.movie_weights):
            raise refused(ours, self.settings, earlier, other)
        known = take_over(self.module, weights, self.movie_weights, earlier)
        return f"the rows of {known:,} movies, and all other weights,"

    def movie_tables(self) -> list[MovieTable]:
        """Those of the module."""
        weights = learned(self.module)
        return [
            MovieTable(weights[name].data, setting, self.drawn and bool(weights[name].any()))
            for name, setting in self.movie_weights.items()
            if setting
        ]

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
