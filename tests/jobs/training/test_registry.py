"""Versions and the champion, in a real MLflow store; artifacts in a bucket of a real server."""

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import numpy as np
import pytest

from jobs.runs.errors import JobError
from jobs.training.mlflow_client import LIMITS
from jobs.training.promotion import set_champion
from jobs.training.registered import FILES, REFITTED, digest_of, fetched, kept_to_score
from jobs.training.registering import add_refitted, register
from jobs.training.registry import Registry
from model.factors import load_factors
from tests.jobs.examples import small_run
from tests.model.examples import factors
from tests.servers.mlflow import mlflow_server
from tests.servers.proxy import at, proxy_before
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
    return register(Registry.of(run), run.run_id, run.output("factors"), PARAMS, metrics)


def test_arrays_are_on_disk_before_they_are_registered(warehouse, monkeypatch):
    happened = []
    fsync = os.fsync

    def synced(descriptor):
        happened.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    run = small_run(warehouse)
    factors([[1]], [[1]]).save(run.output("factors"))
    registry = Registry.of(run)
    monkeypatch.setattr(os, "fsync", synced)
    create = registry.client.create_model_version

    def created(name, source, **named):
        kept = registry.warehouse.folder / "mlartifacts" / source.rpartition("/mlartifacts/")[2]
        assert {kept, *kept.iterdir(), *list(kept.parents)[:3]} <= set(happened)
        return create(name, source, **named)

    monkeypatch.setattr(registry.client, "create_model_version", created)
    assert register(registry, run.run_id, run.output("factors"), PARAMS, METRICS) == "1"
    # SQLite's journal, were it there again, would undo that.
    assert happened[-1] == warehouse


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


FIRST_RUN = """
import sys
from pathlib import Path
from tests.jobs.examples import small_run
from tests.jobs.training.test_registry import registered
run = small_run(Path(sys.argv[1]), run_id=sys.argv[2])
sys.stdin.read()
print(registered(run, 1))
"""


def test_two_first_runs_at_once_make_one_store(warehouse):
    """Each would make its tables, its experiment and its registered model."""
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", FIRST_RUN, warehouse, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b")
    ]
    told = [run.communicate("go") for run in runs]
    assert [run.returncode for run in runs] == [0, 0], told
    assert {out.split()[-1] for out, _ in told} == {"1", "2"}
    registry = Registry.of(small_run(warehouse))
    assert len(registry.client.search_experiments()) == 2  # with MLflow's own


def test_a_run_does_not_dethrone_a_champion_that_it_was_not_measured_against(warehouse):
    def promote(run, weight):
        return set_champion(Registry.of(run), registered(run, weight), run)

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
    version = register(registry, "run", run.output("factors"), PARAMS, METRICS)
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


def test_a_store_that_is_damaged_is_told_in_a_sentence(warehouse):
    run = small_run(warehouse)
    run.warehouse.tracking.write_bytes(b"no database " * 1000)
    with pytest.raises(JobError, match=r"MLflow at sqlite:.* does not answer: .*not a database"):
        registered(run, 1)


@pytest.mark.parametrize("changed", ["movie_MK.npy", "manifest.json"])
def test_what_was_changed_since_it_was_registered_is_not_used(warehouse, changed):
    run = small_run(warehouse)
    version = registered(run, 1)
    file = Registry.of(run).folder(version) / changed
    other = run.output("other")
    factors([[1]], [[2]], mean=0.5).save(other)
    file.write_bytes((other / changed).read_bytes())
    with pytest.raises(JobError, match="does not hold the model that was registered"):
        Registry.of(run).factors(version)


def test_models_that_older_versions_registered_can_be_used(warehouse):
    """Their tags tell of arrays alone."""
    run = small_run(warehouse)
    version = registered(run, 1)
    registry = Registry.of(run)
    registry.client.delete_model_version_tag(registry.name, version, FILES)
    folder = registry.folder(version)
    assert Registry.of(run).factors(version).user_UK.item() == 1
    np.save(folder / "user_UK.npy", np.array([[2]], np.float32))
    with pytest.raises(JobError, match="does not hold the model that was registered"):
        Registry.of(run).factors(version)


def refitted(run, weight, *, rest=1) -> Path:
    """The same model, learned from all ratings."""
    factors([[weight]], [[rest]]).save(run.output("factors-refitted"))
    return run.output("factors-refitted")


