"""What a person sees while ranks train: a bar on a terminal, lines in a log, TensorBoard curves."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

# In a log, a line within an epoch this often, in seconds.
LINE_SECONDS = 30.0
# Sweeps of a sampler are many, and each tells little.
SWEEP_LINE_SECONDS = 5.0
SHOWN = {
    "train_loss": "train loss",
    "validation_loss": "validation loss",
    "validation_rmse": "RMSE",
    "validation_ndcg": "NDCG@10",
}


class Reporter:
    """Speaks for rank 0; on other ranks it keeps silent."""

    def __init__(self, speaks: bool, epochs: int, rows: int) -> None:
        self.speaks, self.epochs, self.rows = speaks, epochs, rows
        console = Console(stderr=True)
        self.bar: Progress | None = None
        if speaks and console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("loss {task.fields[loss]:.4f}  {task.fields[rate]:>10,.0f} ratings/s"),
                TimeRemainingColumn(),
            )
            self.bar = Progress(*columns, console=console, transient=True)
            self.task = self.bar.add_task("training", total=epochs * rows, loss=0.0, rate=0.0)
            self.bar.start()
        self.started = self.lined = time.perf_counter()
        self.seen = 0

    def say(self, line: str) -> None:
        """Print a line, above the bar if there is one."""
        if self.speaks:
            if self.bar:
                self.bar.console.print(line, highlight=False, soft_wrap=True)
            else:
                print(line, flush=True)

    def advance(self, epoch: int, share: float, loss: float, rows: int) -> None:
        """Show that `rows` more ratings have been learned from, at this mean loss of the epoch."""
        if not self.speaks:
            return
        now = time.perf_counter()
        self.seen += rows
        rate = self.seen / (now - self.started)
        left = ((self.epochs - epoch + 1 - share) * self.rows) / rate
        if self.bar:
            name = f"epoch {epoch}/{self.epochs}"
            done = (epoch - 1 + share) * self.rows
            self.bar.update(self.task, completed=done, description=name, loss=loss, rate=rate)
        elif now - self.lined >= LINE_SECONDS:
            self.lined = now
            self.say(
                f"epoch {epoch:>3}/{self.epochs}  {share:4.0%}  train loss {loss:.4f}  "
                f"{rate:>10,.0f} ratings/s  at most {left:,.0f} s left"
            )

    def epoch(self, figures: dict[str, Any]) -> None:
        """A line for a finished epoch."""
        self.lined = time.perf_counter()
        self.say(
            f"epoch {figures['epoch']:>3}/{self.epochs}  {shown(figures, *SHOWN)}"
            f"{figures['ratings_per_second']:>10,} ratings/s  {figures['seconds']:.1f} s"
        )

    def sweep(self, figures: dict[str, Any], kept: int, left: float, last: bool) -> None:
        """Show a finished sweep, of whose draws so many are kept: in a log, now and then a line."""
        if not self.speaks:
            return
        name = f"sweep {figures['epoch']:>3}/{self.epochs}"
        if self.bar:
            done = figures["epoch"] * self.rows
            loss = figures.get("validation_loss", figures["train_loss"])
            rate = figures["ratings_per_second"]
            self.bar.update(self.task, completed=done, description=name, loss=loss, rate=rate)
        now = time.perf_counter()
        if last or now - self.lined >= SWEEP_LINE_SECONDS:
            self.lined = now
            self.say(
                f"{name}  {kept:>3} kept  {shown(figures, 'validation_rmse')}"
                f"{figures['ratings_per_second']:>10,} ratings/s  at most {left:,.0f} s left"
            )

    def close(self) -> None:
        """Take the bar away."""
        if self.bar:
            self.bar.stop()


def shown(figures: dict[str, Any], *keys: str) -> str:
    """Those that there are, by their names; where nothing is held back, there are no errors."""
    return "".join(f"{SHOWN[key]} {figures[key]:.4f}  " for key in keys if key in figures)


def write_events(folder: Path, history: list[dict[str, Any]]) -> None:
    """The curves of all epochs as a TensorBoard event file; an earlier attempt's is replaced."""
    from torch.utils.tensorboard import SummaryWriter

    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()
    with SummaryWriter(str(folder)) as writer:
        for figures in history:
            for name, value in figures.items():
                if name != "epoch":
                    writer.add_scalar(name, value, figures["epoch"])
