"""Versions and the champion, in a real MLflow store; artifacts in a bucket of a real server."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from jobs.runs.errors import JobError
from jobs.training.registry import Registry, digest_of
from model.factors import load_factors
from tests.jobs.examples import small_run
from tests.model.examples import factors
from tests.servers.mlflow import mlflow_server
from tests.servers.s3 import bucket_client

PARAMS = {"factors": 1, "optimiser": "adam"}
METRICS = {"test_rmse": 0.86}


@pytest.fixture
def warehouse(tmp_path):
    (tmp_path / "warehouse").mkdir()
    return tmp_path / "warehouse"


def registered(run, weight, metrics=METRICS) -> str:
    """Register a model of one user and one movie; returns its version."""
    factors([[weight]], [[1]]).save(run.output("factors"))
    return Registry.of(run).register(run.run_id, run.output("factors"), PARAMS, metrics)


def test_only_another_outcome_makes_another_version(warehouse):
    run = small_run(warehouse)
    assert registered(run, 1) == "1"
    assert registered(run, 1) == "1"
    # The same settings and metrics, but other weights: scoring must not get the earlier ones.
    assert registered(run, 2) == "2"
    assert registered(run, 2, {"test_rmse": 0.85}) == "3"
    assert registered(small_run(warehouse, run_id="other"), 2) == "4"
    registry = Registry.of(run)
    assert [registry.factors(version).user_UK.item() for version in ("1", "2")] == [1, 2]
    assert registry.factors("1") is registry.factors("1")


def test_a_run_does_not_dethrone_a_champion_that_it_was_not_measured_against(warehouse):
    def promote(run, weight):
        return Registry.of(run).promote(registered(run, weight), run)

    first, late = (small_run(warehouse, run_id=name) for name in ("first", "late"))
    registry = Registry.of(first)
    assert registry.champion() is None
    assert promote(first, 1) == registry.champion() == "1"
    # Both started before there was any champion.
    assert promote(late, 2) == registry.champion() == "1"
    # What the same run crowned earlier does not stop it, made again, from crowning another.
    assert promote(first, 3) == registry.champion() == "3"
    after = small_run(warehouse, run_id="after", champion="3")
    assert promote(after, 4) == registry.champion() == "4"
    # Another release has a champion of its own.
    assert Registry(first.conf, first.warehouse, "ml-10m").champion() is None


def test_the_curves_of_training_are_metrics_by_epoch(warehouse):
    run = small_run(warehouse)
    history = [{"epoch": epoch, "validation_loss": 1 / epoch} for epoch in (1, 2, 3)]
    manifest = {"history": history}
    factors([[1]], [[1]], manifest=manifest).save(run.output("factors"))
    registry = Registry.of(run)
    version = registry.register("run", run.output("factors"), PARAMS, METRICS)
    tracking = registry.client
    logged = tracking.get_model_version(f"nightreel-{run.release}", version).run_id
    points = tracking.get_metric_history(logged, "validation_loss")
    assert [(point.step, point.value) for point in points] == [(1, 1), (2, 1 / 2), (3, 1 / 3)]


def test_a_moved_warehouse_keeps_its_models(warehouse, tmp_path):
    run = small_run(warehouse)
    version = registered(run, 3)
    moved = warehouse.rename(tmp_path / "moved")
    registry = Registry.of(small_run(moved))
    assert registry.folder(version).is_relative_to(moved)
    np.testing.assert_array_equal(registry.factors(version).user_UK, [[3]])
    later = registered(small_run(moved, run_id="next"), 4)
    np.testing.assert_array_equal(registry.factors(later).user_UK, [[4]])


def test_a_model_that_is_not_there_stops_with_a_sentence(warehouse):
    run = small_run(warehouse)
    version = registered(run, 1)
    shutil.rmtree(Registry.of(run).folder(version))
    with pytest.raises(JobError, match=r"Version 1 of nightreel-ml-1m cannot be used: .*mlart"):
        Registry.of(run).factors(version)
    with pytest.raises(JobError, match="There is no version 9 of nightreel-ml-1m"):
        Registry.of(run).factors("9")


def test_factors_are_fetched_once_and_whole(bucket, s3, tmp_path):
    with mlflow_server(tmp_path, f"{bucket}/models") as server:
        run = small_run(tmp_path / "w", overrides=[f"tracking.uri={server}"])
        versions = []
        for weight in (1, 2):
            versions.append(registered(run, weight))
        registry = Registry.of(run)
        assert registry.promote(versions[0], run) == registry.champion() == versions[0]
        client, name = bucket_client(s3), bucket.removeprefix("s3://")
        objects = [o["Key"] for o in client.list_objects_v2(Bucket=name)["Contents"]]
        assert sum(key.endswith("/user_UK.npy") for key in objects) == 2

        def folder(version):
            return Registry.of(run).folder(version)

        with ThreadPoolExecutor(2) as two:
            first, again = two.map(folder, [versions[0]] * 2)
        assert first == again
        assert load_factors(first).user_UK.item() == 1
        assert load_factors(folder(versions[1])).user_UK.item() == 2
        assert digest_of(folder(versions[1])) == digest_of(run.output("factors"))
        # Another server's versions have the same numbers.
        assert {path.name[:18] for path in first.parent.glob("[!.]*")} == {
            "nightreel-ml-1m-1-", "nightreel-ml-1m-2-"
        }  # fmt: skip
        # What a killed job has left is no model.
        half = first.rename(first.with_name(f".{first.name}.partial"))
        (half / "user_UK.npy").unlink()
        assert load_factors(folder(versions[0])).user_UK.item() == 1
        assert not half.exists()
        for key in objects:
            if key.endswith("/user_UK.npy"):
                client.delete_object(Bucket=name, Key=key)
        # Fetched once: the bucket is not asked again.
        assert folder(versions[0]) == first
        shutil.rmtree(first)
        with pytest.raises(JobError, match=r"Version 1 of nightreel-ml-1m cannot be used: .*"):
            folder(versions[0])
        # Other arrays of the same shape.
        other = (run.output("factors") / "user_UK.npy").read_bytes()
        for key in objects:
            if key.endswith("/user_UK.npy"):
                client.put_object(Bucket=name, Key=key, Body=other)
        with pytest.raises(JobError, match="does not hold the arrays that were registered"):
            folder(versions[0])
        assert not first.exists()
