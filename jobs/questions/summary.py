"""Show what a run did, step by step, and what it recommends to one user.

    nightreel summary                       the newest published run
    nightreel summary --run-id tuesday --user 2000
    nightreel summary --run-id tuesday --json                 its figures, for programs
    nightreel summary --run-id tuesday --json --step etl      those of one step, finished or not

Figures come from the records that the steps wrote, recommendations from the published table.
"""

from __future__ import annotations

import json
from typing import Any

import duckdb

from jobs.engines.terminal import show_table
from jobs.published.runs_table import latest_run, stands
from jobs.published.views import connect
from jobs.questions.recommendations import (
    number_on,
    recommended,
    require_user,
    show_recommendations,
)
from jobs.runs.command import command_arguments, run_command, source_id
from jobs.runs.configuration import warehouse_of
from jobs.runs.errors import JobError
from jobs.runs.evaluation import Whose
from jobs.runs.order_evaluation import NAMES
from jobs.runs.run import PAGES, STEPS, Run, open_run

Records = dict[str, dict[str, Any]]


def show_data(records: Records, shadow: bool) -> None:
    """From lines of the delivery to rows of the table; `shadow`: as in `users_note`."""
    etl, score = records["etl"], records["score"]
    # Earlier versions of Nightreel read all of them each time.
    grown_from = etl.get("grown_from")
    rows = [
        ("lines of ratings", etl["lines"], f"grown from run {grown_from}" if grown_from else ""),
        (
            "ratings used",
            etl["ratings"],
            f"train {etl['train']:,}, validation {etl['validation']:,}, test {etl['test']:,}",
        ),
        ("lines in quarantine", etl["quarantined"], ""),
        ("ratings replaced by newer ones", etl["duplicates"], ""),
        # Where lines may delete.
        *([("lines of deleted ratings", etl["deleted"], "")] if "deleted" in etl else []),
        ("users", etl["users"], users_note(score, shadow)),
        ("movies", etl["movies"], movies_note(score)),
        ("recommendations published", records["publish"]["rows_published"], ""),
    ]
    cells = ((name, f"{count:,}", note) for name, count, note in rows)
    show_table("Data", ["", "Rows", ""], cells, numbers={"Rows"})


def users_note(score: dict[str, Any], shadow: bool) -> str:
    """How many users were scored, and what stood in for the model.

    `shadow`: whether nobody is shown what the challenger recommends, if there is one.
    """
    kept, popular = score["users_kept"], score["users_popular"]
    notes = [f"{score['users_scored']:,} scored"]
    notes += [f"{kept:,} kept from run {score['base_run']}"] if kept else []
    notes += [f"{popular:,} by popularity"] if popular else []
    # Earlier versions of Nightreel folded nobody in.
    folded = score.get("users_folded_in", 0)
    notes += [f"{folded:,} folded in"] if folded else []
    if beside := score.get("challenger"):
        where = " in the shadow" if shadow else ""
        notes.append(f"{beside['users']:,} by the challenger{where}")
    return ", ".join(notes)


def movies_note(score: dict[str, Any]) -> str:
    """How many movies could be recommended, and why the others could not."""
    notes = [f"{score['movies_scored']:,} to recommend"]
    taken = sum(score["filtered"].values())
    notes += [f"{taken:,} filtered out"] if taken else []
    notes += [f"{score['movies_new']:,} new to the model"] if score["movies_new"] else []
    # Earlier versions of Nightreel had no places for them.
    placed = score.get("new_movies", 0)
    notes += [f"{placed:,} new, by what is known of them"] if placed else []
    return ", ".join(notes)


def show_quality(records: Records, run: Run) -> None:
    """The model's errors beside those of the baselines, and which version was used."""
    if "evaluate" not in records:
        why = "" if run.data_run else f": {records['plan']['reason']}"
        print(f"No model was trained{why}. Version {run.model_version} scored.\n")
        return
    evaluation = run.evaluation
    rmse, mae = evaluation.rmse, evaluation.mae
    named: dict[Whose, str] = {
        "model": "this model",
        "biases": "user and movie biases",
        "mean": "mean rating",
    }
    cells = ((name, f"{rmse[whose]:.4f}", f"{mae[whose]:.4f}") for whose, name in named.items())
    title = f"Errors on the {evaluation.measured_on} ratings"
    show_table(title, ["", "RMSE", "MAE"], cells, numbers={"RMSE", "MAE"})
    learned = evaluation.learned(records["score"].get("refit_ratings"))
    if evaluation.scores == "biases":
        print(
            f"Nothing better than the biases was learned: {evaluation.reason}. They were "
            f"promoted as version {evaluation.model_version}, and score.\n{learned}\n"
        )
    elif run.must_promote and stands(run.warehouse, run.run_id, run.ds):
        print(
            f"Model version {evaluation.model_version} scored and is not the champion yet, as the "
            f"run was stopped before it was: nightreel promote --run-id {run.run_id}\n{learned}\n"
        )
    elif evaluation.scores == "model":
        print(f"Model version {evaluation.model_version} was promoted: {evaluation.reason}.")
        print(f"{learned}\n")
    else:
        print(
            f"Model version {evaluation.candidate_version} was not promoted: "
            f"{evaluation.reason}. Version {evaluation.model_version} scores.\n{learned}\n"
        )


