# Sourced by spark-submit, with its arguments, before Java starts: looks at Java, and chooses its
# options on one machine. A cluster has a folder of its own, or another master than a local one, and
# so none of these.
#
# Classes come from the archive that conf/spark/archive_classes.sh has made. With an archive, Java's
# class path may hold jars and empty folders alone: so Spark's settings are named to spark-submit
# instead of lying there, unless this folder holds more than Nightreel's own files.
#
# A run of a small delivery ends before Java's optimising compiler (C2) has paid for itself, and one
# collector thread is enough. Deliveries of more than SMALL_KIB, runs whose delivery is not found here
# and a shell that sets SPARK_SUBMIT_OPTS get Java as it is, or was set.

# Whether the arguments of spark-submit leave the master a local one.
nightreel_local() {
    local master=local
    while [ $# -gt 0 ]; do
        case "$1" in
            --master) master="${2:-}" ;;
            --master=*) master="${1#*=}" ;;
            spark.master=*) master="${1#*=}" ;;
        esac
        shift
    done
    case "$master" in local*) return 0 ;; *) return 1 ;; esac
}

# The KiB of the delivery that spark-submit is to work on; nothing where it is not known. Of an etl
# that grows out of another run, those of what is new.
nightreel_delivery_kib() {
    local run="" delivery="${NIGHTREEL_DELIVERY:-}" warehouse="${NIGHTREEL_WAREHOUSE:-}"
    local new_kib="${NIGHTREEL_NEW_KIB:-}" etl=""
    while [ $# -gt 0 ]; do
        case "$1" in
            *etl.py) etl=yes ;;
            --run-id) run="${2:-}" ;;
            --run-id=*) run="${1#*=}" ;;
        esac
        shift
    done
    # A job that starts Java by itself names the delivery; Airflow names the run.
    if [ -z "$delivery" ] && [ -n "$run" ] && [ -n "$warehouse" ]; then
        warehouse="${warehouse/#\~/$HOME}"
        delivery="$(sed -n 's/^  "digest": "\([0-9a-f]*\)",\{0,1\}$/\1/p' \
            "$warehouse/runs/$run/run.json" 2>/dev/null)"
        [ -n "$delivery" ] || return 0
        [ -z "$etl" ] || new_kib="$(sed -n 's/^  "etl_new_kib": \([0-9]*\),\{0,1\}$/\1/p' \
            "$warehouse/runs/$run/run.json")"
        delivery="$(compgen -G "$warehouse/raw/*/$delivery" | head -n 1)"
    fi
    [ -n "$delivery" ] && [ -d "$delivery" ] || return 0
    [ -n "$new_kib" ] && echo "$new_kib" || du -skL "$delivery" | cut -f 1
}

nightreel_java_options() {
    local quick="-XX:TieredStopAtLevel=1 -XX:+UseSerialGC" SMALL_KIB=65536 kib

    # It only puts together the command that starts the other.
    SPARK_LAUNCHER_OPTS="${SPARK_LAUNCHER_OPTS-$quick}"
    [ -z "${SPARK_SUBMIT_OPTS+set}" ] || return 0
    kib="$(nightreel_delivery_kib "$@")"
    [ -z "$kib" ] || [ "$kib" -gt "$SMALL_KIB" ] || SPARK_SUBMIT_OPTS="$quick"
}

# Whether an archive can be used, and no other settings are named.
nightreel_shares_classes() {
    local file
    [ -d "$NIGHTREEL_CLASS_DATA/conf" ] || return 1
    for file in "$SPARK_CONF_DIR"/*; do
        case "${file##*/}" in
            spark-env.sh | spark-defaults.conf | log4j2.properties | archive_classes.sh) ;;
            *) return 1 ;;
        esac
    done
    case " $* " in *" --properties-file"*) return 1 ;; esac
}

# A job that starts Java by itself has looked at it; Airflow's spark-submit has not.
if [ "${1:-}" = org.apache.spark.deploy.SparkSubmit ] && [ -n "${PYSPARK_PYTHON:-}" ] &&
    [ -z "${_PYSPARK_DRIVER_CONN_INFO_PATH:-}" ]; then
    "$PYSPARK_PYTHON" -m jobs.engines.host || exit 1
fi

if nightreel_local "$@"; then
    # On one machine nobody else needs to reach Spark: the host's name need not resolve.
    SPARK_LOCAL_IP="${SPARK_LOCAL_IP:-127.0.0.1}"
    nightreel_java_options "$@"
    NIGHTREEL_CLASS_DATA="${SPARK_HOME%/lib/python*}/class-data"
    # The first argument is the class that spark-submit starts.
    if [ "${1:-}" = org.apache.spark.deploy.SparkSubmit ] && nightreel_shares_classes "$@"; then
        NIGHTREEL_SPARK_CONF="$SPARK_CONF_DIR"
        SPARK_CONF_DIR="$NIGHTREEL_CLASS_DATA/conf"
        nightreel_options="-Dlog4j2.configurationFile=$NIGHTREEL_SPARK_CONF/log4j2.properties"
        if [ -s "$NIGHTREEL_CLASS_DATA/classes.jsa" ]; then
            # Where an archive does not fit, Java goes without, and need not say so.
            nightreel_options+=" -XX:SharedArchiveFile=$NIGHTREEL_CLASS_DATA/classes.jsa -Xlog:cds*=off"
        fi
        SPARK_SUBMIT_OPTS="$nightreel_options${SPARK_SUBMIT_OPTS:+ $SPARK_SUBMIT_OPTS}"
        set -- "$1" --properties-file "$NIGHTREEL_SPARK_CONF/spark-defaults.conf" "${@:2}"
    fi
fi
unset nightreel_options
unset -f nightreel_local nightreel_delivery_kib nightreel_java_options nightreel_shares_classes
