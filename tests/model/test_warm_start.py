"""Starting from an earlier model whose ids only partly overlap."""

import numpy as np
import pytest
import torch

from model.embedding import EmbeddingModel
from model.warm_start import start_from
from tests.model.examples import factors


@pytest.fixture
def earlier(tmp_path):
    """Users 1, 2, 3 and movies 10, 11, of which user 3 was never trained."""
    made = factors(
        [[1, 2], [3, 4], [0, 0]],
        [[5, 6], [7, 8]],
        movie_bias_M=[0.1, 0.2],
        user_bias_U=np.array([0.3, 0.4, 0], np.float32),
        user_trained_U=np.array([True, True, False]),
        mean=3.0,
    )
    made.save(tmp_path / "factors")
    return made


def test_known_pairs_keep_their_score_and_others_start_fresh(earlier, tmp_path):
    model = EmbeddingModel(3, 3, 2, True, 3.5, 0.01)
    fresh = model.table.detach().clone()
    user_ids, movie_ids = np.array([2, 3, 9]), np.array([9, 10, 11])
    assert start_from(model, tmp_path / "factors", user_ids, movie_ids) == (1, 2)
    table = model.table.detach()
    assert table[0].tolist() == pytest.approx([3, 4, 0.4])
    assert (table[1:4] == fresh[1:4]).all()
    score = earlier.predict(np.array([1]), np.array([0]), clip=False)[0]
    assert model(torch.tensor([0]), torch.tensor([1])).item() == pytest.approx(score)


@pytest.mark.parametrize(
    ("size", "biases", "sentence"),
    [(3, True, r"has 2 factors, and train\.factors is 3"), (2, False, r"has biases")],
)
def test_a_model_of_another_form_is_refused(earlier, tmp_path, size, biases, sentence):
    model = EmbeddingModel(3, 3, size, biases, 3.5, 0.01)
    with pytest.raises(ValueError, match=sentence):
        start_from(model, tmp_path / "factors", np.arange(3), np.arange(3))
