"""Models of sequences: what their networks may see, and where they start from."""

import json
from dataclasses import replace
from pathlib import Path

import horovod.torch as hvd
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from model.data.datasets import read_dataset
from model.data.histories import UNKNOWN, read_histories
from model.data.history_data import HistoryData
from model.factors import load_factors
from model.family import ORDER_MODELS, Step, load
from model.sequence import SequenceLearner
from model.sequence_reader import LATER, Reader, SequenceEncoder, bucket
from model.training.loop import train
from tests.model.conftest import settings
from tests.model.data.test_histories import histories_of

EVERY_SEQUENCE_MODEL = pytest.mark.parametrize(
    "model", [name for name in ORDER_MODELS if issubclass(load(name), SequenceLearner)]
)


def reader_of(model: str) -> Reader:
    torch.manual_seed(3)
    chosen = settings(model, gap=False)
    reader = Reader(20, chosen, load(model).network(chosen)).eval()
    for weight in reader.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return reader


@EVERY_SEQUENCE_MODEL
@torch.no_grad()
def test_a_place_sees_those_before_it_and_no_later_one(model):
    reader = reader_of(model)
    movie_BL = torch.tensor([[1, 2, 3, 4, 5, 6]])
    later_BL, earlier_BL = movie_BL.clone(), movie_BL.clone()
    later_BL[0, 4], earlier_BL[0, 2] = 9, 9
    rows = reader(movie_BL)[0]
    torch.testing.assert_close(reader(later_BL)[0, :4], rows[:4])
    assert not torch.allclose(reader(later_BL)[0, 4], rows[4])
    assert not torch.allclose(reader(earlier_BL)[0, 3], rows[3], atol=1e-4)


@EVERY_SEQUENCE_MODEL
def test_a_row_is_that_of_the_last_window_of_known_movies(model):
    reader = reader_of(model)
    reader.known_M[7] = 0
    encoder = SequenceEncoder(reader, 4, None)
    found = encoder.encode(histories_of([[1, 2, 3, 4, 5, 6], [7], [3, 4, 7, 5, 6], [2]]))
    torch.testing.assert_close(found[0], found[2])
    with torch.no_grad():
        torch.testing.assert_close(found[0], reader(torch.tensor([[3, 4, 5, 6]]))[0, -1])
        torch.testing.assert_close(found[3], reader(torch.tensor([[2]]))[0, -1])
    assert not found[1].any()


def learner(spec, **changes) -> tuple[SequenceLearner, HistoryData]:
    hvd.init()
    chosen = spec(model="recency", **changes)
    data = read_dataset(chosen, torch.device("cpu"))
    return load("recency")(chosen.settings, data, chosen.seed), data


def test_beside_the_network_stands_the_regression(spec):
    with_it, data = learner(spec, ridge_factors=8, ridge_weight=10)
    without = load("recency")(replace(with_it.settings, ridge_factors=0), data, 1)
    alone = load("ridge")(settings("ridge", factors=8, decays=[4], penalty=3), data, 1)
    rows, theirs = with_it.rows(), alone.fit(data)
    assert rows.user_UK.shape[1] == 16 + 8
    torch.testing.assert_close(rows.user_UK[:, :16], without.rows().user_UK)
    beside_UM = rows.user_UK[:, 16:] @ rows.movie_MK[:, 16:].T
    torch.testing.assert_close(beside_UM, 10 * theirs.user_UK @ theirs.movie_MK.T)


def test_targets_of_the_same_second_may_be_left_out(spec):
    one, data = learner(spec, same_second=0, dropout=0, input_dropout=0)
    _, batches = data.epoch(1, 64, 0)
    batch = next(iter(batches))
    same_BL = torch.arange(batch.gap_BL.shape[1]) % 2 == 0
    batch.gap_BL[:] = torch.where(same_BL & batch.real_BL, 0, batch.gap_BL)
    loss = one.losses(batch)
    batch.target_BL[:, same_BL] = 0
    torch.testing.assert_close(one.losses(batch), loss)
    assert loss > 0


