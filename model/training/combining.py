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
from model.encoder_files import packed
from model.family import Combiner, Member, Ordering, Rows
from model.settings import Course, TrainingSpec, label
from model.training.checkpoints import load_checkpoint, save_checkpoint
from model.training.progress import Reporter

Learned = tuple[Rows, list[dict[str, Any]], dict[str, Any]]
# A model, its data, and what has been learned.
Made = tuple[Any, Any, Learned]
ENDED = "ended"


def combine(
    model: Combiner,
    data: Dataset | HistoryData,
    spec: TrainingSpec,
    reporter: Reporter,
    made: Callable[[TrainingSpec], Made],
) -> tuple[Rows, list[dict[str, Any]], dict[str, Any]]:
    """The rows, figures, and what validation ratings chose, as a `Course` keeps it.

    Figures are a line for each member, then one for all of them together. `made` trains a member.
    """
    # Members have bars of their own.
    reporter.close()
    members: dict[str, Member] = {}
    history: list[dict[str, Any]] = []
    known, courses = spec.course.choices if spec.course else {}, {}
    names = spec.settings.members
    for place, name in enumerate(names):
        again = names[:place].count(name)
        member, called = spec.of_member(name, again), label(name, again)
        if known:
            member = replace(member, course=Course(**known["members"][called]))
        members[called], figures, courses[called] = learned(member, reporter.say, made)
        reporter.say(f"member {called}{told(figures)}")
        history.append({"epoch": len(history) + 1} | figures)
    start = time.perf_counter()
    rows, about = model.combine(members, data, known.get("figures"))
    seconds = time.perf_counter() - start
    figures = {}
    if spec.validation and isinstance(model, Ordering) and isinstance(data, HistoryData):
        figures = model.validate(data)
    elif spec.validation and isinstance(data, Dataset):
        figures = data.validation_errors(rows.rate)
    history.append({"epoch": len(history) + 1} | timed(seconds, data.rows_R) | figures | about)
    parts = ", ".join(f"{name} {value:.3f}" for name, value in about.items())
    reporter.say(f"all members{told(figures)}; {parts}")
    return rows, history, {"members": courses, "figures": about}


def learned(
    member: TrainingSpec, say: Callable[[str], None], made: Callable[[TrainingSpec], Made]
) -> tuple[Member, dict[str, Any], dict[str, Any]]:
    """What a member became, its figures and course; of an earlier attempt if that came so far."""
    folder, state = Path(member.checkpoints) / ENDED, None
    if hvd.rank() == 0:
        state = load_checkpoint(folder, member.fingerprint, say)
    if hvd.size() > 1:
        state = hvd.broadcast_object(state, root_rank=0, name=f"ended.{member.model}")
    if state:
        say(f"{member.model} has ended in an earlier attempt")
        # Attempts before there were blends of order kept no files.
        became = Member(member.model, kept_rows(state["rows"]), state.get("files", {}))
        return became, state["figures"], state["course"]
    model, _, (rows, history, best) = made(member)
    files = packed(model, rows) if isinstance(model, Ordering) else {}
    ends = {"best_epoch": best["epoch"], "chains": best.get("chains", [])}
    course = asdict(member.course or Course.of({"metrics": ends, "history": history}))
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
        state = {"rows": kept, "files": files, "figures": figures, "course": course}
        save_checkpoint(folder, state | {"fingerprint": member.fingerprint}, say)
    return Member(member.model, rows, files), figures, course


def told(figures: dict[str, Any]) -> str:
    """What is said of a model's validation figures, if it has some."""
    for name, called in (("validation_rmse", "RMSE"), ("validation_ndcg", "NDCG@10")):
        if name in figures:
            return f": {called} {figures[name]:.4f}"
    return ""


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
