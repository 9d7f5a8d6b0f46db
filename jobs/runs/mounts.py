"""What a folder is mounted from, and whether locks there hold between hosts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

MOUNTS = Path("/proc/self/mountinfo")
NETWORK = ("nfs", "nfs4", "cifs", "smb3", "ceph", "lustre", "gpfs", "glusterfs", "afs", "9p")
# As mounted with these, such a file system keeps flock to the host that asks.
KEEPS_LOCKS = {"local_lock=all", "local_lock=flock", "nolock", "nobrl", "localflock"}


class Mount(NamedTuple):
    """A mounted file system."""

    kind: str
    """As the kernel calls it, as in nfs4."""
    options: frozenset[str]

    @property
    def is_network(self) -> bool:
        """Whether other hosts may see it too."""
        return self.kind in NETWORK or self.kind.startswith("fuse.")

    @property
    def keeps_locks(self) -> list[str]:
        """The options by which it tells no other host of a lock; none where it tells all."""
        return sorted(self.options & KEEPS_LOCKS) if self.is_network else []


def mount_of(folder: Path) -> Mount | None:
    """What a folder, which need not exist yet, is mounted from; None where the kernel says not."""
    return mount_in(MOUNTS.read_text(), folder.resolve()) if MOUNTS.is_file() else None


def mount_in(mountinfo: str, folder: Path) -> Mount | None:
    """The mount of an absolute folder in the text of /proc/self/mountinfo: see proc(5)."""
    found: dict[Path, Mount] = {}
    for line in mountinfo.splitlines():
        about, _, behind = line.partition(" - ")
        point, options = about.split(" ")[4:6]
        kind, _, more = behind.split(" ")[:3]
        # Spaces in it are written in octal. Of two on one point, the later hides the earlier.
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), point)
        found[Path(point)] = Mount(kind, frozenset(f"{options},{more}".split(",")))
    return next((found[path] for path in (folder, *folder.parents) if path in found), None)


def warnings_of(folder: Path, keeps_mlflow: bool) -> list[str]:
    """What a warehouse's file system does not do that jobs on several hosts rely on, in sentences.

    `keeps_mlflow`: whether MLflow's own store, of SQLite, lies there too.
    """
    mount = mount_of(folder)
    said = []
    if mount and mount.keeps_locks:
        said.append(
            f"{folder} is mounted ({mount.kind}) with {', '.join(mount.keeps_locks)}: locks hold "
            "within this host alone, and jobs on two hosts would write at once. Mount it without, "
            "then look with: nightreel locks"
        )
    if mount and mount.is_network and keeps_mlflow:
        said.append(
            f"MLflow's store lies in {folder}, on a network file system ({mount.kind}), where "
            "SQLite is not safe from several hosts. Name a server: tracking.uri"
        )
    return said
