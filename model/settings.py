"""What a training is told: which model with which settings, on what data, and what becomes of it.

A model's own settings stand in its file; those of models that learn by steps begin with
`LoopSettings`. Bounds stand in the types, for whoever checks what people write in conf.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le

from model.family import load

# Settings of a training that are not a model's own.
SHARED = ("seed", "reading", "memory_rows", "checkpoint_seconds")


@dataclass(frozen=True)
class LoopSettings:
    """How the loop learns, whatever the model."""

    optimiser: Literal["adam", "adamax", "adagrad", "sgd"]
    """Rule by which gradients move the weights."""
    learning_rate: Annotated[float, Gt(0)]
    """Step size of the optimiser. A step's gradient is that of the mean over its ratings of all
    ranks, so that more ranks need no other rate."""
    schedule: Literal["constant", "step", "cosine", "plateau"]
    """How the learning rate falls: not; times decay every decay_epochs; along a cosine to decay
    times its start over all epochs; times decay after decay_epochs without a gain."""
    decay: Annotated[float, Gt(0), Le(1)]
    """Factor by which the schedule lowers the learning rate."""
    decay_epochs: Annotated[int, Ge(1)]
    """With schedule step or plateau: epochs between two cuts."""
    warmup_epochs: Annotated[float, Ge(0)]
    """The learning rate rises from 0 over so many epochs, or a part of one."""
    batch_size: Annotated[int, Ge(1)]
    """Ratings, or movies to be named, per optimiser step, over all ranks together."""
    epochs: Annotated[int, Ge(1)]
    """Most passes over the training ratings."""
    patience: Annotated[int, Ge(1)]
    """Stop after this many epochs without a better validation loss."""
    compression: Literal["none", "fp16", "bf16"]
    """Precision of the gradients that ranks exchange; none is float32."""
    # Models that were saved before there was this setting do not name it.
    start_from: str | None = field(default=None, kw_only=True)
    """What movies' rows start from: a model of another release, as ml-25m/3, or of the other
    objective, as ml-25m/order/3, movies being matched by title and year; or text, the embeddings
    of titles and genres. null: from none. Another model may have learned from what is held back
    here: releases of MovieLens share ratings."""


@dataclass(frozen=True)
class SamplingSettings:
    """How long a model is sampled, whatever the model."""

    burn_in: Annotated[int, Ge(0)]
    """Sweeps at the start of a chain whose draws are not kept."""
    samples: Annotated[int, Ge(1)]
    """Most draws that are kept, of all chains together: one a sweep."""
    chains: Annotated[int, Ge(1)]
    """Independent chains, one after another, each from a start of its own; their draws are pooled.
    Draws and seconds are shared out among them."""
    patience: Annotated[int, Ge(1)]
    """End a chain when so many more draws have lowered the validation RMSE of the mean by less
    than gain."""
    gain: Annotated[float, Ge(0)]
    """In rating points; 0 keeps drawing as long as more draws help at all."""
    seconds: Annotated[float, Gt(0)] | None
    """Budget of the training, in seconds that pass; null: none. Burn-in takes half of it at most,
    and at least one draw is kept."""

    @property
    def sweeps(self) -> int:
        """At most."""
        return self.chains * self.burn_in + self.samples


@dataclass(frozen=True)
class Course:
    """How an earlier training went, by its validation ratings; another goes the same way without.

    That one learns from all ratings, and has none left to tell it when to stop.
    """

    rounds: int
    """Epochs or sweeps up to what was kept; 1 of a model that learns at once."""
    chains: list[list[int]]
    """Of a sampler: of each chain the sweeps, and how many of the last draws were kept."""
    losses: list[float]
    """Validation loss of each epoch, by which the schedule `plateau` has lowered the rate."""
    choices: dict[str, Any] = field(default_factory=dict)
    """Of a model made of others: `members`, the course of each, and `figures`, what it chose."""

    @classmethod
    def of(cls, manifest: dict[str, Any]) -> Course:
        """From the manifest that the earlier training left."""
        # Biases that were learned beside another model have neither metrics nor a history.
        metrics, history = manifest.get("metrics", {}), manifest.get("history", [])
        return cls(
            rounds=metrics.get("best_epoch", 1),
            chains=metrics.get("chains", []),
            losses=[figures["validation_loss"] for figures in history],
            choices=manifest.get("choices", {}),
        )


@dataclass(frozen=True)
class TrainingSpec:
    """One training. All paths are local folders, the same on every host."""

    model: str
    """Its name in the family."""
    settings: Any
    """Its own, of the type `Settings` of its class."""
    seed: int
    reading: Literal["auto", "memory", "stream"]
    memory_rows: int
    checkpoint_seconds: float
    train: str
    validation: str | None
    """None holds nothing back: the training goes as its `course` says."""
    user_index: str
    movie_index: str
    output: str
    """Where the `Factors` go."""
    checkpoints: str
    """Where an attempt leaves what the next one goes on from."""
    events: str | None
    """Where TensorBoard's event files go; None writes none."""
    rating_min: float
    rating_max: float
    provenance: dict[str, Any]
    """Copied into the manifest: run, release, fingerprint of the data."""
    initial_factors: str | None = None
    """`Factors` whose rows, by id, the model starts from; None starts all anew."""
    users: str | None = None
    movies: str | None = None
    """What the release says of users and of movies; None: nothing."""
    histories: str | None = None
    """What a model of order learns from, in place of train and validation."""
    members: dict[str, Any] = field(default_factory=dict)
    """Of a model that is made of others: the settings of each of them, by its name."""
    course: Course | None = None
    """The way to go where nothing is held back."""
    transfers: dict[str, str] = field(default_factory=dict)
    """Folders of the `Factors` that `start_from` names, by the model, or member, that it is of."""
    ceilings: list[float | None] = field(default_factory=list)
    """Of a model that learns by steps: the most that the least validation loss of so many epochs
    may be, else the training ends there and says that it was given up; None: whatever it is."""

    @property
    def all_settings(self) -> dict[str, Any]:
        """The model's own settings and those that all models share, by name.

        Those of its members, where it has some, stand under `sections`.
        """
        own = asdict(self.settings) | {name: getattr(self, name) for name in SHARED}
        sections = {name: asdict(settings) for name, settings in self.members.items()}
        return own | ({"sections": sections} if sections else {})

    def of_member(self, name: str, again: int = 0) -> TrainingSpec:
        """The training of a member, from the same data and seed; or `again`, from another seed."""
        return replace(
            self,
            model=name,
            settings=self.members[name],
            seed=self.seed + again,
            checkpoints=str(Path(self.checkpoints) / label(name, again)),
            members={},
        )

    @property
    def sources(self) -> list[str]:
        """Folders of `transfers`, in the order of their names."""
        return [folder for _, folder in sorted(self.transfers.items())]

    @property
    def reads_times(self) -> bool:
        """Whether the model, or one of its members, learns from when ratings were given."""
        return any(
            getattr(s, "reads_times", False) for s in (self.settings, *self.members.values())
        )

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides the outcome, but for the model's name and paths.

        A warehouse may move; a checkpoint names its model itself.
        """
        parts: list[Any] = [self.all_settings, self.provenance, self.rating_min, self.rating_max]
        for folder in (*([self.initial_factors] if self.initial_factors else ()), *self.sources):
            parts.append((Path(folder) / "manifest.json").read_text(encoding="utf-8"))
        if self.course:
            parts.append(asdict(self.course))
        if self.ceilings:
            parts.append(self.ceilings)
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def label(member: str, again: int) -> str:
    """What a member is called: by its name, and from the second time on by a number too."""
    return f"{member}-{again + 1}" if again else member


def chosen(model: str, values: dict[str, Any]) -> dict[str, Any]:
    """The fields of a spec that say what is trained, from its name and `all_settings`."""
    members = {name: own_settings(name, own) for name, own in values.get("sections", {}).items()}
    return {
        "model": model,
        "settings": own_settings(model, values),
        "members": members,
        **{name: values[name] for name in SHARED},
    }


def own_settings(model: str, values: dict[str, Any]) -> Any:
    """A model's own, out of these."""
    own = load(model).Settings
    return own(**{field.name: values[field.name] for field in fields(own)})


def read_spec(file: Path) -> TrainingSpec:
    """The spec that `json.dump(asdict(spec), file)` wrote."""
    values = json.loads(file.read_text(encoding="utf-8"))
    settings = own_settings(values["model"], values["settings"])
    members = {name: own_settings(name, own) for name, own in values["members"].items()}
    course = Course(**values["course"]) if values["course"] else None
    return TrainingSpec(**values | {"settings": settings, "members": members, "course": course})
