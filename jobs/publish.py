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

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from jobs.engines.duck import open_tables, parquet_files, write_few_rows
from jobs.published.audit import require_nobody_erased
from jobs.published.commit import commit, lists, versions_after
from jobs.published.others import merge_others
from jobs.published.parquet import read_footer
from jobs.published.runs_row import runs_row
from jobs.published.runs_table import newer_run
from jobs.published.whole import publishing
from jobs.release.detection import detect_layout
from jobs.release.leave_out import lines_naming
from jobs.runs.command import refuse_future, run_command, step_arguments
from jobs.runs.erased import erased_users
from jobs.runs.errors import JobError
from jobs.runs.run import Run, run_of
from jobs.scoring.models import Models
from jobs.scoring.variant_check import check_variant
from jobs.scoring.variants import CHALLENGER, CHAMPION, models_beside
from jobs.sinks.sinks import copy_all, sinks_of
from jobs.training.promotion import may_crown
from jobs.training.registry import Registry


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


def will_promote(run: Run) -> bool:
    """Whether its model of ratings, or biases in its place, become champion once published."""
    return run.trains and run.evaluation.promoted and may_crown(Registry.of(run), run)


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
            row = runs_row(run, started, versions, will_promote(run))
            write_few_rows(run.output("summary"), "runs", [row])
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
