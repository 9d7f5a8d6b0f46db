"""Which device and how many cores a rank computes on, and what fits there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import horovod.torch as hvd
import torch

from model.data.ratings import Ratings

# As many as there are cores, or as OMP_NUM_THREADS says.
HOST_THREADS = torch.get_num_threads()


def pick_device() -> torch.device:
    """This rank's GPU where there is one; else the CPU, by one core but in `all_cores`.

    A step is so small that more threads wait for one another longer than they work, and much
    longer on a busy machine: more cores are for more ranks. Raises ValueError if ranks outnumber
    the GPUs.
    """
    if torch.cuda.is_available() and not hvd.nccl_built() and hvd.size() > 1:
        if hvd.rank() == 0:
            print(
                "There is a GPU, but this Horovod has no NCCL to use it with several ranks: "
                "training on the CPU. To build it anew, with nvcc and NCCL: "
                "rm .venv/.ready && make environments",
                flush=True,
            )
    elif torch.cuda.is_available():
        if hvd.local_size() > torch.cuda.device_count():
            raise ValueError(
                f"{hvd.local_size()} ranks on a host with {torch.cuda.device_count()} GPU(s): each "
                "rank needs its own. Lower train.ranks, or hide the GPUs: CUDA_VISIBLE_DEVICES=''"
            )
        torch.cuda.set_device(hvd.local_rank())
        return torch.device("cuda", hvd.local_rank())
    torch.set_num_threads(1)
    return torch.device("cpu")


@contextmanager
def all_cores() -> Iterator[None]:
    """For work on large matrices, which gains by threads: each rank's share of its host's cores.

    All ranks take as many: a sum is rounded by how it is shared out, and what ranks solve for by
    themselves has to be the same on all of them. Every rank calls it.
    """
    before, share = torch.get_num_threads(), max(1, HOST_THREADS // hvd.local_size())
    if hvd.size() > 1:
        share = int(hvd.allgather(torch.tensor([share]), name="cores").min())
    torch.set_num_threads(share)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def place(ratings: Ratings, device: torch.device) -> Ratings:
    """The ratings on the device if they take at most half of its free memory; else pinned."""
    if device.type == "cpu":
        return ratings
    size = sum(column.nbytes for column in ratings.columns)
    if size <= torch.cuda.mem_get_info(device)[0] // 2:
        return ratings.to(device)
    return ratings.pinned()
