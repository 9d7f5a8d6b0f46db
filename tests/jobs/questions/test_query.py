"""Questions to a small published warehouse: recommend, sql, predict, summary."""

import json
import subprocess
import sys
from datetime import UTC, date, datetime

import numpy as np
import pytest

from jobs.engines import terminal
from jobs.published.delta import publish_files
from jobs.questions import predict, query, summary
from jobs.runs.configuration import load_configuration
from jobs.runs.errors import JobError
from jobs.runs.files import write_json
from jobs.runs.run import STEPS, Run
from jobs.runs.schemas import PUBLISHED, in_json
from jobs.runs.warehouse import Warehouse
from jobs.training import registry
from tests.jobs.examples import MODEL, write

MOVIES = [
    (10, "Alien (1979)", 1979, ["Horror", "Sci-Fi"]),
    (11, "[Rec] (2007)", 2007, ["Horror"]),  # rich would take the brackets for markup
    (12, "Nobody's Film (2000)", 2000, None),
]
USERS = [(user, None, None, None, None) for user in (1, 2, 3)]
RATED_AT = datetime(2001, 1, 1, tzinfo=UTC)
RATINGS = [
    (1, 10, 4.5, RATED_AT, "train"),
    (1, 11, 1.0, RATED_AT, "train"),
    (1, 12, 4.25, RATED_AT, "test"),
    (2, 10, 3.0, RATED_AT, "train"),
]
FINISHED = datetime(2026, 11, 23, 2, 5, tzinfo=UTC)
RUN_ROW = ("ml-1m", 4, 3, 3, 0, "7", True, 0.86, 0.68, 2, 60.0, FINISHED)


def publish(warehouse, table, rows, partition=None):
    ddl, partition_by = PUBLISHED[table]
    replace = partition or {}
    source = warehouse.joinpath("runs", "source", table, *replace.values())
    write(source, ddl, replace, rows)
    folder = warehouse / "tables" / table
    publish_files(folder, source, in_json(ddl), partition_by, replace, {})


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """A warehouse with two published dates; user 1 has rated everything."""
    warehouse = tmp_path_factory.mktemp("warehouse")
    publish(warehouse, "movies", MOVIES)
    publish(warehouse, "users", USERS)
    publish(warehouse, "ratings", RATINGS)
    for ds, version, first, damping in (
        ("2026-11-22", "6", 12, 5.0),
        ("2026-11-23", "7", 11, 0.0),
    ):
        titles = {movie: title for movie, title, _, _ in MOVIES}
        rows = [
            (user, rank, movie, titles[movie], 4.321 - rank / 10, "model", version, ds, 3.5)
            for user in (2, 3)
            for rank, movie in ((1, first), (2, 23 - first))
        ]
        publish(warehouse, "recommendations", rows, {"ds": ds})
        run = (date.fromisoformat(ds), *RUN_ROW[:5], version, *RUN_ROW[6:-1])
        finished = datetime.fromisoformat(ds).replace(tzinfo=UTC)
        publish(warehouse, "runs", [(*run, finished, version, None, None, damping)], {"run_id": ds})
    # A run that scored one user again, with an older model: not what the tables hold.
    run = (date(2026, 11, 24), *RUN_ROW[:5], "5", *RUN_ROW[6:-1])
    publish(warehouse, "runs", [(*run, finished, "5", 1, None, 0.0)], {"run_id": "one-user"})
    publish(warehouse, "quarantine", [("ratings.dat", 3, "no rating", "1::2")], {"run_id": "007"})
    return warehouse


@pytest.fixture
def ask(tables, monkeypatch, capfd, tmp_path):
    """Call a command; returns what it printed."""
    monkeypatch.setenv("NIGHTREEL_WAREHOUSE", str(tables))
    MODEL.save(tmp_path / "factors")
    asked = []

    def factors_folder(conf, warehouse, release, version):
        asked.append((warehouse, release, version))
        return tmp_path / "factors"

    monkeypatch.setattr(registry, "factors_folder", factors_folder)

    def call(command, *argv):
        command(list(argv))
        assert asked in ([], [(Warehouse(tables), "ml-1m", "7")])
        return capfd.readouterr().out

    return call


def cells(line):
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_the_newest_recommendations_with_titles_and_genres(ask):
    lines = ask(query.recommend, "--user", "2").splitlines()
    assert lines[0].strip() == "Recommendations for user 2 of 2026-11-23, model version 7"
    assert ["1", "11", "[Rec] (2007)", "Horror", "4.22", "model"] in map(cells, lines)
    assert "2 of 20: no more are published for this user" in lines[-1]


