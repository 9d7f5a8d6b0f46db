"""Incremental scoring: the run whose rows are taken over, and for which users that is right.

A user's rows follow from the model, the movies that may be recommended, top_k and damping, the
same for everybody, and from the user's own rated movies and list. Where all of these are as they
were in an earlier run, so are the rows. That run, the base, is fixed when a run starts. Where there
is none, or what it wrote is gone or was made otherwise, everybody is scored, and the step says why.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from jobs.delta import is_published
from jobs.errors import JobError
from jobs.published import connect
from jobs.registry import digest_of
from jobs.run import Run, open_run

# What decides everybody's rows, and how it is called where it has changed.
NAMES = {
    "model_version": "model version",
    "model": "model",
    "movies": "movies that may be recommended",
    "top_k": "top_k",
    "damping": "damping",
}


def find_base(run: Run) -> tuple[str | None, str]:
    """The id of the run to take rows from; None for none. And, in words, why this one or none.

    It is the newest published run of the release that scored all users, as long as the table still
    holds what it published: what was taken back by a restore is not carried on.
    """
    if run.conf.score.mode == "full":
        return None, "score.mode is full"
    if run.users is not None:
        return None, "users were named"
    if not is_published(run.warehouse, "runs"):
        return None, "nothing has been published yet"
    with connect(run.warehouse, ("runs", "recommendations")) as tables:
        newest = tables.execute(
            "select run_id, ds from runs "
            "where release = ? and run_id <> ? and users_scored is null "
            "order by ds desc, finished_at desc limit 1",
            [run.release, run.run_id],
        ).fetchone()
        if newest is None:
            return None, f"no other run of release {run.release} has been published"
        run_id, ds = newest
        query = "select 1 from recommendations where ds = ? and run_id = ? limit 1"
        if not tables.execute(query, [ds, run_id]).fetchone():
            return None, f"the table no longer holds what run {run_id} has published"
    return run_id, f"run {run_id} is the newest of release {run.release}"


def basis(run: Run, version: str, factors: Path, movie_ids: np.ndarray) -> dict[str, Any]:
    """What decides everybody's rows: to be recorded, and compared with the base's."""
    settings = run.conf.score
    return {
        "model_version": version,
        "model": digest_of(factors)[:16],
        "movies": hashlib.sha256(movie_ids.astype("<i4").tobytes()).hexdigest()[:16],
        "top_k": settings.top_k,
        "damping": settings.damping,
    }


def usable_base(run: Run, now: dict[str, Any], why_none: str) -> tuple[Run | None, str | None]:
    """The base if rows may be taken from it; else None, and why not.

    `now` is the run's basis; `why_none` says why the run started without a base, if it did.
    """
    if run.base_run is None:
        return None, why_none
    name = f"run {run.base_run}"
    try:
        base = open_run(run.warehouse, run.base_run)
    except JobError:
        return None, f"{name} is gone, or of another version of Nightreel"
    scored = base.finished("score")
    if scored is None or base.finished("publish") is None:
        return None, f"{name} is being made again"
    if "basis" not in scored:
        return None, f"{name} is of another version of Nightreel"
    then = scored["basis"]
    changed = [name for key, name in NAMES.items() if then.get(key) != now[key]]
    # Another version is another model: that need not be said twice.
    if "model" in changed and "model version" in changed:
        changed.remove("model")
    if changed:
        return None, f"since {name}, this has changed: {', '.join(changed)}"
    needed = [base.output("scored"), base.data("rated")]
    needed += [base.output("candidates")] if base.conf.score.candidates else []
    if missing := [folder for folder in needed if not folder.is_dir()]:
        return None, f"{missing[0].name} of {name} is gone"
    return base, None