def test_a_sampled_softmax_learns_too(spec):
    one, data = learner(spec, sampled_above=10, negatives=8, epochs=3)
    assert "sampled" in one.form
    for epoch in (1, 2):
        rows, batches = data.epoch(epoch, 128, 0)
        for number, batch in enumerate(batches):
            one.step(batch, Step(rows[number], 0.01, (1, epoch, number, 0)))
    assert one.validate(data)["validation_ndcg"] > 0.7


def test_the_gap_is_that_to_the_next_movie_and_at_the_end_to_when_it_is_asked_for():
    reader = Reader(20, settings("recency", gap=True), torch.nn.Identity())
    reader.latest.fill_(5_000)
    encoder = SequenceEncoder(reader, 4, None)
    known = histories_of([[1, 2, 3], [], [4, 5]], gap=7)
    # Now is when training ended; of who has rated since, a day after the last rating.
    assert encoder.gaps(known).tolist() == [7, 7, LATER, 7, LATER]
    reader.latest.fill_(1_014 + 2 * LATER)
    assert encoder.gaps(known).tolist() == [7, 7, 2 * LATER, 7, 2 * LATER - 14]
    asked = replace(known, asked_U=np.array([1_020, 0, UNKNOWN]))
    assert encoder.gaps(asked).tolist() == [7, 7, 6, 7, 2 * LATER - 14]
    undated = replace(asked, time_N=np.array([UNKNOWN, 1_007, 1_014, UNKNOWN, UNKNOWN]))
    assert encoder.gaps(undated).tolist() == [UNKNOWN, 7, 6, UNKNOWN, UNKNOWN]
    seconds = torch.tensor([UNKNOWN, 0, 1, 2, 3, 1 << 40])
    assert bucket(seconds).tolist() == [32, 0, 1, 1, 2, 31]


@pytest.mark.parametrize("told", ["rating", "gap", "genres"])
def test_what_it_is_told_of_a_place_is_in_the_encoder_that_it_leaves(spec, tmp_path, told):
    table = {"movie_id": [17, 27, 37], "genres": [["Crime", "Drama"], ["Crime"], ["Drama"]]}
    table |= {"title": ["A", "B", "C"], "year": [1990, 1991, 1992]}
    (tmp_path / "movies").mkdir()
    pq.write_table(pa.table(table), tmp_path / "movies/0.parquet")
    chosen = replace(spec(model="recency", **{told: True}), movies=str(tmp_path / "movies"))
    train(chosen)
    encoder = load("recency").encoder(Path(chosen.output), torch.device("cpu"))
    known = read_histories(Path(chosen.histories))
    rows = encoder.encode(known)
    exported = torch.from_numpy(np.array(load_factors(Path(chosen.output)).user_UK[:-1]))
    torch.testing.assert_close(rows, exported, atol=1e-5, rtol=0)
    asked_U = known.time_N[known.offset_U1[1:] - 1] + 1
    other = {
        "rating": replace(known, rating_N=6 - known.rating_N),
        "gap": replace(known, asked_U=asked_U),
        "genres": known,
    }[told]
    if told == "genres":
        encoder.reader.genre_GK.data *= -1
    assert not torch.allclose(encoder.encode(other), rows, atol=1e-3)


def test_genres_without_a_table_of_movies_are_refused(spec):
    with pytest.raises(ValueError, match="Set genres to false"):
        learner(spec, genres=True)


def test_an_encoder_made_before_there_was_more_to_tell_is_read(spec):
    chosen = spec(model="recency", gap=False)
    train(chosen)
    folder = Path(chosen.output)
    rows = load("recency").encoder(folder, torch.device("cpu")).encode(histories_of([[1, 2]]))
    file = folder / "encoder/settings.json"
    values = json.loads(file.read_text())
    assert {values.pop(name) for name in ("rating", "gap", "genres")} == {False}
    file.write_text(json.dumps(values))
    again = load("recency").encoder(folder, torch.device("cpu")).encode(histories_of([[1, 2]]))
    torch.testing.assert_close(again, rows)
