"""What a training is told: data, settings, and where its results go."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class TrainingSettings:
    """How to learn. Each field is described by TrainSettings in jobs/runs/settings.py."""

    factors: int
    biases: bool
    init_scale: float
    dropout: float
    loss: Literal["mse", "huber"]
    huber_delta: float
    regularisation: float
    user_regularisation: float | None
    movie_regularisation: float | None
    bias_regularisation: float | None
    optimiser: Literal["adam", "adamax", "adagrad", "sgd"]
    learning_rate: float
    schedule: Literal["constant", "step", "cosine", "plateau"]
    decay: float
    decay_epochs: int
    warmup_epochs: float
    batch_size: int
    epochs: int
    patience: int
    seed: int
    gradients: Literal["auto", "dense", "sparse"]
    compression: Literal["none", "fp16", "bf16"]
    precision: Literal["float32", "bf16"]
    reading: Literal["auto", "memory", "stream"]
    memory_rows: int
    checkpoint_seconds: float


@dataclass(frozen=True)
class TrainingSpec:
    """One training. All paths are local folders, the same on every host."""

    train: str
    validation: str
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
    settings: TrainingSettings
    provenance: dict[str, Any]
    """Copied into the manifest: run, release, fingerprint of the data."""
    initial_factors: str | None = None
    """`Factors` whose rows, by id, the embeddings start from; None starts all at random."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides the outcome, but for paths: a warehouse may move."""
        parts = [asdict(self.settings), self.provenance, self.rating_min, self.rating_max]
        if self.initial_factors:
            parts.append((Path(self.initial_factors) / "manifest.json").read_text(encoding="utf-8"))
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def read_spec(file: Path) -> TrainingSpec:
    """The spec that `json.dump(asdict(spec), file)` wrote."""
    values = json.loads(file.read_text(encoding="utf-8"))
    return TrainingSpec(**values | {"settings": TrainingSettings(**values["settings"])})