def show_order(run: Run) -> None:
    """How well lists name what users went on to rate, beside simpler ones, and what orders them."""
    found = run.evaluation.order if run.trains else None
    if found:
        cells = (
            (name, f"{found.ndcg_10[whose]:.4f}", f"{found.hr_10[whose]:.4f}")
            for whose, name in NAMES.items()
            if whose in found.ndcg_10
        )
        title = f"Lists against what {found.users:,} users rated next ({found.split})"
        show_table(title, ["", "NDCG@10", "HR@10"], cells, numbers={"NDCG@10", "HR@10"})
        verdict = "promoted" if found.promoted else "not promoted"
        print(f"Version {found.candidate_version} of order was {verdict}: {found.reason}.")
    if found or run.order_version:
        version = run.order_version
        by = f"version {version} of order" if version else "predicted rating"
        print(f"Movies are ordered by {by}.\n")


def show_times(records: Records) -> None:
    """Seconds of each step, and of all."""
    seconds = {step: record["seconds"] for step, record in records.items()}
    seconds["total"] = sum(seconds.values())
    cells = ((step, f"{value:.1f}") for step, value in seconds.items())
    show_table("Time", ["Step", "Seconds"], cells, numbers={"Seconds"})


def figures(run: Run, records: Records) -> dict[str, Any]:
    """What a run did, in one flat object; `report` is a Markdown link, where there is a report."""
    etl, publish = records["etl"], records["publish"]
    report = run.output("report.html")
    return {
        "run_id": run.run_id,
        "ds": run.ds.isoformat(),
        "release": run.release,
        **{name: etl[name] for name in ("ratings", "users", "movies", "quarantined")},
        "promoted": run.promoted,
        "order_version": run.order_version,
        # Of the version that scored.
        **{name: publish[name] for name in ("model_version", "test_rmse", "rows_published")},
        "seconds": round(sum(records[s]["seconds"] for s in run.steps() if s in records), 1),
        **({"report": f"[run report]({report.as_uri()})"} if report.is_file() else {}),
    }


def records_of(run: Run) -> Records:
    """The figures of every step of a run, and of the etl that made its data."""
    # A run that was stopped before it promoted its model has published all the same.
    steps = (step for step in run.steps() if step != "promote" or run.finished("promote"))
    return {step: run.record(step) for step in steps} | {"etl": run.etl_figures}


def show_example(connection: duckdb.DuckDBPyConnection, run: Run, user: str | None) -> None:
    """The recommendations of a user; of the one with the smallest id if none is named.

    Raises JobError if the user who is named has none.
    """
    named = user
    if user is None:
        query = (
            "select user_id, coalesce(source_user_id, user_id::varchar) from recommendations "
            "where ds = ? and run_id = ? order by user_id limit 1"
        )
        found = connection.execute(query, [run.ds, run.run_id]).fetchone()
        user_id, user = found or (None, None)
    else:
        user_id = number_on(connection, run.ds, user)
    rows = [] if user_id is None else recommended(connection, user_id, run.ds, 20)
    if rows and rows[0].run_id == run.run_id:
        show_recommendations(f"Recommendations for user {user}", rows)
        print(f"Another user's: nightreel recommend --user <id> --warehouse {run.warehouse}")
    elif rows:
        print(f"Run {rows[0].run_id} has since published other recommendations for {run.ds}.")
    elif named:
        raise JobError(f"There are no recommendations for user {named} of {run.ds}.")
    else:
        print(f"There are no recommendations of {run.ds} any more.")


def refuse_without_tables(run: Run) -> None:
    """Raises JobError, with its page, for a run that compares or replays and publishes nothing."""
    if run.finished("publish"):
        return
    for page, what in (("comparison", "compared"), ("replay", "replayed")):
        if (file := run.output(f"{page}.html")).is_file():
            raise JobError(
                f"Run {run.run_id} has published nothing, so there is no summary of it. What it "
                f"{what}: {file}"
            )


def main(argv: list[str] | None = None) -> None:
    """`nightreel summary`."""
    parser = command_arguments(__doc__)
    parser.add_argument("--run-id", help="the run (default: the newest published)")
    parser.add_argument("--user", type=source_id, help="whose recommendations (default: anybody's)")
    parser.add_argument("--json", action="store_true", help="print figures as one line of JSON")
    parser.add_argument(
        "--step", choices=(*STEPS, "rescore", *PAGES), help="with --json: of this step"
    )
    arguments = parser.parse_args(argv)
    warehouse = warehouse_of(arguments)
    if arguments.step and not (arguments.json and arguments.run_id):
        parser.error("--step goes with --json and --run-id")
    if arguments.json and arguments.user:
        parser.error("--json tells of the run alone: leave --user out, or --json")
    if arguments.step:
        print(json.dumps(open_run(warehouse, arguments.run_id).record(arguments.step)))
        return
    connection = connect(warehouse, ("recommendations", "movies", "users", "runs"))
    run = open_run(warehouse, arguments.run_id or latest_run(connection).run_id)
    refuse_without_tables(run)
    records = records_of(run)
    if arguments.json:
        print(json.dumps(figures(run, records)))
        return
    # Users are those of the release published last: another's have other ids.
    if arguments.user and run.release == latest_run(connection).release:
        require_user(connection, arguments.user)
    print(f"Run {run.run_id}: release {run.release}, date {run.ds}\n")
    show_data(records, run.conf.score.shadow)
    show_quality(records, run)
    show_order(run)
    show_times({step: records[step] for step in run.steps() if step in records})
    for name, what in (("exploration", "The data"), ("report", "The run")):
        if (page := run.output(f"{name}.html")).is_file():
            print(f"{what}, for a browser: {page}")
    show_example(connection, run, arguments.user)


if __name__ == "__main__":
    run_command(main)
