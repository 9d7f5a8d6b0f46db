"""Start the Horovod ranks that train: in this process, by horovodrun, or on Spark executors.

What a rank runs is model/training/worker.py. However a rank ends, the job ends with a sentence; and
ranks end when the job does, because horovodrun ends with it and they end with horovodrun.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from jobs.engines.host import require_host_name, require_own_scratch
from jobs.runs.errors import JobError
from jobs.runs.files import exclusive, write_json
from jobs.runs.settings.training import LaunchSettings
from jobs.training.horovodrun import by_horovodrun, loopback
from jobs.training.rank_environment import rendezvous_secrets
from jobs.training.rank_failures import failure
from model.settings import TrainingSpec
from model.training.loop import train
from model.training.worker import error_files, ranks_lock, run_rank

# So long Spark may take to start the ranks.
START_SECONDS = 300


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
    refuse_open_rendezvous()
    require_own_scratch()
    require_host_name()
    scratch.mkdir(parents=True, exist_ok=True)
    spec_file = scratch / "training.json"
    with exclusive(ranks_lock(spec_file), "the ranks of an earlier attempt to end"):
        write_json(spec_file, asdict(spec))
        for old in error_files(spec_file):
            old.unlink()
    if launcher == "spark":
        on_spark(spec_file, settings.ranks, scratch)
    else:
        by_horovodrun(spec_file, settings)


def refuse_open_rendezvous() -> None:
    """Raise JobError for a Horovod as it was released: anybody who reaches it is obeyed."""
    if find_spec("horovod.runner.http.access") is None:
        raise JobError(
            "This Horovod is not the one that conf/horovod/build_wheel.sh builds: its ranks find "
            "one another through a server that runs code of anybody who reaches it. Install ours: "
            "rm .venv/.ready && make environments"
        )


def on_spark(spec_file: Path, ranks: int, scratch: Path) -> None:
    """Run each rank in a task of a Spark session; as many must run at once as there are ranks."""
    # Spark takes its time to load, and this is the only launcher that needs it.
    import horovod.spark

    from jobs.engines.spark import names_setting, spark_session

    if not names_setting("spark.master") and "PYSPARK_GATEWAY_PORT" not in os.environ:
        # Spark would take this host alone.
        raise JobError(
            "train.launcher is spark, and spark-defaults.conf in the folder that SPARK_CONF_DIR "
            "names has no spark.master: name it there. Airflow's connection holds for etl and "
            "score alone."
        )
    session = spark_session("train", scratch)
    slots = session.sparkContext.defaultParallelism
    if slots < ranks:
        raise JobError(
            f"Spark runs {slots} tasks at once, and each of the {ranks} ranks needs one: lower "
            "train.ranks, or give Spark more cores (spark.master in conf/spark, or in the folder "
            "that SPARK_CONF_DIR names)."
        )
    local = (session.sparkContext.master or "").startswith("local")
    with rendezvous_secrets(scratch) as secrets:
        # Read by the server, which runs in this process, and by the ranks.
        os.environ |= secrets
        try:
            horovod.spark.run(
                run_rank,
                args=(str(spec_file),),
                num_proc=ranks,
                use_gloo=True,
                start_timeout=START_SECONDS,
                env=secrets,
                nics={loopback()} if local else None,
                verbose=0,
            )
        except Exception as error:
            # Horovod raises plain ones, of many kinds.
            raise failure(spec_file, str(error)) from error
        finally:
            for name in secrets:
                del os.environ[name]
