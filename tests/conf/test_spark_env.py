"""Java's options by the size of a delivery, as spark-submit would find them."""

import json
import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "conf/spark/spark-env.sh"
LOCAL = ["--master", "local[*]", "etl.py"]
QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
SMALL_BYTES = 64 << 20


@pytest.fixture
def warehouse(tmp_path):
    """One with run `r` of an empty delivery, as ingest writes its file."""
    folder = tmp_path / "ware house"
    run, raw = folder / "runs/r", folder / "raw/sample/0a1b"
    for each in (run, raw):
        each.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"run_id": "r", "digest": "0a1b", "x": 1}, indent=2))
    return folder


def sourced(arguments, **variables):
    """The environment after the script was sourced with these; ARGUMENTS: what they have become."""
    show = f'set -a; . "{SCRIPT}"; ARGUMENTS="$*"; set +a; env; declare -F'
    done = subprocess.run(
        ["bash", "-c", show, "spark-class", "org.apache.spark.deploy.SparkSubmit", *arguments],
        env={"PATH": os.environ["PATH"]} | {name: str(value) for name, value in variables.items()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not done.stderr
    assert "declare -f nightreel" not in done.stdout
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def options(arguments, **variables):
    """SPARK_SUBMIT_OPTS after the script was sourced with these; None: not set."""
    return sourced(arguments, **variables).get("SPARK_SUBMIT_OPTS")


def fill(warehouse, size):
    """A sparse file would take no room: `du` counts what is taken."""
    (warehouse / "raw/sample/0a1b/ratings.dat").write_bytes(b"1" * size)


def test_airflows_run_of_a_small_delivery_starts_quickly(warehouse):
    fill(warehouse, 1000)
    assert options([*LOCAL, "--run-id=r"], NIGHTREEL_WAREHOUSE=warehouse) == QUICK
    assert options([*LOCAL, "--run-id", "r"], NIGHTREEL_WAREHOUSE=warehouse) == QUICK


def test_a_job_that_starts_java_names_its_delivery(warehouse):
    assert options(["pyspark-shell"], NIGHTREEL_DELIVERY=warehouse / "raw/sample/0a1b") == QUICK


def test_a_large_delivery_gets_the_optimising_compiler(warehouse):
    fill(warehouse, SMALL_BYTES + 4096)
    assert options([*LOCAL, "--run-id=r"], NIGHTREEL_WAREHOUSE=warehouse) is None


def test_where_clean_data_grows_what_is_new_counts(warehouse):
    """etl reads no more; score reads all of it."""
    fill(warehouse, SMALL_BYTES + 4096)
    delivery, file = warehouse / "raw/sample/0a1b", warehouse / "runs/r/run.json"
    run = json.loads(file.read_text())

    def found(job, new_kib):
        file.write_text(json.dumps(run | {"etl_new_kib": new_kib}, indent=2))
        return options([*LOCAL[:2], job, "--run-id=r"], NIGHTREEL_WAREHOUSE=warehouse)

    assert found("jobs/etl.py", None) is None
    assert found("jobs/etl.py", 0) == QUICK
    assert found("jobs/etl.py", SMALL_BYTES // 1024 + 1) is None
    assert found("jobs/score.py", 0) is None
    of_job = {"NIGHTREEL_DELIVERY": delivery, "NIGHTREEL_NEW_KIB": 12}
    assert options(["pyspark-shell"], **of_job) == QUICK


@pytest.mark.parametrize(
    "arguments",
    [
        ["--master", "spark://host:7077", "etl.py", "--run-id=r"],
        ["--conf", "spark.master=yarn", "etl.py", "--run-id=r"],
        [*LOCAL, "--run-id=unknown"],
        LOCAL,
    ],
)
def test_java_is_left_as_it_is_otherwise(warehouse, arguments):
    assert options(arguments, NIGHTREEL_WAREHOUSE=warehouse) is None


def test_what_the_shell_says_stays(warehouse):
    said = {"NIGHTREEL_WAREHOUSE": warehouse, "SPARK_SUBMIT_OPTS": "-Xss8m"}
    assert options([*LOCAL, "--run-id=r"], **said) == "-Xss8m"


def test_on_one_machine_the_hosts_name_need_not_resolve():
    assert sourced(LOCAL)["SPARK_LOCAL_IP"] == "127.0.0.1"
    assert sourced(LOCAL, SPARK_LOCAL_IP="10.0.0.1")["SPARK_LOCAL_IP"] == "10.0.0.1"
    assert "SPARK_LOCAL_IP" not in sourced(["--master", "spark://host:7077"])


@pytest.fixture
def installed(tmp_path):
    """Where Spark, its settings and an archive of classes lie."""
    home, conf = tmp_path / "lib/python3.11/site-packages/pyspark", tmp_path / "settings"
    for folder in (home, conf, tmp_path / "class-data/conf"):
        folder.mkdir(parents=True)
    (tmp_path / "class-data/classes.jsa").write_bytes(b"1")
    for name in ("spark-defaults.conf", "log4j2.properties", "spark-env.sh"):
        (conf / name).touch()
    return {"SPARK_HOME": home, "SPARK_CONF_DIR": conf, "SPARK_SUBMIT_OPTS": "-Xss8m"}


def test_with_an_archive_settings_are_named_and_not_on_the_class_path(installed, tmp_path):
    found = sourced(LOCAL, **installed)
    assert found["SPARK_CONF_DIR"] == str(tmp_path / "class-data/conf")
    assert found["NIGHTREEL_SPARK_CONF"] == str(tmp_path / "settings")
    named = f"--properties-file {tmp_path}/settings/spark-defaults.conf"
    submit = "org.apache.spark.deploy.SparkSubmit"
    assert found["ARGUMENTS"] == f"{submit} {named} {' '.join(LOCAL)}"
    assert found["SPARK_SUBMIT_OPTS"] == (
        f"-Dlog4j2.configurationFile={tmp_path}/settings/log4j2.properties "
        f"-XX:SharedArchiveFile={tmp_path}/class-data/classes.jsa -Xlog:cds*=off -Xss8m"
    )


@pytest.mark.parametrize("reason", ["hive-site.xml", "--properties-file=mine", "spark://host:7077"])
def test_other_settings_and_clusters_keep_their_folder(installed, tmp_path, reason):
    arguments = LOCAL
    if reason == "hive-site.xml":
        (tmp_path / "settings" / reason).touch()
    else:
        arguments = ["--master", reason] if reason.startswith("spark") else [reason, *LOCAL]
    found = sourced(arguments, **installed)
    assert found["SPARK_CONF_DIR"] == str(tmp_path / "settings")
    assert found["SPARK_SUBMIT_OPTS"] == "-Xss8m"


def test_a_cluster_reads_and_writes_as_one_host_does():
    one, cluster = (
        dict(
            line.split(maxsplit=1)
            for line in (SCRIPT.parents[1] / folder / "spark-defaults.conf")
            .read_text()
            .splitlines()
            if line.startswith("spark.sql.")
        )
        for folder in ("spark", "cluster")
    )
    # How many parts a shuffle has is a matter of how many cores there are.
    assert one.pop("spark.sql.shuffle.partitions")
    assert cluster == one
