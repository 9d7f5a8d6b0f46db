"""Checkpoints of a training: what an attempt that was killed leaves to the next.

A file is a line with the SHA-256 of all that follows, then torch's serialisation. It is written
under a temporary name, forced to disk and renamed, and the one before it is kept: at no moment is
there no whole checkpoint, and one that is not whole is never loaded.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from model.files import make_folder, sync

LATEST, PREVIOUS, PARTIAL = "latest.pt", "previous.pt", ".partial.pt"


def save_checkpoint(folder: Path, state: dict[str, Any], say: Callable[[str], None]) -> bool:
    """Keep a state of tensors, numbers and texts; whether it could be kept.

    When the disk is full or refuses, says so and leaves the earlier checkpoints as they are.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getbuffer()
    partial = folder / PARTIAL
    try:
        make_folder(folder)
        with partial.open("wb") as file:
            file.write(hashlib.sha256(content).hexdigest().encode() + b"\n")
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if (folder / LATEST).exists():
            (folder / LATEST).replace(folder / PREVIOUS)
        partial.replace(folder / LATEST)
        sync(folder)
    except OSError as error:
        # Where nothing can be written, nothing may be removed either.
        with suppress(OSError):
            partial.unlink()
        say(
            f"no checkpoint could be written to {folder}: {error.strerror}. Training goes on; if "
            "it is killed, it goes on from the checkpoint before this one, if there is one."
        )
        return False
    return True


def load_checkpoint(
    folder: Path, fingerprint: str, say: Callable[[str], None]
) -> dict[str, Any] | None:
    """The newest whole checkpoint of the training with this fingerprint; None if there is none.

    Says which checkpoints are passed over, and why.
    """
    for name in (LATEST, PREVIOUS):
        file = folder / name
        if not file.exists():
            continue
        digest, _, content = file.read_bytes().partition(b"\n")
        if hashlib.sha256(content).hexdigest().encode() != digest:
            say(f"{file} is not whole and is passed over.")
            continue
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        if state["fingerprint"] != fingerprint:
            say(f"{file} is of other settings or other data and is passed over.")
            continue
        return state
    return None
