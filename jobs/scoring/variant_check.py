"""All that must hold of what a run has scored before anybody may read it."""

from __future__ import annotations

from jobs.engines.duck import add_view, duckdb_columns, no_rows, open_tables
from jobs.published.audit import ToPublish, add_shown, audit, challengers_in_sql
from jobs.runs import schemas
from jobs.runs.run import Run
from jobs.scoring.chosen_check import check_chosen
from jobs.scoring.filters import allowed_movies
from jobs.scoring.folded_check import check_folded_in
from jobs.scoring.models import Models
from jobs.scoring.new_movies import ids_of_new
from jobs.scoring.similar_check import SimilarToPublish, check_similar
from jobs.scoring.variants import CHAMPION, output_of


def check_variant(run: Run, models: Models, variant: str) -> list[str]:
    """Make all checks of what a variant has scored by these models; returns their names.

    Raises JobError with the first that fails.
    """
    data = to_audit(run, models, variant)
    checks = audit(data) + check_folded_in(run, models, variant) + check_chosen(run, models, data)
    # Similar movies are the champions'.
    if run.users is None and variant == CHAMPION:
        checks += check_similar(similar_to_audit(run, models, data))
    return checks


def to_audit(run: Run, models: Models, variant: str = CHAMPION) -> ToPublish:
    """What a variant has scored by these models, and what that is checked against."""
    clean = {name: run.data(name) for name in ("ratings", "movies")}
    tables = open_tables(clean, scratch=run.staging)
    written = schemas.PUBLISHED["recommendations"]
    add_view(tables, "written", run.output(output_of(run, variant)), *written)
    add_view(tables, "everybody", run.data("users"), schemas.USERS)
    chosen, rows = "from everybody", "from written"
    if run.conf.score.shares_users:
        # By the users, not by what rows say: that is checked.
        share = challengers_in_sql(run.conf.score.challenger_share)
        tables.execute(f"create view theirs as select user_id from everybody where {share}")
        join = "anti" if variant == CHAMPION else "semi"
        chosen, rows = (f"{of} {join} join theirs using (user_id)" for of in (chosen, rows))
    if run.users is not None:
        chosen += f" where list_contains({list(run.users)}, user_id)"
    tables.execute(f"create view users as {chosen}")
    tables.execute(f"create view recommendations as {rows}")
    if run.conf.score.candidates:
        add_view(tables, "candidates", run.output("candidates"), schemas.CANDIDATES)
    else:
        tables.execute(f"create view candidates as {no_rows(duckdb_columns(schemas.CANDIDATES))}")
    score = run.conf.score
    add_shown(tables, run.warehouse, run.release, run.ds, score.repeat_after)
    return ToPublish(
        tables=tables,
        ds=run.ds,
        top_k=None if score.top_k == "all" else score.top_k,
        movie_ids=models.known(allowed_movies(run).movie_ids),
        rating_range=run.rating_range,
        variant=variant,
        model_version=models.rating.version,
        order_version=models.order.version if models.order else None,
        implicit=run.implicit,
        by_score=not (score.diversity or score.calibration),
        genre_cap=score.genre_cap,
        new_movies=score.new_movies,
        new_ids=ids_of_new(run, models),
    )


def similar_to_audit(run: Run, models: Models, data: ToPublish) -> SimilarToPublish:
    """The similar movies of a run by these models, and what they are checked against."""
    similar = schemas.PUBLISHED["similar_movies"]
    add_view(data.tables, "similar_movies", run.output("similar_movies"), *similar)
    return SimilarToPublish(
        tables=data.tables,
        ds=run.ds,
        top=run.conf.score.similar,
        movie_ids=data.movie_ids,
        models=models.all,
        model_version=models.named,
    )
