# Settings of our Airflow and of the Spark jobs that it submits, to be sourced by bash:
#
#     source conf/airflow/environment.sh
#
# NIGHTREEL_* variables, SPARK_CONF_DIR, AIRFLOW_CONN_SPARK and AIRFLOW__API__* that are set already
# are left as they are. The others are always ours: a shell that is set up for another Airflow or
# another Spark must neither change our runs nor have its own database migrated.
#
#     NIGHTREEL_AIRFLOW_DATABASE   postgresql+psycopg2://user:password@host/name instead of SQLite
#     NIGHTREEL_AIRFLOW_EXECUTOR   another executor than LocalExecutor, whose provider is installed
#     NIGHTREEL_AIRFLOW_TASKS      most tasks at once (default: 4)

NIGHTREEL_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
export NIGHTREEL_ROOT

# The jobs, as the tasks run them.
export NIGHTREEL_WAREHOUSE="${NIGHTREEL_WAREHOUSE:-$NIGHTREEL_ROOT/warehouse}"
case "$NIGHTREEL_WAREHOUSE" in
    /* | "~"* | *://*) ;;
    # The tasks run in other folders than the caller's.
    *) NIGHTREEL_WAREHOUSE="$PWD/$NIGHTREEL_WAREHOUSE" ;;
esac
export NIGHTREEL_PYTHON="${NIGHTREEL_PYTHON:-$NIGHTREEL_ROOT/.venv/bin/python}"

# Spark. The operator takes the first spark-submit on PATH: it must be the jobs environment's.
unset SPARK_HOME PYSPARK_DRIVER_PYTHON
for folder in "$NIGHTREEL_ROOT"/.venv/lib/python3.*/site-packages/pyspark; do
    if [ -x "$folder/bin/spark-submit" ]; then
        export SPARK_HOME="$folder"
    fi
done
unset folder
export SPARK_CONF_DIR="${SPARK_CONF_DIR:-$NIGHTREEL_ROOT/conf/spark}"
export PYSPARK_PYTHON="$NIGHTREEL_PYTHON"
export PATH="$NIGHTREEL_ROOT/.venv-airflow/bin:${SPARK_HOME:+$SPARK_HOME/bin:}$PATH"

# Airflow. The connection holds the master, the deploy mode and the queue of the Spark jobs.
export AIRFLOW_HOME="${NIGHTREEL_AIRFLOW_HOME:-$NIGHTREEL_ROOT/.airflow}"
if [ -z "${AIRFLOW_CONN_SPARK:-}" ]; then
    export AIRFLOW_CONN_SPARK='{"conn_type": "spark", "host": "local[*]"}'
fi
export AIRFLOW__DATABASE__SQL_ALCHEMY_CONN="${NIGHTREEL_AIRFLOW_DATABASE:-sqlite:///$AIRFLOW_HOME/airflow.db}"
export AIRFLOW__CORE__EXECUTOR="${NIGHTREEL_AIRFLOW_EXECUTOR:-LocalExecutor}"
# LocalExecutor keeps a process for each; the pools let fewer heavy ones through.
export AIRFLOW__CORE__PARALLELISM="${NIGHTREEL_AIRFLOW_TASKS:-4}"
export AIRFLOW__CORE__DAGS_FOLDER="$NIGHTREEL_ROOT/dags"
export AIRFLOW__CORE__LOAD_EXAMPLES=False
export AIRFLOW__CORE__DEFAULT_TIMEZONE=utc
export AIRFLOW__API__HOST="${AIRFLOW__API__HOST:-127.0.0.1}"
export AIRFLOW__API__PORT="${AIRFLOW__API__PORT:-8080}"
# Where tasks report to, and what links in alerts begin with.
case "$AIRFLOW__API__HOST" in
    127.0.0.1 | 0.0.0.0 | ::) host=localhost ;;
    *:*) host="[$AIRFLOW__API__HOST]" ;;
    *) host="$AIRFLOW__API__HOST" ;;
esac
export AIRFLOW__API__BASE_URL="${AIRFLOW__API__BASE_URL:-http://$host:$AIRFLOW__API__PORT}"
unset host

# What a job prints is seen when it is printed, not when its buffer is full.
export PYTHONUNBUFFERED=1

# Nothing reports home.
export DO_NOT_TRACK=1
export SCARF_ANALYTICS=false
export MLFLOW_DISABLE_TELEMETRY=true
