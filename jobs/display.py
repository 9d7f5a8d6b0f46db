"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from jobs.published import Recommendation

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
        console.print(Text(f"No rows. Their columns: {', '.join(headers)}"))
    for number, row in enumerate(rows, 1):
        block = Table.grid("", "", padding=(0, 2))
        for header, cell in zip(headers, row, strict=True):
            block.add_row(Text(header), text(cell))
        console.print(Text(f"Row {number}", "bold"), block, "", sep="\n")


def terminal() -> Console:
    """What is printed on."""
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH_WITHOUT_TERMINAL
    return console


def text(cell: object) -> Text:
    """A cell as it is: a title with [brackets] is no markup."""
    return Text("" if cell is None else str(cell))


def table_of(
    title: str,
    headers: Sequence[str],
    rows: Iterable[Sequence[object]],
    numbers: Collection[str],
) -> Table:
    heading = Text(title) if title else None
    table = Table(title=heading, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for header in headers:
        justify: Literal["left", "right"] = "right" if header in numbers else "left"
        # A cell too long for the terminal goes on in the next line: nothing is cut off.
        table.add_column(Text(header), justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*map(text, row))
    return table


def show_recommendations(title: str, rows: Sequence[Recommendation]) -> None:
    """Print one user's recommendations, best first; with what ranks them, if it is damped."""
    damped = any(row.ranking_score is not None for row in rows)
    cells = (
        (
            row.rank,
            row.movie_id,
            row.title,
            ", ".join(row.genres or []),
            f"{row.predicted_rating:.2f}",
            *([] if row.ranking_score is None else [f"{row.ranking_score:.2f}"]),
            row.source,
        )
        for row in rows
    )
    headers = ["Rank", "Movie", "Title", "Genres", "Predicted", "Score", "Source"]
    if not damped:
        headers.remove("Score")
    show_table(title, headers, cells, numbers={"Rank", "Movie", "Predicted", "Score"})
