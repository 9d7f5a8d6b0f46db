"""Take users who ask to be forgotten out of everything, and leave them out from then on.

    nightreel erase --release mine --user u-1                     shows what names them
    nightreel erase --release mine --user u-1 --user u-2 --apply
    nightreel erase --release mine --apply                        what a killed one has left to do

They are listed in <warehouse>/erased: every later delivery of the release is kept without them, and
nothing is published that names them. They go from the published tables at once, with the files of
earlier versions that hold them; from deliveries in raw/; with the data of every run that holds
them, which then cannot be scored again; from PostgreSQL; and from the index of ids, where their
numbers stay taken. Users whom nothing names yet are listed all the same.

Stored models hold a row of each user whom they learned from, and are told; what is trained next
does not. An object store follows with `nightreel sink`.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection

from jobs.engines.terminal import show_table
from jobs.published.whole import publishing
from jobs.runs.command import command_arguments, source_id
from jobs.runs.configuration import load_configuration, postgresql_dsn, warehouse_of
from jobs.runs.erased import add_erased, erased_users
from jobs.runs.errors import JobError
from jobs.runs.settings.delivery import IngestSettings
from jobs.runs.settings.whole import Configuration
from jobs.runs.warehouse import Warehouse
from jobs.sinks.postgresql import connection_to, require_usable
from jobs.sinks.postgresql_dates import drop_users
from jobs.upkeep.erased_models import holding_versions
from jobs.upkeep.erased_runs import (
    deliveries,
    empty_run,
    keep_without,
    naming_runs,
    readable,
    refuse_at_work,
    remove_downloads,
    remove_half_removed,
    runs_of,
    take_names,
)
from jobs.upkeep.erased_tables import count, remove_earlier, rows_of, take_out
from jobs.upkeep.traces import People, runs_by_release


def require_release(warehouse: Warehouse, release: str) -> None:
    """Raises JobError, with those that there are, for a release of which nothing is known."""
    known = sorted(runs_by_release(warehouse))
    if release not in known:
        raise JobError(
            f"Nothing of a release {release!r} is in {warehouse}. There are: "
            f"{', '.join(known) or 'none'}."
        )


def wanted_users(warehouse: Warehouse, release: str, given: list[str]) -> list[str]:
    """Whom to erase: those who are named, else all who are listed. Raises JobError for no id."""
    if strange := [user for user in given if not user.isprintable()]:
        raise JobError(f"--user {strange[0]!r}: no id holds such characters.")
    users = sorted(set(given) or erased_users(warehouse, release))
    if not users:
        raise JobError(f"Nobody of release {release} is listed. Name somebody: --user ID")
    return users


def show(found: dict[str, int], runs: Collection[str], raw: int, models: list[str]) -> None:
    """Print what names them."""
    rows = [(f"rows of table {name}", f"{number:,}") for name, number in found.items()]
    rows += [(f"what run {run_id} has kept", "") for run_id in runs]
    rows += [(f"deliveries in raw that are looked through: {raw}", "")] if raw else []
    rows += [(f"model {name}, which stays", "") for name in models]
    if rows:
        show_table("What names them", ["", "rows"], rows, numbers={"rows"})


def erase(warehouse: Warehouse, release: str, people: People, said: IngestSettings) -> None:
    """Take people who are listed out of the warehouse, but for the index of ids.

    The caller holds the lock of publish. Readers see the tables with all of them or none. Whoever
    is stopped goes on where it was.
    """
    take_out(warehouse, rows_of(warehouse, release, people), people)
    earlier = remove_earlier(warehouse, people)
    # By their manifests, which go with the deliveries.
    downloads = remove_downloads(warehouse, release)
    changed = keep_without(warehouse, release, sorted(people.ids), said)
    # Not before: what was made of a delivery meanwhile is found, too.
    runs = naming_runs(runs_of(warehouse, release), people)
    for run in runs:
        empty_run(run, people)
    remove_half_removed(warehouse)
    print(
        f"erased from the tables, {earlier} files of their earlier versions, {changed} deliveries, "
        f"{downloads} downloads and {len(runs)} runs"
    )
    for run in runs:
        again = "" if run.has_published else ", which had not published: start it again"
        print(f"the data of run {run.run_id} is gone{again}")


def erase_from_copies(people: People, dsn: str | None, conf: Configuration) -> None:
    """Take them out of PostgreSQL, and say which copies are left."""
    if dsn:
        # Not held open while deliveries were read, for the server would end it.
        with connection_to(dsn) as server:
            rows = drop_users(server, people.ids, people.numbers, people.others)
        print(f"PostgreSQL: {rows:,} rows are gone")
    if conf.publish.object_store:
        print(
            f"{conf.publish.object_store} follows with: nightreel sink. Files of earlier versions "
            "stay there until they are vacuumed: docs/object_store.md"
        )


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = command_arguments(__doc__)
    parser.add_argument("--release", required=True, help="whose user it is, as in --dataset")
    parser.add_argument(
        "--user",
        type=source_id,
        action="append",
        default=[],
        metavar="ID",
        help="as tables call the user; may be repeated (default: all who are listed already)",
    )
    parser.add_argument("--apply", action="store_true", help="erase them, not only show")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """`nightreel erase`."""
    arguments = parse_arguments(argv)
    warehouse, release = warehouse_of(arguments), arguments.release
    conf = load_configuration(warehouse=arguments.warehouse)
    require_release(warehouse, release)
    users = wanted_users(warehouse, release, arguments.user)
    people = People.of(warehouse, release, users)
    runs = runs_of(warehouse, release)
    found = count(warehouse, rows_of(warehouse, release, people))
    naming = [run.run_id for run in naming_runs(runs, people)]
    models = holding_versions(conf, warehouse, release, people)
    show(found, naming, len(deliveries(warehouse, release)), models)
    if not (found or naming or models):
        print(
            f"No table, run or model of release {release} names {', '.join(users)}. If that is "
            "whom you mean: what is delivered from then on is kept without them."
        )
    if not arguments.apply:
        print("Nothing was changed: this was a dry run. To erase them: --apply")
        return
    refuse_at_work(runs)
    said = conf.ingest.model_copy(update={"dataset": release})
    readable(warehouse, release, said)
    dsn = postgresql_dsn(conf)
    if dsn:
        # One that is not there is told of now, and not when the tables are without them.
        require_usable(dsn)
    # First: what is delivered from now on does not bring them back.
    add_erased(warehouse, release, users)
    with publishing(warehouse):
        # Whoever began before the list was there, and does not know it.
        refuse_at_work(runs_of(warehouse, release))
        people = People.of(warehouse, release, users)
        erase(warehouse, release, people, said)
    erase_from_copies(people, dsn, conf)
    # By these the numbers of texts are known: they go when nothing else is left to do.
    take_names(warehouse, release, people)
    if models:
        print(
            f"models {', '.join(models)} hold a row of them, by which nobody is scored any more: "
            "what is trained next does not"
        )
