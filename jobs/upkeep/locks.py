"""See whether the warehouse's locks hold between hosts, as jobs on several of them rely on.

    nightreel locks --hold 60      on one host: holds a lock for a minute
    nightreel locks                on another, meanwhile: it must not be granted here too

On one host they always hold. On a network file system that depends on how it is mounted.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path

from jobs.runs.command import command_arguments, positive, run_command
from jobs.runs.configuration import load_configuration, warehouse_of
from jobs.runs.errors import JobError
from jobs.runs.files import exclusive, is_held, read_json, remove_record, write_json
from jobs.runs.holders import holder_of
from jobs.runs.mounts import mount_of, warnings_of


def hold(lock: Path, note: Path, seconds: int) -> None:
    """Hold a lock for some time, and say so where other hosts see it."""
    with exclusive(lock, "another check of locks to end"):
        write_json(note, {"host": socket.gethostname(), "until": time.time() + seconds})
        try:
            print(
                f"{lock} is held here for {seconds} s. On another host: nightreel locks", flush=True
            )
            time.sleep(seconds)
        finally:
            remove_record(note)


def look(lock: Path, note: Path) -> None:
    """Say whether the lock that another host holds is held here too. Raises JobError if not."""
    if is_held(lock):
        print(f"Locks hold: {lock} is held by {holder_of(lock)}, and is not granted here.")
        return
    held = read_json(note)
    # The holder's clock may be another one: it takes its note away in the end.
    if held and held["until"] > time.time() - 60:
        raise JobError(
            f"{lock} is held on {held['host']}, and would be granted here too: locks do not hold "
            "between these hosts, and jobs on both would write at once. Let jobs run on one of "
            "them alone, or mount the warehouse so that locks are shared."
        )
    print("Nobody holds the lock. First, on another host: nightreel locks --hold 60")


def main(argv: list[str] | None = None) -> None:
    """`nightreel locks`."""
    parser = command_arguments(__doc__)
    parser.add_argument("--hold", type=positive, metavar="SECONDS", help="hold the lock so long")
    arguments = parser.parse_args(argv)
    warehouse = warehouse_of(arguments)
    mount = mount_of(warehouse.folder)
    print(f"{warehouse} lies on {mount.kind if mount else 'a file system of unknown kind'}.")
    conf = load_configuration(warehouse=arguments.warehouse)
    for warning in warnings_of(warehouse.folder, keeps_mlflow=not conf.tracking.uri):
        print(warning)
    lock, note = warehouse.folder / ".locks.lock", warehouse.folder / ".locks.json"
    if arguments.hold:
        hold(lock, note, arguments.hold)
    else:
        look(lock, note)


if __name__ == "__main__":
    run_command(main)
