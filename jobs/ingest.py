"""Start a run: bring ratings into the raw zone, and fix all that the run relies on.

The release is the built-in sample, one of MovieLens, or whatever --source names. It lies
in <warehouse>/raw/<release>/<digest>/, as delivered and never changed; the same content is kept
once. With it are fixed the run's date, its settings and the champion at this moment, so that
running the same run again gives the same result. If anything fails, nothing has changed.

    nightreel ingest --run-id tuesday                          the built-in sample
    nightreel ingest --run-id tuesday --dataset ml-1m          downloaded, checksum verified
    nightreel ingest --run-id tuesday --dataset ml-1m --source path/to/ml-1m.zip
    nightreel ingest --run-id tuesday --dataset ml-1m --source s3://bucket/ml-1m.zip
    nightreel ingest --run-id tuesday --dataset mine --source path/to/ratings.csv
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from jobs.cleaning.base import find_etl_base
from jobs.published.runs_table import published_last
from jobs.release.dated import leave_out_later, told_since
from jobs.release.detection import detect_layout
from jobs.release.leave_out import in_words, leave_out
from jobs.release.obtain import incoming_folder, obtain
from jobs.release.raw import MANIFEST, describe, digest_of, keep, kept_last, share_files
from jobs.runs.command import command_arguments, day, refuse_future, run_command
from jobs.runs.configuration import load_configuration
from jobs.runs.erased import erased_users, refuse_newly_erased
from jobs.runs.errors import JobError
from jobs.runs.files import read_json, write_json
from jobs.runs.implicit import for_ones
from jobs.runs.inputs import refuse_outside
from jobs.runs.mounts import warnings_of
from jobs.runs.run import Run, new_run_id
from jobs.runs.settings.delivery import RELEASES, IngestSettings
from jobs.runs.settings.whole import Configuration, with_models
from jobs.runs.warehouse import Warehouse, warehouse_named
from jobs.scoring.given_ids import given_lists, with_blocked
from jobs.scoring.incremental import find_base
from jobs.scoring.variants import require_challenger
from jobs.training.promotion import present_champion
from jobs.training.registry import Registry


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """The arguments of `nightreel ingest`, with their defaults."""
    now = datetime.now(UTC)
    parser = command_arguments(__doc__)
    parser.add_argument(
        "--run-id", default=f"manual-{now:%Y%m%dT%H%M%S}", help="name of the run (default: by time)"
    )
    parser.add_argument(
        "--ds", type=day, default=now.date(), help="the run's date, as YYYY-MM-DD (today)"
    )
    parser.add_argument("--profile", help="settings from conf/profiles, as in --profile james-le")
    parser.add_argument(
        "--dataset", help=f"one of {', '.join(RELEASES)}, or a name for ratings of your own"
    )
    parser.add_argument(
        "--source",
        help="a zip, folder or file, or the address of one, as in s3://..., or of a table, as in "
        "postgresql://user@host/shop?table=orders (default: GroupLens)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting, as in score.top_k=10; may be repeated",
    )
    return parser.parse_args(argv)


def configuration_of(arguments: argparse.Namespace) -> Configuration:
    """The settings of the run; a source in the file system is made absolute."""
    overrides = list(arguments.set)
    for key in ("dataset", "source"):
        if value := getattr(arguments, key):
            # JSON quotes it, so that YAML takes it as text whatever it looks like.
            overrides.append(f"ingest.{key}={json.dumps(value, ensure_ascii=False)}")
    conf = load_configuration(overrides, arguments.profile, arguments.warehouse, form=with_models())
    source = conf.ingest.source
    if source and "://" not in source:
        source = str(Path(source).expanduser().resolve())
        refuse_outside("ingest.source", source)
    ingest = conf.ingest.model_copy(update={"source": source})
    return with_blocked(conf.model_copy(update={"ingest": ingest}), has_numbers(ingest))


def has_numbers(ingest: IngestSettings) -> bool:
    """Whether the ids of a release are known to be whole numbers before it is looked at."""
    return ingest.dataset in RELEASES and not ingest.describes_files


def with_champions(run: Run) -> Run:
    """The run with the champions that it starts from: those of its first attempt on this content.

    Where no model of order is wanted, there is no champion of order either.
    """
    ordered = run.conf.train.order.model != "none"
    if earlier := read_json(run.warehouse.run_file(run.run_id)):
        if earlier.get("data_run"):
            raise JobError(f"Run {run.run_id} scores another run's data. Choose another --run-id.")
        if (earlier["release"], earlier["digest"]) == (run.release, run.digest):
            order = earlier.get("order_champion") if ordered else None
            return replace(run, champion=earlier["champion"], order_champion=order)
    # First, because it makes up for promotions that are owed, of either kind.
    champion = present_champion(Registry.of(run), published_last(run.warehouse, run.release))
    order = Registry.of(run, "order").champion() if ordered else None
    return replace(run, champion=champion, order_champion=order)


def deliver(
    conf: Configuration, warehouse: Warehouse, run_id: str, ds: date
) -> tuple[Run, dict[str, Any]]:
    """Put the release in its place in raw/, unless it lies there already.

    Who asked to be forgotten is left out. Returns the run that may now start, and figures: the
    files and bytes kept and, of parts of days, how many are new, changed and gone since the
    delivery before.
    """
    release = conf.ingest.dataset
    erased = erased_users(warehouse, release)
    with incoming_folder(warehouse.staging(run_id)) as incoming:
        # A download holds everybody.
        delivery, source = obtain(conf.ingest, warehouse.downloads, incoming, keeps=not erased)
        dated = leave_out_later(delivery, ds, source)
        layout = detect_layout(delivery, conf.ingest, source)
        if layout.implicit:
            conf = for_ones(conf)
            order = conf.train.order.model
            print(f"ingest: every line is a one: movies are ordered by {order}", flush=True)
        left_out = leave_out(delivery, layout, erased)
        files = describe(delivery)
        size = sum(int(file["bytes"]) for file in files.values())
        run = Run(warehouse, run_id, ds, release, digest_of(files), None, conf)
        run = with_champions(run)
        require_challenger(run, layout.implicit)
        manifest = {
            "release": release,
            "source": source,
            "ingested_at": datetime.now(UTC).isoformat(timespec="microseconds"),
            "bytes": size,
            "files": files,
            # Runs are cleared up, and by these it is read.
            "ingest": conf.ingest.model_dump(),
        }
        figures: dict[str, Any] = {"files": len(files), "bytes": size}
        if erased:
            figures |= {f"erased_{what}": number for what, number in left_out.items()}
            print("ingest: left out of who asked to be forgotten:", in_words(left_out), flush=True)
        if before := kept_last(run.raw):
            share_files(delivery, files, before)
            if dated:
                figures["parts"], told = told_since(files, before.files, before.day)
                print(*(f"ingest: {each}" for each in told), sep="\n", flush=True)
        write_json(delivery / MANIFEST, manifest)
        keep(delivery, run.raw, lambda: refuse_newly_erased(warehouse, release, erased))
    base, why = find_etl_base(run, layout)
    if base:
        new_kib = sum(int(files[name]["bytes"]) for name in base.new) // 1024
        run = replace(run, etl_base=base.run.run_id, etl_new_kib=new_kib)
    return run, figures | {"etl_base": run.etl_base, "why_etl_base": why}


def main(argv: list[str] | None = None) -> None:
    """Start a run, as `nightreel ingest` does."""
    started = time.perf_counter()
    arguments = parse_arguments(argv)
    refuse_future(arguments.ds)
    conf = configuration_of(arguments)
    lists = given_lists(conf, has_numbers(conf.ingest))
    warehouse = warehouse_named(conf.warehouse)
    for warning in warnings_of(warehouse.folder, keeps_mlflow=not conf.tracking.uri):
        print(f"ingest: {warning}", flush=True)
    run_id, named = new_run_id(warehouse, arguments.run_id)
    run, delivered = deliver(conf, warehouse, run_id, arguments.ds)
    base, why = find_base(run)
    with run.step("ingest", started) as figures:
        run = replace(run, base_run=base, named=named)
        run.save()
        if lists:
            lists.leave_out(erased_users(warehouse, run.release))
            figures["candidates"] = lists.write(run.output("given_candidates"))
        figures.update(release=run.release, digest=run.digest, **delivered)
        figures.update(base_run=base, why_base=why)


if __name__ == "__main__":
    run_command(main)
