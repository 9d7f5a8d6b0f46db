"""How a delivery of one's own lies in its files: as conf says, else told from them.

One table holds the ratings, another may hold the movies; each is Parquet, CSV or like it, in one
file or in parts.
"""

from __future__ import annotations

from pathlib import Path

from jobs.release.columns import Peeked, of_deletions
from jobs.release.layouts import ID_KINDS, Layout
from jobs.release.parquet_columns import PeekedParquet
from jobs.release.parts import Named, own_movies, own_ratings
from jobs.release.peeking import encoding_of, is_parquet
from jobs.runs.errors import JobError
from jobs.runs.settings.delivery import ColumnSettings, IngestSettings


def parquet(named: Named) -> bool:
    return is_parquet(named.paths[0])


def peeked(named: Named, separator: str | None) -> Peeked:
    """A table's columns and some of its rows, as its first file is written."""
    return PeekedParquet(named) if parquet(named) else Peeked(named, separator)


def own_layout(raw: Path, source: str, said: IngestSettings | None, scale: Layout | None) -> Layout:
    """The layout of somebody's own files; `scale` is another's whose ratings there are.

    Raises JobError that says what cannot be told, and which setting says it.
    """
    settings = said.columns if said else ColumnSettings()
    separator = said.separator if said else None
    files, titles = own_ratings(raw, source), own_movies(raw, source)
    ratings = peeked(files, separator)
    implicit = said.implicit if said else False
    if implicit is None and said:
        implicit = not said.rating_scale and ratings.lacks_ratings(settings)
    needed = ("user", "movie") if implicit else ("user", "movie", "rating")
    table, aside = ratings.table(needed, ("time", *of_deletions(settings)), settings)
    if of_deletions(settings) and "deleted" not in table.fields:
        raise JobError(
            f"{ratings.label} has no column {settings.deleted}, which ingest.columns.deleted names."
            f"{ratings.shown}"
        )
    declared = {"integer": "bigint", "string": "string"}.get(said.ids if said else "auto")
    user_ids, movie_ids = (declared or ratings.ids(table, name) for name in ("user_id", "movie_id"))
    movies = None
    if titles:
        # A number is that of the ratings' column.
        by_name = {"movie": None} if isinstance(settings.movie, int) else {}
        named = settings.model_copy(update=by_name)
        named_movies = peeked(titles, separator)
        movies, others = named_movies.table(("movie", "title"), ("genres",), named)
        aside = aside + others
        of_titles = declared or named_movies.ids(movies, "movie_id")
        movie_ids = max(movie_ids, of_titles, key=list(ID_KINDS).index)
    # Of Parquet, texts are always in UTF-8.
    text = next((each.paths for each in (titles, files) if each and not parquet(each)), None)
    asked = said.time if said else None
    low_high = said.rating_scale if said else None
    if implicit:
        low_high = (1.0, 1.0)
    return Layout(
        table,
        movies,
        None,
        encoding=encoding_of(*text) if text else "UTF-8",
        rating_step=scale.rating_step if scale and not low_high else None,
        rating_range=low_high or (scale.rating_range if scale else None),
        time=(asked or ratings.time(table)) if "timestamp" in table.fields else "none",
        own=True,
        aside=tuple(aside),
        user_ids=user_ids,
        movie_ids=movie_ids,
    )
