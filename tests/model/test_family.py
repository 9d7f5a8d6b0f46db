"""What holds for every model of the family; a new one needs a line in FAMILY and nothing here."""

import time
from dataclasses import fields, replace
from pathlib import Path

import horovod.torch as hvd
import numpy as np
import pytest
import torch

from jobs.runs.configuration import load_configuration
from jobs.runs.settings.whole import with_models
from model.data.datasets import DATASETS, read_dataset
from model.data.histories import TEST, read_histories
from model.earlier import Earlier
from model.factors import Factors, load_factors
from model.family import (
    FAMILY,
    ORDER_MODELS,
    RATING_MODELS,
    Explaining,
    Learner,
    Ordering,
    load,
)
from model.metrics import rmse
from model.ranking.ranker import Ranker
from model.reasons import parts_of
from model.settings import Course, LoopSettings, SamplingSettings
from model.training.export import export
from model.training.loop import run, train
from model.training.progress import Reporter
from tests.model.conftest import BASE, MOVIES, USERS, settings, write
from tests.model.examples import learned_from
from tests.servers.ranks import one_rank, said

EVERY_MODEL = pytest.mark.parametrize("model", FAMILY)
# Of a model that learns by steps or by draws, and not at once.
LEARNERS = pytest.mark.parametrize(
    "model", [m for m in FAMILY if issubclass(load(m).Settings, LoopSettings | SamplingSettings)]
)
# What keeps such a one busy for a while: small steps, or more draws.
LONG = {
    LoopSettings: {"batch_size": 8, "epochs": 4, "patience": 4},
    SamplingSettings: {"samples": 100, "patience": 100, "chains": 2},
}
# Of order and by steps, with the setting that says how long a row is.
ORDER_LEARNERS = pytest.mark.parametrize(
    ("model", "length"),
    [
        (m, {"elsa": "factors", "vae": "latent", "two_tower_order": "embedding"}.get(m, "width"))
        for m in ORDER_MODELS
        if issubclass(load(m).Settings, LoopSettings)
    ],
)
EVERY_ORDER_MODEL = pytest.mark.parametrize("model", ORDER_MODELS)
# Of one that learns what follows within a sitting, and not what the next visit brings.
EVERY_SEQUENCE_MODEL = pytest.mark.parametrize("model", [m for m in ORDER_MODELS if m != "visits"])


def figure_of(model: str) -> str:
    """The figure that a model is known by."""
    return "validation_ndcg" if model in ORDER_MODELS else "validation_rmse"


def has(model: str, setting: str) -> bool:
    """Whether a model has a setting of its own of this name."""
    return setting in BASE[model]


def trained(spec) -> Factors:
    train(spec)
    return load_factors(Path(spec.output))


@EVERY_MODEL
def test_it_learns_in_one_of_the_ways_and_says_what_it_reads(model):
    cls = load(model)
    kinds = [
        {"step", "score", "validate", "weights", "synchronise", "state_dict", "rows"},
        {"sweep", "validate", "state_dict", "load_state_dict", "rows"},
        {"fit"},
        {"combine"},
    ]
    assert sum(all(hasattr(cls, name) for name in wanted) for wanted in kinds) == 1
    assert cls.reads in DATASETS
    assert cls.objective == ("order" if model in ORDER_MODELS else "rating")
    assert (cls.objective == "order") == issubclass(cls, Ordering)


@EVERY_MODEL
def test_no_room_knows_it_but_by_its_name(model):
    module = load(model).__module__
    model_folder = Path(__file__).resolve().parents[2] / "model"
    rooms = [
        *model_folder.glob("*/*.py"),
        *map(model_folder.joinpath, ("family.py", "settings.py")),
    ]
    knowing = [file for file in rooms if f"from {module} import" in file.read_text()]
    assert not knowing
    assert len(rooms) > 15


@EVERY_MODEL
def test_its_settings_are_those_in_base_yaml_each_with_its_type(model):
    assert {field.name for field in fields(load(model).Settings)} == set(BASE[model])
    assert load_configuration(form=with_models()).train.of(model) == BASE[model]


