"""Audit a run's recommendations, then show them, and the clean tables, to readers.

    nightreel publish --run-id <run>

All tables are shown at once: the row in `runs` comes last and names the version of every other,
which readers take from there. A failed audit publishes nothing, and a publish that fails or is
killed changes nothing that they see. Running it again replaces what this run published. Where a
newer run stands for the date, it is refused.

`movies`, `users` and `ratings` are those of the newest date: a run of an earlier one leaves them.
A run that scores chosen users keeps what is published for the others.

What was committed is then copied to the places that `publish` in conf names: jobs/sinks/sinks.py.
"""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from jobs.engines.duck import (
    add_view,
    copy,
    duckdb_columns,
    no_rows,
    open_tables,
    parquet_files,
    quoted,
    write_few_rows,
)
from jobs.published.audit import (
    ToPublish,
    add_shown,
    audit,
    challengers_in_sql,
    require_nobody_erased,
)
from jobs.published.commit import commit, lists, versions_after, with_others
from jobs.published.delta import is_published, open_table
from jobs.published.parquet import ROWS_OF_GROUP, read_footer
from jobs.published.runs_table import newer_run, releases_of
from jobs.published.views import view_of
from jobs.published.whole import in_json, publishing
from jobs.release.detection import detect_layout
from jobs.release.leave_out import lines_naming
from jobs.runs import schemas
from jobs.runs.code import code_version
from jobs.runs.command import refuse_future, run_command, step_arguments
from jobs.runs.erased import erased_users
from jobs.runs.errors import JobError
from jobs.runs.evaluation import Evaluation
from jobs.runs.run import Run, run_of
from jobs.scoring.chosen_check import check_chosen
from jobs.scoring.filters import allowed_movies
from jobs.scoring.folded_check import check_folded_in
from jobs.scoring.models import Models
from jobs.scoring.new_movies import ids_of_new
from jobs.scoring.similar_check import SimilarToPublish, check_similar
from jobs.scoring.variants import CHALLENGER, CHAMPION, models_beside, output_of
from jobs.sinks.sinks import copy_all, sinks_of
from jobs.training.promotion import may_crown
from jobs.training.registry import Registry


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


def runs_row(run: Run, started: float, versions: dict[str, int]) -> tuple[object, ...]:
    """The run's row in `runs`; this step, begun at `started`, counts until now."""
    before = [run.record(step) for step in run.steps() if step not in ("publish", "promote")]
    etl = run.etl_figures
    evaluation = run.evaluation if run.trains else None
    own = evaluation.errors if evaluation else {}
    row = {
        "run_id": run.run_id,
        "ds": run.ds,
        "release": run.release,
        **{name: etl[name] for name in ("ratings", "users", "movies", "quarantined")},
        "model_version": run.model_version,
        "promoted": bool(evaluation and evaluation.promoted and may_crown(Registry.of(run), run)),
        "test_rmse": own.get("test_rmse"),
        "test_mae": own.get("test_mae"),
        "rows_published": run.record("score")["rows"],
        "seconds": sum(record["seconds"] for record in before) + time.perf_counter() - started,
        "finished_at": datetime.now(UTC),
        "candidate_version": evaluation.candidate_version if evaluation else None,
        "users_scored": None if run.users is None else len(run.users),
        "validation_rmse": own.get("validation_rmse"),
        "damping": run.conf.score.damping,
        "lower_bound": run.record("score").get("lower_bound"),
        "started_at": run.started_at,
        "data_run": run.data_run,
        "versions": in_json(versions),
        **of_order(run, evaluation),
        "refit_ratings": run.record("score").get("refit_ratings"),
        "digest": run.digest,
        "code_version": code_version(),
    }
    return tuple(row[name] for name in schemas.columns_of(schemas.RUNS))


def of_order(run: Run, evaluation: Evaluation | None) -> dict[str, Any]:
    """What the row says of the models that order movies."""
    own = evaluation.order if evaluation else None
    return {
        "order_version": run.order_version,
        "order_candidate_version": own and own.candidate_version,
        "ndcg_10": own and own.ndcg_10["model"],
        "hr_10": own and own.hr_10["model"],
    }


def merge_others(run: Run, name: str, scored: str) -> None:
    """Write what a table gets: the chosen users' rows, and those published for others of that date.

    `scored` is the output that has the chosen users'.
    Raises JobError if nothing is published for the date, or another release's.
    """
    assert run.users is not None
    tables = open_tables({}, scratch=run.staging)
    add_view(tables, "chosen", run.output(scored), *schemas.PUBLISHED[name])
    of_date = f"ds = {quoted(run.ds.isoformat())}"
    columns = schemas.columns_of(schemas.RECOMMENDATIONS)
    nothing = f"Nothing is published for {run.ds} in {name} yet: score all users, without --users."
    if not is_published(run.warehouse, name):
        raise JobError(nothing)
    table = open_table(run.warehouse, name)
    published = f"({view_of(tables, table, columns, of_date)}) where {of_date}"
    run_ids = tables.execute(f"select distinct run_id from {published}").fetchall()
    if not run_ids:
        raise JobError(nothing)
    releases = releases_of(run.warehouse, [run_id for (run_id,) in run_ids])
    if releases != {run.release}:
        raise JobError(
            f"What is published for {run.ds} is of release {', '.join(sorted(releases))}, and not "
            f"of {run.release}: score all users, without --users."
        )
    others = f"from {published} and not list_contains({list(run.users)}, user_id)"
    rows = f"from chosen union all by name ({others})"
    write_by_user(tables, rows, with_others(run, scored) / f"ds={run.ds}")


