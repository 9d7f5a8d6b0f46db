"""The datasets that OpenLineage is told of, by the names that its catalogues know."""

import json
from pathlib import Path
from typing import Any

import pytest

ORDERED = {"model_version": "3", "order_version": "2"}


@pytest.mark.parametrize(
    ("source", "namespace", "name"),
    [
        ("/data/ml-1m.zip", "file", "/data/ml-1m.zip"),
        ("https://me:word@host:8443/a/ml.zip", "https://host:8443", "a/ml.zip"),
        ("s3://bucket/releases/ml-1m.zip", "s3://bucket", "releases/ml-1m.zip"),
        ("postgresql://me@host/shop?table=stars", "postgres://host:5432", "shop.public.stars"),
        ("postgresql://host:6543/shop?table=a.b", "postgres://host:6543", "shop.a.b"),
        ("postgresql://me@/shop?host=db&table=t", "postgres://db:5432", "shop.public.t"),
        ("postgresql://a:6543,b:5432/shop?table=t", "postgres://a:6543", "shop.public.t"),
        ("abfss://box@me.dfs.core.windows.net/a", "abfss://box@me.dfs.core.windows.net", "a"),
    ],
)
def test_a_source_has_the_name_that_others_give_it(
    bag: Any, source: str, namespace: str, name: str
) -> None:
    from nightreel_common.lineage import Dataset, of_source

    assert of_source(source) == Dataset(namespace, name)


@pytest.mark.parametrize(
    ("step", "record", "inputs", "outputs"),
    [
        ("ingest", {}, [("s3://b", "ml.zip", None)], [("file", "raw/ml-1m", "0a1b")]),
        ("etl", {}, [("file", "raw/ml-1m", "0a1b")], []),
        (
            "score",
            ORDERED,
            [
                ("file", "raw/ml-1m", "0a1b"),
                ("mlflow", "nightreel-ml-1m", "3"),
                ("mlflow", "nightreel-ml-1m-order", "2"),
            ],
            [],
        ),
        (
            "publish",
            {**ORDERED, "versions": {"runs": 4, "movies": 1}},
            [
                ("file", "raw/ml-1m", "0a1b"),
                ("mlflow", "nightreel-ml-1m", "3"),
                ("mlflow", "nightreel-ml-1m-order", "2"),
            ],
            [("file", "tables/movies", "1"), ("file", "tables/runs", "4")],
        ),
        (
            "promote",
            {**ORDERED, "promoted": False, "order_promoted": True},
            [],
            [("mlflow", "nightreel-ml-1m-order", "2")],
        ),
        ("report", {}, [], []),
    ],
)
def test_a_step_names_what_it_has_read_and_written(
    bag: Any, tmp_path: Path, step: str, record: dict, inputs: list, outputs: list
) -> None:
    from nightreel_common.lineage import lineage_of

    folder = tmp_path / "runs/scheduled__2026-03-01T02-00-00-00-00"
    (folder / "steps").mkdir(parents=True)
    run = {"release": "ml-1m", "digest": "0a1b", "conf": {"ingest": {"source": "s3://b/ml.zip"}}}
    (folder / "run.json").write_text(json.dumps(run))
    (folder / "steps" / f"{step}.json").write_text(json.dumps(record))
    told = lineage_of(step, tmp_path, "scheduled__2026-03-01T02:00:00+00:00")

    def plain(datasets: list) -> list:
        return [
            (
                each.namespace,
                each.name.removeprefix(f"{tmp_path}/"),
                each.facets["version"].datasetVersion if each.facets else None,
            )
            for each in datasets
        ]

    assert (plain(told.inputs), plain(told.outputs)) == (inputs, outputs)
