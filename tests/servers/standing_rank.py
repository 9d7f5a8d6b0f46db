"""A rank that trains the specs of a folder, 1.json and so on, until one is null.

    horovodrun -np 2 python -m tests.servers.standing_rank FOLDER

What it prints goes to N.said-RANK. N.ended-RANK is written at the end of each: empty, or with the
sentence that it failed with.
"""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path

import horovod.torch as hvd

from model.settings import read_spec
from model.training.loop import train
from tests.servers.forked import say_into


def main() -> None:
    hvd.init()
    for number in itertools.count(1):
        file = Path(sys.argv[1]) / f"{number}.json"
        while not file.exists():
            time.sleep(0.01)
        if file.read_text() == "null":
            return
        say_into(file.with_suffix(f".said-{hvd.rank()}"))
        try:
            train(read_spec(file))
            failed = ""
        except (ValueError, OSError) as error:
            failed = str(error)
        sys.stdout.flush()
        file.with_suffix(f".ended-{hvd.rank()}").write_text(failed)


if __name__ == "__main__":
    main()
