"""What ranks tell each other in a step: gradients of a whole table, or of touched rows."""

from __future__ import annotations

from collections.abc import Iterator

import horovod.torch as hvd
import torch
from torch import Tensor

from model.data.collectives import alone, finish, sum_over_ranks

ROWS_OF_ROOM = 256
NUMBER_BYTES, NO_ROW = 4, 255
"""Of a row's number, and what each of them is where there is no row: -1 in all."""
COMPRESSED = {"none": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class Exchange:
    """Sums of gradients over all ranks, sent in the chosen precision; adds up what it sends.

    A row of the table that one rank's ratings alone touch is that rank's own: it moves it alone,
    and tells the others where it has got to at the end of an epoch. As etl deals users to ranks,
    all users' rows are; then only movies' gradients travel in a step.
    """

    def __init__(self, compression: str, touched_N: Tensor | None = None) -> None:
        """`touched_N`: the rows that this rank's ratings touch; a rank that is alone needs none."""
        self.dtype = COMPRESSED[compression]
        # Means over a batch are small: in float16 they would lose digits near its smallest number.
        self.scale = 256.0 if compression == "fp16" else 1.0
        self.bytes_sent, self.room = 0, ROWS_OF_ROOM
        if touched_N is not None and not alone():
            ranks_N = sum_over_ranks(touched_N.int())
            self.shared_N = ranks_N > 1
            # Of every row one rank tells where it is: who owns it, else the first.
            self.told_N = torch.where(ranks_N == 1, touched_N, hvd.rank() == 0)
            self.row_S = self.shared_N.nonzero()[:, 0]

    def add_up(self, gradient_NW: Tensor) -> None:
        """Replace the shared rows of a whole table's gradient by their sums over ranks."""
        if alone():
            return
        shared_SW = self.sum(gradient_NW.index_select(0, self.row_S))
        gradient_NW.index_copy_(0, self.row_S, shared_SW)

    def sum(self, gradient_SW: Tensor) -> Tensor:
        """The sum of a gradient over ranks."""
        self.bytes_sent += gradient_SW.numel() * self.dtype.itemsize
        if self.dtype == torch.float32:
            return finish(hvd.allreduce_async_(gradient_SW, op=hvd.Sum, name="table"))
        # Horovod adds up no bfloat16, and float16 on a CPU number by number.
        sent_SW = (gradient_SW * self.scale).to(self.dtype)
        gathered = finish(hvd.allgather_async(sent_SW.view(torch.uint8), name="table"))
        gathered = gathered.view(self.dtype).view(hvd.size(), *gradient_SW.shape)
        return gathered.float().sum(0).div_(self.scale)

    def gather_rows(self, row_D: Tensor, gradient_DW: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Parts of all ranks' rows, none of them in two parts, with the sums of their gradients.

        Of this rank's own rows the part comes at once, while the others' are on their way. Row
        numbers travel in front of their gradients, so that a step is one allgather. Every rank
        adds the same numbers in the same order, and shared rows stay equal to the last bit.
        """
        if alone():
            yield row_D, gradient_DW
            return
        shared_D = self.shared_N[row_D]
        own_D, own_DW = row_D[~shared_D], gradient_DW[~shared_D]
        row_D, gradient_DW = row_D[shared_D], gradient_DW[shared_D]
        # As bytes, which every one of Horovod's transports takes. Ranks agree on the sizes of what
        # they send only when these change, which takes as long again: there is room to spare.
        self.room = max(self.room, -(-len(row_D) // ROWS_OF_ROOM) * ROWS_OF_ROOM)
        values = (gradient_DW * self.scale).to(self.dtype).view(torch.uint8)
        sent = values.new_full((self.room, NUMBER_BYTES + values.shape[1]), NO_ROW)
        sent[: len(row_D), :NUMBER_BYTES] = row_D.to(torch.int32)[:, None].view(torch.uint8)
        sent[: len(row_D), NUMBER_BYTES:] = values
        self.bytes_sent += sent.numel()
        handle = hvd.allgather_async(sent, name="rows")
        yield own_D, own_DW
        gathered = finish(handle)
        row_E = gathered[:, :NUMBER_BYTES].contiguous().view(torch.int32)[:, 0].long()
        gathered, row_E = gathered[row_E >= 0], row_E[row_E >= 0]
        gradient_EW = gathered[:, NUMBER_BYTES:].contiguous().view(self.dtype).float() / self.scale
        yield sum_rows(row_E, gradient_EW)

    def synchronise(self, tables: list[Tensor]) -> None:
        """Bring all rows of these tables, of one shape, to where their owners have them."""
        if alone():
            return
        for table_NW in tables:
            table_NW.masked_fill_(~self.told_N[:, None], 0)
            self.bytes_sent += table_NW.numel() * table_NW.element_size()
            finish(hvd.allreduce_async_(table_NW, op=hvd.Sum, name="told"))


class NoExchange(Exchange):
    """Of a rank that works on rows which no other touches meanwhile."""

    def __init__(self) -> None:
        super().__init__("none")

    def add_up(self, gradient_NW: Tensor) -> None:
        """All there is."""

    def gather_rows(self, row_D: Tensor, gradient_DW: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """This rank's rows."""
        yield row_D, gradient_DW


def sum_rows(row_C: Tensor, gradient_CW: Tensor) -> tuple[Tensor, Tensor]:
    """The D different rows, ascending, and the sum of the gradients of each."""
    row_D, place_C = torch.unique(row_C, return_inverse=True)
    gradient_DW = gradient_CW.new_zeros(len(row_D), gradient_CW.shape[1])
    return row_D, gradient_DW.index_add_(0, place_C, gradient_CW)
