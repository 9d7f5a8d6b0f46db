"""The autoencoder's formula by hand, and that steps take whole movies, each once an epoch."""

from dataclasses import replace
from math import exp

import horovod.torch as hvd
import pytest
import torch

from model.autoencoder import Autoencoder
from model.data.by_movie import WholeMovies
from model.data.datasets import read_dataset
from model.data.ratings import Ratings

# Movie 0 is rated by users 0 and 2, movie 1 by user 1, movie 2 by nobody.
RATINGS = Ratings(*map(torch.tensor, ([2, 1, 0], [0, 1, 0], [4.0, 2.0, 5.0])))


def test_a_step_has_all_ratings_of_its_movies():
    whole = WholeMovies(RATINGS, 3, 3)
    batch = whole.of(torch.tensor([1, 0]))
    assert [column.tolist() for column in batch.columns] == [[1, 0, 2], [1, 0, 0], [2, 5, 4]]
    steps = whole.steps(2, 7, 1)
    assert sorted(torch.cat(steps).tolist()) == [0, 1]
    assert whole.of(torch.tensor([], dtype=torch.long)).rating_N.tolist() == []


def test_a_movies_row_is_its_hidden_layer_and_a_rating_is_decoded_from_it(spec):
    chosen = spec(model="autoencoder", hidden=1, penalty=6.0)
    hvd.init()
    data = replace(read_dataset(chosen, torch.device("cpu")), mean=3.0)
    data = replace(data, whole=WholeMovies(RATINGS, data.users, data.movies))
    made = Autoencoder(chosen.settings, data, 1)
    layers = made.layers
    for weight in layers.parameters():
        weight.data.zero_()
    layers.encoder.data[:3, 0] = torch.tensor([0.5, 1.0, -1.0])
    layers.decoder.data[:3, 0] = torch.tensor([2.0, 1.0, -2.0])
    layers.hidden_bias.data[0] = 0.25
    layers.user_bias.data[2] = 0.125
    # Of movie 0, 0.5 x 2 - 1 x 1 + 0.25 goes in; of movie 1, 1 x -1 + 0.25; of movie 2 nothing.
    hidden_M = [1 / (1 + exp(-total)) for total in (0.25, -0.75, 0.25)]
    assert made.rows().movie_MK[:3, 0].tolist() == pytest.approx(hidden_M)
    score = made.score(torch.tensor([0, 2]), torch.tensor([0, 1]))
    expected = [3 + 2 * hidden_M[0], 3.125 - 2 * hidden_M[1]]
    assert score.tolist() == pytest.approx(expected)
    # Squares of all weights of both layers are 11.25, and a third of 6 times that is each rating's.
    errors = [2 * hidden_M[0] - 2, 0.125 - 2 * hidden_M[0] - 1]
    losses = made.losses(data.whole.of(torch.tensor([0])))
    assert losses.tolist() == pytest.approx([error**2 + 22.5 for error in errors])
    assert made.losses(data.whole.of(torch.tensor([], dtype=torch.long))).sum() == 0
