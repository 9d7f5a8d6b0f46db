"""What users were shown of late: as score reads it, and as the audit does."""

from datetime import UTC, datetime

import duckdb
import numpy as np
import pytest

from jobs.published.audit import add_shown
from jobs.runs.run import Run
from jobs.scoring.shown import Shown
from tests.jobs.examples import small_run
from tests.jobs.scoring.test_incremental import publish

# The run is of 2026-01-02, whose own rows, and those of a later date, do not count. Movies below 0
# are those that the source calls by texts.
NIGHTS = {
    "2026-01-03": [("ours", 1, 15)],
    "2026-01-02": [("ours", 1, 14)],
    # Another release has this date alone.
    "2025-12-30": [("other", 1, 99)],
    # Chosen users were scored by a run of their own.
    "2025-12-29": [("ours", 1, 11), ("ours", 2, 11), ("some", 3, 12), ("other", 2, 98)],
    "2025-12-01": [("ours", 1, 11), ("ours", 1, -13), ("ours", 4, 11)],
    "2025-11-30": [("ours", 2, -13)],
}


@pytest.fixture
def warehouse(tmp_path):
    for run_id, release in (("ours", "ml-1m"), ("some", "ml-1m"), ("other", "ml-100k")):
        day = datetime(2026, 1, 1, tzinfo=UTC)
        counts = (day.date(), release, 4, 3, 3, 0, "1", True, 0.9, 0.7, 2, 9.0)
        publish(tmp_path, "runs", {"run_id": run_id}, [(*counts, day, "1", None, None, 0.0)])
    for ds, shown in NIGHTS.items():
        rows = [(u, 1, movie, "A", 4.5, "model", "1", run_id, 4.5) for run_id, u, movie in shown]
        publish(tmp_path, "recommendations", {"ds": ds}, rows)
    return tmp_path


def by_score(run: Run) -> list[tuple[int, int]]:
    """Of users 1 to 3."""
    user_ids_U = np.array([1, 2, 3], np.int32)
    shown = Shown.before(run).to(user_ids_U)
    owner_N = np.repeat(user_ids_U, shown.count_B).tolist()
    return [*zip(owner_N, shown.value_N.tolist(), strict=True)]


def by_audit(run: Run) -> list[tuple[int, int]]:
    tables = duckdb.connect()
    nights = run.conf.score.repeat_after
    add_shown(tables, run.warehouse, run.release, run.ds, nights)
    return tables.execute("from shown where user_id <= 3 order by all").fetchall()


@pytest.mark.parametrize(
    ("nights", "shown"),
    [
        (0, []),
        (1, [(1, 11), (2, 11), (3, 12)]),
        (2, [(1, -13), (1, 11), (2, 11), (3, 12)]),
        (9, [(1, -13), (1, 11), (2, -13), (2, 11), (3, 12)]),
    ],
)
def test_of_the_nights_before_that_hold_rows_of_the_release(warehouse, nights, shown):
    run = small_run(warehouse, overrides=[f"score.repeat_after={nights}"])
    assert by_score(run) == by_audit(run) == shown


def test_before_the_first_night_nothing_was(tmp_path):
    run = small_run(tmp_path, overrides=["score.repeat_after=2"])
    assert by_score(run) == by_audit(run) == []
