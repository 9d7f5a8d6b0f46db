"""A step's loops over rows on a CPU, in C: kernels.c, which `make environments` builds.

torch has no call for them, and a step of many small ones spends most of its time between them.
"""

from __future__ import annotations

import ctypes
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

POINTER, SIZE, NUMBER = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
BUILD = "Build it in the checkout: rm -f .venv/.installed && make environments"


@cache
def library() -> ctypes.CDLL:
    """The loops. Raises ValueError with a sentence if they have not been built of kernels.c."""
    source = Path(__file__).with_name("kernels.c")
    found = find_spec("model.training._kernels")
    if found is None or found.origin is None:
        raise ValueError(f"{source} has not been built. {BUILD}")
    try:
        loaded = ctypes.CDLL(found.origin)
    except OSError as error:
        raise ValueError(f"{found.origin} cannot be loaded: {error}. {BUILD}") from error
    loaded.source.restype = ctypes.c_char_p
    if loaded.source().decode() != sha256(source.read_bytes()).hexdigest():
        raise ValueError(f"{source} is not what {found.origin} was built of. {BUILD}")
    loaded.gradients_of_ratings.restype = SIZE
    loaded.gradients_of_ratings.argtypes = [
        *(POINTER, SIZE, SIZE, SIZE, SIZE),
        *(POINTER, POINTER, POINTER, SIZE),
        *(NUMBER, NUMBER, NUMBER, POINTER, POINTER),
        *(POINTER, POINTER, POINTER, POINTER, POINTER, POINTER),
    ]
    loaded.adam.restype = ctypes.c_int
    loaded.adam.argtypes = [
        *(POINTER, POINTER, POINTER, SIZE, SIZE, POINTER, POINTER, SIZE),
        *(ctypes.c_double, ctypes.c_double, NUMBER, NUMBER, NUMBER),
    ]
    return loaded


class RatingGradients:
    """Gradients of biased matrix factorisation by the rows that a batch touches.

    What it returns it writes over in the next call: to ask for as much memory in each step would
    take as long as to fill it.
    """

    def __init__(
        self, users: int, movies: int, factors: int, user_l2_W: Tensor, movie_l2_W: Tensor
    ) -> None:
        """`user_l2_W`, `movie_l2_W`: what a rating weighs each column of its rows with."""
        self.users, self.movies, self.factors = users, movies, factors
        self.penalties = [whole(l2_W, torch.float32) for l2_W in (user_l2_W, movie_l2_W)]
        self.slot_N = torch.full((users + movies,), -1, dtype=torch.int32)
        self.squares = torch.empty((), dtype=torch.float64)
        self.make_room(0)

    def make_room(self, ratings: int) -> None:
        """For batches of at most so many ratings."""
        self.most, width = ratings, len(self.penalties[0])
        self.scratch = torch.empty(8 * ratings + 2, dtype=torch.int32), torch.empty(2 * ratings)
        self.row_C = torch.empty(2 * ratings, dtype=torch.int64)
        self.gradient_CW = torch.empty(2 * ratings, width)

    def __call__(
        self,
        table_NW: Tensor,
        user_B: Tensor,
        movie_B: Tensor,
        rating_B: Tensor,
        mean: float,
        delta: float | None,
        step_rows: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """D different rows, their gradients, and the sum of squared errors (float64).

        Squared loss, or twice Huber's beyond `delta`, and L2, summed over the batch and divided by
        `step_rows`. Raises IndexError for a user or movie that the table does not have.
        """
        B, W = len(rating_B), len(self.penalties[0])
        same(table_NW.shape, (self.users + self.movies, W))
        same((len(user_B), len(movie_B)), (B, B))
        if B > self.most:
            self.make_room(B)
        pairs = [whole(row_B, torch.int32) for row_B in (user_B, movie_B)]
        rating_B = whole(rating_B, torch.float32)
        made = self.row_C, self.gradient_CW, self.squares
        rows = library().gradients_of_ratings(
            address(table_NW),
            *(self.users, self.movies, W, self.factors),
            *(each.data_ptr() for each in pairs),
            *(rating_B.data_ptr(), B, mean, float("inf") if delta is None else delta),
            2 / step_rows,
            *(each.data_ptr() for each in (*self.penalties, self.slot_N, *self.scratch, *made)),
        )
        if rows < 0:
            raise IndexError("A rating is of a user or movie that the table does not have.")
        return self.row_C[:rows], self.gradient_CW[:rows], self.squares.clone()


def adam(
    tables: list[Tensor],
    row_D: Tensor,
    gradient_DW: Tensor,
    betas: tuple[float, float],
    epsilon: float,
    steps: int,
    rate: float,
) -> None:
    """Move D different rows of weights, first and second moments in place; it is step `steps`.

    Raises IndexError for a row that the tables do not have.
    """
    beta1, beta2 = betas
    for table_NW in tables:
        same(table_NW.shape, tables[0].shape)
    same(gradient_DW.shape, (len(row_D), tables[0].shape[1]))
    row_D, gradient_DW = whole(row_D, torch.int64), whole(gradient_DW, torch.float32)
    moved = library().adam(
        *(address(table_NW) for table_NW in tables),
        *tables[0].shape,
        *(row_D.data_ptr(), gradient_DW.data_ptr(), len(row_D)),
        *(beta1, beta2, epsilon),
        *(rate / (1 - beta1**steps), (1 - beta2**steps) ** -0.5),
    )
    if moved < 0:
        raise IndexError("A row to move is none of the table's.")


def whole(values: Tensor, kind: torch.dtype) -> Tensor:
    """The same on the CPU, of this type and without gaps."""
    return values.detach().to("cpu", kind).contiguous()


def address(table_NW: Tensor) -> int:
    """Where a table lies that is worked on in place. Raises ValueError if it cannot be."""
    if table_NW.dtype != torch.float32 or table_NW.device.type != "cpu":
        raise ValueError(f"A table is of {table_NW.dtype} on {table_NW.device}.")
    if not table_NW.is_contiguous():
        raise ValueError("A table has gaps.")
    return table_NW.data_ptr()


def same(found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Raise ValueError where sizes differ: the loops would read what is not theirs."""
    if tuple(found) != tuple(expected):
        raise ValueError(f"Sizes are {tuple(found)} instead of {tuple(expected)}.")
