"""What commands show on a terminal or in a log: tables and transfers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.progress import DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from jobs.runs.text import visible

# In a file or a pipe, lines are as long as they need to be.
WIDTH_WITHOUT_TERMINAL = 10_000


def show_table(
    title: str,
    headers: Sequence[str],
    rows: Iterable[Sequence[object]],
    numbers: Collection[str] = (),
) -> None:
    """Print rows; columns in `numbers` stand to the right. None is an empty cell."""
    terminal().print(table_of(title, headers, rows, numbers))


def show_rows(headers: Sequence[str], rows: Sequence[Sequence[object]], numbers: set[str]) -> None:
    """Print rows as a table or, where one would be too wide, each as a block of lines."""
    console = terminal()
    table = table_of("", headers, rows, numbers)
    unbounded = console.options.update(width=1_000_000)
    if Measurement.get(console, unbounded, table).maximum <= console.width:
        console.print(table)
        return
    if not rows:
        console.print(text(f"No rows. Their columns: {', '.join(headers)}"))
    for number, row in enumerate(rows, 1):
        block = Table.grid("", "", padding=(0, 2))
        for header, cell in zip(headers, row, strict=True):
            block.add_row(text(header), text(cell))
        console.print(Text(f"Row {number}", "bold"), block, "", sep="\n")


def terminal() -> Console:
    """What is printed on."""
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH_WITHOUT_TERMINAL
    return console


def text(cell: object) -> Text:
    """A cell as it is: a title with [brackets] is no markup, and no control of the terminal."""
    return Text("" if cell is None else visible(str(cell)))


def table_of(
    title: str,
    headers: Sequence[str],
    rows: Iterable[Sequence[object]],
    numbers: Collection[str],
) -> Table:
    heading = text(title) if title else None
    table = Table(title=heading, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for header in headers:
        justify: Literal["left", "right"] = "right" if header in numbers else "left"
        # A cell too long for the terminal goes on in the next line: nothing is cut off.
        table.add_column(text(header), justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*map(text, row))
    return table


@contextmanager
def show_transfer(
    step: str, name: str, have: int, total: int | None
) -> Iterator[Callable[[int], None]]:
    """Yield the function to call with the number of bytes that came; `have` lay there before.

    In a log, lines begin with the step's name.
    """
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
            print(f"{step}: {name}: {(done + count) / 1e6:.0f}{whole} MB", flush=True)
        done += count

    yield advance
