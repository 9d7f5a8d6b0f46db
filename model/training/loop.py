"""Training of the embedding model with Horovod: the loop that every rank runs.

model/training/worker.py starts it. Each rank reads its shard through petastorm; rank 0 alone
prints and saves. Ranks share one sequence of optimiser steps: a step's gradient is that of the
mean over all ranks' ratings in it, as if one rank held them all, so the learning rate does not
depend on the number of ranks. Only the order of rows differs.
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

from model.data.collectives import any_rank, sum_over_ranks
from model.data.dataset import Dataset, read_dataset
from model.data.devices import pick_device
from model.data.reading import even_parts, seed_of
from model.embedding import EmbeddingModel
from model.losses import Objective
from model.settings import TrainingSpec
from model.training.checkpoints import load_checkpoint, save_checkpoint
from model.training.export import export
from model.training.progress import Reporter, write_events
from model.training.schedules import learning_rate
from model.training.state import Training
from model.warm_start import start_from

# Between steps after which ranks look up: is the loss finite, how far are we, save?
STEPS_BETWEEN_REPORTS = 64


def train(
    spec: TrainingSpec,
    committed: dict[str, Any] | None = None,
    commit: Callable[[Training], None] | None = None,
) -> dict[str, Any]:
    """Train, keep the weights of the best epoch, save `Factors` at `spec.output`.

    Goes on from this training's checkpoint if an earlier attempt left one, or from the state that
    ranks of an elastic training have `committed`; `commit` is what these do between steps. Returns
    the metrics that the manifest also holds. Raises ValueError with a sentence if a loss is not
    finite, or if data cannot be read.
    """
    hvd.init()
    data = read_dataset(spec, pick_device())
    training = Training(spec, data)
    reporter = Reporter(hvd.rank() == 0, spec.settings.epochs, sum(data.rows_R))
    reporter.say(describe(training, data))
    if spec.initial_factors and hvd.rank() == 0:
        folder = Path(spec.initial_factors)
        users, movies = start_from(training.model, folder, data.user_ids, data.movie_ids)
        reporter.say(f"starting from the rows of {users:,} users and {movies:,} movies in {folder}")
    if committed:
        training.load_state_dict(committed)
        reporter.say(f"going on from a commit: epoch {training.epoch}, step {training.step}")
    else:
        resume(training, spec, reporter.say)
    save_if_due = saver(training, spec, reporter.say)

    def checkpoint() -> None:
        save_if_due()
        if commit:
            commit(training)

    try:
        learn(training, data, spec, reporter, checkpoint)
    finally:
        reporter.close()
    metrics = summarise(training, data)
    if hvd.rank() == 0:
        save(training, data, spec, metrics)
        # What it was for is done; a later attempt is to learn anew.
        shutil.rmtree(spec.checkpoints, ignore_errors=True)
    hvd.barrier()
    return metrics


def resume(training: Training, spec: TrainingSpec, say: Callable[[str], None]) -> None:
    """Go on from rank 0's checkpoint on every rank; without one, start from rank 0's weights."""
    state = None
    if hvd.rank() == 0:
        state = load_checkpoint(Path(spec.checkpoints), spec.fingerprint, say)
        if state and state["gradients"] != training.gradients:
            say(f"the checkpoint is of {state['gradients']} gradients and is passed over.")
            state = None
    if hvd.size() > 1:
        # Named, because Horovod would name it by its type, and only rank 0 has a state.
        state = hvd.broadcast_object(state, root_rank=0, name="checkpoint")
        hvd.broadcast_(training.model.table.data, root_rank=0)
    if state:
        training.load_state_dict(state)
        say(f"going on from a checkpoint: epoch {training.epoch}, step {training.step}")


def saver(training: Training, spec: TrainingSpec, say: Callable[[str], None]) -> Callable[[], None]:
    """What every rank calls between steps: rank 0 saves every checkpoint_seconds."""
    saved, every = time.perf_counter(), training.settings.checkpoint_seconds

    def save_if_due() -> None:
        nonlocal saved
        # The clock of one rank decides, because all of them have something to tell.
        if not any_rank(hvd.rank() == 0 and time.perf_counter() - saved >= every):
            return
        training.tell(moments=True)
        if hvd.rank() == 0:
            state = training.state_dict() | {"fingerprint": spec.fingerprint}
            save_checkpoint(Path(spec.checkpoints), state, say)
        saved = time.perf_counter()

    return save_if_due


def learn(
    training: Training,
    data: Dataset,
    spec: TrainingSpec,
    reporter: Reporter,
    checkpoint: Callable[[], None],
) -> None:
    """Run epochs until the training is finished; `checkpoint` is called between steps."""
    while not training.finished:
        figures = run_epoch(training, data, reporter, checkpoint)
        training.tell()
        figures |= validate(training.model, data, spec.rating_min, spec.rating_max)
        reporter.epoch(figures)
        check_finite([figures["validation_loss"]], training, training.step)
        training.end_epoch(figures)
        checkpoint()
    if training.waited >= training.settings.patience:
        best = training.best["epoch"]
        reporter.say(f"stopping: {training.waited} epochs without gain; best was {best}")


def run_epoch(
    training: Training, data: Dataset, reporter: Reporter, checkpoint: Callable[[], None]
) -> dict[str, Any]:
    """The rest of an epoch; returns training loss and ratings per second.

    Every rank cuts its shard into the same number of near-equal steps, whatever its size, so that
    no rank waits in a collective that another never enters.
    """
    settings, model = training.settings, training.model
    start, first = time.perf_counter(), training.step
    steps = math.ceil(sum(data.rows_R) / settings.batch_size)
    parts_RS = [even_parts(rows, steps) for rows in data.rows_R]
    step_rows = [sum(rows) for rows in zip(*parts_RS, strict=True)]
    objective = Objective(model, settings)
    generator = torch.Generator(data.device) if settings.dropout else None
    errors: list[torch.Tensor] = []
    for batch in data.train.batches(training.epoch, parts_RS[hvd.rank()], first):
        step = training.step
        rate = learning_rate(settings, training.epoch, (step + 1) / steps, training.history)
        if generator:
            generator.manual_seed(seed_of(settings.seed, training.epoch, step, hvd.rank()))
        batch = batch.to(data.device)
        row_C = model.rows(batch.user_N, batch.movie_N)
        gradient_CW, error = objective.gradient(row_C, batch.rating_N, step_rows[step], generator)
        training.optimiser.step(row_C, gradient_CW, rate)
        errors.append(error)
        training.step += 1
        if len(errors) == STEPS_BETWEEN_REPORTS or training.step == steps:
            look_up(training, errors, rate)
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


def look_up(training: Training, errors: list[torch.Tensor], rate: float) -> None:
    """Add the errors of the last steps up over ranks, and stop if they are not finite."""
    error_S = torch.stack(errors).double().cpu()
    error_S = sum_over_ranks(error_S) if len(errors) else error_S
    check_finite(error_S.tolist(), training, training.step - len(errors) + 1, rate)
    training.error_sum += error_S.sum().item()


def check_finite(
    losses: list[float], training: Training, first_step: int, rate: float | None = None
) -> None:
    """Raise ValueError, naming the step, if a loss is no number; they are of steps in a row."""
    for step, loss in enumerate(losses, first_step):
        if not math.isfinite(loss):
            rate = training.settings.learning_rate if rate is None else rate
            raise ValueError(
                f"The loss is not a finite number at step {step} of epoch {training.epoch}, "
                f"at learning rate {rate:g}. Try a smaller train.learning_rate."
            )


@torch.no_grad()
def validate(
    model: EmbeddingModel, data: Dataset, rating_min: float, rating_max: float
) -> dict[str, float]:
    """Mean squared error and RMSE over all ranks' validation ratings, clipped and not."""
    sums = torch.zeros(3, dtype=torch.float64)
    for block in data.validation.blocks():
        ratings = block.to(data.device)
        score_B = model(ratings.user_N, ratings.movie_N)
        sums[0] += (score_B - ratings.rating_N).square().sum().item()
        sums[1] += (score_B.clamp(rating_min, rating_max) - ratings.rating_N).square().sum().item()
        sums[2] += len(ratings)
    error, clipped_error, rows_seen = sum_over_ranks(sums).tolist()
    return {
        "validation_loss": error / rows_seen,
        "validation_rmse": math.sqrt(error / rows_seen),
        "validation_rmse_clipped": math.sqrt(clipped_error / rows_seen),
    }