@EVERY_MODEL
def test_it_exports_whole_factors_and_rows_without_ratings_are_zero(spec, model):
    factors = trained(spec(model=model, **({"epochs": 2} if "epochs" in BASE[model] else {})))
    factors_count = factors.user_UK.shape[1]
    assert factors.user_UK.shape == (USERS, factors_count)
    assert factors.movie_MK.shape == (MOVIES, factors_count)
    for array in (factors.user_UK, factors.movie_MK, factors.user_bias_U, factors.movie_bias_M):
        assert array.dtype == np.float32
        assert np.isfinite(array).all()
    assert np.flatnonzero(~factors.user_trained_U).tolist() == [USERS - 1]
    assert np.flatnonzero(~factors.movie_trained_M).tolist() == [MOVIES - 1]
    assert not factors.user_UK[-1].any()
    assert not factors.movie_MK[-1].any()
    assert factors.user_bias_U[-1] == factors.movie_bias_M[-1] == 0
    assert factors.user_ids_U[2] == 27
    assert factors.manifest["model"] == model
    assert factors.manifest["metrics"][figure_of(model)] > 0
    assert len(factors.manifest["history"]) == factors.manifest["metrics"]["epochs"]


@EVERY_MODEL
def test_the_same_seed_gives_the_same_model(spec, model):
    chosen = spec(model=model)
    first = trained(chosen)
    rows = np.array(first.user_UK), np.array(first.movie_bias_M)
    again = trained(chosen)
    np.testing.assert_array_equal(rows[0], again.user_UK)
    np.testing.assert_array_equal(rows[1], again.movie_bias_M)


@pytest.mark.parametrize("model", RATING_MODELS)
def test_it_learns_again_as_it_did_and_from_all_ratings_without_any_held_back(
    spec, ratings, tmp_path, model
):
    chosen = spec(model=model, schedule="plateau") if has(model, "schedule") else spec(model=model)
    first = trained(chosen)
    course = Course.of(first.manifest)
    again = replace(chosen, output=str(tmp_path / "again"), validation=None, course=course)
    # The ratings that it has learned from: the same model, though nothing tells it when to end.
    same = trained(again)
    np.testing.assert_array_equal(same.user_UK, first.user_UK)
    np.testing.assert_array_equal(same.movie_bias_M, first.movie_bias_M)
    history = same.manifest["history"]
    assert len(history) == course.rounds
    told = {*history[0], *same.manifest["metrics"]}
    assert not any(name.startswith("validation") for name in told)
    everything = write(tmp_path / "all", ratings, [1500])
    refitted = trained(replace(again, train=everything))
    assert learned_from(refitted) == 1500
    held = ratings.slice(1200)
    pairs = held["user_idx"].to_numpy(), held["movie_idx"].to_numpy()
    errors = [rmse(f.predict(*pairs), held["rating"].to_numpy()) for f in (first, refitted)]
    # So few ratings may be known worse for one another's sake, but not by much.
    assert errors[1] < 1.05 * errors[0]


@EVERY_ORDER_MODEL
def test_it_learns_from_whole_histories_where_nothing_is_held_back(spec, tmp_path, model):
    chosen = spec(model=model)
    first = trained(chosen)
    course = Course.of(first.manifest)
    again = replace(chosen, output=str(tmp_path / "again"), validation=None, course=course)
    refitted = trained(again)
    counts = [learned_from(f) for f in (first, refitted)]
    assert counts == [23 * (USERS - 1), 25 * (USERS - 1)]
    assert len(refitted.manifest["history"]) == course.rounds
    assert not any(name.startswith("validation") for name in refitted.manifest["metrics"])
    encoder = load(model).encoder(Path(again.output), torch.device("cpu"))
    histories = read_histories(Path(chosen.histories))
    np.testing.assert_allclose(encoder.encode(histories), refitted.user_UK[:-1], atol=1e-5)


