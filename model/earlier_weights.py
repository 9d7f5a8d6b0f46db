"""What a model of order takes over from an earlier one of its kind.

Rows of movies are mapped (model/earlier.py), as row numbers are others in every run; all other
weights are taken as they are. What is no weight, as which movies are known, is this training's own.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from model.earlier import Earlier
from model.factors import Factors
from model.settings import LoopSettings

Weights = dict[str, Tensor]
"""By the names that they have in the learner's module."""

# Of such a module as `with_reader` is about.
MOVIE_WEIGHTS = {"reader.movie.weight": "width", "output_MK": "width", "bias_M": ""}


def with_reader(factors: Factors, encoder: Path) -> Weights:
    """Those of a module that holds a reader, which is saved, and movies' outputs and biases."""
    saved = torch.load(encoder / "reader.pt", map_location="cpu", weights_only=True)
    return {f"reader.{name}": weight for name, weight in saved.items()} | {
        "output_MK": torch.tensor(np.asarray(factors.movie_MK)),
        "bias_M": torch.tensor(np.asarray(factors.movie_bias_M)),
    }


def take_over(
    module: nn.Module,
    earlier: Weights,
    by_movie: Collection[str],
    known: Earlier,
) -> int:
    """Copy all weights, of those `by_movie` the rows of known movies; how many these are.

    Names and shapes agree, as `differing` finds.
    """
    here, there = known.here
    here_S, there_S = torch.from_numpy(here), torch.from_numpy(there).long()
    with torch.no_grad():
        for name, weight in learned(module).items():
            if name in by_movie:
                weight[here_S.to(weight.device)] = earlier[name][there_S].to(weight)
            else:
                weight.copy_(earlier[name])
    return len(here)


def learned(module: nn.Module) -> dict[str, nn.Parameter]:
    """The weights that training moves."""
    return {name: w for name, w in module.named_parameters() if w.requires_grad}


def differing(module: nn.Module, earlier: Weights, by_movie: Collection[str]) -> str:
    """The first weight, in words, that one has and the other has not, or not so large; else ''."""
    own = learned(module)
    if missing := sorted(own.keys() - earlier.keys()):
        return f"it has no {missing[0]}"
    if more := sorted(earlier.keys() - module.state_dict().keys()):
        return f"it also has {more[0]}"
    for name, weight in own.items():
        # How many movies there are may change.
        first = 1 if name in by_movie else 0
        ours, theirs = weight.shape[first:], earlier[name].shape[first:]
        if ours != theirs:
            return f"its {name} is {shape(theirs)}, not {shape(ours)}"
    return ""


def shape(sizes: Collection[int]) -> str:
    return " x ".join(map(str, sizes))


def refused(model: str, settings: LoopSettings, earlier: Earlier, why: str) -> ValueError:
    """The error for an earlier model of other weights; it names the settings that differ."""
    loop = {field.name for field in fields(LoopSettings)}
    names = [field.name for field in fields(settings) if field.name not in loop]
    theirs = earlier.factors.manifest["settings"]
    others = [
        f"train.{model}.{name} is {here}, there {theirs.get(name, 'not known')}"
        for name in names
        if (here := getattr(settings, name)) != theirs.get(name)
    ]
    mend = f"{', '.join(others)}. Set it as there, or start" if others else "Start"
    return ValueError(
        f"The model to start from is of another form: {why}. {mend} without an earlier model: "
        f"{earlier.without}."
    )
