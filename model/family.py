"""The family: the models by name, and what a model has to be. A model is one file in model/.

A model class is made with its settings, the data and a seed, and holds

    Settings   a frozen dataclass, a docstring per field: the section `train.<name>` in conf
    reads      what it learns from, as `DATASETS` in model/data/datasets.py names it
    objective  `rating` if its scores are ratings, `order` if they rank what a user will want next
    knows_sd   True if its `Rows` say how far off a rating may be; others need not have it
    space      the values of its settings that a search tries (model/space.py), if it is worth one

It learns by steps in the shared loop (`Learner`), by draws (`Sampler`), at once, without epochs
(`Fitter`), or is made of others (`Combiner`), and ends as `Rows`. Loop, checkpoints, export and
scoring know nothing else of it. This file imports no model and no torch: a name is enough to choose
a model by.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from model.data.dataset import Dataset
    from model.data.histories import Histories
    from model.data.history_data import HistoryData
    from model.data.ratings import Ratings
    from model.data.sets import Sets
    from model.data.windows import Windows
    from model.dates import Dates
    from model.earlier import Earlier

    # Of the kind that the model reads.
    Data: TypeAlias = Dataset | HistoryData
    Batch: TypeAlias = Ratings | Windows | Sets

RATING_MODELS = {
    "matrix_factorisation": "model.matrix_factorisation:MatrixFactorisation",
    "biases": "model.biases:Biases",
    "content": "model.content:Content",
    "neighbours": "model.neighbours:Neighbours",
    "bayesian": "model.bayesian:Bayesian",
    "svdpp": "model.svdpp:Svdpp",
    "autoencoder": "model.autoencoder:Autoencoder",
    "two_tower": "model.two_tower:TwoTower",
    "blend": "model.blend:Blend",
}
ORDER_MODELS = {
    "ridge": "model.ridge:Ridge",
    "visits": "model.visits:Visits",
    "transformer": "model.transformer:Transformer",
    "gru": "model.gru:Gru",
    "convolution": "model.convolution:Convolution",
    "recency": "model.recency:Recency",
    "item_linear": "model.item_linear:ItemLinear",
    "ials": "model.ials:Ials",
    "elsa": "model.elsa:Elsa",
    "vae": "model.vae:Vae",
    "prod2vec": "model.prod2vec:Prod2vec",
    "two_tower_order": "model.two_tower_order:TwoTowerOrder",
    "order_blend": "model.order_blend:OrderBlend",
}
FAMILY = RATING_MODELS | ORDER_MODELS


@dataclass(frozen=True)
class Rows:
    """What a model has learned: score = mean + user_bias + movie_bias + user_row . movie_row."""

    user_UK: Tensor
    movie_MK: Tensor
    user_bias_U: Tensor
    movie_bias_M: Tensor
    mean: float
    user_sd_US: Tensor | None = None
    movie_sd_MS: Tensor | None = None
    """Not below 0; their products are the standard deviations of ratings around their scores.
    None where the model does not know them."""
    dates: Dates | None = None
    """What the time of a rating adds; biases hold what any time after all ratings does."""

    def score(self, user_B: Tensor, movie_B: Tensor) -> Tensor:
        """Scores of B pairs of row numbers, unclipped."""
        product_B = (self.user_UK[user_B] * self.movie_MK[movie_B]).sum(1)
        return product_B + self.user_bias_U[user_B] + self.movie_bias_M[movie_B] + self.mean

    def rate(self, ratings: Ratings) -> Tensor:
        """Scores of ratings, at their own times if times are known and tell something."""
        score_B = self.score(ratings.user_N, ratings.movie_N)
        if self.dates is None or ratings.time_N is None:
            return score_B
        pairs = ratings.user_N, ratings.movie_N, ratings.time_N
        return score_B + score_B.new_tensor(self.dates.instead(*(c.cpu().numpy() for c in pairs)))


@dataclass(frozen=True)
class Step:
    """One step that all ranks take together."""

    rows: int
    """Training rows of all ranks in it: gradients are of the mean over these."""
    rate: float
    """Learning rate."""
    place: tuple[int, int, int, int]
    """Seed of the training, epoch, number in the epoch, rank."""

    @property
    def seed(self) -> int:
        """A seed of this step and rank alone, for what is drawn in it."""
        # Here, because whoever reads settings imports this file, and answers within a moment.
        import numpy as np

        return int(np.random.SeedSequence(self.place).generate_state(1)[0])


class Model(Protocol):
    """What every model of the family has; `seed` alone decides what is drawn at the start."""

    Settings: ClassVar[type]
    reads: ClassVar[str]
    objective: ClassVar[Literal["rating", "order"]]

    def __init__(self, settings: Any, data: Data, seed: int) -> None: ...


@runtime_checkable
class Learner(Model, Protocol):
    """A model that learns by steps; its settings begin with those of the loop (`LoopSettings`).

    The loop owns epochs, the learning rate, early stopping, checkpoints and progress.
    """

    @property
    def form(self) -> str:
        """How it learns, for the log; a checkpoint of another form is passed over."""

    def step(self, batch: Batch, step: Step) -> Tensor:
        """Learn from this rank's part of a step, which may be empty; the sum of its losses."""

    def score(self, user_B: Tensor, movie_B: Tensor) -> Tensor:
        """Unclipped scores of B pairs of row numbers, as the model itself computes them."""

    def validate(self, data: Data) -> dict[str, float]:
        """Figures of all ranks' validation rows; the loop keeps the least `validation_loss`."""

    def weights(self) -> dict[str, Tensor]:
        """The tensors that decide the scores, themselves: the best epoch's are kept and restored.

        They start as those of rank 0.
        """

    def synchronise(self, moments: bool = False) -> None:
        """Bring weights, and what else a checkpoint holds if `moments`, to one state on all ranks.

        The loop calls it on every rank before it validates, saves or exports.
        """

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers and texts from which `load_state_dict` goes on to the same end."""

    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    def rows(self) -> Rows:
        """The encoder run once for every user and every movie."""


@runtime_checkable
class Sampler(Model, Protocol):
    """A model that is drawn from; its settings begin with `SamplingSettings`.

    What it predicts is the mean of the draws that were kept. The loop owns burn-in, chains, the
    end, the budget of seconds, checkpoints and progress. All of it is the same on every rank.
    """

    @property
    def form(self) -> str:
        """How it learns, for the log; a checkpoint of another form is passed over."""

    def sweep(self, number: int, keep: bool) -> float:
        """Draw once more, and add the draw to the mean if it is kept; the mean training loss.

        `number` counts sweeps from 1; with the seed it decides what is drawn.
        """

    def begin(self, chain: int) -> None:
        """Start another chain, from 1 on, anew; the mean goes on with the draws of those before."""

    def validate(self, data: Data) -> dict[str, float]:
        """Figures of all ranks' validation rows, by the mean so far or else the last draw."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers and texts from which `load_state_dict` goes on to the same end."""

    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    def rows(self) -> Rows:
        """The mean of the draws that were kept."""


