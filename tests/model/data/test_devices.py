"""How many cores ranks use."""

import subprocess
import sys

from tests.servers.ranks import launcher

FIT = """
import horovod.torch as hvd, torch
from model.data import devices

hvd.init()
# A host of twice as many cores for the second rank: half of them is a rank's share.
devices.HOST_THREADS = 2 * (1 + hvd.rank())
torch.set_num_threads(1)
with devices.all_cores():
    print("FITS BY", torch.get_num_threads(), flush=True)
assert torch.get_num_threads() == 1
"""


def threads(ranks: int) -> list[str]:
    command = [*launcher(ranks), sys.executable, "-c", FIT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line.split()[-1] for line in done.stdout.splitlines() if "FITS BY" in line]


def test_one_rank_fits_by_all_cores():
    assert threads(1) == ["2"]


def test_ranks_of_unequal_hosts_fit_by_as_many_cores():
    assert threads(2) == ["1", "1"]
