"""Models whose artifacts lie in an object store, behind a real MLflow server."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from jobs.runs.errors import JobError
from jobs.training.registry import champion_version, digest_of, factors_folder, promote, register
from model.factors import load_factors
from tests.jobs.examples import small_run
from tests.model.examples import factors
from tests.servers.mlflow import mlflow_server
from tests.servers.s3 import bucket_client


def test_factors_are_fetched_once_and_whole(bucket, s3, tmp_path):
    with mlflow_server(tmp_path, f"{bucket}/models") as server:
        run = small_run(tmp_path / "w", overrides=[f"tracking.uri={server}"])
        versions = []
        for weight in (1, 2):
            factors([[weight]], [[1]]).save(run.output("factors"))
            versions.append(register(run, run.output("factors"), {}, {"test_rmse": 0.9}))
        assert promote(run, versions[0])
        assert champion_version(run.conf, run.warehouse, run.release) == versions[0]
        client, name = bucket_client(s3), bucket.removeprefix("s3://")
        objects = [o["Key"] for o in client.list_objects_v2(Bucket=name)["Contents"]]
        assert sum(key.endswith("/user_UK.npy") for key in objects) == 2

        def folder(version):
            return factors_folder(run.conf, run.warehouse, run.release, version)

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
