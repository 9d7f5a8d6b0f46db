"""What OpenLineage is told: the datasets that a step has read and written.

A dataset has one name for all nights, as OpenLineage's naming has it: the release in the raw zone
and each published table by their path, a source by its address, a model by its registered name.
What changes from night to night is its version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from nightreel_common.records import record_file

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

# Steps that read the release, as it was delivered or cleaned.
READERS = ("etl", "explore", "check", "plan", "train", "evaluate", "refit", "score")


class Dataset(NamedTuple):
    """A dataset by OpenLineage's names, and which version of it."""

    namespace: str
    name: str
    version: str | None = None


def lineage_of(step: str, warehouse: Path, run_id: str) -> OperatorLineage:
    """What a step of a run has read and written, as OpenLineage's provider wants it."""
    # Only where a backend is named is any of this loaded.
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.event_v2 import InputDataset, OutputDataset
    from openlineage.client.facet_v2 import dataset_version_dataset

    def facets(dataset: Dataset) -> dict[str, Any]:
        if dataset.version is None:
            return {}
        return {"version": dataset_version_dataset.DatasetVersionDatasetFacet(dataset.version)}

    read, written = datasets(step, warehouse, record_file(warehouse, run_id, step))
    return OperatorLineage(
        inputs=[InputDataset(each.namespace, each.name, facets=facets(each)) for each in read],
        outputs=[OutputDataset(each.namespace, each.name, facets=facets(each)) for each in written],
    )


def datasets(step: str, warehouse: Path, file: Path) -> tuple[list[Dataset], list[Dataset]]:
    """What a step has read and written, by the run's own file and by `file`, what it recorded.

    Of the tables quality, comparisons and replays, and of what restore changes, nothing is told.
    """
    record = json.loads(file.read_text(encoding="utf-8"))
    run = json.loads((file.parents[1] / "run.json").read_text(encoding="utf-8"))
    raw = on_disk(warehouse / "raw" / run["release"], run["digest"])
    models = models_of(run["release"], record)
    if step == "ingest":
        source = run["conf"]["ingest"]["source"]
        return ([of_source(source)] if source else []), [raw]
    if step == "publish":
        tables = sorted(record["versions"].items())
        written = [on_disk(warehouse / "tables" / name, str(number)) for name, number in tables]
        return [raw, *models], written
    if step == "promote":
        return [], models_of(run["release"], promoted(record))
    return ([raw] if step in READERS else []) + (models if step == "score" else []), []


def models_of(release: str, record: Mapping[str, Any]) -> list[Dataset]:
    """The registered models of which a record names versions."""
    suffixes = {"model_version": "", "order_version": "-order"}
    return [
        Dataset("mlflow", f"nightreel-{release}{suffix}", record[name])
        for name, suffix in suffixes.items()
        if record.get(name)
    ]


def promoted(record: Mapping[str, Any]) -> dict[str, Any]:
    """The versions that promote has made champions; it records those of others, too."""
    by = {"model_version": "promoted", "order_version": "order_promoted"}
    return {name: record.get(name) for name, done in by.items() if record.get(done)}


def on_disk(path: Path, version: str | None = None) -> Dataset:
    """A file or folder that all hosts see."""
    return Dataset("file", str(path), version)


def of_source(source: str) -> Dataset:
    """A path, an address of an object store or of the web, or a table of PostgreSQL."""
    address = urlsplit(source)
    # Never a user or a password, which may stand before the host, nor a signature behind the path.
    server = address.netloc.rpartition("@")[2]
    if address.scheme in ("postgres", "postgresql"):
        asked = {name: values[0] for name, values in parse_qs(address.query).items()}
        table, host = asked.get("table", ""), server or asked.get("host", "localhost")
        schema = "" if "." in table else "public."
        # Of several hosts the first, with the port that it has.
        host, _, port = host.partition(",")[0].partition(":")
        port = port or asked.get("port", "5432")
        return Dataset(f"postgres://{host}:{port}", f"{address.path.strip('/')}.{schema}{table}")
    if address.scheme in ("abfs", "abfss"):
        # There a container stands before the host.
        server = address.netloc
    if not server:
        return on_disk(Path(source).resolve())
    return Dataset(f"{address.scheme}://{server}", address.path.strip("/"))
