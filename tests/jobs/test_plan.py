"""Whether a run trains, by each policy."""

import re
from datetime import date

import pytest

from jobs.plan import Champion, decide, refuse_champion
from jobs.runs.errors import JobError
from jobs.runs.settings.training import RetrainSettings
from jobs.scoring.uncertainty import refuse_to_train
from jobs.training.registry import Registry
from tests.jobs.examples import MODEL, small_run

DS = date(2026, 1, 8)


def champion(days: int = 0, ratings: int | None = 1000) -> Champion:
    """One that was trained so many days before DS."""
    return Champion("3", date.fromordinal(DS.toordinal() - days), ratings, "biases")


UNKNOWN = Champion(
    "3", None, None, "biases"
)  # registered before champions said what they were trained on


@pytest.mark.parametrize(
    ("policy", "champion", "train", "reason"),
    [
        ("always", champion(), True, "every run trains"),
        ("always", None, True, "no champion yet"),
        ("never", champion(), False, "champion 3 scores"),
        ("weekly", None, True, "no champion yet"),
        ("weekly", champion(days=6), False, "6 days old"),
        ("weekly", champion(days=7), True, "7 days old"),
        ("weekly", champion(days=-3), False, "-3 days old"),  # a backfilled date
        ("weekly", UNKNOWN, True, "does not say"),
        ("new-ratings", None, True, "no champion yet"),
        ("new-ratings", champion(ratings=953), False, r"\+4\.9% ratings since champion 3"),
        ("new-ratings", champion(ratings=952), True, r"\+5\.0% ratings since champion 3"),
        ("new-ratings", champion(ratings=2000), False, r"-50\.0% ratings"),
        ("new-ratings", UNKNOWN, True, "does not say"),
    ],
)
def test_decide(policy, champion, train, reason):
    settings = RetrainSettings(policy=policy, new_ratings_share=0.05)
    plan = decide(settings, DS, 1000, champion, "biases")
    assert plan.train is train
    assert re.search(reason, plan.reason)


@pytest.mark.parametrize(
    ("policy", "train"), [("weekly", True), ("new-ratings", True), ("never", False)]
)
def test_a_champion_of_another_model_makes_a_training_due(policy, train):
    settings = RetrainSettings(policy=policy, new_ratings_share=0.05)
    plan = decide(settings, DS, 1000, champion(), "matrix_factorisation")
    assert plan.train is train
    if train:
        assert plan.reason == "champion 3 is of biases, and matrix_factorisation is to be trained"


def test_a_champion_that_cannot_be_damped_does_not_score(tmp_path, monkeypatch):
    def refuse(run):
        refuse_champion(run)

    # Without the numbers of its movies' ratings.
    monkeypatch.setattr(Registry, "factors", lambda *_: MODEL)
    with pytest.raises(JobError, match=r"damping is 5, but model version 3 cannot be damped"):
        refuse(small_run(tmp_path, champion="3"))
    refuse(small_run(tmp_path, champion="3", overrides=["score.damping=0"]))
    refuse(small_run(tmp_path))


@pytest.mark.parametrize("setting", ["uncertainty=true", "lower_bound=0.5"])
def test_what_no_model_will_know_stops_the_run_before_it_trains_or_scores(
    tmp_path, monkeypatch, setting
):
    def run(model, champion=None):
        settings = [f"score.{setting}", "score.damping=0", f"train.model={model}"]
        return small_run(tmp_path, champion=champion, overrides=settings)

    told = rf"score.{setting.partition('=')[0]} is .*, but svdpp does not say how .*=bia.* or bay"
    with pytest.raises(JobError, match=told):
        refuse_to_train(run("svdpp"))
    for model in ("biases", "bayesian"):
        refuse_to_train(run(model))
    # A champion that does not know it scores all the same, without.
    monkeypatch.setattr(Registry, "factors", lambda *_: MODEL)
    refuse_champion(run("bayesian", "3"))


def test_scoring_only_needs_a_champion():
    settings = RetrainSettings(policy="never", new_ratings_share=0.05)
    with pytest.raises(JobError, match=r"no champion to score with yet: train once"):
        decide(settings, DS, 1000, None, "biases")
