"""The scoring kernel beside faiss and implicit, and beside what the processor can multiply.

    pip install faiss-cpu implicit
    PYTHONPATH=. python tests/benchmarks/scoring_kernel.py [--users 8192] [--movies 87585] ...

All work on the same random factors with 2 threads, in turns; the best of the rounds counts.
Nightreel and implicit leave out 160 rated movies per user, faiss nothing; Nightreel adds biases,
the others do not. Without either, its answers are checked against faiss's.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from scipy.sparse import csr_matrix

from model.ranking.catalogue import prepare_catalogue
from model.ranking.lists import Lists
from model.ranking.ranker import Ranker
from tests.benchmarks.scoring_data import random_factors, random_rated

try:
    import faiss
    from implicit.cpu.topk import topk
except ImportError:
    sys.exit("This benchmark needs its peers: pip install faiss-cpu implicit")

THREADS = 2


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """By the clock, and of processors: on a busy machine, the latter is what to compare."""
    started, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - used


def product(rows: int, columns: int, width: int, dtype: torch.dtype) -> Callable[[], object]:
    """The matrix product alone, in blocks that stay in the cache, on every thread."""
    left = torch.ones(rows, width).to(dtype)
    right = torch.ones(width, columns).to(dtype)
    out = torch.empty(rows, columns, dtype=torch.int32 if dtype is torch.int8 else dtype)
    multiply = torch._int_mm if dtype is torch.int8 else torch.mm
    return lambda: multiply(left, right, out=out)


def product_rate(width: int, dtype: torch.dtype) -> tuple[float, float]:
    """Pairs per second, and per processor's second, of the best block shape: the measured peak."""
    best, per_cpu = 0.0, 0.0
    for rows, columns in ((1024, 256), (1024, 512), (2048, 512), (4096, 4096)):
        repeat = max(1, 2**28 // (rows * columns))

        def run(_: int, rows: int = rows, columns: int = columns, repeat: int = repeat) -> None:
            work = product(rows, columns, width, dtype)
            for _ in range(repeat):
                work()

        with ThreadPoolExecutor(THREADS, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            taken, used = seconds(lambda: list(pool.map(run, range(THREADS))))
        pairs = THREADS * repeat * rows * columns
        best, per_cpu = max(best, pairs / taken), max(per_cpu, pairs / used)
    return best, per_cpu


def main() -> None:
    """Print pairs per second of everybody, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=8192)
    parser.add_argument("--movies", type=int, default=87_585)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--rated", type=int, default=160)
    parser.add_argument("--top-k", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    shape = parser.parse_args()
    factors = random_factors(shape.users, shape.movies, shape.factors)
    rated = random_rated(shape.users, shape.movies, shape.rated)
    catalogue = prepare_catalogue(factors)
    ranker = Ranker(factors, catalogue=catalogue, threads=THREADS)
    every_user = np.arange(shape.users)

    faiss.omp_set_num_threads(THREADS)
    index = faiss.IndexFlatIP(shape.factors)
    index.add(factors.movie_MK)
    ones = np.ones(len(rated.value_N), np.float32)
    filtered = csr_matrix((ones, rated.value_N, rated.offset_B1), shape=(shape.users, shape.movies))
    work = {
        "nightreel": lambda: ranker.top_k(every_user, rated, shape.top_k),
        "faiss IndexFlatIP": lambda: index.search(factors.user_UK, shape.top_k),
        "implicit topk": lambda: topk(
            factors.movie_MK,
            factors.user_UK,
            shape.top_k,
            filter_query_items=filtered,
            num_threads=THREADS,
        ),
    }
    pairs = shape.users * shape.movies
    rates, per_cpu = dict.fromkeys(work, 0.0), dict.fromkeys(work, 0.0)
    for _ in range(shape.rounds):
        for name, run in work.items():
            taken, used = seconds(run)
            rates[name] = max(rates[name], pairs / taken)
            per_cpu[name] = max(per_cpu[name], pairs / used)
    check(shape, factors, index)

    codes = catalogue.code_PQ.shape[1]
    peaks = {
        f"float32 product, {shape.factors} wide": product_rate(shape.factors, torch.float32),
        f"int8 product, {codes} wide": product_rate(codes, torch.int8),
    }
    print(f"{shape}, {os.cpu_count()} cores, torch {torch.__version__}, faiss {faiss.__version__}")
    for name in work:
        peaks[name] = rates[name], per_cpu[name]
    print(f"{'million pairs':28}   a second  nightreel to that   a CPU second  nightreel to that")
    for name, (rate, of_cpu) in peaks.items():
        ratios = rates["nightreel"] / rate, per_cpu["nightreel"] / of_cpu
        print(
            f"{name:28} {rate / 1e6:10.0f} {ratios[0]:18.2f} {of_cpu / 1e6:14.0f} {ratios[1]:18.2f}"
        )


def check(shape: argparse.Namespace, factors, index) -> None:
    """Without biases and rated movies, faiss and Nightreel give the same scores."""
    zero = np.zeros_like(factors.movie_bias_M)
    plain = type(factors)(**{**vars(factors), "movie_bias_M": zero})
    users = np.arange(min(200, shape.users))
    nothing = Lists(np.zeros(len(users) + 1, np.int64), np.empty(0, np.int32))
    ours = Ranker(plain).top_k(users, nothing, shape.top_k)
    offset = factors.user_bias_U[users] + factors.mean
    scores, _ = index.search(factors.user_UK[users], shape.top_k)
    np.testing.assert_allclose(
        ours.score_R.reshape(len(users), -1) - offset[:, None], scores, atol=1e-4
    )


if __name__ == "__main__":
    main()
