"""Predictions for pairs: the formula in order, and bad lines that stop everything."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.questions.pairs import Numbers, predict_file
from jobs.runs.errors import JobError
from model.dates import Clock, Dates, Effects
from tests.jobs.examples import DOUBTFUL, MODEL


def predict(tmp_path, text, **options):
    (tmp_path / "pairs.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    count = predict_file(MODEL, tmp_path / "pairs.csv", tmp_path / "out.csv", **options)
    header, *lines = (tmp_path / "out.csv").read_text().splitlines()
    assert header == "user_id,movie_id,predicted_rating,source"
    assert count == len(lines)
    return lines


def test_each_source_worked_by_hand(tmp_path):
    pairs = "user_id,movie_id\n1,10\n2,11\n3,11\n99,10\n1,12\n2,99\n99,99\n"
    assert predict(tmp_path, pairs) == [
        "1,10,3.75,model",  # 2 + 0.25 + 0.5 + 1
        "2,11,3,model",  # 2 - 0.5 - 0.5 + 2
        "3,11,2,popular",
        "99,10,4,popular",
        "1,12,3.25,mean",  # 3 + 0.25
        "2,99,2.5,mean",
        "99,99,3,mean",
    ]


def test_ids_may_be_texts(tmp_path):
    """Movies go by their own numbers here; a user may be called null."""
    users = Numbers(pa.array(["u-1", "null"]), np.array([1, 2]))
    pairs = 'user_id,movie_id\nu-1,10\nnull,11\n"u,3",10\n'
    assert predict(tmp_path, pairs, users=users) == [
        '"u-1",10,3.75,"model"', '"null",11,3,"model"', '"u,3",10,4,"popular"'
    ]  # fmt: skip
    for line, found in ((",10", "user_id: expected an id, found ''"), ("u-1,x", "whole number")):
        with pytest.raises(JobError, match=rf"line 2: .*{found}"):
            predict(tmp_path, f"user_id,movie_id\n{line}\n", users=users)


def test_a_model_that_knows_deviations_tells_them(tmp_path):
    (tmp_path / "pairs.csv").write_text("user_id,movie_id\n1,10\n2,11\n99,10\n")
    predict_file(DOUBTFUL, tmp_path / "pairs.csv", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        "user_id,movie_id,predicted_rating,source,rating_sd",
        "1,10,3.75,model,0.5",
        "2,11,3,model,2",
        "99,10,4,popular,",
    ]


def test_a_time_is_taken_into_account_where_the_file_has_one(tmp_path):
    """After second 5, user 1 rates half a point better than before."""
    clock = Clock(0, 2, False, 0, 9, np.array([0, 0, 0]), np.array([9, 0, 0]))
    nothing = Effects(np.array([], np.int64), np.array([]))
    dates = Dates(clock, nothing, Effects(np.array([0, 1]), np.array([-0.25, 0.25])), nothing)
    (tmp_path / "pairs.csv").write_text(
        "user_id,movie_id,rated_at\n1,10,0\n1,10,\n1,10,7\n1,10,-1\n3,11,0\n"
    )
    predict_file(replace(MODEL, dates=dates), tmp_path / "pairs.csv", tmp_path / "out.csv")
    said = [line.split(",")[2] for line in (tmp_path / "out.csv").read_text().splitlines()[1:]]
    assert said == ["3.25", "3.75", "3.75", "3.5", "2"]
    (tmp_path / "pairs.csv").write_text("user_id,movie_id,rated_at\n1,10,0\n1,10,soon\n")
    with pytest.raises(JobError, match="line 3: rated_at: expected a whole number, found 'soon'"):
        predict_file(MODEL, tmp_path / "pairs.csv", tmp_path / "out.csv")


ids = st.one_of(st.integers(1, 3), st.integers(9, 13), st.integers(-(10**17), 10**17))


@settings(max_examples=25, deadline=None)
@given(pairs=st.lists(st.tuples(ids, ids), max_size=40))
def test_any_pairs_in_any_blocks_follow_the_formula(tmp_path_factory, pairs):
    folder = tmp_path_factory.mktemp("pairs")
    # Column order is free, other columns are ignored, and blocks of 64 bytes hold a few lines.
    text = "movie_id,note,user_id\n" + "".join(f"{m},x,{u}\n" for u, m in pairs)
    lines = [line.split(",") for line in predict(folder, text, block_bytes=64)]
    assert [(int(user), int(movie)) for user, movie, _, _ in lines] == pairs
    user = MODEL.user_idx(np.array([u for u, _ in pairs], np.int64))
    movie = MODEL.movie_idx(np.array([m for _, m in pairs], np.int64))
    expected = MODEL.predict(user, movie)
    np.testing.assert_array_equal([np.float32(rating) for _, _, rating, _ in lines], expected)


def test_windows_files_and_blank_ends_are_fine(tmp_path):
    assert predict(tmp_path, b'\xef\xbb\xbfuser_id,movie_id\r\n"1",10\r\n\r\n') == [
        "1,10,3.75,model"
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,x", "movie_id: expected a whole number, found 'x'"),
        ("1.5,10", "user_id: expected a whole number, found '1.5'"),
        (",10", "user_id: expected a whole number, found ''"),
        ("NA,10", "user_id: expected a whole number, found 'NA'"),
        ("99999999999999999999,10", "expected a whole number"),
        ("1", "expected 2 fields, found 1"),
        ("1,10,5", "expected 2 fields, found 3"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_written(tmp_path, line, reason):
    (tmp_path / "out.csv").write_text("earlier")
    text = "user_id,movie_id\n" + "1,10\n" * 50 + line + "\n1,10\n"
    with pytest.raises(JobError, match=rf"pairs.csv, line 52: .*{reason}"):
        predict(tmp_path, text, block_bytes=64)
    assert (tmp_path / "out.csv").read_text() == "earlier"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "text", ["", "1,10\n", "user_id\n1\n", "user_id,movie_id,user_id\n1,2,3\n"]
)
def test_a_header_is_needed(tmp_path, text):
    with pytest.raises(JobError, match="line 1: expected the header user_id,movie_id"):
        predict(tmp_path, text)


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(JobError, match=r"--pairs .*none\.csv: No such file"):
        predict_file(MODEL, tmp_path / "none.csv", tmp_path / "out.csv")
    (tmp_path / "pairs.csv").write_text("user_id,movie_id\n")
    with pytest.raises(JobError, match="no_folder does not exist"):
        predict_file(MODEL, tmp_path / "pairs.csv", tmp_path / "no_folder" / "out.csv")


def test_the_file_of_pairs_is_not_written_over(tmp_path):
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("user_id,movie_id\n1,10\n")
    (tmp_path / "link.csv").symlink_to(pairs)
    for out in (pairs, tmp_path / "link.csv"):
        with pytest.raises(JobError, match="this is the file of pairs itself"):
            predict_file(MODEL, pairs, out)
    assert pairs.read_text() == "user_id,movie_id\n1,10\n"
