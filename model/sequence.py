"""What models of sequences share: all but the network that reads a window.

A movie's input embedding goes through the network, which at each place of a window sees that movie
and those before it, and gives a row; the row's products with the movies' output embeddings, with
their biases, are scores of what comes next. Trained by the cross-entropy of the softmax over all
movies at every place (Klenitskiy and Vasilev, "Turning Dross Into Gold Loss", 2023). Input and
output start from the factors of the ridge regression (model/ridge.py), whose own rows may also
stand beside the network's in what is exported. A user's row is that of the last place.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from model.data.collectives import sum_over_ranks
from model.data.history_data import HistoryData
from model.data.windows import Windows, WindowShard
from model.earlier_weights import MOVIE_WEIGHTS, Weights, with_reader
from model.factors import Factors
from model.order_learner import OrderLearner
from model.ridge import ENCODER, RidgeEncoder, RidgeSettings, regression
from model.sequence_reader import Reader, SequenceEncoder
from model.settings import LoopSettings
from model.softmax_loss import sampled_softmax_loss, softmax_loss
from model.space import Between, OneOf, Space

# Settings that models made before them do not name.
TOLD = ("rating", "gap", "genres")


@dataclass(frozen=True)
class SequenceSettings(LoopSettings):
    """How a network learns what comes next."""

    width: Annotated[int, Ge(1)]
    """Length of a movie's input and output embedding, and of a row."""
    window: Annotated[int, Ge(1)]
    """Most movies that the network reads at a time: the last so many of a history."""
    rating: bool
    """Whether the network is told what a movie was rated."""
    gap: bool
    """Whether it is told how long it was until the next movie was asked for."""
    genres: bool
    """Whether it is told a movie's genres."""
    dropout: Annotated[float, Ge(0), Lt(1)]
    """Share of the numbers within the network that are set to 0 in training."""
    input_dropout: Annotated[float, Ge(0), Lt(1)]
    """The same of input embeddings."""
    clip: Annotated[float, Gt(0)]
    """Gradients longer than that are shortened to it."""
    same_second: Annotated[float, Ge(0)]
    """Weight of a target rated in the same second as the movie before it; others have 1."""
    sampled_above: Annotated[int, Ge(1)]
    """With more movies than that, the softmax is estimated from some of them."""
    negatives: Annotated[int, Ge(1)]
    """How many are then drawn for a step."""
    ridge_decay: Annotated[float, Gt(0)]
    """Of the ridge regression that training starts from, as in model/ridge.py."""
    ridge_penalty: Annotated[float, Gt(0)]
    """Its penalty."""
    ridge_movies: Annotated[int, Ge(1)]
    """Most movies that take part in it; the others start at random."""
    ridge_factors: Annotated[int, Ge(0)]
    """Factors of it that stand beside the network's; 0 leaves them out."""
    ridge_weight: Annotated[float, Ge(0)]
    """What the regression's scores, which are shares of 1, are multiplied by there."""


class SequenceModule(nn.Module):
    """A reader, and the output embeddings that its rows are multiplied with."""

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self.reader = reader
        movies, width = reader.movie.weight.shape
        self.output_MK = nn.Parameter(torch.randn(movies, width) * width**-0.5)
        self.bias_M = nn.Parameter(torch.zeros(movies))


