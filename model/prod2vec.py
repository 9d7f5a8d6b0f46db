"""Skip-gram with negative sampling: the rows of movies that soon follow one another are alike.

Of each movie and each of the next `reach` in a history, the product of the one's input row and the
other's output row is learned to be high, and low with movies drawn by count^0.75 (Grbovic et al.,
"E-commerce in Your Inbox", 2015, after Mikolov et al., 2013; there also of movies before). With k
drawn for a pair, the products become log of P(after | movie) / (k P(drawn)) (Levy and Goldberg,
2014): a user's row is the mean of the input rows of what was rated, the later the more, and a
movie's bias `popularity` times log P(drawn), which at 1 makes scores log P(after | movie) again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Gt
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import embedding, embedding_bag, logsigmoid

from model.data.histories import Histories
from model.data.history_data import HistoryData
from model.data.windows import Windows
from model.earlier_weights import Weights
from model.factors import Factors
from model.order_learner import OrderLearner
from model.settings import LoopSettings
from model.space import Between, Space

ENCODER = "encoder"
DRAWN_POWER = 0.75


@dataclass(frozen=True)
class Prod2vecSettings(LoopSettings):
    """What is learned of what comes soon after, and how a user's row is made of it."""

    width: Annotated[int, Ge(1)]
    """Length of a row."""
    window: Annotated[int, Ge(1)]
    """Most movies of a history that are learned from at a time; pairs lie within them."""
    reach: Annotated[int, Ge(1)]
    """How many places after a movie another may stand to make a pair with it."""
    negatives: Annotated[float, Gt(0)]
    """How much drawn movies weigh beside 1 of the pair: as much as so many."""
    drawn: Annotated[int, Ge(1)]
    """How many are drawn in a step, for all of its pairs."""
    row_decay: Annotated[float, Gt(0)]
    """After how many movies the part of an older one in a user's row has fallen to 1/e."""
    popularity: Annotated[float, Ge(0)]
    """What the logarithm of the share in what is drawn counts beside the product of rows."""


class TwoRows(nn.Module):
    """Of each movie one row as what has been rated, and one as what comes after."""

    def __init__(self, movies: int, width: int) -> None:
        super().__init__()
        self.input_MK = nn.Parameter((torch.rand(movies, width) - 0.5) / width)
        self.output_MK = nn.Parameter(torch.zeros(movies, width))


class Prod2vecEncoder:
    """A user's row is the decayed mean of the input rows, zero of movies never learned from."""

    def __init__(self, input_MK: Tensor, decay: float) -> None:
        self.input_MK, self.decay = input_MK, decay
        self.known_M = input_MK.any(1).cpu().numpy()

    def encode(self, histories: Histories) -> Tensor:
        """Rows, U x K."""
        known, device = histories.where(self.known_M[histories.movie_N]), self.input_MK.device
        return embedding_bag(
            torch.from_numpy(known.movie_N.astype(np.int64)).to(device),
            self.input_MK,
            torch.from_numpy(known.offset_U1[:-1]).to(device),
            mode="sum",
            per_sample_weights=torch.from_numpy(self.weights(known)).to(device),
        )

    def parts(self, histories: Histories) -> Tensor:
        """The movie's input row, by its weight in the mean."""
        known_N, device = self.known_M[histories.movie_N], self.input_MK.device
        weight_N = np.zeros(len(known_N), np.float32)
        weight_N[known_N] = self.weights(histories.where(known_N))
        row_NK = self.input_MK[torch.from_numpy(histories.movie_N.astype(np.int64)).to(device)]
        return row_NK * torch.from_numpy(weight_N).to(device)[:, None]

    def weights(self, known: Histories) -> NDArray[np.float32]:
        """What each of N ratings counts in its user's mean; of a user they add up to 1."""
        last_N = np.repeat(known.offset_U1[1:], known.count_U)
        part_N = np.exp((np.arange(len(last_N)) + 1 - last_N) / self.decay)
        sum_U = np.bincount(known.owner_N, part_N, len(known))
        return (part_N / sum_U[known.owner_N]).astype(np.float32)