def test_a_version_that_was_refitted_scores_so_and_is_compared_as_it_was_measured(warehouse):
    run = small_run(warehouse)
    version = registered(run, 1)
    add_refitted(Registry.of(run), version, refitted(run, 2), 1000, "measured on 100 test ratings")
    registry = Registry.of(run)
    folder, measured = registry.measured(version)
    assert (measured.user_UK.item(), registry.factors(version).user_UK.item()) == (1, 2)
    assert folder != registry.folder(version)
    assert registry.test_rmse(version) == METRICS["test_rmse"]
    logged = registry.client.get_model_version(registry.name, version)
    assert registry.client.get_run(logged.run_id).data.metrics["refit_ratings"] == 1000
    assert logged.description == "Measured on 100 test ratings."
    # The run made again is the same version, as far as it was measured.
    assert registered(run, 1) == version
    # What was damaged since is used by nobody.
    np.save(registry.folder(version) / "user_UK.npy", np.array([[3]], np.float32))
    with pytest.raises(JobError, match="does not hold the model that was registered"):
        Registry.of(run).factors(version)
    assert Registry.of(run).measured(version)[1].user_UK.item() == 1
    add_refitted(Registry.of(run), version, refitted(run, 2), 1000, "measured")
    assert Registry.of(run).factors(version).user_UK.item() == 2


def test_a_refit_that_is_killed_leaves_the_version_whole_and_can_be_made_again(
    warehouse, monkeypatch
):
    run = small_run(warehouse)
    version = registered(run, 1)

    def scores() -> float:
        return Registry.of(run).factors(version).user_UK.item()

    def killed(*_, **__):
        raise KeyboardInterrupt

    for step, before, after in (("log_metric", 1, 2), ("set_model_version_tag", 2, 3)):
        registry = Registry.of(run)
        with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
            patched.setattr(registry.client, step, killed)
            add_refitted(registry, version, refitted(run, after), 1000, "measured")
        assert scores() == before
        # Half of what it wrote is there, under the name that the next attempt gives it.
        [left] = [f for f in registry.measured(version)[0].parent.iterdir() if f.name != "factors"
                  and load_factors(f).user_UK.item() == after]  # fmt: skip
        (left / "manifest.json").unlink()
        add_refitted(Registry.of(run), version, refitted(run, after), 1000, "measured")
        assert scores() == after
    # The same outcome once more is not stored again.
    folder = Registry.of(run).folder(version)
    written = (folder / "user_UK.npy").stat().st_mtime_ns
    add_refitted(Registry.of(run), version, refitted(run, 3), 1000, "measured")
    assert Registry.of(run).folder(version) == folder
    assert (folder / "user_UK.npy").stat().st_mtime_ns == written


def test_a_server_that_falls_silent_is_given_up(tmp_path, monkeypatch):
    """By reading and by writing; the limits are a minute, three times, unless it is said here."""
    assert LIMITS == {"MLFLOW_HTTP_REQUEST_TIMEOUT": "60", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with (
        mlflow_server(tmp_path, str(tmp_path / "models")) as server,
        proxy_before(at("127.0.0.1", urlsplit(server).port or 0)) as proxy,
    ):
        address = f"http://127.0.0.1:{proxy.port}"
        run = small_run(tmp_path / "w", overrides=[f"tracking.uri={address}"])
        version = registered(run, 1)
        registry = Registry.of(run)
        # The server's own of the model and its version name a folder of ours.
        found = dict(registry.client.get_model_version(registry.name, version))
        for name, number, tag in (
            ("../../outside", "1", None),
            (registry.name, "../../outside", None),
            (registry.name, "1", "../../outside 0123456789ab"),
        ):
            tags = {**found["tags"], **({REFITTED: tag} if tag else {})}
            told = SimpleNamespace(**found | {"name": name, "version": number, "tags": tags})
            with suppress(ValueError):
                kept = kept_to_score(told)
                fetched(registry.client, registry.name, kept, tmp_path / "models-here")
        assert list(tmp_path.glob("**/outside*")) == []
        proxy.frozen.set()
        for ask in (
            lambda: Registry.of(run).champion(),
            lambda: Registry.of(run).factors(version),
            lambda: set_champion(Registry.of(run), version, run),
            lambda: Registry.of(run).test_rmse(version),
            lambda: registered(run, 2),
        ):
            started = time.monotonic()
            with pytest.raises(JobError, match=rf"MLflow at {address} does not answer"):
                ask()
            assert time.monotonic() - started < 15


def test_factors_are_fetched_once_and_whole(bucket, s3, tmp_path):
    with mlflow_server(tmp_path, f"{bucket}/models") as server:
        run = small_run(tmp_path / "w", overrides=[f"tracking.uri={server}"])
        versions = []
        for weight in (1, 2):
            versions.append(registered(run, weight))
        registry = Registry.of(run)
        assert set_champion(registry, versions[0], run) == registry.champion() == versions[0]
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
        # Of one that was refitted both are fetched.
        add_refitted(registry, versions[1], refitted(run, 5), 1000, "measured")
        assert Registry.of(run).factors(versions[1]).user_UK.item() == 5
        assert Registry.of(run).measured(versions[1])[1].user_UK.item() == 2
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
        with pytest.raises(JobError, match="does not hold the model that was registered"):
            folder(versions[0])
        assert not first.exists()
