"""All benchmarks of speed and memory, into docs/performance.md: make benchmark.

    make benchmark                      all: about an hour on two cores
    make benchmark ONLY="etl kernel"    those; what others have found stays as it was

Each compares Nightreel with peers or limits in the same run, and its output stands in the page as
it was printed, with the command, the day and the machine. Nothing else writes that page. Ends with
1 if one of them has failed; its section then stays as it was.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "performance.md"
ML_1M = "../shared/data/ml-1m.zip"
HEAD = """\
# Speed and memory

Written by `make benchmark` (`tests/benchmarks/performance.py`), which runs every command below on
one machine and keeps what it prints. Read ratios, which are of one run; seconds are that machine's.
What a line means, the script's first lines say. Quality is measured elsewhere:
[training.md](training.md), [order-models.md](order-models.md).
"""


@dataclass(frozen=True)
class Benchmark:
    """A command, and the question that it answers."""

    name: str
    title: str
    command: str
    """Python's arguments, from the repository's root."""


BENCHMARKS = (
    Benchmark("night", "A whole night of the sample", "tests/benchmarks/whole_night.py sample"),
    Benchmark(
        "night-ml-1m",
        "A whole night of ml-1m",
        f"tests/benchmarks/whole_night.py ml-1m {ML_1M}",
    ),
    Benchmark("startup", "What steps cost before their first work", "tests/benchmarks/startup.py"),
    Benchmark("etl", "ETL beside pandas and Polars", f"tests/benchmarks/etl_speed.py {ML_1M}"),
    Benchmark("etl-scale", "ETL as data grow", "tests/benchmarks/etl_scale.py"),
    Benchmark("growing", "ETL of a delivery that grows", "tests/benchmarks/growing.py"),
    Benchmark(
        "training", "Training at ML-32M's shape", "tests/benchmarks/training_scale.py 32 sparse"
    ),
    Benchmark(
        "two-ranks",
        "Two ranks on ml-1m: the default model of ratings",
        f"tests/benchmarks/two_ranks.py {ML_1M} matrix_factorisation epochs=12 --repeats 3",
    ),
    Benchmark(
        "simulated-ranks",
        "Up to 64 ranks, simulated",
        "tests/benchmarks/simulated_ranks.py",
    ),
    Benchmark(
        "two-ranks-order",
        "Two ranks on ml-1m: a model of order",
        f"tests/benchmarks/two_ranks.py {ML_1M} transformer epochs=1 --split leave-last-out",
    ),
    Benchmark(
        "kernel",
        "The scoring kernel beside faiss and implicit",
        "tests/benchmarks/scoring_kernel.py",
    ),
    Benchmark("score", "The step score as a whole", "tests/benchmarks/scoring_job.py job"),
    Benchmark("audit", "The audit at ML-32M's shape", "tests/benchmarks/audit.py"),
    Benchmark(
        "publish",
        "What forcing a publish to disk costs",
        "tests/benchmarks/durable_publish.py --share 1",
    ),
    Benchmark("lookup", "One user's recommendations", "tests/benchmarks/lookup.py"),
)


def machine() -> str:
    """The processor, its cores, memory and the versions that decide, in a line."""
    cpus = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.+)", cpus)
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    import pyspark
    import torch

    return (
        f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores, "
        f"{gibibytes:.0f} GiB; Python {platform.python_version()}, torch {torch.__version__}, "
        f"Spark {pyspark.__version__}"
    )


def section(benchmark: Benchmark) -> str | None:
    """What the page says of a benchmark, run now; None if it failed."""
    start = time.perf_counter()
    command = [sys.executable, *shlex.split(benchmark.command)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    minutes = (time.perf_counter() - start) / 60
    if done.returncode:
        print(f"{benchmark.name} failed:\n{done.stdout}{done.stderr}", file=sys.stderr, flush=True)
        return None
    print(f"{done.stdout}{benchmark.name} took {minutes:.1f} minutes", flush=True)
    return (
        f"## {benchmark.title}\n\n"
        f"`make benchmark ONLY={benchmark.name}`, {date.today()}, {minutes:.1f} minutes. "
        f"{machine()}.\n\n"
        f"```\n$ python {benchmark.command}\n{done.stdout.rstrip()}\n```\n"
    )


def sections_of(page: str) -> dict[str, str]:
    """The sections that a page has, by the name of their benchmark."""
    parts = re.split(r"^(?=## )", page, flags=re.MULTILINE)[1:]
    found = {}
    for part in parts:
        name = re.search(r"`make benchmark ONLY=(\S+)`", part)
        if name:
            found[name[1]] = part.rstrip() + "\n"
    return found


def main() -> None:
    """Run those that are asked for, and write the page after each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser.add_argument("only", nargs="*", metavar="NAME", help=", ".join(names))
    only = parser.parse_args().only or names
    if unknown := set(only) - set(names):
        parser.error(f"There is no {', '.join(sorted(unknown))}; there are {', '.join(names)}.")
    known = sections_of(PAGE.read_text()) if PAGE.exists() else {}
    failed = []
    for benchmark in BENCHMARKS:
        if benchmark.name not in only:
            continue
        print(f"== {benchmark.title} ==", flush=True)
        text = section(benchmark)
        if text is None:
            failed.append(benchmark.name)
            continue
        known[benchmark.name] = text
        PAGE.write_text("\n".join([HEAD, *(known[name] for name in names if name in known)]))
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
