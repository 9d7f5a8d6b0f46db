"""What is read of MLflow's store, beside what MLflow itself says of it."""

import pytest

from jobs.runs.errors import JobError
from jobs.training import own_store
from jobs.training.registering import register
from jobs.training.registry import CHAMPION, Registry
from tests.jobs.examples import small_run
from tests.model.examples import factors


@pytest.fixture
def registry(tmp_path):
    run = small_run(tmp_path / "warehouse")
    registry = Registry.of(run)
    for weight, rmse in ((1, 0.9), (2, 0.8), (3, 0.7)):
        factors([[weight]], [[1]]).save(run.output("factors"))
        params = {"factors": weight, "source": None}
        register(registry, run.run_id, run.output("factors"), params, {"test_rmse": rmse})
    return registry


def test_it_is_what_mlflow_answers(registry):
    file, name, client = registry.own, registry.name, registry.client
    for version in ("1", "2", "3"):
        asked, read = client.get_model_version(name, version), registry.model_version(version)
        assert (read.version, read.source, read.run_id, read.tags) == (
            str(asked.version),
            asked.source,
            asked.run_id,
            asked.tags,
        )
        logged = client.get_run(asked.run_id).data
        assert registry.test_rmse(version) == logged.metrics["test_rmse"]
        assert logged.params == {"factors": version, "source": "None"}
        assert own_store.metric(file, asked.run_id, "none such") is None
    assert own_store.version_of(file, name, CHAMPION) is None
    for version in ("2", "3"):
        client.set_registered_model_alias(name, CHAMPION, version)
        assert registry.champion() == version
        assert Registry(registry.conf, registry.warehouse, "ml-10m").champion() is None


def test_a_version_that_was_deleted_is_none(registry):
    registry.client.delete_model_version(registry.name, "2")
    for version in ("2", "4", "latest", "1; drop table model_versions"):
        with pytest.raises(JobError, match=f"There is no version {version} of"):
            registry.model_version(version)
    assert registry.model_version("3").version == "3"


def test_a_store_that_is_empty_or_none_has_no_answer(tmp_path):
    run = small_run(tmp_path / "warehouse")
    registry = Registry.of(run)
    # What a first step that was killed while MLflow made the store may leave.
    run.warehouse.folder.mkdir()
    run.warehouse.tracking.touch()
    assert registry.champion() is None
    with pytest.raises(JobError, match="There is no version 1 of"):
        registry.model_version("1")
    run.warehouse.tracking.write_bytes(b"no database " * 1000)
    with pytest.raises(JobError, match=r"MLflow at sqlite:.* does not answer: .*not a database"):
        registry.champion()
