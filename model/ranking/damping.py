"""A ranking score that trusts a movie's prediction the more ratings the movie has.

    ranking score = mean + w_m (prediction - mean),   w_m = n_m / (n_m + damping)

with n_m the movie's training ratings and `mean` the mean training rating. A movie rated a few times
owes a high prediction to chance more often than one rated by thousands; damping moves it towards
the mean. It is the shrinkage of Bell and Koren, "Scalable Collaborative Filtering with Jointly
Derived Neighborhood Interpolation Weights" (ICDM 2007), applied to predictions.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from model.factors import Factors


def damped(factors: Factors, damping: float) -> Factors:
    """`Factors` whose score is the ranking score; `damping` is in ratings, 0 changes nothing.

    The form stays that of two matrices: a movie's row and bias are scaled by its w, and one factor
    more, the user's bias times w, takes the place of the user's bias, which no longer counts alike
    for all movies. Popularity is damped alike. Raises ValueError if the model does not know how
    many ratings its movies had.
    """
    if damping == 0:
        return factors
    count_M = factors.movie_count_M
    if count_M is None:
        raise ValueError(
            "the model was saved by an earlier version of Nightreel, which did not keep how many "
            "ratings a movie had"
        )
    mean = np.float32(factors.train_mean)
    weight_M = (count_M / (count_M + damping)).astype(np.float32)
    offset_M = np.float32(factors.mean) + factors.movie_bias_M - mean
    return replace(
        factors,
        user_UK=np.column_stack([factors.user_UK, factors.user_bias_U]),
        movie_MK=np.column_stack([factors.movie_MK * weight_M[:, None], weight_M]),
        user_bias_U=np.zeros_like(factors.user_bias_U),
        movie_bias_M=weight_M * offset_M,
        popular_M=mean + weight_M * (factors.popular_M - mean),
        mean=float(mean),
    )
