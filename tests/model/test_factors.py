"""Factors: the formula, the answers for the unknown, and the folder."""

import json
from dataclasses import replace

import numpy as np
import pytest

from model.factors import index_of, load_factors
from tests.model.examples import factors


def model():
    return factors(
        [[1, 0], [2, 1], [0, 0]],
        [[1, 1], [0, 2], [0, 0]],
        movie_bias_M=[0.5, -0.5, 0],
        user_bias_U=np.array([0.25, 0, 0], np.float32),
        mean=1.0,
        user_trained_U=np.array([True, True, False]),
        movie_trained_M=np.array([True, True, False]),
        popular_M=np.array([4.0, 2.0, 3.0], np.float32),
    )


@pytest.mark.parametrize(
    ("user", "movie", "expected"),
    [
        (0, 0, 1 + 0.25 + 0.5 + 1),  # the whole formula
        (1, 1, 1 + 0 - 0.5 + 2),
        (2, 0, 4.0),  # nothing learned of the user: what is popular
        (-1, 1, 2.0),
        (0, 2, 3.0 + 0.25),  # nothing learned of the movie: the mean rating and the user's bias
        (0, -1, 3.0 + 0.25),
        (-1, -1, 3.0),
    ],
)
def test_predict(user, movie, expected):
    predicted = model().predict(np.array([user]), np.array([movie]), clip=False)
    assert predicted.tolist() == [expected]


def test_deviations_of_what_rests_on_the_model():
    known = replace(
        model(),
        user_sd_US=np.array([[1, 0.5], [2, 0], [0, 0]], np.float32),
        movie_sd_MS=np.array([[0.5, 1], [0.25, 0], [0, 0]], np.float32),
    )
    pairs = np.array([0, 1, 2, 0, -1]), np.array([0, 1, 0, 2, -1])
    np.testing.assert_array_equal(known.sd(*pairs), [1, 0.5, np.nan, np.nan, np.nan])
    assert known.knows_sd
    assert not model().knows_sd
    assert np.isnan(model().sd(*pairs)).all()


def test_deviations_are_saved_where_there_are_some(tmp_path):
    sd = {"user_sd_US": np.ones((3, 2), np.float32), "movie_sd_MS": np.ones((3, 2), np.float32)}
    replace(model(), **sd).save(tmp_path / "factors")
    saved = load_factors(tmp_path / "factors")
    assert saved.sd(np.array([0]), np.array([1])).tolist() == [2]
    model().save(tmp_path / "factors")
    assert not load_factors(tmp_path / "factors").knows_sd


def test_scores_are_not_rounded():
    pairs = np.zeros(40_000, int)  # several blocks of them
    wide = factors([[1e8, 1]], [[1, 1]])
    assert (wide.score(pairs, pairs) == 1e8 + 1).all()
    assert wide.predict(pairs, pairs, clip=False)[-1] == 1e8


def test_predictions_are_clipped_to_the_scale():
    high = factors([[3]], [[3]])
    assert high.predict(np.array([0]), np.array([0])).tolist() == [5.0]
    assert high.predict(np.array([0]), np.array([0]), clip=False).tolist() == [9.0]


def test_saved_and_loaded_unchanged(tmp_path):
    model().save(tmp_path / "factors")
    model().save(tmp_path / "factors")  # again: replaced
    loaded = load_factors(tmp_path / "factors")
    assert isinstance(loaded.user_UK, np.memmap)
    np.testing.assert_array_equal(loaded.user_UK, model().user_UK)
    np.testing.assert_array_equal(loaded.movie_trained_M, model().movie_trained_M)
    assert (loaded.mean, loaded.train_mean, loaded.manifest) == (1.0, 3.0, {})
    assert [path.name for path in tmp_path.iterdir()] == ["factors"]


def test_a_model_saved_before_counts_were_kept_still_loads(tmp_path):
    counted = replace(model(), movie_count_M=np.array([3, 1, 0], np.int32))
    counted.save(tmp_path / "factors")
    count_M = load_factors(tmp_path / "factors").movie_count_M
    assert count_M is not None
    assert count_M.tolist() == [3, 1, 0]
    (tmp_path / "factors" / "movie_count_M.npy").unlink()
    assert load_factors(tmp_path / "factors").movie_count_M is None


def test_a_model_saved_with_its_train_mean_in_the_manifest_still_loads(tmp_path):
    model().save(tmp_path / "factors")
    file = tmp_path / "factors" / "manifest.json"
    values = json.loads(file.read_text())
    values["manifest"] = {"train_mean": values.pop("train_mean")}
    file.write_text(json.dumps(values))
    assert load_factors(tmp_path / "factors").train_mean == 3.0
    file.write_text(json.dumps(values | {"manifest": {}}))
    with pytest.raises(ValueError, match="does not hold a whole model: 'train_mean'"):
        load_factors(tmp_path / "factors")


def test_a_truncated_array_is_refused(tmp_path):
    model().save(tmp_path / "factors")
    file = tmp_path / "factors" / "user_UK.npy"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(ValueError, match="does not hold a whole model"):
        load_factors(tmp_path / "factors")


def test_index_of():
    ids = np.array([2, 5, 9], np.int32)
    assert index_of(ids, np.array([5, 1, 9, 10])).tolist() == [1, -1, 2, -1]
    assert index_of(ids[:0], np.array([5])).tolist() == [-1]
    # Few of them and many of them are looked up in different ways.
    assert index_of(ids, np.array([9])).tolist() == [2]
    assert index_of(ids, np.array([10, 4, -3, 9] * 9)).tolist() == [-1, -1, -1, 2] * 9


def test_a_model_that_lost_its_content_is_refused(tmp_path):
    """As a power failure leaves files that were not forced to disk: NumPy then raises EOFError."""
    model().save(tmp_path / "factors")
    for file in (tmp_path / "factors").glob("*.npy"):
        file.write_bytes(b"")
    with pytest.raises(ValueError, match="factors does not hold a whole model"):
        load_factors(tmp_path / "factors")
