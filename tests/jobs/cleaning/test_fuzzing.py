"""No damage loses a line or crashes etl; tests/benchmarks/fuzz_etl.py does far more of it."""

import random

from jobs.etl import etl
from tests.jobs.cleaning.fuzzing import (
    check_sum,
    count_lines,
    delivery_of_damaged_lines,
    write_damaged_files,
    write_delivery,
)
from tests.jobs.examples import small_run


def test_damaged_lines_are_all_accounted_for(spark, tmp_path):
    run = small_run(tmp_path, "ml-1m", ["etl.min_row_groups=2"])
    write_delivery(run.raw, delivery_of_damaged_lines(random.Random(1), "ratings.dat", 400))
    figures = etl(spark, run)
    assert check_sum(spark, run, figures)["ratings.dat"] > 50
    assert figures["duplicates"] > 0


def test_damaged_files_are_read_or_refused(spark, tmp_path):
    counts = count_lines(spark, write_damaged_files(random.Random(2), tmp_path, 10))
    assert min(counts["refused files"], counts["usable lines"], counts["unusable lines"]) > 0
