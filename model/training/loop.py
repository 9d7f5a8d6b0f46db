"""The training of any model of the family with Horovod: what every rank runs.

model/training/worker.py starts it. Each rank reads its shard through petastorm; rank 0 alone
prints and saves. Ranks share one sequence of optimiser steps: a step's gradient is that of the
mean over all ranks' ratings in it, as if one rank held them all, so the learning rate does not
depend on the number of ranks. Only the order of rows differs. A model without steps is fitted at
once, one that is sampled by model/training/sampling.py, one that is made of others by
model/training/combining.py, and all are measured and saved alike.

Where nothing is held back, nothing is measured: the training goes as the spec's `course` says.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import horovod.torch as hvd
import torch

from model.data.collectives import sum_over_ranks
from model.data.dataset import Dataset, of_pairs
from model.data.datasets import read_dataset
from model.data.devices import all_cores, pick_device
from model.data.history_data import HistoryData
from model.family import Combiner, Fitter, Ordering, Rows, Sampler, Step, load
from model.settings import LoopSettings, SamplingSettings, TrainingSpec
from model.titles import save_titles
from model.training.combining import combine
from model.training.export import export, known_ratings
from model.training.progress import Reporter, write_events
from model.training.resuming import Resumable, go_on
from model.training.sampling import Sampling, sample
from model.training.schedules import learning_rate
from model.training.starting import start
from model.training.state import Training

# Between steps after which ranks look up: is the loss finite, how far are we, save?
STEPS_BETWEEN_REPORTS = 64
# A rank's data, of whichever kind its model reads.
Data = Dataset | HistoryData
# Rows, all figures, and those of the rows.
Learned = tuple[Rows, list[dict[str, Any]], dict[str, Any]]


def train(
    spec: TrainingSpec,
    committed: dict[str, Any] | None = None,
    commit: Callable[[Resumable], None] | None = None,
) -> dict[str, Any]:
    """Train the spec's model and save its `Factors` at `spec.output`.

    Returns the metrics that the manifest also holds. `committed` and `commit` are those of an
    elastic training: see `learn`. Raises ValueError with a sentence if a loss is not finite, or if
    data cannot be read.
    """
    hvd.init()
    model, data, (rows, history, best) = made(spec, committed, commit)
    metrics = summarise(history, best, data)
    noise = noise_of(rows, data)
    if hvd.rank() == 0:

        def beside(folder: Path) -> None:
            if isinstance(model, Ordering):
                model.save_encoder(folder)
            if spec.movies:
                save_titles(spec.movies, data.movie_ids, folder)

        save(rows, beside, history, data, spec, metrics, best.get("choices", {}), noise)
        # What it was for is done; a later attempt is to learn anew.
        shutil.rmtree(spec.checkpoints, ignore_errors=True)
    hvd.barrier()
    return metrics


def made(
    spec: TrainingSpec,
    committed: dict[str, Any] | None = None,
    commit: Callable[[Resumable], None] | None = None,
) -> tuple[Any, Data, Learned]:
    """The spec's model, its data, and what has been learned."""
    data = read_dataset(spec, pick_device())
    model = load(spec.model)(spec.settings, data, spec.seed)
    reporter = Reporter(hvd.rank() == 0, rounds(spec), sum(data.rows_R))
    reporter.say(describe(spec, data))
    try:
        return model, data, run(model, data, spec, reporter, committed, commit)
    finally:
        reporter.close()


def rounds(spec: TrainingSpec) -> int:
    """Most epochs or sweeps that a training takes; 1 if its model learns at once."""
    if spec.course:
        return spec.course.rounds
    settings = spec.settings
    if isinstance(settings, SamplingSettings):
        return settings.sweeps
    return settings.epochs if isinstance(settings, LoopSettings) else 1


