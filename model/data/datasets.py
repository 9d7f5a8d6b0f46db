"""What a rank learns from, by what its model says that it reads."""

from __future__ import annotations

from typing import Any

import torch

from model.data.by_movie import read_by_movie
from model.data.dataset import read_rating_shards
from model.data.history_data import read_history_data
from model.family import load
from model.settings import TrainingSpec

DATASETS = {
    "ratings": read_rating_shards,
    "ratings_by_movie": read_by_movie,
    "histories": read_history_data,
}
"""What makes a rank's data of a spec."""


def read_dataset(spec: TrainingSpec, device: torch.device) -> Any:
    """What the spec's model learns from. Raises ValueError, naming a file."""
    return DATASETS[load(spec.model).reads](spec, device)
