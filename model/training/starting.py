"""What a learner starts from where that is not chance: another model, or texts.

First what its own `start_from` names, then the champion's rows (`train.warm_start`), which know
more of this release.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.data.dataset import Dataset
from model.data.history_data import HistoryData
from model.earlier import Earlier
from model.factors import load_factors
from model.family import ORDER_MODELS, MovieRows, MovieTable, WarmStart
from model.settings import TrainingSpec
from model.text_rows import text_rows
from model.titles import same_movies, titles_beside

TEXT = "text"


def start(
    learner: Any, data: Dataset | HistoryData, spec: TrainingSpec, say: Callable[[str], None]
) -> None:
    """Change the learner's weights as the spec says; rank 0 does, and the others get them.

    Raises ValueError with a sentence if it cannot.
    """
    if wanted := spec.settings.start_from:
        say(f"starting from {start_movies(learner, data, spec, wanted)}")
    if spec.initial_factors:
        if not isinstance(learner, WarmStart):
            raise ValueError(
                f"{spec.model} cannot start from an earlier model. Set train.warm_start=false."
            )
        folder = Path(spec.initial_factors)
        taken = learner.start_from(Earlier.by_id(folder, data.user_ids, data.movie_ids))
        say(f"starting from {taken} in {folder}")


def start_movies(learner: Any, data: Dataset | HistoryData, spec: TrainingSpec, wanted: str) -> str:
    """Movies' rows of what `start_from` names; what was taken, in words."""
    setting = f"train.{spec.model}.start_from"
    if not isinstance(learner, MovieRows):
        raise ValueError(
            f"{setting} is {wanted}, and {spec.model} has no rows of movies to start with: it "
            f"makes them of their ratings. Set {setting}=null."
        )
    if spec.movies is None:
        raise ValueError(
            f"{setting} is {wanted}, and this release has no table of movies, by whose titles they "
            f"are known. Set {setting}=null."
        )
    if wanted == TEXT:
        return from_text(learner, text_rows(spec.movies, data.movie_ids), spec.model)
    folder = Path(spec.transfers[spec.model])
    earlier = by_title(folder, spec.movies, data.movie_ids, f"{setting}=null")
    here, _ = earlier.here
    if not len(here):
        raise ValueError(
            f"{setting} is {wanted}, and none of the {data.movies:,} movies has the title and year "
            f"of one that it has learned of. Set {setting}=null."
        )
    known = f"{wanted}, a {earlier.model}, which knows {len(here):,} of {data.movies:,} movies"
    if earlier.model == spec.model in ORDER_MODELS and isinstance(learner, WarmStart):
        return f"{learner.start_from(earlier)} of {known}"
    from_rows(learner, earlier, spec.model)
    return f"the movies' rows of {known}"


def by_title(folder: Path, movies: str, movie_ids: np.ndarray, without: str) -> Earlier:
    """Another release's model: its users are other people, and its movies have other ids."""
    factors = load_factors(folder)
    count_T = factors.movie_count_M
    if count_T is None:
        count_T = np.ones(len(factors.movie_ids_M), np.int64)
    there = titles_beside(folder)
    place_M = same_movies(movies, movie_ids, there, factors.movie_ids_M, count_T)
    known_M = (place_M >= 0) & factors.movie_trained_M[place_M]
    nobody_U = np.empty(0, np.int64)
    return Earlier(folder, factors, nobody_U, np.where(known_M, place_M, -1), without)


def from_rows(learner: MovieRows, earlier: Earlier, model: str) -> None:
    """Take over the rows of known movies, and their biases where both predict ratings."""
    row_TK, here_there = earlier.factors.movie_MK, earlier.here
    tables = learner.movie_tables()
    alike = [table for table in tables if table.row_MK.shape[1] == row_TK.shape[1]]
    if not alike:
        ours = " and ".join(
            f"train.{model}.{setting} is {length}"
            for setting, length in {t.setting: t.row_MK.shape[1] for t in tables}.items()
        )
        raise ValueError(
            f"The model to start from has rows of {row_TK.shape[1]} numbers, and {ours}. Set them "
            f"alike, or start without: {earlier.without}."
        )
    here_S, there_S = (torch.from_numpy(place).long() for place in here_there)
    with_biases = earlier.model not in ORDER_MODELS
    for table in alike:
        fill(table.row_MK, here_S, torch.tensor(np.asarray(row_TK))[there_S])
        if with_biases and table.bias_M is not None:
            bias_T = torch.tensor(np.asarray(earlier.factors.movie_bias_M))
            fill(table.bias_M, here_S, bias_T[there_S])


def from_text(learner: MovieRows, row_ME: np.ndarray, model: str) -> str:
    """Let rows that start at random start from texts: as large, on the whole, as they would be."""
    drawn = [table for table in learner.movie_tables() if table.drawn]
    if not drawn:
        raise ValueError(
            f"train.{model}.start_from is text, and {model} starts from a regression on its "
            f"histories, which knows more. Set train.{model}.start_from=null."
        )
    known_S = torch.from_numpy(np.flatnonzero(row_ME.any(1)))
    if not len(known_S):
        raise ValueError(
            f"train.{model}.start_from is text, and no movie has a title or a genre. Set "
            f"train.{model}.start_from=null."
        )
    for table in drawn:
        components(table, known_S, torch.from_numpy(row_ME))
    return f"the titles and genres of {len(known_S):,} movies"


def components(table: MovieTable, known_S: torch.Tensor, row_ME: torch.Tensor) -> None:
    """As many leading components of each text as a row has numbers; the rest of a row stays."""
    wide = min(table.row_MK.shape[1], row_ME.shape[1])
    row_SK = row_ME[known_S, :wide]
    scale = table.row_MK.std().cpu() / row_SK.std().clamp(min=1e-12)
    fill(table.row_MK[:, :wide], known_S, row_SK * scale)


def fill(weight: torch.Tensor, here_S: torch.Tensor, values: torch.Tensor) -> None:
    """Put these into some rows of a weight itself."""
    weight[here_S.to(weight.device)] = values.to(weight)