class SequenceLearner(OrderLearner):
    """A learner of sequences; a member says which network it has."""

    Settings: ClassVar[type[SequenceSettings]]
    space: ClassVar[Space] = {
        "width": OneOf((32, 64, 128)),
        "dropout": Between(0.0, 0.3),
        "input_dropout": Between(0.0, 0.5),
        "ridge_weight": Between(5.0, 100.0, log=True),
        "learning_rate": Between(0.002, 0.03, log=True),
    }
    movie_weights = MOVIE_WEIGHTS
    # They start from the regression.
    drawn = False
    settings: SequenceSettings

    @staticmethod
    def network(settings: Any) -> nn.Module:
        """From inputs, B x L x K, to rows of the same shape, none of which sees a later place."""
        raise NotImplementedError

    module: SequenceModule

    def __init__(self, settings: SequenceSettings, data: HistoryData, seed: int) -> None:
        torch.manual_seed(seed)
        self.settings, self.data = settings, data
        genre_MG = data.genre_MG if settings.genres else None
        reader = Reader(data.movies, settings, self.network(settings), genre_MG)
        reader.known_M.copy_(data.counts.movie_M > 0)
        if settings.gap:
            reader.latest.fill_(data.latest)
        module = SequenceModule(reader)
        self.beside, self.beside_MK = start_from_ridge(module, settings, data)
        super().__init__(module, settings, data)
        self.reader, self.clip = module.reader, settings.clip
        share_M = data.counts.movie_M / data.counts.movie_M.sum()
        self.share_M = share_M.float().to(data.device)
        assert isinstance(data.shard, WindowShard)
        self.mean_weight = mean_weight(data.shard, settings.same_second)

    @property
    def form(self) -> str:
        """As torch has it, of the whole or the sampled softmax."""
        return "autograd" + (" of a sampled softmax" if self.sampled else "")

    @property
    def sampled(self) -> bool:
        """Whether there are too many movies to name them all in every step."""
        return self.data.movies > self.settings.sampled_above

    def losses(self, batch: Windows) -> Tensor:  # type: ignore[override]
        """The sum of the weighted cross-entropies, of which the weights' mean is 1."""
        module, real_BL = self.module, batch.real_BL
        if not len(batch):
            # Of gradients that are zero the other ranks still have to be told.
            return sum((weight.sum() * 0 for weight in module.parameters()), torch.tensor(0.0))
        row_PK = self.reader(batch.movie_BL, batch.rating_BL, batch.gap_BL)[real_BL]
        target_P = batch.target_BL[real_BL]
        same_P = batch.gap_BL[real_BL] == 0
        weight_P = torch.where(same_P, self.settings.same_second, 1.0) / self.mean_weight
        parts = (row_PK, target_P, weight_P, module.output_MK, module.bias_M)
        if self.sampled:
            return sampled_softmax_loss(*parts, self.share_M, self.settings.negatives)
        return softmax_loss(*parts)

    @property
    def made(self) -> SequenceEncoder:
        """What makes users' rows, with the weights of this moment."""
        return SequenceEncoder(self.reader, self.settings.window, self.beside)

    @property
    def movie_MK(self) -> Tensor:
        """What users' rows are multiplied with."""
        output_MK = self.module.output_MK.detach()
        return output_MK if self.beside_MK is None else torch.cat([output_MK, self.beside_MK], 1)

    @property
    def movie_bias_M(self) -> Tensor:
        """Those of the output embeddings."""
        return self.module.bias_M.detach()

    @staticmethod
    def earlier_weights(factors: Factors, folder: Path) -> Weights:
        """All but the regression's rows, which are solved for anew."""
        weights = with_reader(factors, folder / ENCODER)
        width = weights["reader.movie.weight"].shape[1]
        return weights | {"output_MK": weights["output_MK"][:, :width]}

    def save_encoder(self, folder: Path) -> None:
        """The reader's weights, its settings, and the regression's rows where they are beside."""
        own = folder / ENCODER
        own.mkdir()
        torch.save(self.reader.state_dict(), own / "reader.pt")
        text = json.dumps(asdict(self.settings), indent=2)
        (own / "settings.json").write_text(text + "\n", encoding="utf-8")
        if self.beside is not None:
            self.beside.save(own / "ridge")

    @classmethod
    def encoder(cls, folder: Path, device: Any) -> SequenceEncoder:
        """From those files."""
        own = folder / ENCODER
        values = json.loads((own / "settings.json").read_text(encoding="utf-8"))
        values = dict.fromkeys(TOLD, False) | values
        settings = cls.Settings(
            **{field.name: values[field.name] for field in fields(cls.Settings)}
        )
        weights = torch.load(own / "reader.pt", map_location="cpu", weights_only=True)
        reader = Reader(
            len(weights["known_M"]), settings, cls.network(settings), weights.get("genre_MG")
        )
        reader.load_state_dict(weights)
        beside = RidgeEncoder.load(own / "ridge", device) if (own / "ridge").exists() else None
        return SequenceEncoder(reader.to(device), settings.window, beside)


def start_from_ridge(
    module: SequenceModule, settings: SequenceSettings, data: HistoryData
) -> tuple[RidgeEncoder | None, Tensor | None]:
    """Let embeddings begin as the regression's; returns what stands beside, and movies' rows there.

    Inputs are its rows for movies that were rated, each of length 1, and half of the random start;
    outputs its rows for movies to be named, of length 1.
    """
    width, factors = settings.width, settings.ridge_factors
    made, movie_RK = regression(
        data,
        RidgeSettings(
            decays=[settings.ridge_decay],
            penalty=settings.ridge_penalty,
            factors=max(width, factors),
            same_second=settings.same_second,
            most_movies=settings.ridge_movies,
        ),
    )
    chosen_R = (made.part_M >= 0).nonzero()[:, 0].cpu()
    # Of few movies there are fewer factors than the embeddings are long.
    wide = min(width, movie_RK.shape[1])
    with torch.no_grad():
        input_MK, output_MK = module.reader.movie.weight, module.output_MK
        input_MK *= 0.5
        row_RW = nn.functional.normalize(made.row_DRK[0, :, :wide].cpu())
        input_MK[chosen_R, :wide] += row_RW
        output_MK[chosen_R, :wide] = nn.functional.normalize(movie_RK[:, :wide].cpu())
    if not factors:
        return None, None
    beside_MK = movie_RK.new_zeros(data.movies, movie_RK[:, :factors].shape[1])
    beside_MK[chosen_R.to(movie_RK.device)] = movie_RK[:, :factors]
    row_DRK = settings.ridge_weight * made.row_DRK[:, :, :factors]
    return RidgeEncoder(made.decays, made.part_M, row_DRK), beside_MK


def mean_weight(shard: WindowShard, same_second: float) -> float:
    """That of all ranks' targets. Raises ValueError if none has any."""
    same = int((shard.gap_N == 0).sum())
    other, same = sum_over_ranks(torch.tensor([shard.rows - same, same])).tolist()
    mean = (other + same_second * same) / max(other + same, 1)
    if not mean:
        raise ValueError(
            "All ratings are of the same second as the one before, and same_second is 0: nothing "
            "is left to learn. Set it to 1."
        )
    return mean
