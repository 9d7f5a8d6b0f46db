"""Ranks on this host or others by horovodrun: how it is started, listened to and ended.

It ends when this process does, however that happens, and its ranks end with it.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import IO

from jobs.runs.errors import JobError
from jobs.runs.settings.training import NO_INTERFACE, LaunchSettings
from jobs.training.rank_environment import for_ranks, rendezvous_secrets
from jobs.training.rank_failures import failure

PR_SET_PDEATHSIG = 1
# So long an elastic job waits for enough ranks.
START_SECONDS = 300
# A rank that died may come back after so many seconds, at least and at most.
COOLDOWN_SECONDS = (5, 60)
# So long horovodrun may take to end its ranks before it is ended itself.
END_SECONDS = 10
RANK = re.compile(r"\[\d+\]<std(out|err)>:")
# One rank speaks for all; when that one dies, another.
SPEAKER = re.compile(r"\[\d+\]<stdout>:")


def by_horovodrun(spec_file: Path, settings: LaunchSettings) -> None:
    """Run ranks on this host or on `settings.hosts`, and show what they say.

    Raises JobError with the sentence of the rank that failed.
    """
    command = [*horovodrun(settings), sys.executable, "-m", "model.training.worker", str(spec_file)]
    with (
        rendezvous_secrets(spec_file.parent) as secrets,
        ended(
            subprocess.Popen(
                command,
                env=for_ranks(os.environ) | secrets,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                preexec_fn=end_with_parent if sys.platform == "linux" else None,
            )
        ) as running,
    ):
        assert running.stdout is not None
        said = pass_on(running.stdout)
        status = running.wait()
    if status != 0:
        raise failure(spec_file, said, settings.hosts)


@contextmanager
def ended(running: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has ended when the block has."""
    with running:
        try:
            yield running
        finally:
            # horovodrun ends its ranks when it is asked to end; asked while they start, it may
            # wait for ever. Killed, it leaves them to its helpers and to their own watch.
            try:
                if running.poll() is None:
                    running.terminate()
                    with suppress(subprocess.TimeoutExpired):
                        running.wait(END_SECONDS)
            finally:
                running.kill()


def horovodrun(settings: LaunchSettings) -> list[str]:
    """The command that starts the ranks, without what they run."""
    if settings.lacks_interface:
        # To find it out, horovodrun would listen on all of them, with its key on command lines.
        raise JobError(f"train: {NO_INTERFACE}.")
    hosts = settings.hosts
    command = [str(Path(sys.executable).with_name("horovodrun")), "--gloo"]
    command += ["-np", str(settings.ranks)]
    if settings.elastic:
        command += ["--min-np", str(settings.min_ranks or 1)]
        command += ["--max-np", str(settings.max_ranks or settings.ranks)]
        command += ["--elastic-timeout", str(START_SECONDS)]
        command += ["--blacklist-cooldown-range", *map(str, COOLDOWN_SECONDS)]
        if settings.discovery_script:
            command += ["--host-discovery-script", settings.discovery_script]
        elif not hosts:
            hosts = own_hosts(settings.max_ranks or settings.ranks)
            command += ["--network-interfaces", loopback()]
    if hosts and not settings.discovery_script:
        command += ["--hosts", hosts]
    return command + settings.horovodrun_options


def own_hosts(ranks: int) -> str:
    """This machine as so many hosts of one rank each: 127.0.0.1, 127.0.0.01, 127.0.0.001 ...

    When a rank dies, horovodrun gives up its host, and with it all other ranks there.
    """
    return ",".join(f"127.0.0.{'0' * number}1:1" for number in range(ranks))


def loopback() -> str:
    """Name of the network interface of 127.0.0.1."""
    from horovod.runner.util.network import get_local_intfs

    return sorted(get_local_intfs())[0]


def end_with_parent() -> None:
    """Have the kernel end this process when its parent ends, however that happens."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def pass_on(output: IO[bytes]) -> str:
    """Show the ranks' output as it comes, without the mark of who speaks; returns its end.

    horovodrun ends with a traceback of its own, which is not shown: it says nothing of the ranks.
    """
    end, traceback = "", False
    # Lines of a progress bar end with a carriage return, and stay such.
    for line in TextIOWrapper(output, encoding="utf-8", errors="replace", newline=""):
        traceback = traceback or line.startswith("Traceback")
        if not traceback or RANK.match(line):
            print(SPEAKER.sub("", line, count=1), end="", flush=True)
        end = (end + line)[-20_000:]
    return end
