"""Damage without end for etl: no line may be lost, and nothing may crash.

    PYTHONPATH=. python tests/benchmarks/fuzz_etl.py [--lines 200000] [--files 500]

Runs etl on a delivery of half damaged lines in each layout, then reads deliveries whose files are
damaged as a whole. Stops at the first line that is not accounted for; prints what it counted.
"""

import argparse
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

from jobs.engines.spark import spark_session
from jobs.etl import etl
from tests.jobs.cleaning.fuzzing import (
    GOOD,
    check_sum,
    count_lines,
    delivery_of_damaged_lines,
    write_damaged_files,
    write_delivery,
)
from tests.jobs.examples import small_run

# Deliveries per Spark job: its plan grows with them.
AT_ONCE = 25


def main() -> None:
    """Damage, read, count and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=200_000, help="damaged lines, all layouts")
    parser.add_argument("--files", type=int, default=500, help="deliveries of damaged files")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        spark = spark_session("fuzz", Path(name, "spark"))
        spark.conf.set("spark.sql.shuffle.partitions", "2")
        for layout in GOOD:
            started = time.perf_counter()
            run = small_run(Path(name, layout))
            # Half of the lines are damaged.
            count = 2 * arguments.lines // len(GOOD)
            write_delivery(run.raw, delivery_of_damaged_lines(rng, layout, count))
            figures = etl(spark, run)
            quarantined = check_sum(spark, run, figures)
            seconds = time.perf_counter() - started
            print(
                f"{layout}: {figures['lines']:,} lines: {figures['ratings']:,} ratings, "
                f"{figures['duplicates']:,} duplicates, {quarantined[layout]:,} in quarantine; "
                f"none lost; {seconds:.0f} s",
                flush=True,
            )
        started = time.perf_counter()
        deliveries = write_damaged_files(rng, Path(name, "files"), arguments.files)
        counts: Counter = Counter()
        for first in range(0, len(deliveries), AT_ONCE):
            counts += count_lines(spark, deliveries[first : first + AT_ONCE])
            spark.catalog.clearCache()
        seconds = time.perf_counter() - started
        found = ", ".join(f"{count:,} {what}" for what, count in sorted(counts.items()))
        print(f"{len(deliveries)} deliveries of damaged files: {found}; none lost; {seconds:.0f} s")
        spark.stop()


if __name__ == "__main__":
    main()
