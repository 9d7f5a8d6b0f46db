"""The device that a task scores on: a processor core, or a GPU of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from pyspark import TaskContext

from jobs.errors import JobError
from jobs.locks import exclusive


@contextmanager
def task_device(wanted: str) -> Iterator[str]:
    """Yield cpu, or a GPU that no other task of the host uses meanwhile.

    Spark says which GPU where it hands them out (spark.task.resource.gpu.amount); else tasks take
    turns. `auto` is a GPU where there is one. Raises JobError if cuda is wanted and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise JobError("score.device is cuda, but torch finds no GPU here. Set it to auto or cpu.")
    if wanted == "cpu" or not torch.cuda.is_available():
        yield "cpu"
        return
    context = TaskContext.get()
    handed_out = context.resources().get("gpu") if context else None
    if handed_out:
        yield f"cuda:{handed_out.addresses[0]}"
        return
    number = (context.partitionId() if context else 0) % torch.cuda.device_count()
    lock = Path(tempfile.gettempdir()) / f"nightreel-cuda-{number}.lock"
    with exclusive(lock, "another task to leave the GPU"):
        yield f"cuda:{number}"
