"""Two towers: what they read, and that rows are theirs with nothing left out."""

import torch

from model.two_tower import Tower, Towers
from tests.model.conftest import settings


def towers(**changes) -> Towers:
    torch.manual_seed(1)
    chosen = settings("two_tower", **changes)
    genres = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    user = Tower(torch.zeros(4, 0), torch.tensor([1, 2, 3, 0]), chosen)
    return Towers(user, Tower(genres, torch.tensor([5, 1, 0]), chosen), 3.5)


def test_a_score_is_that_of_the_layers_whoever_else_is_asked_for():
    model = towers(dropout=0.5).eval()
    user, movie = torch.tensor([2, 0, 2]), torch.tensor([1, 1, 0])
    scores = model(user, movie)
    for place in range(3):
        alone = model(user[place : place + 1], movie[place : place + 1])
        assert torch.allclose(alone, scores[place : place + 1])
    told = torch.cat([model.movie.id.weight, model.movie.told_NF], 1)
    rows = model.user(user), model.movie.layers(told)[movie]
    assert torch.allclose(scores, (rows[0] * rows[1]).sum(1) + 3.5)


def test_movies_of_one_embedding_differ_by_what_is_said_of_them():
    model = towers().eval()
    torch.nn.init.zeros_(model.movie.id.weight)
    rows = model.movie(torch.arange(3))
    assert model.movie.told_NF.shape == (3, 3)
    assert not torch.allclose(rows[0], rows[1])


def test_a_step_without_ratings_still_gives_gradients_to_tell():
    model = towers()
    none = torch.zeros(0, dtype=torch.long)
    model(none, none).sum().backward()
    gradients = [weight.grad for weight in model.parameters()]
    assert all(gradient is not None and not gradient.any() for gradient in gradients)
