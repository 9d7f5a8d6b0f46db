"""Which movies may be recommended: the filters of the section `score` of conf.

A filter looks at the clean data of a run, so a run's filters give the same movies whenever they are
applied: `check` and `rescore` do so to refuse what cannot be meant, `score` to narrow what it
ranks, and the audit of `publish` to see that nothing else is recommended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from jobs.engines.duck import open_tables
from jobs.runs.errors import JobError
from jobs.runs.run import Run
from jobs.runs.settings.scoring import ScoreSettings
from jobs.scoring.given_ids import unknown_ids
from model.factors import Factors

# What the source calls a movie.
GIVEN = "coalesce(source_movie_id, movie_id::varchar)"
# The condition, in DuckDB's SQL, under which each filter takes a movie away; in this order.
CONDITIONS = {
    "genres_in": "not list_has_any(coalesce(genres, []), $genres_in)",
    "genres_out": "list_has_any(coalesce(genres, []), $genres_out)",
    "year_from": "year is null or year < $year_from",
    "year_to": "year is null or year > $year_to",
    "min_ratings": "ratings < $min_ratings",
    "block_list": f"{GIVEN} in (select unnest($block_list))",
}

SOME_GENRES = "select 1 from movies where len(genres) > 0 limit 1"


@dataclass(frozen=True)
class Allowed:
    """What the filters leave."""

    movie_ids: NDArray[np.int32]
    """Ascending."""
    catalogue: int
    """All movies of the data."""
    removed: dict[str, int]
    """Movies that each filter in use took away, of those that the filters before it had left."""


def in_use(settings: ScoreSettings) -> dict[str, Any]:
    """The filters that are set, and their values."""
    values = {name: getattr(settings, name) for name in CONDITIONS}
    values["block_list"] = list(map(str, settings.block_list))
    return {name: value for name, value in values.items() if value not in (None, [], 0)}


def allowed(tables: duckdb.DuckDBPyConnection, settings: ScoreSettings, release: str) -> Allowed:
    """Apply the filters to the views `movies` and `ratings`.

    Raises JobError, saying what there is, for genres and blocked movies that the release does not
    have, and if no movie is left.
    """
    filters = in_use(settings)
    refuse_unknown(tables, settings, release)
    cases = " ".join(f"when {CONDITIONS[name]} then '{name}'" for name in filters)
    case = f"case {cases} else '' end" if cases else "''"
    # Tens of millions of ratings are counted only for whoever asks.
    rows = "(select *, 0 as ratings from movies)"
    if settings.min_ratings:
        counts = "(select movie_id, count(*) n from ratings group by all)"
        rows = f"(select movies.*, coalesce(n, 0) as ratings from movies left join {counts} "
        rows += "using (movie_id))"
    found = tables.execute(
        f"select movie_id, {case} as removed_by from {rows} order by movie_id", filters
    ).fetchnumpy()
    removed_by = found["removed_by"]
    removed = {name: int((removed_by == name).sum()) for name in filters}
    movie_ids = found["movie_id"][removed_by == ""]
    if not len(movie_ids):
        counts = ", ".join(f"{name} takes away {count:,}" for name, count in removed.items())
        raise JobError(
            f"The filters leave none of the {len(removed_by):,} movies of release {release} to "
            f"recommend: {counts}. They are settings of score in conf, or parameters of the run."
        )
    return Allowed(movie_ids.astype(np.int32), len(removed_by), removed)


def refuse_unknown(
    tables: duckdb.DuckDBPyConnection, settings: ScoreSettings, release: str
) -> None:
    """Raise JobError for a genre or a blocked movie that the release does not have.

    Also where lists are to be chosen by genres, and it has none.
    """
    filters = in_use(settings)
    for key in [name for name in ("genres_in", "genres_out") if name in filters]:
        genres = tables.sql("select distinct unnest(genres) as name from movies order by name")
        known = [name for (name,) in genres.fetchall()]
        if unknown := [name for name in filters[key] if name not in known]:
            raise JobError(
                f"score.{key}: release {release} has no genre {', '.join(unknown)}. "
                f"Its genres: {', '.join(known)}. Settings are fixed at ingest: begin there "
                f"again, with --set score.{key}=[...]."
            )
    if settings.by_genres and not tables.execute(SOME_GENRES).fetchone():
        raise JobError(
            f"score.{' and score.'.join(settings.by_genres)}: lists are chosen by the genres of "
            f"movies, and release {release} has none. Leave this out."
        )
    if "block_list" in filters:
        query = f"select id from (select unnest(?) id) anti join movies on id = {GIVEN}"
        query += " order by try_cast(id as bigint), id"
        found = tables.execute(query, [filters["block_list"]])
        strange = [row[0] for row in found.fetchall()]
        if strange:
            raise JobError(f"score.block_list: {unknown_ids(strange, 'movie', release)}")


def trained_movies(factors: Factors, movie_ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """Those of the movies that a model has learned from ratings; the others are new to it."""
    return movie_ids[factors.learned_movies(movie_ids) >= 0]


def allowed_movies(run: Run) -> Allowed:
    """The movies that the filters of a run leave of its data."""
    with open_tables({name: run.data(name) for name in ("movies", "ratings")}) as tables:
        return allowed(tables, run.conf.score, run.release)