def run(
    model: Any,
    data: Data,
    spec: TrainingSpec,
    reporter: Reporter,
    committed: dict[str, Any] | None = None,
    commit: Callable[[Resumable], None] | None = None,
) -> Learned:
    """Let a model learn in its own way."""
    if isinstance(model, Combiner):
        rows, history, choices = combine(model, data, spec, reporter, made)
        return rows, history, history[-1] | {"choices": choices}
    if isinstance(model, Fitter):
        rows, history = fit(model, data, spec, reporter)
        return rows, history, history[-1]
    if isinstance(model, Sampler):
        sampling = Sampling(model, spec.settings, spec.course)
        sample(sampling, data, spec, reporter, committed, commit)
        rows, last = model.rows(), sampling.history[-1] | {"chains": sampling.chains}
        if not spec.validation:
            return rows, sampling.history, last
        # The mean is cut to its width, and what is reported is what that predicts.
        own = own_figures(model, rows, data)
        reporter.say(
            f"the mean of {sampling.kept} draws, RMSE {last['validation_rmse']:.4f}, as two "
            f"matrices of width {rows.user_UK.shape[1]}: RMSE {own['validation_rmse']:.4f}"
        )
        return rows, sampling.history, last | own
    training = Training(model, spec.settings, spec.course, spec.ceilings)
    learn(training, data, spec, reporter, committed, commit)
    given_up = {"given_up": True} if training.given_up else {}
    return model.rows(), training.history, training.best | given_up


def own_figures(model: Any, rows: Rows, data: Data) -> dict[str, float]:
    """Figures of all ranks' validation rows, by these rows."""
    if isinstance(data, HistoryData):
        return model.validate(data)
    return data.validation_errors(rows.rate)


def fit(
    model: Fitter, data: Data, spec: TrainingSpec, reporter: Reporter
) -> tuple[Rows, list[dict[str, Any]]]:
    """The rows of a model that is learned at once, and its figures as those of one epoch."""
    start = time.perf_counter()
    with all_cores():
        rows = model.fit(data)
    seconds = time.perf_counter() - start
    figures = {
        "epoch": 1,
        "seconds": round(seconds, 3),
        "ratings_per_second": round(sum(data.rows_R) / max(seconds, 1e-9)),
    }
    if isinstance(data, Dataset):
        figures["train_loss"] = data.errors(rows.rate, data.train.blocks())[0]
    if spec.validation:
        figures |= own_figures(model, rows, data)
    reporter.epoch(figures)
    return rows, [figures]


def learn(
    training: Training,
    data: Data,
    spec: TrainingSpec,
    reporter: Reporter,
    committed: dict[str, Any] | None,
    commit: Callable[[Resumable], None] | None,
) -> None:
    """Run epochs until the training is finished, and end with the weights of the best.

    Goes on from this training's checkpoint if an earlier attempt left one, or from the state that
    ranks of an elastic training have `committed`; `commit` is what these do between steps.
    """
    learner = training.learner
    reporter.say(f"it learns by {learner.form}")
    if hvd.rank() == 0:
        start(learner, data, spec, reporter.say)
    checkpoint = go_on(training, spec, reporter.say, committed, commit)
    while not training.finished:
        figures = run_epoch(training, data, spec, reporter, checkpoint)
        learner.synchronise()
        if spec.validation:
            figures |= learner.validate(data)
            check_finite([figures["validation_loss"]], training, spec, training.step)
        reporter.epoch(figures)
        training.end_epoch(figures)
        checkpoint()
    if training.given_up:
        loss, epochs = training.best["validation_loss"], len(training.history)
        reporter.say(f"given up: a validation loss of {loss:.4f} is too much after {epochs} epochs")
    elif not spec.course and training.waited >= training.settings.patience:
        best = training.best["epoch"]
        reporter.say(f"stopping: {training.waited} epochs without gain; best was {best}")
    training.restore_best()


def run_epoch(
    training: Training,
    data: Data,
    spec: TrainingSpec,
    reporter: Reporter,
    checkpoint: Callable[[], None],
) -> dict[str, Any]:
    """The rest of an epoch; returns training loss and ratings per second."""
    settings, learner = training.settings, training.learner
    start, first, rank = time.perf_counter(), training.step, hvd.rank()
    step_rows, batches = data.epoch(training.epoch, settings.batch_size, first)
    steps = len(step_rows)
    errors: list[torch.Tensor] = []
    for batch in batches:
        number = training.step
        rate = learning_rate(settings, training.epoch, (number + 1) / steps, training.losses)
        place = (spec.seed, training.epoch, number, rank)
        step = Step(step_rows[number], rate, place)
        errors.append(learner.step(batch.to(data.device), step))
        training.step += 1
        if len(errors) == STEPS_BETWEEN_REPORTS or training.step == steps:
            report_steps(training, spec, errors, rate)
            done = step_rows[: training.step]
            reporter.advance(
                training.epoch,
                training.step / steps,
                training.error_sum / sum(done),
                sum(done[-len(errors) :]),
            )
            errors.clear()
            if training.step < steps:
                checkpoint()
    seconds = time.perf_counter() - start
    return {
        "epoch": training.epoch,
        "train_loss": training.error_sum / sum(data.rows_R),
        "learning_rate": rate,
        "seconds": round(seconds, 3),
        "ratings_per_second": round(sum(step_rows[first:]) / seconds),
    }


