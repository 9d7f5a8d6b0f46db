"""Start the Horovod ranks that train: in this process, by horovodrun, or on Spark executors.

What a rank runs is model/training/worker.py. However a rank ends, the job ends with a sentence; and
ranks end when the job does, because horovodrun ends with it and they end with horovodrun.
"""

from __future__ import annotations

import ctypes
import re
import signal
import subprocess
import sys
from dataclasses import asdict
from io import TextIOWrapper
from pathlib import Path
from typing import IO

from jobs.engines.spark import spark_session
from jobs.runs.errors import JobError
from jobs.runs.files import write_json
from jobs.runs.settings import LaunchSettings
from model.settings import TrainingSpec
from model.training.loop import train
from model.training.worker import error_files, run_rank

PR_SET_PDEATHSIG = 1
# So long Spark may take to start the ranks, and an elastic job waits for enough of them.
START_SECONDS = 300
# A rank that died may come back after so many seconds, at least and at most.
COOLDOWN_SECONDS = (5, 60)
RANK = re.compile(r"\[\d+\]<std(out|err)>:")
SSH_FAILED = 255
EXITED = re.compile(r"Process (\d+) exit with status code (\d+)|Exit code: (\d+)")


def launch(spec: TrainingSpec, settings: LaunchSettings, scratch: Path) -> None:
    """Train as the settings say; `scratch` is a folder that all hosts see.

    Raises JobError with the sentence of the rank that failed.
    """
    launcher = settings.launcher
    if launcher == "auto":
        alone = settings.ranks == 1 and not settings.elastic
        launcher = "process" if alone else "horovodrun"
    if launcher == "process":
        try:
            train(spec)
        except ValueError as error:
            raise JobError(str(error)) from error
        return
    scratch.mkdir(parents=True, exist_ok=True)
    spec_file = scratch / "training.json"
    write_json(spec_file, asdict(spec))
    for old in error_files(spec_file):
        old.unlink()
    if launcher == "spark":
        on_spark(spec_file, settings.ranks, scratch)
    else:
        by_horovodrun(spec_file, settings)


def by_horovodrun(spec_file: Path, settings: LaunchSettings) -> None:
    """Run ranks on this host or on `settings.hosts`, and show what they say."""
    command = [*horovodrun(settings), sys.executable, "-m", "model.training.worker", str(spec_file)]
    # Ranks on this host that outlive this process, if any do, still hold the run's lock.
    with subprocess.Popen(
        command,
        close_fds=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=end_with_parent if sys.platform == "linux" else None,
    ) as running:
        assert running.stdout is not None
        try:
            said = pass_on(running.stdout)
            status = running.wait()
        except BaseException:
            # horovodrun ends its ranks when it is asked to end, and leaves them when it is killed.
            running.terminate()
            raise
    if status != 0:
        raise failure(spec_file, said, settings.hosts)


def horovodrun(settings: LaunchSettings) -> list[str]:
    """The command that starts the ranks, without what they run."""
    command = [str(Path(sys.executable).with_name("horovodrun")), "--gloo"]
    command += ["-np", str(settings.ranks)]
    hosts = settings.hosts
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
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def pass_on(output: IO[bytes]) -> str:
    """Show the ranks' output as it comes, without the mark of rank 0; returns its end.

    horovodrun ends with a traceback of its own, which is not shown: it says nothing of the ranks.
    """
    end, traceback = "", False
    # Lines of a progress bar end with a carriage return, and stay such.
    for line in TextIOWrapper(output, encoding="utf-8", errors="replace", newline=""):
        traceback = traceback or line.startswith("Traceback")
        if not traceback or RANK.match(line):
            print(line.removeprefix("[0]<stdout>:"), end="", flush=True)
        end = (end + line)[-20_000:]
    return end


def on_spark(spec_file: Path, ranks: int, scratch: Path) -> None:
    """Run each rank in a task of a Spark session; as many must run at once as there are ranks."""
    import horovod.spark

    session = spark_session("train", scratch)
    slots = session.sparkContext.defaultParallelism
    if slots < ranks:
        raise JobError(
            f"Spark runs {slots} tasks at once, and each of the {ranks} ranks needs one: lower "
            "train.ranks, or give Spark more cores (spark.master in conf/spark)."
        )
    try:
        horovod.spark.run(
            run_rank,
            args=(str(spec_file),),
            num_proc=ranks,
            use_gloo=True,
            start_timeout=START_SECONDS,
            verbose=0,
        )
    except Exception as error:
        # Horovod raises plain ones, of many kinds.
        raise failure(spec_file, str(error)) from error


def failure(spec_file: Path, said: str, hosts: str | None = None) -> JobError:
    """Why training failed: the sentence of a rank, or else what horovodrun said of it."""
    for file in error_files(spec_file):
        return JobError(file.read_text(encoding="utf-8"))
    found = EXITED.search(said)
    code = int(found[2] or found[3]) if found else 0
    if code == SSH_FAILED and hosts:
        return JobError(
            f"Training failed: a host of train.hosts ({hosts}) could not be reached over ssh, or "
            "the connection broke. Each needs ssh without a password from here; what ssh said is "
            "shown above."
        )
    if found and code - 128 in {*signal.Signals}:
        name = signal.Signals(code - 128).name
        who = f"rank {found[1]}" if found[1] else "a rank"
        why = ", as the system does when memory runs out" if name == "SIGKILL" else ""
        return JobError(
            f"Training failed: {who} was ended by {name}{why}. Run the step again: it goes on from "
            "the last checkpoint, if there was one yet. With train.elastic the other ranks go on."
        )
    last = [line.strip() for line in said.splitlines() if line.strip()][-1:]
    return JobError(
        f"Training failed: {last[0] if last else 'the ranks said nothing'} (what came before is "
        "shown above)."
    )
