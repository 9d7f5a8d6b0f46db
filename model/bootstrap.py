"""How sure a mean over users is, and the difference of two, by drawing users again and again.

Users are drawn with replacement, as many as there are; the middle share of the means of such draws
is the interval (Efron's percentiles). For two models the same users are drawn, so that what is hard
for both does not hide a difference (Sakai, "Evaluating evaluation metrics based on the bootstrap",
2006).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Double = NDArray[np.float64]
DRAWS, SHARE, SEED = 1000, 0.95, 20
# Of users in draws that are added up in one product.
MOST_COUNTS = 1_000_000


@dataclass(frozen=True)
class Interval:
    """A mean, and the ends of its interval; all nan where no user takes part."""

    value: float
    low: float
    high: float


def intervals(
    value_FB: Double, *, draws: int = DRAWS, share: float = SHARE, seed: int = SEED
) -> list[Interval]:
    """Of F figures of B users, nan where a user takes no part in one. All see the same draws."""
    value_FB = np.asarray(value_FB, dtype=np.float64)
    figures, users = value_FB.shape
    known_FB = ~np.isnan(value_FB)
    both_BF2 = np.concatenate([np.where(known_FB, value_FB, 0), known_FB]).T
    sum_DF2 = np.zeros((draws, 2 * figures))
    random = np.random.default_rng(seed)
    step = max(1, MOST_COUNTS // max(1, users))
    for start in range(0, draws if users else 0, step):
        times = [drawn(random, users) for _ in range(start, min(start + step, draws))]
        sum_DF2[start : start + step] = np.stack(times) @ both_BF2
    found = []
    for figure in range(figures):
        known_B = value_FB[figure, known_FB[figure]]
        if len(known_B) == 0:
            found.append(Interval(np.nan, np.nan, np.nan))
            continue
        # A draw may miss all of a few users.
        count_D = sum_DF2[:, figures + figure]
        mean_D = sum_DF2[count_D > 0, figure] / count_D[count_D > 0]
        low, high = np.quantile(mean_D, [(1 - share) / 2, (1 + share) / 2])
        found.append(Interval(float(known_B.mean()), float(low), float(high)))
    return found


def drawn(random: np.random.Generator, users: int) -> Double:
    """How often each of the users is drawn."""
    return np.bincount(random.integers(0, users, users), minlength=users).astype(np.float64)


@dataclass(frozen=True)
class Difference:
    """By how much one model's mean is above another's, over users that both have a figure for."""

    value: float
    low: float
    high: float
    users: int

    @property
    def verdict(self) -> str:
        """'better' or 'worse' where the interval lies wholly on that side of 0, else 'open'."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "open"


def difference(
    one_B: Double,
    other_B: Double,
    *,
    draws: int = DRAWS,
    share: float = SHARE,
    seed: int = SEED,
) -> Difference:
    """Paired bootstrap of B users' figures, of which higher is better."""
    both_B = np.asarray(one_B, dtype=np.float64) - np.asarray(other_B, dtype=np.float64)
    found = intervals(both_B[None], draws=draws, share=share, seed=seed)[0]
    users = int((~np.isnan(both_B)).sum())
    return Difference(found.value, found.low, found.high, users)
