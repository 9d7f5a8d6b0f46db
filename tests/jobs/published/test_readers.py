"""Readers while a date is published again: every read is whole and of one version."""

from tests.benchmarks.readers_under_load import measure, version_of


def test_readers_never_see_a_part_of_a_publish(tmp_path):
    reports = measure(tmp_path, ["DuckDB", "delta-rs"], publishes=2, users=500, pause=0.5)
    for report in reports.values():
        assert (report.torn, report.went_back) == (0, 0)
        assert (report.seen[0], report.seen[-1]) == (0, 2)


def test_a_mixture_or_a_part_is_torn():
    versions = [{"other": 20, "run-0": 40}, {"other": 20, "run-1": 60}]
    assert version_of({"run-1": 60, "other": 20}, versions) == 1
    assert version_of({"other": 20, "run-0": 40, "run-1": 60}, versions) is None
    assert version_of({"other": 20, "run-1": 30}, versions) is None
    assert version_of({"run-1": 60}, versions) is None
