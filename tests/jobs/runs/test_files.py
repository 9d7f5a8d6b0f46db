"""Files that appear whole or not at all, and locks that say who holds them."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Timer

from jobs.runs.command import run_command
from jobs.runs.files import exclusive, is_held, replacing
from jobs.runs.holders import holder_of
from tests.servers.users import as_nobody, only_root_is_two_users


def test_a_file_is_replaced_when_it_is_whole(tmp_path):
    file = tmp_path / "record.json"
    for content in ("one", "two"):
        with replacing(file) as temporary:
            temporary.write_text(content)
        assert file.read_text() == content
    with suppress(OSError), replacing(file) as temporary:
        temporary.write_text("half")
        raise OSError("disk full")
    assert file.read_text() == "two"
    assert list(tmp_path.iterdir()) == [file]


# Holds a lock and ends, but leaves a fork behind that holds it still, until its input ends.
LEFT_BEHIND = """
import os, sys
from pathlib import Path
from jobs.runs.files import exclusive
with exclusive(Path(sys.argv[1]), "nobody"):
    if os.fork() == 0:
        sys.stdin.read()
        os._exit(0)
"""


def test_a_lock_that_was_left_behind_is_said_to_be(tmp_path, capsys):
    lock = tmp_path / "lock"
    command = [sys.executable, "-c", LEFT_BEHIND, lock]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE)
    holder.wait()
    assert is_held(lock)
    assert holder.stdin is not None
    Timer(0.5, holder.stdin.close).start()
    with exclusive(lock, "the others to end"):
        told = capsys.readouterr().out
        assert f"is held by what process {holder.pid} on" in told
        assert "that process itself has ended" in told
        assert is_held(lock)
    assert not is_held(lock)


@only_root_is_two_users
def test_a_second_user_sees_who_holds_a_lock_and_is_told_no():
    lock = Path("/tmp") / f"nightreel-test-{os.getpid()}.lock"

    def take() -> None:
        with exclusive(lock, "nobody"):
            raise AssertionError("it is another user's")

    try:
        with exclusive(lock, "nobody"):
            assert as_nobody(lambda: (is_held(lock), holder_of(lock))).startswith("(True, 'process")
            told = as_nobody(lambda: run_command(take))
    finally:
        lock.unlink()
    assert told == f"SystemExit: nightreel: {lock}: Permission denied."
