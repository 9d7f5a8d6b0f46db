"""Layers of settings, and the sentence for each thing that may be wrong in them."""

from shutil import copytree

import pytest

from jobs.runs.configuration import conf_folder, load_configuration, of_today
from jobs.runs.errors import JobError
from jobs.runs.settings.whole import Configuration, with_models
from model.family import FAMILY


@pytest.fixture
def folder(tmp_path):
    """A copy of the real conf, to break."""
    copytree(conf_folder(), tmp_path / "conf")
    return tmp_path / "conf"


def test_the_files_in_conf_are_valid():
    assert load_configuration(form=with_models()).warehouse == "warehouse"
    james_le = load_configuration(profile="james-le", form=with_models()).train
    assert james_le.of("matrix_factorisation")["batch_size"] == 32


def test_later_layers_win(folder):
    (folder / "local.yaml").write_text("warehouse: here\netl: {folds: 7}\n")
    conf = load_configuration(["etl.folds=6", "score.top_k=all"], folder=folder)
    assert (conf.etl.folds, conf.score.top_k) == (6, "all")
    assert load_configuration(profile="james-le", folder=folder).score.damping == 0
    assert load_configuration(warehouse="/there", folder=folder).warehouse == "/there"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "train: {epoks: 3}",
            ["local.yaml: unknown key train.epoks", "Allowed here: launcher, ranks, hosts"],
        ),
        (
            "train: {epochs: 3}",
            ["unknown key train.epochs. It is a setting of a model: train.matrix_factorisation."],
        ),
        ("trian: {}", ["local.yaml: unknown key trian", "Allowed here: warehouse, ingest"]),
        (
            "train: {model: oracle}",
            [
                "local.yaml: train.model: found 'oracle'",
                "'matrix_factorisation', 'biases', 'content'",
            ],
        ),
        (
            "train: {matrix_factorisation: {epochs: many}}",
            ["local.yaml: train.matrix_factorisation.epochs: found 'many'", "valid integer"],
        ),
        (
            "train: {matrix_factorisation: {factors: true}}",
            ["local.yaml: train.matrix_factorisation.factors: found True", "valid integer"],
        ),
        (
            "train: {matrix_factorisation: {optimiser: rmsprop}}",
            [
                "train.matrix_factorisation.optimiser: found 'rmsprop'",
                "'adam', 'adamax', 'adagrad'",
            ],
        ),
        (
            "train: {biases: {sweep: 3}}",
            [
                "local.yaml: unknown key train.biases.sweep",
                "Allowed here: sweeps, movie_damping, user_damping",
            ],
        ),
        ("train: {biases: false}", ["local.yaml: train.biases: found False"]),
        (
            "train: {ranks: 64, matrix_factorisation: {batch_size: 32}}",
            ["local.yaml: train: a batch of 32 ratings cannot be shared by 64 ranks"],
        ),
        (
            "train: {ranks: 2, elastic: true, matrix_factorisation: {exchange: strata}}",
            ["train: matrix_factorisation.exchange=strata does not go with elastic"],
        ),
        ("score: {top_k: 0}", ["local.yaml: score.top_k: found 0", "greater than or equal to 1"]),
        ("score: {new_movies: 20}", ["score: new_movies is 20, and top_k 20: no place would be"]),
        ("score: {top_k: some}", ["score.top_k: found 'some'", "'all'"]),
        ("etl: {test_share: 0.3}", ["add up to 1.2, not to 1"]),
        ("train: 7", ["local.yaml: train: found 7"]),
        ("train: [", ["local.yaml is not valid YAML"]),
    ],
)
def test_what_is_wrong_is_named(folder, line, expected):
    (folder / "local.yaml").write_text(f"warehouse: w\n{line}\n")
    with pytest.raises(JobError) as error:
        load_configuration(folder=folder, form=with_models())
    for part in expected:
        assert part in str(error.value)


def test_a_file_that_is_no_mapping_is_named(folder):
    (folder / "local.yaml").write_text("- a\n")
    with pytest.raises(JobError, match=r"local.yaml must hold keys and values, found list"):
        load_configuration(folder=folder)


def test_settings_that_contradict_one_another_are_named_alone(folder):
    with pytest.raises(JobError, match=r"=0.9: etl: train, validation and test shares add up to 1"):
        load_configuration(["etl.train_share=0.9"], folder=folder)


def test_nights_that_are_looked_back_on_must_stay(folder):
    with pytest.raises(JobError, match=r"score.repeat_after=3 .* publish.keep_dates=3 .* least 4"):
        load_configuration(["publish.keep_dates=3", "score.repeat_after=3"], folder=folder)
    assert load_configuration(["publish.keep_dates=4", "score.repeat_after=3"], folder=folder)


def test_a_missing_key_is_named(folder):
    base = folder / "base.yaml"
    base.write_text(base.read_text().replace("\nwarehouse: warehouse\n", "\n"))
    with pytest.raises(JobError, match=r"base.yaml: the key warehouse is missing"):
        load_configuration(folder=folder)


def test_wrong_overrides_and_profiles_are_named(folder):
    with pytest.raises(JobError, match=r"--set etl.folds: expected section.key=value"):
        load_configuration(["etl.folds"], folder=folder)
    with pytest.raises(JobError, match=r"--set etl.folds=x: etl.folds: found 'x'"):
        load_configuration(["etl.folds=x"], folder=folder)
    with pytest.raises(JobError, match=r"There are: accurate, james-le"):
        load_configuration(profile="nobody", folder=folder)


def test_a_model_of_ratings_orders_no_movies(folder):
    wrong = r"--set train.order.model=biases: train.order.model: found 'biases'.*'none'"
    with pytest.raises(JobError, match=wrong):
        load_configuration(["train.order.model=biases"], folder=folder)


def test_a_number_as_people_write_it_is_one():
    # YAML takes 1e-05 for a text.
    change = "train.matrix_factorisation.learning_rate=1e-05"
    train = load_configuration([change], form=with_models()).train
    assert train.of("matrix_factorisation")["learning_rate"] == 1e-5


def test_settings_of_runs_from_before_there_was_a_family_are_read():
    conf = load_configuration().model_dump()
    bare = conf["train"].pop("matrix_factorisation")
    for key in ("model", *FAMILY):
        conf["train"].pop(key, None)
    old = conf | {"train": conf["train"] | bare}
    train = Configuration.model_validate(of_today(old)).train
    assert (train.model, train.of("matrix_factorisation")) == ("matrix_factorisation", bare)
    # With which evaluate compares what was learned.
    assert train.of("biases")["sweeps"] == 10
    # A model that has joined since the run was started.
    lacking = load_configuration().model_dump()
    biases = lacking["train"].pop("biases")
    assert of_today(lacking)["train"]["biases"] == biases
    assert of_today(conf | {"train": train.model_dump()})["train"] == train.model_dump()
