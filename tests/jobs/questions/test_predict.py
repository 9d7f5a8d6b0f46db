"""Predictions by the model of a small published warehouse: one, of all rated movies, of a file."""

import numpy as np
import pytest

from jobs.questions import predict
from jobs.runs.errors import JobError
from jobs.training.registry import Registry
from tests.jobs.examples import DOUBTFUL
from tests.jobs.questions.conftest import cells


def test_one(ask):
    printed = ask(predict.main, "--user", "1", "--movie", "10")
    assert "User 1, Alien (1979): predicted rating 3.75" in printed
    assert "source: model; model version 7, release ml-1m" in printed
    assert "real rating 4.5, which lies in the train split" in printed


def test_rated_is_sorted_and_ends_with_the_error(ask):
    lines = ask(predict.main, "--user", "1", "--rated").splitlines()
    rated = [cells(line) for line in lines if "train" in line or "test" in line]
    assert rated[:3] == [
        ["10", "Alien (1979)", "4.5", "3.75", "-0.75", "train", "model"],
        # Of the same bin of years there is no other, and so the mean of both, level and taste:
        # 2 + 0.25 + mean of 0.5 and -0.5 + mean of 1 and 0.
        ["12", "Nobody's Film (2000)", "4.25", "2.75", "-1.50", "test", "content"],
        ["11", "[Rec] (2007)", "1", "1.75", "+0.75", "train", "model"],
    ]
    error = np.sqrt((0.75**2 + 1.5**2 + 0.75**2) / 3)
    assert f"RMSE over 3 ratings: {error:.4f}" in lines
    assert "  test: 1.5000 over 1" in lines


def test_a_model_that_knows_deviations_says_where_the_rating_lies(ask, monkeypatch):
    printed = ask(predict.main, "--user", "1", "--movie", "10")
    assert "nine of ten" not in printed
    monkeypatch.setattr(Registry, "factors", lambda *_: DOUBTFUL)
    # 3.75 and 1.64485 times 0.5 on either side.
    printed = ask(predict.main, "--user", "1", "--movie", "10")
    assert "in nine of ten such cases the rating lies from 2.93 to 4.57" in printed
    lines = ask(predict.main, "--user", "1", "--rated").splitlines()
    rated = [cells(line) for line in lines if "train" in line or "test" in line]
    assert rated[0][3:6] == ["3.75", "-0.75", "2.93 to 4.57"]
    # The lower end lies on the scale; nothing was learned of movie 12.
    assert rated[2][5] == "1.00 to 3.39"
    assert rated[1][4:] == ["-1.50", "test", "content"]


def test_a_file(ask, tmp_path):
    (tmp_path / "pairs.csv").write_text("user_id,movie_id\n1,10\n")
    files = ["--pairs", str(tmp_path / "pairs.csv"), "--out", str(tmp_path / "out.csv")]
    assert "1 predictions of model version 7" in ask(predict.main, *files)
    assert (tmp_path / "out.csv").read_text().endswith("\n1,10,3.75,model\n")


@pytest.mark.parametrize(
    "argv",
    ["", "--user 1", "--user 1 --movie 1 --rated", "--pairs a", "--pairs a --out b --user 1"],
)
def test_there_are_three_forms(argv, capsys):
    with pytest.raises(SystemExit):
        predict.main(argv.split())
    assert "expected --user with --movie or --rated" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--user 99999 --rated", "no user 99999"),
        ("--user 1 --movie 5", "no movie 5 in release ml-1m: .* run from 10 to 12"),
        ("--user 3 --rated", "User 3 has not rated any movie"),
    ],
)
def test_errors_say_what_there_is(ask, argv, message):
    with pytest.raises(JobError, match=message):
        ask(predict.main, *argv.split(" "))


def test_an_empty_warehouse(tmp_path):
    with pytest.raises(JobError, match=r"no table .* yet\. Publish one with: make nightly"):
        predict.main(["--user", "1", "--rated", "--warehouse", str(tmp_path)])
