"""Folders that appear whole, and are on disk before their name is."""

import os
from pathlib import Path

import pytest

from model.files import make_folder, sync_tree, whole_folder


@pytest.fixture
def happened(monkeypatch):
    """What was forced to disk, and renamed, in this order."""
    events = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor):
        events.append(f"synced {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")
        fsync(descriptor)

    def renamed(path, target):
        events.append(f"renamed to {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    return events


def test_content_then_names_then_the_name_of_all(tmp_path, happened):
    with whole_folder(tmp_path / "factors") as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "a.npy").write_bytes(b"a")
        (folder / "b.npy").write_bytes(b"b")
        happened.clear()
    assert happened == [
        "synced a.npy",
        "synced inner",
        "synced b.npy",
        "synced .factors.partial",
        "renamed to factors",
        f"synced {tmp_path.name}",
    ]


def test_new_folders_are_named_on_disk(tmp_path, happened):
    make_folder(tmp_path / "runs" / "r" / "steps")
    assert happened == [f"synced {tmp_path.name}", "synced runs", "synced r"]
    make_folder(tmp_path / "runs" / "r" / "steps")
    assert len(happened) == 3


def test_what_others_take_away_meanwhile_needs_no_forcing(tmp_path, monkeypatch):
    kept, replaced = tmp_path / "kept", tmp_path / "replaced"
    for folder in (kept, replaced):
        folder.mkdir()
    (tmp_path / ".page.html.1").touch()
    fsync, synced = os.fsync, []

    def taken_away(descriptor):
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        synced.append(path)
        fsync(descriptor)
        (tmp_path / ".page.html.1").unlink(missing_ok=True)
        if replaced.is_dir() and path != replaced:
            replaced.rmdir()

    monkeypatch.setattr(os, "fsync", taken_away)
    sync_tree(tmp_path)
    assert kept in synced
    assert synced[-1] == tmp_path
