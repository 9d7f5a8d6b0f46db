"""What the train step checks before the ranks start; the loop is tested in tests/model."""

from dataclasses import replace

import pytest

from jobs.runs.errors import JobError
from jobs.training.promotion import set_champion
from jobs.training.registering import add_refitted, register
from jobs.training.registry import Registry
from jobs.training.specs import (
    champion_to_start_from,
    check_shards,
    order_champion_to_start_from,
)
from tests.jobs.examples import MODEL, small_run


def test_every_rank_needs_a_row_group(tmp_path):
    (tmp_path / "part-0.parquet").touch()
    (tmp_path / "_SUCCESS").touch()
    check_shards(tmp_path, ranks=1)
    with pytest.raises(
        JobError,
        match=r"2 ranks cannot share 1 row groups in .*\. Lower train.ranks or raise etl.min_row_",
    ):
        check_shards(tmp_path, ranks=2)


def test_a_warm_start_is_from_the_champion_that_knows_no_held_back_rating(tmp_path, capsys):
    first = small_run(tmp_path)
    data = {"digest": first.digest, **first.conf.etl.model_dump()}
    replace(MODEL, manifest={"data": data}).save(first.output("factors"))
    registry = Registry.of(first)
    version = register(registry, "run", first.output("factors"), {}, {})
    set_champion(registry, version, first)

    def start(champion: str | None, *overrides: str):
        warm = ["train.warm_start=true", *overrides]
        return champion_to_start_from(small_run(tmp_path, overrides=warm, champion=champion))

    assert start(version) == registry.folder(version)
    # Nor by what it scores by, once that has learned from all ratings.
    replace(MODEL, manifest={"data": data}, mean=9).save(first.output("factors-refitted"))
    add_refitted(registry, version, first.output("factors-refitted"), 5, "measured")
    assert start(version) == registry.measured(version)[0] != registry.folder(version)
    # Not what is the champion now: what was when the run began.
    assert start(None) is None
    assert "no champion to start from" in capsys.readouterr().out
    assert champion_to_start_from(small_run(tmp_path, champion=version)) is None
    with pytest.raises(JobError, match="champion 1 was trained on another split, so it has learn"):
        start(version, "etl.split_seed=21")
    # The biases alone, say: nothing of matrix factorisation could start from them.
    other = replace(MODEL, manifest={"data": data, "model": "biases"})
    other.save(tmp_path / "biases")
    biases = register(registry, "other", tmp_path / "biases", {}, {})
    assert start(biases) is None
    assert "is of biases: all starts at random" in capsys.readouterr().out
    assert start(version, "train.model=biases") is None
    assert "biases starts from no earlier model" in capsys.readouterr().out


def test_a_model_of_order_starts_from_the_champion_of_order(tmp_path, capsys):
    first = small_run(tmp_path)
    data = first.conf.etl.model_dump() | {"digest": first.digest, "order_split": "next-visit"}
    manifest = {"data": data, "model": "gru"}
    replace(MODEL, manifest=manifest).save(first.output("order"))
    registry = Registry.of(first, "order")
    version = register(registry, "run", first.output("order"), {}, {})
    replace(MODEL, manifest=manifest, mean=9).save(first.output("order-refitted"))
    add_refitted(registry, version, first.output("order-refitted"), 5, "measured")

    def start(champion: str | None, model: str, split: str = "next-visit"):
        overrides = ["train.warm_start=true", f"train.order.model={model}"]
        run = small_run(tmp_path, overrides=overrides)
        return order_champion_to_start_from(replace(run, order_champion=champion), split)

    assert start(version, "gru") == registry.measured(version)[0] != registry.folder(version)
    with pytest.raises(JobError, match="champion 1 of order was trained on another split"):
        start(version, "gru", "time")
    assert start(None, "gru") is None
    assert "no champion of order to start from" in capsys.readouterr().out
    assert start(version, "transformer") is None
    assert "champion 1 of order is of gru: all starts at random" in capsys.readouterr().out
    for closed in ("ridge", "visits", "ials", "order_blend"):
        assert start(version, closed) is None
        assert f"{closed} starts from no earlier model" in capsys.readouterr().out
    cold = small_run(tmp_path, overrides=["train.order.model=gru"])
    assert order_champion_to_start_from(replace(cold, order_champion=version), "time") is None
