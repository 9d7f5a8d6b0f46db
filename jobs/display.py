"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
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
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH_WITHOUT_TERMINAL
    heading = Text(title) if title else None
    table = Table(title=heading, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for header in headers:
        justify: Literal["left", "right"] = "right" if header in numbers else "left"
        # A cell too long for the terminal goes on in the next line: nothing is cut off.
        table.add_column(Text(header), justify=justify, overflow="fold")
    for row in rows:
        # Text, because a title with [brackets] is no markup.
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console.print(table)


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
