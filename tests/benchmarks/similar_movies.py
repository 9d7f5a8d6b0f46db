"""How alike the genres of a movie and its ten most similar ones are, which no model here was told.

    OMP_NUM_THREADS=1 PYTHONPATH=. python tests/benchmarks/similar_movies.py ../shared/data

Trains matrix_factorisation on ML-1M's default split and visits on its users 1 to 2999, as conf says
with seed 7, and prints the mean cosine of genre flags by one, by the other, by both, and by the
cosine of each one's rows; then the five movies most similar to Star Wars, and the CPU seconds of
finding the 20 most similar of all.
"""

import contextlib
import io
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from jobs.scoring.similar import most_similar
from model.factors import Factors, load_factors
from model.ranking.likeness import movies_as_users
from model.training.loop import train
from tests.benchmarks import accuracy, lists, order_data, rating_data

STAR_WARS, NEAREST = 260, 10


def of_ratings(file: Path, folder: Path) -> Factors:
    """The default model of ratings."""
    dealt = rating_data.deal(file, "random")
    rating_data.write_inputs(dealt, folder)
    spec = accuracy.spec_of("matrix_factorisation", folder, dealt, {})
    with contextlib.redirect_stdout(io.StringIO()):
        train(spec)
    return load_factors(Path(spec.output))


def genre_likeness(rows: Factors, ids: np.ndarray, shown: order_data.Release) -> float:
    """Mean cosine of genres with those of the nearest, by these rows, among these movies."""
    place = rows.movie_idx(ids)
    product_MM = rows.user_UK[place] @ rows.movie_MK[place].T
    np.fill_diagonal(product_MM, -np.inf)
    near_MN = np.argsort(-product_MM, 1)[:, :NEAREST]
    genre_MG = shown.genre_MG[np.searchsorted(shown.movie_ids, ids)].astype(float)
    genre_MG /= np.linalg.norm(genre_MG, axis=1, keepdims=True).clip(1e-9)
    return float(np.einsum("mg,mng->mn", genre_MG, genre_MG[near_MN]).mean())


def unit(model: Factors) -> Factors:
    """Its movies' rows at length 1, whatever users' rows are."""
    length_M = np.linalg.norm(model.movie_MK, axis=1, keepdims=True).clip(1e-9)
    return replace(model, user_UK=model.movie_MK / length_M, movie_MK=model.movie_MK / length_M)


def main() -> None:
    """Train, and print."""
    torch.set_num_threads(1)
    releases = Path(sys.argv[1])
    shown = lists.read("ml-1m-times", releases)
    histories = order_data.split(shown.histories, "next-visit")
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        rating = of_ratings(releases / "ml-1m.zip", Path(one))
        order_data.write_inputs(shown, histories, Path(other))
        order = lists.trained_member("visits", Path(other), 7, {}).factors
        models = {"both": [rating, order], "matrix_factorisation": [rating], "visits": [order]}
        rows = {name: movies_as_users(chosen) for name, chosen in models.items()}
        rows |= {"rows of matrix_factorisation": unit(rating), "rows of visits": unit(order)}
        ids = rows["both"].movie_ids_M
        for name, found in rows.items():
            print(f"{name:30} {genre_likeness(found, ids, shown):.3f} of {len(ids):,} movies")
        started = time.process_time()
        of_R, similar_R, ranked = most_similar([rating, order], ids, ids, 20)
        seconds = time.process_time() - started
        nearest = of_R == STAR_WARS
        print(similar_R[nearest][:5], ranked.score_R[nearest][:5].round(2))
        print(f"{len(of_R):,} rows in {seconds:.2f} CPU seconds")


if __name__ == "__main__":
    main()
