"""A step's loops over rows on a CPU, in C: kernels.c, which `make environments` builds.

torch has no call for them, and a step of many small ones spends most of its time between them.
"""

from __future__ import annotations

import ctypes
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

POINTER, SIZE, NUMBER = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float


@cache
def library() -> ctypes.CDLL:
    """The kernels. Raises ValueError with a sentence if they have not been built."""
    found = find_spec("model.training._kernels")
    if found is None or found.origin is None:
        raise ValueError(
            "Nightreel's loops of a training step have not been built (model/training/kernels.c). "
            "Build them: rm .venv/.ready && make environments"
        )
    loaded = ctypes.CDLL(found.origin)
    loaded.gradients_of_ratings.restype = SIZE
    loaded.gradients_of_ratings.argtypes = [
        *(POINTER, SIZE, SIZE, SIZE, SIZE),
        *(POINTER, POINTER, POINTER, SIZE),
        *(NUMBER, NUMBER, NUMBER, POINTER, POINTER),
        *(POINTER, POINTER, POINTER, POINTER, POINTER, POINTER, ctypes.c_int),
    ]
    loaded.adam.restype = ctypes.c_int
    loaded.adam.argtypes = [
        *(POINTER, POINTER, POINTER, SIZE, SIZE, POINTER, POINTER, SIZE),
        *(ctypes.c_double, ctypes.c_double, NUMBER, NUMBER, NUMBER, ctypes.c_int),
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
        assert table_NW.shape == (self.users + self.movies, W)
        if B > self.most:
            self.make_room(B)
        pairs = [whole(row_B, torch.int32) for row_B in (user_B, movie_B)]
        rating_B = whole(rating_B, torch.float32)
        made = self.row_C, self.gradient_CW, self.squares
        rows = library().gradients_of_ratings(
            address(table_NW, torch.float32),
            *(self.users, self.movies, W, self.factors),
            *(each.data_ptr() for each in pairs),
            *(rating_B.data_ptr(), B, mean, float("inf") if delta is None else delta),
            2 / step_rows,
            *(each.data_ptr() for each in (*self.penalties, self.slot_N, *self.scratch, *made)),
            torch.get_num_threads(),
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
    row_D, gradient_DW = whole(row_D, torch.int64), whole(gradient_DW, torch.float32)
    moved = library().adam(
        *(address(table_NW, torch.float32) for table_NW in tables),
        *tables[0].shape,
        *(row_D.data_ptr(), gradient_DW.data_ptr(), len(row_D)),
        *(beta1, beta2, epsilon),
        *(rate / (1 - beta1**steps), (1 - beta2**steps) ** -0.5),
        torch.get_num_threads(),
    )
    if moved < 0:
        raise IndexError("A row to move is none of the table's.")


def whole(values: Tensor, kind: torch.dtype) -> Tensor:
    """The same on the CPU, of this type and without gaps."""
    return values.detach().to("cpu", kind).contiguous()


def address(table_NW: Tensor, kind: torch.dtype) -> int:
    """Where a table lies that is worked on in place."""
    assert table_NW.dtype == kind
    assert table_NW.device.type == "cpu"
    assert table_NW.is_contiguous()
    return table_NW.data_ptr()
