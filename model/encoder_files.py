"""What an encoder is loaded from, as tensors: a checkpoint keeps it so, and ranks send it so."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.family import Ordering, Rows, load

Files = dict[str, Tensor]
"""The bytes of each file, by its path in the folder of a model's `Factors`."""


def packed(model: Ordering, rows: Rows) -> Files:
    """The encoder of a model that has learned, with the rows of movies that may belong to it."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "movie_MK.npy", rows.movie_MK.detach().float().cpu().numpy())
        model.save_encoder(folder)
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        return {
            file.relative_to(folder).as_posix(): torch.from_numpy(np.fromfile(file, np.uint8))
            for file in files
        }


def unpack(files: Files, folder: Path) -> None:
    """Write them into a new folder."""
    for name, content_N in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        content_N.cpu().numpy().tofile(file)


def encoder_of(model: str, files: Files, device: torch.device) -> Any:
    """The encoder itself."""
    with TemporaryDirectory() as name:
        unpack(files, Path(name))
        return load(model).encoder(Path(name), device)
