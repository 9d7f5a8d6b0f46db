"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.published import Recommendation

# In a file or a pipe there is no terminal to ask; titles and genres fit into this.
WIDTH_WITHOUT_TERMINAL = 130


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
    table = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD, title_style="bold")
    for header in headers:
        table.add_column(Text(header), justify="right" if header in numbers else "left")
    for row in rows:
        # Text, because a title with [brackets] is no markup.
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console.print(table)


def show_recommendations(title: str, rows: Iterable[Recommendation]) -> None:
    """Print one user's recommendations, best first."""
    cells = (
        (
            row.rank,
            row.movie_id,
            row.title,
            ", ".join(row.genres or []),
            f"{row.predicted_rating:.2f}",
            row.source,
        )
        for row in rows
    )
    headers = ["Rank", "Movie", "Title", "Genres", "Predicted", "Source"]
    show_table(title, headers, cells, numbers={"Rank", "Movie", "Predicted"})
