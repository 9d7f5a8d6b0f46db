"""The training of a model that is made of others: one member after the other, then what they make.

A member that has ended is kept beside the checkpoints until the whole training has; one that was
stopped goes on from its own checkpoint. Ranks of an elastic training go on from these too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import horovod.torch as hvd
import torch

from model.data.dataset import Dataset
from model.data.history_data import HistoryData
from model.dates import Dates
from model.family import Combiner, Rows
from model.settings import Course, TrainingSpec
from model.training.checkpoints import load_checkpoint, save_checkpoint
from model.training.progress import Reporter

Learned = tuple[Rows, list[dict[str, Any]], dict[str, Any]]
ENDED = "ended"


def combine(
    model: Combiner,
    data: Dataset | HistoryData,
    spec: TrainingSpec,
    reporter: Reporter,
    learn: Callable[[TrainingSpec], Learned],
) -> tuple[Rows, list[dict[str, Any]], dict[str, Any]]:
    """The rows, figures, and what validation ratings chose, as a `Course` keeps it.

    Figures are a line for each member, then one for all of them together. `learn` trains a member.
    """
    # Members have bars of their own.
    reporter.close()
    rows_of: dict[str, Rows] = {}
    history: list[dict[str, Any]] = []
    known, courses = spec.course.choices if spec.course else {}, {}
    for name in spec.settings.members:
        member = spec.of_member(name)
        if known:
            member = replace(member, course=Course(**known["members"][name]))
        rows_of[name], figures, courses[name] = learned(member, reporter.say, learn)
        if spec.validation:
            reporter.say(f"member {name}: RMSE {figures['validation_rmse']:.4f}")
        history.append({"epoch": len(history) + 1} | figures)
    start = time.perf_counter()
    rows, about = model.combine(rows_of, data, known.get("figures"))
    figures = {}
    if spec.validation and isinstance(data, Dataset):
        figures = data.validation_errors(rows.rate)
    history.append({"epoch": len(history) + 1} | timed(time.perf_counter() - start, data.rows_R))
    history[-1] |= figures | about
    parts = ", ".join(f"{name} {value:.3f}" for name, value in about.items())
    rmse = f"RMSE {figures['validation_rmse']:.4f}; " if figures else ""
    reporter.say(f"all members: {rmse}{parts}")
    return rows, history, {"members": courses, "figures": about}


def learned(
    member: TrainingSpec, say: Callable[[str], None], learn: Callable[[TrainingSpec], Learned]
) -> tuple[Rows, dict[str, Any], dict[str, Any]]:
    """A member's rows, figures and course, of an earlier attempt if that came so far."""
    folder, state = Path(member.checkpoints) / ENDED, None
    if hvd.rank() == 0:
        state = load_checkpoint(folder, member.fingerprint, say)
    if hvd.size() > 1:
        state = hvd.broadcast_object(state, root_rank=0, name=f"ended.{member.model}")
    if state:
        say(f"{member.model} has ended in an earlier attempt")
        return kept_rows(state["rows"]), state["figures"], state["course"]
    rows, history, best = learn(member)
    told = {"best_epoch": best["epoch"], "chains": best.get("chains", [])}
    course = asdict(member.course or Course.of({"metrics": told, "history": history}))
    seconds = sum(figures["seconds"] for figures in history)
    figures = {name: value for name, value in best.items() if name.startswith("validation_")}
    figures = {"seconds": round(seconds, 3), "rounds": len(history)} | figures
    figures["ratings_per_second"] = max(f["ratings_per_second"] for f in history)
    if hvd.rank() == 0:
        # As they are: of tensors that are views, whole tables would be written.
        columns = {field.name: getattr(rows, field.name) for field in fields(rows)}
        if rows.dates:
            # A checkpoint holds tensors, numbers and texts alone.
            arrays = rows.dates.arrays().items()
            columns["dates"] = {name: torch.from_numpy(values) for name, values in arrays}
        kept = {
            name: value.detach().cpu().clone() if hasattr(value, "detach") else value
            for name, value in columns.items()
        }
        state = {"rows": kept, "figures": figures, "course": course}
        save_checkpoint(folder, state | {"fingerprint": member.fingerprint}, say)
    return rows, figures, course


def kept_rows(columns: dict[str, Any]) -> Rows:
    """Rows as they were kept."""
    if columns["dates"]:
        arrays = {name: values.numpy() for name, values in columns["dates"].items()}
        columns = columns | {"dates": Dates.of_arrays(arrays)}
    return Rows(**columns)


def timed(seconds: float, rows_R: list[int]) -> dict[str, Any]:
    """How long it took, and how fast that was."""
    rate = round(sum(rows_R) / max(seconds, 1e-9))
    return {"seconds": round(seconds, 3), "ratings_per_second": rate}