def describe(training: Training, data: Dataset) -> str:
    return (
        f"training on {sum(data.rows_R):,} ratings of {data.users:,} users and "
        f"{data.movies:,} movies, {hvd.size()} rank(s) with "
        f"{', '.join(f'{rows:,}' for rows in data.rows_R)}, on {data.device}, "
        f"{training.gradients} gradients, read {data.reading}"
    )


def summarise(training: Training, data: Dataset) -> dict[str, Any]:
    """The metrics of the whole training."""
    seconds = sum(figures["seconds"] for figures in training.history)
    best = training.best
    return {
        "best_epoch": best["epoch"],
        "epochs": len(training.history),
        "validation_loss": best["validation_loss"],
        "validation_rmse": best["validation_rmse"],
        "validation_rmse_clipped": best["validation_rmse_clipped"],
        "ratings_per_second": round(sum(data.rows_R) * len(training.history) / max(seconds, 1e-9)),
        "ranks": hvd.size(),
    }


def save(training: Training, data: Dataset, spec: TrainingSpec, metrics: dict[str, Any]) -> None:
    """Write the `Factors` of the best epoch, and the curves. Raises ValueError if it cannot."""
    training.model.table.data.copy_(training.best_table)
    manifest = {
        "train_mean": data.mean,
        "settings": vars(spec.settings),
        "metrics": metrics,
        "history": training.history,
        **spec.provenance,
    }
    scale = (spec.rating_min, spec.rating_max)
    factors = export(training.model, data.counts, data.user_ids, data.movie_ids, scale, manifest)
    try:
        factors.save(Path(spec.output))
        if spec.events:
            write_events(Path(spec.events), training.history)
    except OSError as error:
        raise ValueError(
            f"The trained model could not be written to {spec.output}: {error.strerror}. Free some "
            "space and run train again: it goes on from its last checkpoint."
        ) from error