@LEARNERS
def test_killed_and_started_again_it_ends_as_if_never_stopped(spec, tmp_path, model):
    [longer] = [c for kind, c in LONG.items() if issubclass(load(model).Settings, kind)]
    if model in ORDER_MODELS:
        longer = longer | {"batch_size": 40}
    chosen = spec(model=model, checkpoint_seconds=0, **longer)
    whole = trained(chosen)
    rows, history = np.array(whole.user_UK), whole.manifest["history"]
    again = replace(chosen, output=str(tmp_path / "again"))
    file, latest = tmp_path / "spec.json", Path(chosen.checkpoints) / "latest.pt"
    process = one_rank(again, file)
    while not latest.exists():
        assert process.is_alive(), said(file)
        time.sleep(0.01)
    process.kill()
    process.join(10)
    assert not Path(again.output).exists()
    one_rank(again, file).join(100)
    assert "going on from a checkpoint: " in said(file)
    resumed = load_factors(Path(again.output))
    np.testing.assert_array_equal(resumed.user_UK, rows)
    losses = [epoch["validation_loss"] for epoch in history]
    assert [epoch["validation_loss"] for epoch in resumed.manifest["history"]] == losses


@pytest.mark.parametrize("model", [m for m in RATING_MODELS if m != "biases"])
def test_it_beats_the_biases_on_planted_tastes(spec, ratings, model):
    held = ratings.slice(1200)
    pairs = held["user_idx"].to_numpy(), held["movie_idx"].to_numpy()
    rating = held["rating"].to_numpy()
    chosen = spec(model=model, **({"epochs": 40} if "epochs" in BASE[model] else {}))
    biases = replace(chosen, model="biases", settings=load("biases").Settings(**BASE["biases"]))
    theirs = rmse(trained(biases).predict(*pairs), rating)
    assert rmse(trained(chosen).predict(*pairs), rating) < 0.8 * theirs


@EVERY_SEQUENCE_MODEL
def test_it_names_the_next_movie_of_planted_orders(spec, histories, model):
    """Users' rows are made anew from what came before the last movie, as evaluate makes them."""
    chosen = spec(model=model)
    factors = trained(chosen)
    known, last = read_histories(Path(chosen.histories)).until(TEST), histories["movie_idx"]
    user_UK = load(model).encoder(Path(chosen.output), torch.device("cpu")).encode(known).numpy()
    score_UM = user_UK @ factors.movie_MK.T + factors.movie_bias_M
    score_UM[known.owner_N, known.movie_N] = -np.inf
    score_UM[:, ~factors.movie_trained_M] = -np.inf
    popular_UM = np.where(score_UM > -np.inf, factors.popular_M, -np.inf)
    last_U1 = np.array([[movies[-1].as_py()] for movies in last])

    def found(score_UM):
        return (np.argsort(-score_UM, 1)[:, :3] == last_U1).any(1).mean()

    # An autoencoder has little to learn from in 59 sets.
    assert found(score_UM) > (0.4 if model == "vae" else 0.5)
    assert found(popular_UM) < 0.3


@EVERY_ORDER_MODEL
def test_its_encoder_makes_the_rows_that_it_exported_each_from_its_history_alone(spec, model):
    chosen = spec(model=model)
    factors = trained(chosen)
    encoder = load(model).encoder(Path(chosen.output), torch.device("cpu"))
    histories = read_histories(Path(chosen.histories))
    np.testing.assert_allclose(encoder.encode(histories), factors.user_UK[:-1], atol=1e-5)
    some = encoder.encode(histories.take(np.array([5, 40])))
    np.testing.assert_allclose(some, factors.user_UK[[5, 40]], atol=1e-5)
    nothing = histories.slice(0, 2).where(np.zeros(50, bool))
    assert encoder.encode(nothing).shape == (2, factors.user_UK.shape[1])
    assert not encoder.encode(nothing).any()
    part_NK = parts_of(encoder, histories).numpy()
    if isinstance(encoder, Explaining) and model != "order_blend":
        # Parts add up to the rows, but for what is the same for all.
        rest_UK = factors.user_UK[:-1] - np.add.reduceat(part_NK, histories.offset_U1[:-1])
        np.testing.assert_allclose(rest_UK, np.broadcast_to(rest_UK[0], rest_UK.shape), atol=1e-4)
    assert part_NK.shape == (len(histories.movie_N), factors.user_UK.shape[1])


