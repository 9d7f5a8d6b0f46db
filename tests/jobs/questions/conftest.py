"""A small published warehouse, and questions to it."""

from datetime import UTC, date, datetime

import pytest

from jobs.published.delta import publish_files
from jobs.runs.schemas import PUBLISHED, in_json
from jobs.runs.warehouse import Warehouse
from jobs.training.registry import Registry
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
        rows: list[tuple] = [
            (user, rank, movie, titles[movie], 4.321 - rank / 10, "model", version, ds, 3.5)
            for user in (2, 3)
            for rank, movie in ((1, first), (2, 23 - first))
        ]
        if ds == "2026-11-23":
            # Of rows of older dates no reason is known; movie 99 is of another release.
            rows[0] = (*rows[0], None, None, 10, 0.625)
            rows[1] = (*rows[1], None, None, 99, 0.25)
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
def ask(tables, monkeypatch, capfd):
    """Call a command; returns what it printed."""
    monkeypatch.setenv("NIGHTREEL_WAREHOUSE", str(tables))
    asked = []

    def factors(registry, version):
        asked.append((registry.warehouse, registry.release, version))
        return MODEL

    monkeypatch.setattr(Registry, "factors", factors)

    def call(command, *argv):
        command(list(argv))
        assert asked in ([], [(Warehouse(tables), "ml-1m", "7")])
        return capfd.readouterr().out

    return call


def cells(line):
    return [cell.strip() for cell in line.split("  ") if cell.strip()]