@runtime_checkable
class Fitter(Model, Protocol):
    """A model that is learned at once; ranks that share the data return the same rows."""

    def fit(self, data: Data) -> Rows: ...


@dataclass(frozen=True)
class Member:
    """What a part of a `Combiner` has become."""

    model: str
    """Its name in the family."""
    rows: Rows
    files: dict[str, Tensor]
    """What the encoder of a model of order is loaded from (model/encoder_files.py)."""


@runtime_checkable
class Combiner(Model, Protocol):
    """A model made of others, each of which learns in its own way from the same ratings.

    Its settings name them, as `members`; theirs are those of their own sections. The loop trains
    one after the other, keeps what each has become, and goes on with the next after a stop.
    """

    def combine(
        self, members: dict[str, Member], data: Any, chosen: dict[str, float] | None
    ) -> tuple[Rows, dict[str, float]]:
        """The rows of all of them together, and figures about it; the same on every rank.

        `chosen` are these figures as validation ratings had them chosen in an earlier training,
        where nothing is held back to choose by; else None.
        """


@runtime_checkable
class WarmStart(Protocol):
    """A model that can go on from an earlier one of its kind (`train.warm_start`)."""

    def start_from(self, earlier: Earlier) -> str:
        """Take over the rows of known users and movies; what was taken, in words.

        Raises ValueError with a sentence if the earlier model is of another form.
        """


@dataclass(frozen=True)
class MovieTable:
    """Weights of a learner with a row for each movie."""

    row_MK: Tensor
    """Themselves."""
    setting: str
    """That which says how long a row is."""
    drawn: bool = True
    """Whether they start at random, and not from anything that was computed."""
    bias_M: Tensor | None = None
    """What is added to ratings beside the rows, where there is such a weight; also itself."""


@runtime_checkable
class MovieRows(Protocol):
    """A learner whose movies' rows may start from another model's, or from texts (`start_from`)."""

    def movie_tables(self) -> list[MovieTable]:
        """All of them."""


class Encoder(Protocol):
    """What makes a user's row of a history, as the model that was trained makes it."""

    def encode(self, histories: Histories) -> Tensor:
        """The rows, U x K, of U users, in whose histories movies are the model's row numbers.

        A user's row depends on the user's own history alone; it is zero where that is empty.
        """


@runtime_checkable
class Explaining(Encoder, Protocol):
    """An encoder whose rows are sums over the history, so that it can say what each rating adds.

    Of any other, ratings are left out one at a time (model/reasons.py).
    """

    def parts(self, histories: Histories) -> Tensor:
        """What each of N ratings adds to its user's row, N x K; the rest is the same for all."""


@runtime_checkable
class Ordering(Protocol):
    """A model whose objective is `order`: users' rows follow from their histories at any time."""

    def validate(self, data: HistoryData) -> dict[str, float]:
        """NDCG@10 of all ranks' validation ratings, and a `validation_loss`."""

    def save_encoder(self, folder: Path) -> None:
        """Write what `encoder` needs, into `encoder/` in the folder of the saved `Factors`."""

    @classmethod
    def encoder(cls, folder: Path, device: Any) -> Encoder:
        """The encoder of a trained model, of whose `Factors` this is the folder."""


def name_of(model: type) -> str:
    """The name of a model's class: what `load` loads it by."""
    place = f"{model.__module__}:{model.__qualname__}"
    return next(name for name, known in FAMILY.items() if known == place)


def load(name: str) -> type[Any]:
    """The class of a model; its file is imported only here."""
    module, _, cls = FAMILY[name].partition(":")
    return getattr(import_module(module), cls)
