"""The rows that a rank works on in strata, and how it hands them on (model/data/strata.py).

Users' rows stay; those of movies, weights and moments, come from the rank after this one and go to
the one before it, once in each part of an epoch. Nothing else travels until the epoch ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import horovod.torch as hvd
import torch
from torch import Tensor

from model.data.collectives import finish
from model.data.dataset import Counts
from model.data.strata import Strata
from model.training.optimisers import Optimiser


class Turns:
    """A rank's own table, of its users and of the movies of one block, beside the table of all."""

    def __init__(self, strata: Strata, counts: Counts, shared_NW: Tensor, batch_size: int) -> None:
        """`shared_NW` is the table of all: users, then movies."""
        self.strata, self.batch_size = strata, batch_size
        self.rank, self.ranks = hvd.rank(), hvd.size()
        self.table_NW, users, device = shared_NW, len(counts.user_U), shared_NW.device
        own_R = counts.touched_N[:users].nonzero()[:, 0]
        self.users = len(own_R)
        row_BS = [users + (strata.block_M == b).nonzero()[:, 0] for b in range(self.ranks)]
        self.slots = max(map(len, row_BS))
        """Movies of a block, at most."""
        self.row_BR = [torch.cat([own_R, row_S]).to(device) for row_S in row_BS]
        """Of each block, the rows of the table of all that this rank's table then holds."""
        place_N = torch.zeros(len(shared_NW), dtype=torch.int32)
        place_N[own_R] = torch.arange(self.users, dtype=torch.int32)
        for row_S in row_BS:
            place_N[row_S] = torch.arange(len(row_S), dtype=torch.int32)
        self.user_U, self.movie_M = place_N.to(device).tensor_split([users])
        """Where a user's row lies in it, and a movie's among the movies."""
        self.nobody_R = (counts.user_U == 0).nonzero()[:, 0].to(device)
        """Users without ratings."""
        self.held: int | None = None
        """The block that is here; None before the first step."""
        self.planned: tuple[int, list[int]] = (0, [])
        self.saved: dict[str, Any] | None = None
        """The optimiser's state over the table of all, of a checkpoint."""
        self.bytes_sent = 0

    def places(self, user_B: Tensor, movie_B: Tensor) -> tuple[Tensor, Tensor]:
        """Where these users and movies, which are here, lie in the rank's own table."""
        return self.user_U.index_select(0, user_B), self.movie_M.index_select(0, movie_B)

    def take(self, local_RW: Tensor, optimiser: Optimiser, epoch: int, number: int) -> None:
        """Have the block of this step here, before it; every rank comes here for every step."""
        if self.planned[0] != epoch:
            self.planned = epoch, self.strata.blocks(epoch, self.batch_size, self.rank)
        block = self.planned[1][number]
        if self.held is None:
            self.held = block
            self.load(local_RW, optimiser)
        while self.held != block:
            self.hand_on([local_RW, *optimiser.moment_tables()])

    def load(self, local_RW: Tensor, optimiser: Optimiser) -> None:
        """Begin with the rows of the table of all, and with moments that a checkpoint held."""
        self.fill(local_RW, self.table_NW)
        if self.saved is not None:

            def here(saved_NW: Tensor) -> Tensor:
                own_RW = torch.zeros_like(local_RW)
                self.fill(own_RW, saved_NW.to(own_RW.device))
                return own_RW

            shape = self.table_NW.shape
            optimiser.load_state_dict(with_tables(self.saved, shape, here))

    def fill(self, local_RW: Tensor, all_NW: Tensor) -> None:
        """Copy the rows that belong here."""
        assert self.held is not None
        row_R = self.row_BR[self.held]
        local_RW[: len(row_R)] = all_NW[row_R]

    def hand_on(self, tables: list[Tensor]) -> None:
        """Give the movies' rows to the rank before this one, and get those of the one after it."""
        assert self.held is not None
        block_SX = torch.cat([table_RW[self.users :] for table_RW in tables], 1)
        splits = torch.zeros(self.ranks, dtype=torch.int32)
        splits[(self.rank - 1) % self.ranks] = len(block_SX)
        got_SX, _ = finish(hvd.alltoall_async(block_SX, splits, name="block"))
        parts = got_SX.chunk(len(tables), 1)
        for table_RW, part_SW in zip(tables, parts, strict=True):
            table_RW[self.users :] = part_SW
        self.held = (self.held + 1) % self.ranks
        self.bytes_sent += block_SX.numel() * block_SX.element_size()

    def tell(self, local_RW: Tensor) -> None:
        """Bring the table of all to where its rows have got to, on every rank."""
        if self.held is not None:
            self.table_NW.copy_(self.gathered(local_RW, self.table_NW))

    def tell_moments(self, local_RW: Tensor, optimiser: Optimiser) -> None:
        """The same of moments, into `saved`."""
        if self.held is not None:
            self.saved = with_tables(optimiser.state_dict(), local_RW.shape, self.gathered)

    def gathered(self, local_RW: Tensor, rest_NW: Tensor | None = None) -> Tensor:
        """All rows of a table, from the ranks that hold them; those of nobody as in `rest_NW`."""
        assert self.held is not None
        row_R, all_NW = self.row_BR[self.held], torch.zeros_like(self.table_NW)
        all_NW[row_R] = local_RW[: len(row_R)]
        if rest_NW is not None and self.rank == 0:
            all_NW[self.nobody_R] = rest_NW[self.nobody_R]
        self.bytes_sent += all_NW.numel() * all_NW.element_size()
        return finish(hvd.allreduce_async_(all_NW, op=hvd.Sum, name="told"))

    def restart(self, saved: dict[str, Any]) -> None:
        """Go on from the table of all and from this state of the optimiser over it."""
        self.held, self.saved = None, saved


def with_tables(state: Any, shape: torch.Size, change: Callable[[Tensor], Tensor]) -> Any:
    """A nested state in which every table of this shape is replaced."""
    if isinstance(state, dict):
        return {key: with_tables(value, shape, change) for key, value in state.items()}
    if isinstance(state, list):
        return [with_tables(value, shape, change) for value in state]
    if isinstance(state, Tensor) and state.shape == shape:
        return change(state)
    return state