def report_steps(
    training: Training, spec: TrainingSpec, errors: list[torch.Tensor], rate: float
) -> None:
    """Add the errors of the last steps up over ranks, and stop if they are not finite."""
    error_S = torch.stack(errors).double().cpu()
    error_S = sum_over_ranks(error_S) if len(errors) else error_S
    check_finite(error_S.tolist(), training, spec, training.step - len(errors) + 1, rate)
    training.error_sum += error_S.sum().item()


def check_finite(
    losses: list[float],
    training: Training,
    spec: TrainingSpec,
    first_step: int,
    rate: float | None = None,
) -> None:
    """Raise ValueError, naming the step, if a loss is no number; they are of steps in a row."""
    for step, loss in enumerate(losses, first_step):
        if not math.isfinite(loss):
            rate = training.settings.learning_rate if rate is None else rate
            raise ValueError(
                f"The loss is not a finite number at step {step} of epoch {training.epoch}, "
                f"at learning rate {rate:g}. Try a smaller train.{spec.model}.learning_rate."
            )


def describe(spec: TrainingSpec, data: Data) -> str:
    told = (
        f"training {spec.model} on {sum(data.rows_R):,} ratings of {data.users:,} users and "
        f"{data.movies:,} movies, {hvd.size()} rank(s) with "
        f"{', '.join(f'{rows:,}' for rows in data.rows_R)}, on {data.device}, "
        f"read {data.reading}"
    )
    if spec.validation:
        return told
    return f"{told}. Nothing is held back: it ends as the training before it did"


def summarise(history: list[dict[str, Any]], best: dict[str, Any], data: Data) -> dict[str, Any]:
    """The metrics of the whole training: `best` are the figures of the rows that are saved."""
    seconds = sum(figures["seconds"] for figures in history)
    validation = {name: best[name] for name in best if name.startswith("validation_")}
    return {
        "best_epoch": best["epoch"],
        "epochs": len(history),
        **{name: best[name] for name in ("chains", "given_up") if name in best},
        **validation,
        "ratings_per_second": round(sum(data.rows_R) * len(history) / max(seconds, 1e-9)),
        "ranks": hvd.size(),
    }


def noise_of(rows: Rows, data: Data) -> float | None:
    """Mean squared error of all ranks' training ratings by these rows; None where none is scored.

    Whatever their times, as rows of later users are solved for. Every rank calls it.
    """
    if not isinstance(data, Dataset):
        return None
    return data.errors(of_pairs(rows.score), data.train.blocks())[0]


def save(
    rows: Rows,
    beside: Callable[[Path], None],
    history: list[dict[str, Any]],
    data: Data,
    spec: TrainingSpec,
    metrics: dict[str, Any],
    choices: dict[str, Any],
    noise: float | None,
) -> None:
    """Write the model as `Factors`, and the curves. Raises ValueError if it cannot."""
    manifest = {
        "model": spec.model,
        "settings": spec.all_settings,
        "metrics": metrics,
        "history": history,
        **({"choices": choices} if choices else {}),
        **spec.provenance,
    }
    known_U = None
    if noise is not None and spec.histories:
        known_U = known_ratings(Path(spec.histories), data.user_ids, data.movie_ids)
    factors = export(rows, data, manifest, noise, known_U)
    try:
        factors.save(Path(spec.output), beside)
        if spec.events:
            write_events(Path(spec.events), history)
    except OSError as error:
        # NumPy's have no strerror where an array was cut short.
        raise ValueError(
            f"The trained model could not be written to {spec.output}: {error.strerror or error}. "
            "Free some space and run the step again: it goes on from its last checkpoint."
        ) from error
