"""Parts of days: those of later days are left out, and what became of the others is said."""

from datetime import date
from pathlib import Path

import pytest

from jobs.release.dated import day_of, day_of_file, leave_out_later, told_since
from jobs.runs.errors import JobError


def test_folders_of_days_are_told_from_others():
    assert day_of("ds=2026-11-25") == day_of("order_date=2026-11-25") == date(2026, 11, 25)
    for other in ("2026-11-25", "ds=2026-11-31", "ds=2026-11-25x", "ratings", "ds=25"):
        assert day_of(other) is None
    assert day_of_file("ratings/ds=2026-11-25/part-0.csv") == date(2026, 11, 25)
    assert day_of_file("ds=2026-11-25") is None


def delivery_of(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_a_run_is_given_no_part_of_a_later_day(tmp_path):
    days = [f"ds=2026-11-2{day}/ratings.csv" for day in range(4, 7)]
    delivery = delivery_of(tmp_path, "movies.csv", *days)
    assert leave_out_later(delivery, date(2026, 11, 25), "orders") == 2
    left = sorted(path.relative_to(delivery).as_posix() for path in delivery.rglob("*.csv"))
    assert left == [*days[:2], "movies.csv"]
    with pytest.raises(JobError, match="orders holds parts from 2026-11-24 on, and none up to "):
        leave_out_later(delivery, date(2026, 11, 1), "orders")
    assert leave_out_later(delivery_of(tmp_path / "x", "a.csv"), date(2026, 11, 1), "a") == 0


def test_what_has_become_of_parts_is_said():
    def files(**contents: str) -> dict:
        return {f"ds=2026-11-0{day[1]}/a.csv": {"sha256": of} for day, of in contents.items()}

    before = files(d1="a", d2="b", d3="c") | {"movies.csv": {"sha256": "x"}}
    now = files(d1="a", d2="B", d4="d") | {"movies.csv": {"sha256": "y"}}
    counts, sentences = told_since(now, before, "2026-11-04")
    assert counts == {"new": 1, "changed": 1, "gone": 1}
    assert sentences == [
        "new among 3 files in folders of days: 1",
        "changed since 2026-11-04, and read as they are now: ds=2026-11-02/a.csv",
        "gone since 2026-11-04, and counted no longer: ds=2026-11-03/a.csv",
    ]