def refuse_older(run: Run) -> None:
    """Raises JobError if a newer run has been published for the date since this one began."""
    if newer := newer_run(run):
        again = "rescore" if run.data_run else "ingest"
        raise JobError(
            f"Nothing was published: run {newer}, which stands for {run.ds}, has newer data than "
            f"run {run.run_id}, or began later from the same. To have this run's rows all the "
            f"same, start it again: nightreel {again} --run-id {run.run_id}"
        )


def refuse_erased(run: Run) -> None:
    """Raises JobError if the run's data names users who have been erased since it was delivered."""
    erased = erased_users(run.warehouse, run.release)
    if not erased:
        return
    with open_tables({name: run.data(name) for name in ("users", "quarantine")}) as tables:
        quarantined = tables.execute("select file, content from quarantine").fetchall()
        # Of lines that cannot be used a run publishes its own alone.
        quoted = 0
        if quarantined and not run.data_run:
            if not run.raw.is_dir():
                raise JobError(
                    f"Nothing was published: somebody has asked to be forgotten, and {run.raw}, by "
                    "which lines in quarantine are read, is gone. Start the run again: nightreel "
                    "ingest."
                )
            layout = detect_layout(run.raw, run.conf.ingest)
            quoted = lines_naming(quarantined, layout, erased)
        require_nobody_erased(tables, erased, quoted)


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


def publish(run: Run, started: float) -> dict[str, Any]:
    """Audit, then show all tables at once; returns the figures of the step."""
    # The models are those that score has noted; all else is worked out anew.
    scored_by = run.record("score")
    models = Models.of(run, scored_by["model_version"], scored_by["order_version"])
    checks = check_variant(run, models, CHAMPION)
    if run.conf.score.challenger:
        checks += check_variant(run, models_beside(run, models), CHALLENGER)
    print(f"publish: {len(checks)} checks passed", flush=True)
    # All that can fail comes before the first commit.
    listed = {name: rows_in(run.output(output)) for name, output in lists(run).items()}
    shadow = listed.get("recommendations_shadow")
    figures: dict[str, Any] = {
        "rows_published": listed["recommendations"],
        **({} if shadow is None else {"rows_in_shadow": shadow}),
        "model_version": run.model_version,
        "order_version": run.order_version,
        **errors_of_scored(run),
    }
    with ExitStack() as open_until_copied:
        copies = {
            sink.figures: open_until_copied.enter_context(sink.opened())
            for sink in sinks_of(run.conf, run.warehouse)
        }
        # Between reading what others have published and committing, nobody else may publish.
        with publishing(run.warehouse):
            refuse_older(run)
            refuse_erased(run)
            if run.users is not None:
                for name, output in lists(run).items():
                    merge_others(run, name, output)
            versions = versions_after(run)
            write_few_rows(run.output("summary"), "runs", [runs_row(run, started, versions)])
            versions = commit(run, versions)
        figures |= copy_all(copies, run.ds)
    figures |= {"table_version": versions["recommendations"], "versions": versions}
    if not run.data_run:
        # What the event of the asset `ratings` says; unchanged where a later date's rows stay.
        rows, version = run.record("etl")["ratings"], versions.get("ratings")
        figures["ratings"] = {
            "rows": rows,
            "changed": version is not None,
            "table_version": version,
        }
    return figures


def rows_in(output: Path) -> int:
    """Rows of what was scored, by its files' footers. Raises JobError if one is cut off."""
    return sum(read_footer(file).num_rows for file in parquet_files(output))


def write_by_user(tables: duckdb.DuckDBPyConnection, rows: str, partition: Path) -> None:
    """Write rows of schemas.RECOMMENDATIONS, of one date, replacing the folder of its partition.

    They lie by user: the bounds of row groups tell readers which users each holds.
    """
    columns = [name for name in schemas.columns_of(schemas.RECOMMENDATIONS) if name != "ds"]
    kinds = duckdb_columns(schemas.RECOMMENDATIONS)
    chosen = ", ".join(f"cast({name} as {kinds[name]}) as {name}" for name in columns)
    shutil.rmtree(partition.parent, ignore_errors=True)
    partition.mkdir(parents=True)
    query = f"select {chosen} from ({rows}) order by user_id, rank"
    copy(tables, query, partition / "part-0.parquet", f", row_group_size {ROWS_OF_GROUP}")


def errors_of_scored(run: Run) -> dict[str, float | None]:
    """RMSE of the version that scored: on what this run was measured on, or on its own run's test.

    `test_rmse`, which is None if it was never measured on test ratings; `validation_rmse` as well
    where this run had no others.
    """
    evaluation = run.evaluation if run.trains else None
    test = evaluation.rmse_of_scored("test") if evaluation else None
    if test is None:
        test = Registry.of(run).test_rmse(run.record("score")["model_version"])
    if evaluation is None or evaluation.measured_on == "test":
        return {"test_rmse": test}
    split = evaluation.measured_on
    return {"test_rmse": test, f"{split}_rmse": evaluation.rmse_of_scored(split)}


def main(argv: list[str] | None = None) -> None:
    """Run the step from the command line."""
    started = time.perf_counter()
    run = run_of(step_arguments(__doc__).parse_args(argv))
    with run.step("publish") as figures:
        # The clock may have been wrong when the run began.
        refuse_future(run.ds)
        # Whoever named a wrong server is told now, and not when the audit has ended.
        for sink in sinks_of(run.conf, run.warehouse):
            sink.require()
        figures.update(publish(run, started))


if __name__ == "__main__":
    run_command(main)
