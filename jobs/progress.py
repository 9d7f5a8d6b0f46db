"""Show how far a transfer is: a moving bar on a terminal, a line for every tenth in a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn


@contextmanager
def show_transfer(name: str, have: int, total: int | None) -> Iterator[Callable[[int], None]]:
    """Yield the function to call with the number of bytes that came; `have` lay there before."""
    console = Console(stderr=True)
    if console.is_terminal:
        columns = (DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with Progress(*Progress.get_default_columns()[:2], *columns, console=console) as bar:
            task = bar.add_task(name, completed=have, total=total)
            yield lambda count: bar.advance(task, count)
        return
    every = max((total or 160 << 20) // 10, 1 << 20)
    done = have

    def advance(count: int) -> None:
        nonlocal done
        if (done + count) // every > done // every:
            whole = f" of {total / 1e6:.0f}" if total else ""
            print(f"ingest: {name}: {(done + count) / 1e6:.0f}{whole} MB", flush=True)
        done += count

    yield advance