@ORDER_LEARNERS
def test_of_order_it_goes_on_from_an_earlier_one_whose_movies_had_other_numbers(
    spec, tmp_path, model, length
):
    chosen = spec(model=model)
    earlier = trained(chosen)
    folder = Path(chosen.output)
    again = replace(chosen, output=str(tmp_path / "again"), initial_factors=chosen.output)
    cold, warm = (f.manifest["history"][0] for f in (earlier, trained(again)))
    assert warm["train_loss"] < cold["train_loss"]
    # A network starts from the regression, which finds nearly all here: the rest is noise.
    noise = 0 if model in ("elsa", "vae") else 0.02
    assert warm["validation_loss"] < cold["validation_loss"] + noise
    data = read_dataset(chosen, torch.device("cpu"))

    def started(data, **changes):
        learner = load(model)(replace(chosen.settings, **changes), data, seed=9)
        fresh = {name: weight.clone() for name, weight in learner.weights().items()}
        known = Earlier.by_id(folder, data.user_ids, data.movie_ids)
        return learner, fresh, learner.start_from(known)

    learner, _, said = started(data)
    assert said.startswith(f"the rows of {MOVIES - 1} movies")
    rows = learner.made.encode(data.histories)
    np.testing.assert_allclose(rows, earlier.user_UK[:-1], atol=1e-5)
    known = earlier.movie_trained_M
    movie_MK = learner.movie_MK.numpy()
    np.testing.assert_allclose(movie_MK[known], earlier.movie_MK[known], atol=1e-5)
    # The ids stand in another order, and the first is a new movie's.
    number_M = np.roll(np.arange(MOVIES), 7)
    ids_M = np.where(np.arange(MOVIES) == 0, 1_000_003, data.movie_ids[number_M])
    moved, fresh, said = started(replace(data, movie_ids=ids_M))
    assert said.startswith(f"the rows of {MOVIES - 2} movies")
    weights, wanted = moved.weights(), learner.weights()
    taken_M = known[number_M]
    taken_M[0] = False
    for name, _ in moved.module.named_parameters():
        if name in moved.movie_weights:
            assert torch.equal(weights[name][taken_M], wanted[name][number_M][taken_M])
            assert torch.equal(weights[name][~taken_M], fresh[name][~taken_M])
        elif not name.startswith("earlier."):
            assert torch.equal(weights[name], wanted[name])
    sentence = rf"another form: .* train\.{model}\.{length} is 8, there"
    with pytest.raises(ValueError, match=sentence):
        started(data, **{length: 8})


def test_of_order_it_goes_on_from_no_other_model(spec):
    chosen = spec(model="recency", epochs=1)
    trained(chosen)
    other = replace(chosen, model="gru", settings=settings("gru"))
    data = read_dataset(other, torch.device("cpu"))
    gru = load("gru")(other.settings, data, other.seed)
    with pytest.raises(ValueError, match="is of recency, and this one of gru"):
        gru.start_from(Earlier.by_id(Path(chosen.output), data.user_ids, data.movie_ids))


@EVERY_MODEL
def test_the_kernels_scores_are_the_models_own(spec, model):
    chosen = spec(model=model, **({"epochs": 2} if "epochs" in BASE[model] else {}))
    hvd.init()
    data = read_dataset(chosen, torch.device("cpu"))
    made = load(model)(chosen.settings, data, chosen.seed)
    rows = run(made, data, chosen, Reporter(False, 2, 1))[0]
    # Of what is not learned by steps, the rows are all there is.
    score = made.score if isinstance(made, Learner) else rows.score
    factors = export(rows, data, {})
    users = np.arange(USERS - 1, dtype=np.int32)
    found = Ranker(factors).top_k(users, [np.empty(0, np.int32)] * len(users), None)
    assert len(found.row_R) == len(users) * (MOVIES - 1)
    with torch.no_grad():
        own_R = score(torch.from_numpy(found.row_R), torch.from_numpy(found.movie_idx_R))
    np.testing.assert_allclose(found.score_R, own_R, atol=1e-5)


# Last, since ranks that wait for a spec take time from other tests.
@EVERY_MODEL
def test_two_ranks_are_about_as_good_as_one(spec, two_ranks, model):
    chosen = spec(model=model, by_user=True)
    alone = trained(chosen).manifest["metrics"][figure_of(model)]
    two_ranks(chosen)
    both = load_factors(Path(chosen.output)).manifest["metrics"]
    assert both["ranks"] == 2
    assert both[figure_of(model)] == pytest.approx(alone, abs=0.05)
