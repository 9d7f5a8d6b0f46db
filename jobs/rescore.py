"""Start a run that scores and publishes the data of an earlier run again, without training.

    nightreel rescore --run-id wednesday                      everybody, by the present champion
    nightreel rescore --run-id wednesday --model-version 3    by another version
    nightreel rescore --run-id wednesday --order-version 2    ordered by another version
    nightreel rescore --run-id wednesday --set score.top_k=50
    nightreel rescore --run-id wednesday --users 17,2000      these only; others keep their rows
    nightreel rescore --run-id wednesday --set score.challenger=rating/2    a tenth by a challenger

The data is that of the newest published run, and so is the date, unless --ds says otherwise. Then
follow: nightreel score, nightreel publish.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import date

from jobs.engines.duck import open_tables
from jobs.published.runs_table import latest_run, published_last
from jobs.published.views import connect
from jobs.questions.recommendations import number_of
from jobs.runs.command import command_arguments, day, refuse_future, run_command, source_id
from jobs.runs.configuration import load_configuration
from jobs.runs.erased import erased_users
from jobs.runs.errors import JobError
from jobs.runs.files import read_json
from jobs.runs.run import Run, new_run_id, open_run
from jobs.runs.settings.whole import with_models
from jobs.runs.warehouse import Warehouse, warehouse_named
from jobs.scoring.filters import allowed_movies
from jobs.scoring.given_ids import given_lists, require_known, with_blocked, write_candidates
from jobs.scoring.incremental import find_base
from jobs.scoring.uncertainty import refuse_to_score
from jobs.scoring.variants import require_challenger
from jobs.training.promotion import present_champion
from jobs.training.registry import Registry


def user_ids(text: str) -> list[str]:
    """The type of --users: ids with commas between them."""
    return sorted(set(map(source_id, text.split(","))))


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """The arguments of `nightreel rescore`."""
    parser = command_arguments(__doc__)
    parser.add_argument("--run-id", required=True, help="name of the new run")
    parser.add_argument("--dataset", help="stop unless this is the release")
    parser.add_argument("--ds", type=day, help="the date to publish for (default: the data's)")
    parser.add_argument(
        "--model-version", metavar="N", help="the version that scores (default: the champion)"
    )
    parser.add_argument(
        "--order-version",
        metavar="N",
        help="the version that orders movies (default: the champion, where train.order.model is "
        "not none)",
    )
    parser.add_argument(
        "--users", type=user_ids, metavar="IDS", help="as in 17,2000 (default: all)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="as in score.top_k=50"
    )
    return parser.parse_args(argv)


def earlier_attempt(warehouse: Warehouse, run_id: str) -> Run | None:
    """The same run as it was started before. Raises JobError if the name is another kind of run."""
    if read_json(warehouse.run_file(run_id)) is None:
        return None
    run = open_run(warehouse, run_id)
    if run.data_run is None:
        raise JobError(f"Run {run_id} has data of its own. Choose another --run-id.")
    return run


def data_run(warehouse: Warehouse, earlier: Run | None) -> Run:
    """The run whose data the newest published run, or the earlier attempt, scored."""
    if earlier and earlier.data_run:
        return open_run(warehouse, earlier.data_run)
    with connect(warehouse, ("runs",)) as connection:
        newest = open_run(warehouse, latest_run(connection).run_id)
    return open_run(warehouse, newest.data_run) if newest.data_run else newest


def order_version(
    arguments: argparse.Namespace, earlier: Run | None, registry: Registry
) -> str | None:
    """The version that orders movies; None where none does. Raises JobError if it is not there."""
    version = arguments.order_version
    if version and registry.conf.score.order_by == "rating":
        raise JobError(f"--order-version {version}: score.order_by is rating, and takes none.")
    if version is None and earlier:
        version = earlier.order_champion
    elif version is None and registry.conf.train.order.model != "none":
        version = registry.champion()
    if version:
        registry.factors(version)
    return version


def numbers_of(users: list[str], data: Run) -> list[int]:
    """The numbers of a run's users, ascending. Raises JobError for a text that is nobody's id."""
    with open_tables({"users": data.data("users")}) as tables:
        return sorted(number_of(tables, data.release, "user", user) for user in users)


def plan_run(arguments: argparse.Namespace) -> Run:
    """All that the run relies on. A further attempt relies on what the first one found."""
    conf = load_configuration(arguments.set, warehouse=arguments.warehouse, form=with_models())
    # Which ids there are, is asked of the data.
    conf = with_blocked(conf, numbers=False)
    warehouse = warehouse_named(conf.warehouse)
    run_id, named = new_run_id(warehouse, arguments.run_id)
    earlier = earlier_attempt(warehouse, run_id)
    data = data_run(warehouse, earlier)
    if arguments.dataset not in (None, data.release):
        raise JobError(
            f"The tables hold release {data.release}, of run {data.run_id}; scoring "
            f"{arguments.dataset} again would mix the two. Make a whole run of it instead."
        )
    registry = Registry(conf, warehouse, data.release)
    version = arguments.model_version or (
        earlier.champion
        if earlier
        else present_champion(registry, published_last(warehouse, data.release))
    )
    if version is None:
        raise JobError(f"Release {data.release} has no champion. Choose a --model-version.")
    # Better now than in score.
    refuse_to_score(conf.score, registry.factors(version), version)
    ds: date = arguments.ds or data.ds
    refuse_future(ds)
    run = Run(
        warehouse=warehouse,
        run_id=run_id,
        named=named,
        ds=ds,
        release=data.release,
        digest=data.digest,
        champion=version,
        order_champion=order_version(
            arguments, earlier, Registry(conf, warehouse, data.release, "order")
        ),
        conf=conf,
        data_run=data.run_id,
        users=numbers_of(arguments.users, data) if arguments.users else None,
    )
    require_challenger(run, run.implicit)
    return run


def main(argv: list[str] | None = None) -> None:
    """Start a run, as `nightreel rescore` does."""
    run = plan_run(parse_arguments(argv))
    if not (run.data("rated")).is_dir():
        raise JobError(f"The data of run {run.data_run} is gone. Make a new run: make nightly")
    allowed_movies(run)
    if lists := given_lists(run.conf, numbers=False):
        lists.leave_out(erased_users(run.warehouse, run.release))
        require_known(lists, run)
    base, why = find_base(run)
    with run.step("rescore") as figures:
        run = replace(run, base_run=base)
        run.save()
        if lists:
            figures["candidates"] = write_candidates(lists, run)
        figures.update(data_run=run.data_run, model_version=run.champion, ds=run.ds.isoformat())
        figures.update(order_version=run.order_version)
        figures.update(base_run=base, why_base=why)
        if run.users:
            figures["users"] = len(run.users)


if __name__ == "__main__":
    run_command(main)
