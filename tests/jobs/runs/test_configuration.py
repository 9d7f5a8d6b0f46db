"""Layers of settings, and the sentence for each thing that may be wrong in them."""

from shutil import copytree

import pytest

from jobs.runs.configuration import conf_folder, load_configuration
from jobs.runs.errors import JobError


@pytest.fixture
def folder(tmp_path):
    """A copy of the real conf, to break."""
    copytree(conf_folder(), tmp_path / "conf")
    return tmp_path / "conf"


def test_the_files_in_conf_are_valid():
    assert load_configuration().warehouse == "warehouse"
    assert load_configuration(profile="james-le").train.batch_size == 32


def test_later_layers_win(folder):
    (folder / "local.yaml").write_text("warehouse: here\ntrain: {factors: 5}\n")
    conf = load_configuration(["train.factors=6", "score.top_k=all"], folder=folder)
    assert (conf.train.factors, conf.score.top_k) == (6, "all")
    assert load_configuration(profile="james-le", folder=folder).train.factors == 100
    assert load_configuration(warehouse="/there", folder=folder).warehouse == "/there"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "train: {epoks: 3}",
            ["local.yaml: unknown key train.epoks", "Allowed here: launcher, ranks, hosts"],
        ),
        ("trian: {}", ["local.yaml: unknown key trian", "Allowed here: warehouse, ingest"]),
        ("train: {epochs: many}", ["local.yaml: train.epochs: found 'many'", "valid integer"]),
        (
            "train: {optimiser: rmsprop}",
            ["train.optimiser: found 'rmsprop'", "'adam', 'adamax', 'adagrad' or"],
        ),
        ("score: {top_k: 0}", ["local.yaml: score.top_k: found 0", "greater than or equal to 1"]),
        ("score: {top_k: some}", ["score.top_k: found 'some'", "'all'"]),
        ("etl: {test_share: 0.3}", ["add up to 1.2, not to 1"]),
        ("train: 7", ["local.yaml: train: found 7"]),
        ("train: [", ["local.yaml is not valid YAML"]),
    ],
)
def test_what_is_wrong_is_named(folder, line, expected):
    (folder / "local.yaml").write_text(f"warehouse: w\n{line}\n")
    with pytest.raises(JobError) as error:
        load_configuration(folder=folder)
    for part in expected:
        assert part in str(error.value)


def test_a_file_that_is_no_mapping_is_named(folder):
    (folder / "local.yaml").write_text("- a\n")
    with pytest.raises(JobError, match=r"local.yaml must hold keys and values, found list"):
        load_configuration(folder=folder)


def test_settings_that_contradict_one_another_are_named_alone(folder):
    with pytest.raises(JobError, match=r"=0.9: etl: train, validation and test shares add up to 1"):
        load_configuration(["etl.train_share=0.9"], folder=folder)


def test_a_missing_key_is_named(folder):
    base = folder / "base.yaml"
    base.write_text(base.read_text().replace("\nwarehouse: warehouse\n", "\n"))
    with pytest.raises(JobError, match=r"base.yaml: the key warehouse is missing"):
        load_configuration(folder=folder)


def test_wrong_overrides_and_profiles_are_named(folder):
    with pytest.raises(JobError, match=r"--set train.epochs: expected section.key=value"):
        load_configuration(["train.epochs"], folder=folder)
    with pytest.raises(JobError, match=r"--set train.epochs=x: train.epochs: found 'x'"):
        load_configuration(["train.epochs=x"], folder=folder)
    with pytest.raises(JobError, match=r"There are: james-le"):
        load_configuration(profile="nobody", folder=folder)