def test_a_question_loads_nothing_heavy(tables):
    # Seconds of import time would be most of the answer's.
    program = f"""
import sys
from jobs.nightreel import dispatch
dispatch(["recommend", "--user", "2", "--warehouse", {str(tables)!r}])
heavy = {{"pandas", "torch", "pyspark", "mlflow", "pyarrow", "numpy"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)


def test_fewer_and_earlier_recommendations(ask):
    printed = ask(query.recommend, "--user", "2", "--top", "1", "--ds", "2026-11-22")
    assert "of 2026-11-22, model version 6" in printed
    assert "Nobody's Film" in printed
    assert "[Rec]" not in printed
    assert "no more" not in printed
    # Ranked by a damped score, which is shown then.
    assert ["1", "12", "Nobody's Film (2000)", "4.22", "3.50", "model"] in map(
        cells, printed.splitlines()
    )


@pytest.mark.parametrize(
    ("command", "argv", "message"),
    [
        (query.recommend, "--user 99999", "no user 99999 in release ml-1m: .* run from 1 to 3"),
        (query.recommend, "--user 1", "User 1 has no recommendations of 2026-11-23"),
        (query.recommend, "--user 2 --ds 2026-01-01", "Published dates: 2026-11-23, 2026-11-22"),
        (predict.main, "--user 99999 --rated", "no user 99999"),
        (predict.main, "--user 1 --movie 5", "no movie 5 in release ml-1m: .* run from 10 to 12"),
        (predict.main, "--user 3 --rated", "User 3 has not rated any movie"),
        (query.sql, "selec", 'syntax error at or near "selec"'),
        (query.sql, "", "Expected one statement that returns rows.*found nothing"),
        (query.sql, "from\truns;from\truns", "found 2 statements"),
        (query.sql, "select\t1;\tset\tthreads=1", "found 2 statements"),
        (query.sql, "create\ttable\tx(a\tint)", "found CREATE"),
        (query.sql, "set\tthreads=1", "found SET"),
        (query.sql, "from\tfilms", "Tables: movies, quarantine, ratings, recommendations, runs"),
    ],
)
def test_errors_say_what_there_is(ask, command, argv, message):
    with pytest.raises(JobError, match=message):
        ask(command, *argv.split(" "))


@pytest.mark.parametrize("command", [query.recommend, predict.main, query.sql])
def test_an_empty_warehouse(command, tmp_path):
    argv = ["select 1"] if command is query.sql else ["--user", "1"]
    argv += ["--rated"] if command is predict.main else []
    with pytest.raises(JobError, match=r"no table .* yet\. Publish one with: make nightly"):
        command([*argv, "--warehouse", str(tmp_path)])


def test_partition_columns_have_their_types(ask):
    # A run id of digits stays text, and a date a date.
    answer = ask(query.sql, "--csv", "select run_id, line, typeof(line) from quarantine")
    assert answer == "run_id,line,typeof(line)\n007,3,BIGINT\n"
    answer = ask(query.sql, "--csv", "select typeof(ds), max(finished_at) from runs group by 1")
    assert answer.endswith("\nDATE,2026-11-23 00:00:00\n")


def test_sql_shows_a_table_and_says_what_it_leaves_out(ask):
    printed = ask(query.sql, "--limit", "2", "from movies order by movie_id desc")
    assert ["12", "Nobody's Film (2000)", "2000"] in map(cells, printed.splitlines())
    assert "Alien" not in printed
    assert "Only the first 2 rows are shown" in printed
    assert "Only" not in ask(query.sql, "--limit", "3", "from movies")


def test_rows_too_wide_for_the_terminal_stand_one_below_the_other(ask, monkeypatch):
    monkeypatch.setattr(terminal, "WIDTH_WITHOUT_TERMINAL", 60)
    lines = ask(query.sql, "from quarantine").splitlines()
    assert "Row 1" not in lines
    lines = ask(query.sql, "from recommendations order by all desc limit 2").splitlines()
    assert list(map(cells, lines[:4])) == [
        ["Row 1"],
        ["ds", "2026-11-23"],
        ["user_id", "3"],
        ["rank", "2"],
    ]
    assert cells(lines[12]) == ["Row 2"]
    assert ask(query.sql, "from recommendations limit 0").startswith("No rows. Their columns: ds, ")


def test_predict_one(ask):
    printed = ask(predict.main, "--user", "1", "--movie", "10")
    assert "User 1, Alien (1979): predicted rating 3.75" in printed
    assert "by model, of model version 7 on ml-1m" in printed
    assert "real rating 4.5, which lies in the train split" in printed


def test_predict_rated_is_sorted_and_ends_with_the_error(ask):
    lines = ask(predict.main, "--user", "1", "--rated").splitlines()
    rated = [cells(line) for line in lines if "train" in line or "test" in line]
    assert rated[:3] == [
        ["10", "Alien (1979)", "4.5", "3.75", "-0.75", "train", "model"],
        ["12", "Nobody's Film (2000)", "4.25", "3.25", "-1.00", "test", "mean"],
        ["11", "[Rec] (2007)", "1", "1.75", "+0.75", "train", "model"],
    ]
    error = np.sqrt((0.75**2 + 1 + 0.75**2) / 3)
    assert f"RMSE over 3 ratings: {error:.4f}" in lines
    assert "  test: 1.0000 over 1" in lines


def test_predict_a_file(ask, tmp_path):
    (tmp_path / "pairs.csv").write_text("user_id,movie_id\n1,10\n")
    files = ["--pairs", str(tmp_path / "pairs.csv"), "--out", str(tmp_path / "out.csv")]
    assert "1 predictions of model version 7" in ask(predict.main, *files)
    assert (tmp_path / "out.csv").read_text().endswith("\n1,10,3.75,model\n")


@pytest.mark.parametrize(
    "argv",
    ["", "--user 1", "--user 1 --movie 1 --rated", "--pairs a", "--pairs a --out b --user 1"],
)
def test_predict_has_three_forms(argv, capsys):
    with pytest.raises(SystemExit):
        predict.main(argv.split())
    assert "expected --user with --movie or --rated" in capsys.readouterr().err


def test_summary_of_a_run(ask, tables):
    conf = load_configuration(warehouse=str(tables))
    run = Run(Warehouse(tables), "2026-11-23", date(2026, 11, 23), "ml-1m", "d", None, conf)
    run.save()
    (run.folder / "steps").mkdir(exist_ok=True)
    counted = ("lines", "ratings", "train", "validation", "test", "users", "movies")
    etl = dict.fromkeys(counted, 1000209)
    figures: dict[str, dict] = {
        "plan": {"train": True},
        "etl": etl | {"quarantined": 5, "duplicates": 1},
        "evaluate": {
            **{f"{who}_{error}": 0.9 for who in ("bias", "mean") for error in ("rmse", "mae")},
            **{"test_rmse": 0.86, "test_mae": 0.68, "promoted": False, "reason": "worse"},
            **{"candidate_version": "8", "model_version": "7"},
        },
        "score": {
            **{"users_scored": 30, "users_kept": 1970, "base_run": "before", "users_popular": 4},
            **{"movies_scored": 900, "movies_new": 7, "filtered": {"year_to": 1, "block_list": 2}},
        },
        "publish": {"rows_published": 4, "model_version": "7", "test_rmse": 0.859},
    }
    for step in STEPS:
        write_json(run.folder / "steps" / f"{step}.json", {"seconds": 1.5, **figures.get(step, {})})
    printed = ask(summary.main)
    lines = [cells(line) for line in printed.splitlines()]
    assert "Run 2026-11-23: release ml-1m, date 2026-11-23" in printed
    assert ["this model", "0.8600", "0.6800"] in lines
    assert ["users", "1,000,209", "30 scored, 1,970 kept from run before, 4 by popularity"] in lines
    assert ["movies", "1,000,209", "900 to recommend, 3 filtered out, 7 new to the model"] in lines
    assert ["total", "12.0"] in lines  # of eight steps: none to promote
    assert "version 8 was not promoted: worse. Version 7 scores." in printed
    assert "Recommendations for user 2" in printed  # the smallest id that has any
    assert "[Rec] (2007)" in ask(summary.main, "--run-id", "2026-11-23", "--user", "3")
    told = json.loads(ask(summary.main, "--json"))
    assert (told["rows_published"], told["test_rmse"], told["model_version"]) == (4, 0.859, "7")
    (run.folder / "report.html").touch()
    told = json.loads(ask(summary.main, "--json"))
    assert told["report"] == f"[run report]({(run.folder / 'report.html').as_uri()})"
    step = json.loads(ask(summary.main, "--json", "--run-id", "2026-11-23", "--step", "publish"))
    assert step == {"seconds": 1.5, **figures["publish"]}
    with pytest.raises(JobError, match="There is no user 9 in release ml-1m"):
        ask(summary.main, "--user", "9")
    with pytest.raises(JobError, match=r"no recommendations for user 1 of 2026-11-23\."):
        ask(summary.main, "--user", "1")
    with pytest.raises(SystemExit):
        ask(summary.main, "--json", "--user", "2")