class Prod2vec(OrderLearner):
    """The learner."""

    Settings = Prod2vecSettings
    space: ClassVar[Space] = {
        "width": Between(32, 128, log=True),
        "reach": Between(5, 50, log=True),
        "row_decay": Between(20.0, 1000.0, log=True),
        "popularity": Between(0.0, 1.5),
        "learning_rate": Between(0.0005, 0.01, log=True),
    }
    movie_weights: ClassVar[dict[str, str]] = {"input_MK": "width", "output_MK": "width"}
    settings: Prod2vecSettings
    module: TwoRows

    def __init__(self, settings: Prod2vecSettings, data: HistoryData, seed: int) -> None:
        torch.manual_seed(seed)
        self.settings, self.data = settings, data
        super().__init__(TwoRows(data.movies, settings.width), settings, data)
        # Movies are drawn.
        self.draws = True
        share_M = data.counts.movie_M.double() ** DRAWN_POWER
        self.share_M = (share_M / share_M.sum()).float().to(data.device)

    def losses(self, batch: Windows) -> Tensor:  # type: ignore[override]
        """The sum over pairs of what both likelihoods lack, less what more pairs a place would."""
        drawn_D = torch.multinomial(self.share_M, self.settings.drawn, replacement=True)
        module = self.module
        return pairs_loss(module.input_MK, module.output_MK, batch, drawn_D, self.settings)

    @property
    def made(self) -> Prod2vecEncoder:
        """What makes users' rows, with the weights of this moment."""
        known_M1 = (self.share_M > 0)[:, None]
        return Prod2vecEncoder(self.module.input_MK.detach() * known_M1, self.settings.row_decay)

    @property
    def movie_MK(self) -> Tensor:
        """The output rows."""
        return self.module.output_MK.detach()

    @property
    def movie_bias_M(self) -> Tensor:
        """Of movies that are never drawn it is 0."""
        log_M = torch.where(self.share_M > 0, self.share_M, 1.0).log()
        return self.settings.popularity * log_M

    @staticmethod
    def earlier_weights(factors: Factors, folder: Path) -> Weights:
        """Both rows."""
        input_MK = torch.from_numpy(np.load(folder / ENCODER / "input.npy"))
        return {"input_MK": input_MK, "output_MK": torch.tensor(np.asarray(factors.movie_MK))}

    def save_encoder(self, folder: Path) -> None:
        """The input rows and the settings."""
        own = folder / ENCODER
        own.mkdir()
        np.save(own / "input.npy", self.made.input_MK.cpu().numpy())
        text = json.dumps(asdict(self.settings), indent=2)
        (own / "settings.json").write_text(text + "\n", encoding="utf-8")

    @classmethod
    def encoder(cls, folder: Path, device: Any) -> Prod2vecEncoder:
        """From those files."""
        own = folder / ENCODER
        settings = json.loads((own / "settings.json").read_text(encoding="utf-8"))
        input_MK = torch.from_numpy(np.load(own / "input.npy")).to(device)
        return Prod2vecEncoder(input_MK, settings["row_decay"])


def pairs_loss(
    input_MK: Tensor, output_MK: Tensor, batch: Windows, drawn_D: Tensor, settings: Prod2vecSettings
) -> Tensor:
    """Of each movie of B windows and each of the next `reach`: what the likelihood lacks of 1.

    That of the pair, plus `negatives` times the mean of those of the movie with the drawn ones.
    """
    input_BLK = embedding(batch.movie_BL, input_MK)
    target_BLK = embedding(batch.target_BL, output_MK)
    length = batch.movie_BL.shape[1]
    pairs_BL = torch.zeros_like(batch.rating_BL, dtype=input_MK.dtype)
    loss = input_MK.sum() * 0
    for back in range(min(settings.reach, length)):
        score_BL = (input_BLK[:, : length - back] * target_BLK[:, back:]).sum(2)
        # A window ends once: where its later target is real, so is the movie before.
        real_BL = batch.real_BL[:, back:]
        loss = loss - logsigmoid(score_BL)[real_BL].sum()
        pairs_BL[:, : length - back] += real_BL
    row_PK, pairs_P = input_BLK[batch.real_BL], pairs_BL[batch.real_BL]
    drawn_P = logsigmoid(-(row_PK @ embedding(drawn_D, output_MK).T)).mean(1)
    return loss - settings.negatives * (pairs_P * drawn_P).sum()
