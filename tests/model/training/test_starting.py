"""Trainings that start from another release's model by title, or from texts."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from model.data.datasets import read_dataset
from model.factors import load_factors
from model.family import load
from model.text_rows import PACKAGES
from model.training.loop import train
from model.training.starting import start
from tests.model.conftest import MOVIES, settings

TITLED = pytest.mark.skipif(
    any(find_spec(package) is None for package in PACKAGES),
    reason="the packages of start_from=text are not installed: make text",
)


def retitled(folder: Path, titles: list[str]) -> str:
    """A table of movies with the fixture's ids."""
    ids = 10 * np.arange(MOVIES, dtype=np.int32) + 7
    years, genres = pa.array([1990] * MOVIES, pa.int32()), [["Drama"]] * MOVIES
    folder.mkdir()
    table = pa.table({"movie_id": ids, "title": titles, "year": years, "genres": genres})
    pq.write_table(table, folder / "0.parquet")
    return str(folder)


# Of the other release, the movies stand in the opposite order; nothing was learned of its last, and
# our last is in ours alone.
NAMES = [f"Number {number} (1990)" for number in range(MOVIES)]
THEIRS, OURS = NAMES[::-1], [*NAMES[:-1], "Of one's own (1990)"]


def started(chosen, told=None):
    """The learner at its start, what it is without one, and all that was said."""
    data = read_dataset(chosen, torch.device("cpu"))
    made, fresh = (load(chosen.model)(chosen.settings, data, chosen.seed) for _ in range(2))
    said: list[str] = []
    start(made, data, chosen, said.append)
    return made, fresh, " ".join(said)


@pytest.fixture
def pair(spec, tmp_path):
    """Trains one model on another release; returns the spec of another that starts from it."""

    def make(theirs: str, ours: str, **changes):
        first = replace(
            spec(model=theirs, **({"epochs": 1} if theirs != "visits" else {})),
            movies=retitled(tmp_path / "theirs", THEIRS),
        )
        train(first)
        return first, replace(
            first,
            model=ours,
            settings=settings(ours, start_from="ml-other/3", **changes),
            movies=retitled(tmp_path / "ours", OURS),
            output=str(tmp_path / "second"),
            checkpoints=str(tmp_path / "second-checkpoints"),
            transfers={ours: first.output},
        )

    return make


def taken_from(first) -> tuple[np.ndarray, np.ndarray]:
    """Of each of our movies the row of its namesake, and which have one that was learned."""
    factors = load_factors(Path(first.output))
    known_M = factors.movie_trained_M[::-1].copy()
    known_M[-1] = False
    return np.array(factors.movie_MK[::-1]), known_M


@pytest.mark.parametrize(
    ("theirs", "ours", "changes"),
    [
        ("matrix_factorisation", "svdpp", {}),
        ("svdpp", "matrix_factorisation", {}),
        ("matrix_factorisation", "two_tower", {"embedding": 4}),
        # Of the other objective.
        ("elsa", "matrix_factorisation", {"factors": 30}),
        ("gru", "recency", {}),
    ],
)
def test_movies_that_another_release_has_start_with_its_rows(pair, theirs, ours, changes):
    first, second = pair(theirs, ours, **changes)
    made, fresh, said = started(second)
    row_MK, known_M = taken_from(first)
    assert f"ml-other/3, a {theirs}, which knows {MOVIES - 2} of {MOVIES} movies" in said
    for table, before in zip(made.movie_tables(), fresh.movie_tables(), strict=True):
        np.testing.assert_array_equal(table.row_MK[known_M], row_MK[known_M])
        assert torch.equal(table.row_MK[~known_M], before.row_MK[~known_M])
        if table.bias_M is not None:
            bias_M = np.array(load_factors(Path(first.output)).movie_bias_M[::-1])
            start_M = before.bias_M if theirs == "elsa" else torch.from_numpy(bias_M)
            assert torch.equal(table.bias_M[known_M], start_M[known_M])
    # Users are other people.
    users = fresh.rows().user_UK if ours in ("matrix_factorisation", "svdpp") else None
    assert users is None or torch.equal(made.rows().user_UK, users)
    train(second)


def test_of_one_kind_a_model_of_order_takes_over_the_whole_encoder(pair):
    first, second = pair("gru", "gru")
    made, _, said = started(second)
    row_MK, known_M = taken_from(first)
    assert said.startswith(f"starting from the rows of {MOVIES - 2} movies, and all other weights")
    np.testing.assert_array_equal(made.module.output_MK.detach()[known_M], row_MK[known_M])
    saved = torch.load(Path(first.output) / "encoder/reader.pt", weights_only=True)
    assert torch.equal(made.reader.norm.weight, saved["norm.weight"])


def test_what_does_not_fit_is_refused_with_a_sentence(pair, spec, tmp_path):
    _, second = pair("matrix_factorisation", "svdpp", factors=5)
    sentence = r"has rows of 4 numbers, and train\.svdpp\.factors is 5\. Set them alike, or"
    with pytest.raises(ValueError, match=sentence):
        started(second)
    other = retitled(tmp_path / "other", [f"Else {name}" for name in NAMES])
    with pytest.raises(ValueError, match=r"none of the 40 movies has the title and year of one"):
        started(replace(second, movies=other))
    with pytest.raises(ValueError, match="no table of movies, by whose titles they are known"):
        started(replace(second, movies=None))
    (Path(second.transfers["svdpp"]) / "movies.parquet").unlink()
    with pytest.raises(ValueError, match="no titles to match movies by"):
        started(second)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("autoencoder", "autoencoder has no rows of movies to start with"),
        pytest.param("gru", "gru starts from a regression on its histories", marks=TITLED),
    ],
)
def test_a_model_that_has_no_use_for_it_refuses_it(spec, tmp_path, model, sentence):
    chosen = spec(model=model, start_from="text")
    with pytest.raises(ValueError, match=sentence):
        started(replace(chosen, movies=retitled(tmp_path / "ours", OURS)))


@TITLED
@pytest.mark.parametrize("model", ["matrix_factorisation", "svdpp", "two_tower", "prod2vec"])
def test_rows_start_from_texts_as_large_as_they_would_at_random(spec, tmp_path, model):
    titles = [
        ["War of the soldiers", "A love story"][n % 2] + f" {n} (1990)" for n in range(MOVIES)
    ]
    chosen = spec(model=model, start_from="text")
    made, fresh, said = started(replace(chosen, movies=retitled(tmp_path / "ours", titles)))
    assert said == f"starting from the titles and genres of {MOVIES} movies"
    for table, before in zip(made.movie_tables(), fresh.movie_tables(), strict=True):
        if not before.drawn:
            assert torch.equal(table.row_MK, before.row_MK)
            continue
        assert table.row_MK.std().item() == pytest.approx(before.row_MK.std().item(), rel=0.02)
        unit_MK = torch.nn.functional.normalize(table.row_MK)
        like_MM = unit_MK @ unit_MK.T
        same = np.arange(MOVIES)[:, None] % 2 == np.arange(MOVIES) % 2
        assert like_MM[same].mean() > 0.3 > like_MM[~same].mean()


def test_without_the_packages_a_sentence_says_what_to_install(spec, tmp_path, monkeypatch):
    chosen = spec(model="svdpp", start_from="text")
    monkeypatch.setattr("model.text_rows.PACKAGES", ("no_such_package",))
    sentence = "needs the package no_such_package, which is not installed: run `make text`"
    with pytest.raises(ValueError, match=sentence):
        started(replace(chosen, movies=retitled(tmp_path / "ours", OURS)))
