"""Which mounts share their locks, told from what the kernel says of them."""

from pathlib import Path

import pytest

from jobs.runs import mounts
from jobs.runs.mounts import mount_in, warnings_of

MOUNTINFO = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
41 27 0:40 / /data rw,relatime - nfs4 10.0.0.1:/e rw,vers=4.2,local_lock=none,addr=10.0.0.1
42 27 0:41 / /data/old\040one rw,relatime - nfs 10.0.0.1:/o rw,vers=3,local_lock=all
43 27 0:42 / /share rw,nosuid - cifs //host/share rw,vers=3.1.1,nobrl
"""


@pytest.mark.parametrize(
    ("folder", "kind", "network", "keeps"),
    [
        ("/home/me/warehouse", "ext4", False, []),
        ("/data/warehouse", "nfs4", True, []),
        ("/data/old one/warehouse", "nfs", True, ["local_lock=all"]),
        ("/data/old", "nfs4", True, []),
        ("/share", "cifs", True, ["nobrl"]),
    ],
)
def test_the_nearest_mount_decides(folder, kind, network, keeps):
    mount = mount_in(MOUNTINFO, Path(folder))
    assert mount is not None
    assert (mount.kind, mount.is_network, mount.keeps_locks) == (kind, network, keeps)


def test_what_is_missing_is_said(tmp_path, monkeypatch):
    (tmp_path / "mountinfo").write_text(MOUNTINFO)
    monkeypatch.setattr(mounts, "MOUNTS", tmp_path / "mountinfo")
    assert warnings_of(Path("/home/w"), keeps_mlflow=True) == []
    assert warnings_of(Path("/data/w"), keeps_mlflow=False) == []
    [mlflow] = warnings_of(Path("/data/w"), keeps_mlflow=True)
    assert "SQLite is not safe from several hosts" in mlflow
    [locks] = warnings_of(Path("/data/old one/w"), keeps_mlflow=False)
    assert "(nfs) with local_lock=all: locks hold within this host alone" in locks


def test_this_machine_says_what_it_is_mounted_from(tmp_path):
    mount = mounts.mount_of(tmp_path / "not there yet")
    assert mount is None or mount.kind
