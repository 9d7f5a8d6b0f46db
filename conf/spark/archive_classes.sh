#!/usr/bin/env bash
# Write Java's classes, as an etl of the built-in sample loads them, into an archive that later Javas
# map into memory (class data sharing): Spark then starts in half the time. `make environments` calls
# it; conf/spark/spark-env.sh has Java use the archive.
#
#     conf/spark/archive_classes.sh .venv/class-data
#
# Java itself checks that an archive fits it and Spark's jars, and ignores one that does not.
set -euo pipefail

python="$PWD/.venv/bin/python"
folder="$PWD/$1"
scratch="$(mktemp -d "${TMPDIR:-/tmp}/nightreel-classes.XXXXXX")"
trap 'rm -rf "$scratch"' EXIT

rm -rf "$folder"
# Archives know jars alone, and no folder but an empty one: this stands for Spark's folder of settings.
mkdir -p "$folder/conf"

unset SPARK_HOME SPARK_CONF_DIR NIGHTREEL_WAREHOUSE NIGHTREEL_CONF NIGHTREEL_ENV
nightreel() { "$python" -m jobs.nightreel "$1" --warehouse "$scratch" --run-id classes "${@:2}"; }

# The pipe ends with Java, which writes the archive after etl has ended.
{
    nightreel ingest --dataset sample &&
        SPARK_SUBMIT_OPTS="-XX:TieredStopAtLevel=1 -XX:+UseSerialGC \
-XX:ArchiveClassesAtExit=$scratch/classes.jsa -Xlog:cds*=off" nightreel etl
} 2>&1 | cat >"$scratch/log" || true

if [ -s "$scratch/classes.jsa" ]; then
    mv "$scratch/classes.jsa" "$folder/classes.jsa"
else
    tail -n 5 "$scratch/log" >&2
    echo "This Java writes no archive of classes, so Spark will start more slowly." >&2
    # So that it is not tried again each time.
    touch "$folder/classes.jsa"
fi
