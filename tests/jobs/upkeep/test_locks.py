"""Whether locks hold between hosts: two of them here, by name."""

import json
import os
import subprocess
import sys
import time

import pytest

from jobs.runs.errors import JobError
from jobs.upkeep.locks import main

# In a name space of its own, a process may call its host what it likes.
OTHER_HOST = """
import ctypes, socket, sys
CLONE_NEWUTS = 0x04000000
assert ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUTS) == 0
socket.sethostname("other-host")
from jobs.upkeep.locks import main
main(["--hold", "60", "--warehouse", sys.argv[1]])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a process another host's name")
def test_a_lock_of_another_host_is_found_held(tmp_path, capfd):
    main(["--warehouse", str(tmp_path)])
    assert "Nobody holds the lock. First, on another host:" in capfd.readouterr().out
    command = [sys.executable, "-c", OTHER_HOST, tmp_path]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as other:
        until = time.monotonic() + 60
        while not (tmp_path / ".locks.json").exists():
            assert other.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        main(["--warehouse", str(tmp_path)])
        assert "is held by process " in (told := capfd.readouterr().out)
        assert "on other-host (" in told
        # Where locks do not hold, it is granted here too, though its holder has not let go.
        (tmp_path / ".locks.lock").unlink()
        with pytest.raises(JobError, match="is held on other-host, and would be granted here too"):
            main(["--warehouse", str(tmp_path)])
        other.terminate()


def test_a_holder_that_was_killed_long_ago_is_no_fault(tmp_path, capfd):
    (tmp_path / ".locks.json").write_text(json.dumps({"host": "other", "until": 1000.0}))
    main(["--warehouse", str(tmp_path)])
    assert "Nobody holds the lock" in capfd.readouterr().out
