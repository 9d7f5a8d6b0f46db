"""A blend of models of order: their rows side by side, weighted by the validation movies.

    score = sum over members of weight * member's score

Weights, none below 0, are those of least cross-entropy of the softmax over the movies that a user
has not rated, at what the user rated in the validation part; a user's movies share a weight of 1.
The cross-entropy is convex in the weights, so that there is one answer. All columns of the members
may be cut to fewer, those in which the scores of the users learned from differ most.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge, Len
from torch import Tensor

from model.data.histories import Histories
from model.data.history_data import HistoryData
from model.encoder_files import Files, encoder_of, unpack
from model.family import ORDER_MODELS, Encoder, Member, Rows, load
from model.order_weights import fit_weights
from model.reasons import parts_of
from model.validation_lists import validation_figures

if TYPE_CHECKING:
    Name = str
else:
    Name = Literal[tuple(name for name in ORDER_MODELS if name != "order_blend")]
ENCODER, BLEND, TURN = "encoder", "blend.json", "turn.npy"


@dataclass(frozen=True)
class OrderBlendSettings:
    """What is blended."""

    members: Annotated[list[Name], Len(1)]
    """Models of order, trained in this order, each with the settings of its own section; one that
    is named again is trained again, from another seed."""
    width: Annotated[int, Ge(1)] | None
    """Most columns of the two matrices; null: all of the members', which loses nothing."""


class BlendEncoder:
    """Rows of users: the members' weighted rows side by side, or what `turn_CK` makes of them."""

    def __init__(
        self, members: list[Encoder], weights: list[float], turn_CK: Tensor | None = None
    ) -> None:
        self.members, self.weights, self.turn_CK = members, weights, turn_CK

    def encode(self, histories: Histories) -> Tensor:
        """Rows, U x K."""
        parts = zip(self.members, self.weights, strict=True)
        user_UC = torch.cat([weight * member.encode(histories) for member, weight in parts], 1)
        return user_UC if self.turn_CK is None else user_UC @ self.turn_CK

    def parts(self, histories: Histories) -> Tensor:
        """Those of the members, of whom some may have to leave movies out."""
        parts = zip(self.members, self.weights, strict=True)
        part_NC = torch.cat([weight * parts_of(member, histories) for member, weight in parts], 1)
        return part_NC if self.turn_CK is None else part_NC @ self.turn_CK


class OrderBlend:
    """The combiner."""

    Settings = OrderBlendSettings
    reads = "histories"
    objective = "order"

    def __init__(self, settings: OrderBlendSettings, data: HistoryData, seed: int) -> None:
        self.settings = settings

    def combine(
        self, members: dict[str, Member], data: HistoryData, chosen: dict[str, float] | None
    ) -> tuple[Rows, dict[str, float]]:
        """All members' rows as two matrices, and their weights."""
        self.files: dict[str, Files] = {name: member.files for name, member in members.items()}
        self.names = [member.model for member in members.values()]
        encoders = [encoder_of(m.model, m.files, data.device) for m in members.values()]
        all_rows = [member.rows for member in members.values()]
        movie_rows = [rows.movie_MK.float().to(data.device) for rows in all_rows]
        biases = [rows.movie_bias_M.float().to(data.device) for rows in all_rows]
        weights = [chosen[f"weight_{name}"] for name in members] if chosen else None
        weights = weights or fit_weights(encoders, movie_rows, biases, data)
        self.made = BlendEncoder(encoders, weights)
        self.movie_MK = torch.cat(movie_rows, 1)
        width = self.settings.width
        if width and width < self.movie_MK.shape[1]:
            user_UC = data.whole_rows(self.made)
            self.made.turn_CK, self.movie_MK = cut(user_UC, self.movie_MK, width)
        weighted = [weight * bias_M for weight, bias_M in zip(weights, biases, strict=True)]
        self.movie_bias_M = torch.stack(weighted).sum(0)
        user_UK = data.whole_rows(self.made)
        rows = Rows(user_UK, self.movie_MK, user_UK.new_zeros(data.users), self.movie_bias_M, 0.0)
        return rows, {f"weight_{name}": w for name, w in zip(members, weights, strict=True)}

    def validate(self, data: HistoryData) -> dict[str, float]:
        """Lists of all members together, on the ratings that chose the weights."""
        return validation_figures(data, self.made.encode, self.movie_MK, self.movie_bias_M)

    def save_encoder(self, folder: Path) -> None:
        """The members' encoders in folders of their own, their weights, and the cut."""
        own = folder / ENCODER
        own.mkdir()
        for name, files in self.files.items():
            unpack(files, own / name)
        told = {"folders": list(self.files), "models": self.names, "weights": self.made.weights}
        (own / BLEND).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
        if self.made.turn_CK is not None:
            np.save(own / TURN, self.made.turn_CK.cpu().numpy())

    @classmethod
    def encoder(cls, folder: Path, device: Any) -> BlendEncoder:
        """From those files."""
        own = folder / ENCODER
        told = json.loads((own / BLEND).read_text(encoding="utf-8"))
        named = zip(told["models"], told["folders"], strict=True)
        members = [load(model).encoder(own / name, device) for model, name in named]
        turn = torch.from_numpy(np.load(own / TURN)).to(device) if (own / TURN).exists() else None
        return BlendEncoder(members, told["weights"], turn)


def cut(user_UC: Tensor, movie_MC: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """What turns rows of users, C x K, and those of movies: the nearest scores of so few columns.

    Scores are user . movie; the leading right singular vectors of all users' are the movies' rows.
    """
    movie_MQ, movie_QC = torch.linalg.qr(movie_MC.double())
    # Small numbers of a product of so many users are lost in float32.
    gram_CC = user_UC.T.double() @ user_UC.double()
    vector_QQ = torch.linalg.eigh(movie_QC @ gram_CC @ movie_QC.T).eigenvectors
    movie_MK = movie_MQ @ vector_QQ.flip(1)[:, :width]
    return (movie_MC.T.double() @ movie_MK).float(), movie_MK.float()
