"""Who asked to be forgotten: the users of a release that no delivery may bring back.

    <warehouse>/erased/<release>.txt      an id a line, as the tables call them

The file is only ever added to. It holds the ids themselves and nothing beside them: tomorrow's
delivery names these people again, and is told from others by that alone. A digest in their place
would hide nobody, as ids are few enough to try them all, and nor would a key that lies beside it.
So nobody but the jobs' user may read it.
"""

from __future__ import annotations

from collections.abc import Iterable

from jobs.runs.errors import JobError
from jobs.runs.files import exclusive, replacing
from jobs.runs.warehouse import Warehouse
from model.files import make_folder


def erased_users(warehouse: Warehouse, release: str) -> frozenset[str]:
    """Their ids, as `source_user_id` has them or, where that is null, as `user_id` does."""
    file = warehouse.erased(release)
    if not file.is_file():
        return frozenset()
    return frozenset(file.read_text(encoding="utf-8").split("\n")) - {""}


def add_erased(warehouse: Warehouse, release: str, users: Iterable[str]) -> None:
    """Take users into the list, all of them or, where it is killed, none.

    Under the lock by which deliveries are kept: whoever keeps one later knows of them, and one that
    was kept before is there for erase to find.
    """
    file = warehouse.erased(release)
    make_folder(file.parent)
    with exclusive(warehouse.deliveries(release) / ".lock", "a run to have kept its delivery"):
        known = erased_users(warehouse, release)
        if known.issuperset(users):
            return
        with replacing(file) as new:
            new.touch(0o600)
            new.write_text("".join(f"{user}\n" for user in sorted(known.union(users))), "utf-8")


def refuse_newly_erased(warehouse: Warehouse, release: str, left_out: frozenset[str]) -> None:
    """Raises JobError where more are listed than were left out of a delivery."""
    if not erased_users(warehouse, release) <= left_out:
        raise JobError(
            "Somebody has asked to be forgotten while this was being delivered, and it was not "
            "kept. Start it again, and they are left out: nightreel ingest"
        )
