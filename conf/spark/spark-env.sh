# Sourced by spark-submit, with its arguments, before Java starts: Java's options for a small delivery
# on one machine. A cluster has a folder of its own, and so none of this.
#
# A run of a small delivery ends before Java's optimising compiler (C2) has paid for itself, and one
# collector thread is enough. Deliveries of more than SMALL_KIB, runs whose delivery is not found here,
# other masters than local ones, and a shell that sets SPARK_SUBMIT_OPTS get Java as it is, or was set.

nightreel_java_options() {
    local quick="-XX:TieredStopAtLevel=1 -XX:+UseSerialGC" SMALL_KIB=65536
    local master=local run="" delivery="${NIGHTREEL_DELIVERY:-}" warehouse="${NIGHTREEL_WAREHOUSE:-}" kib

    # It only puts together the command that starts the other.
    SPARK_LAUNCHER_OPTS="${SPARK_LAUNCHER_OPTS-$quick}"
    [ -z "${SPARK_SUBMIT_OPTS+set}" ] || return 0

    while [ $# -gt 0 ]; do
        case "$1" in
            --master) master="${2:-}" ;;
            --master=*) master="${1#*=}" ;;
            spark.master=*) master="${1#*=}" ;;
            --run-id) run="${2:-}" ;;
            --run-id=*) run="${1#*=}" ;;
        esac
        shift
    done
    case "$master" in local*) ;; *) return 0 ;; esac

    # A job that starts Java by itself names the delivery; Airflow names the run.
    if [ -z "$delivery" ] && [ -n "$run" ] && [ -n "$warehouse" ]; then
        warehouse="${warehouse/#\~/$HOME}"
        delivery="$(sed -n 's/^  "digest": "\([0-9a-f]*\)",\{0,1\}$/\1/p' \
            "$warehouse/runs/$run/run.json" 2>/dev/null)"
        [ -n "$delivery" ] || return 0
        delivery="$(compgen -G "$warehouse/raw/*/$delivery" | head -n 1)"
    fi
    [ -n "$delivery" ] && [ -d "$delivery" ] || return 0
    kib="$(du -skL "$delivery" | cut -f 1)"
    [ "$kib" -gt "$SMALL_KIB" ] || SPARK_SUBMIT_OPTS="$quick"
}
nightreel_java_options "$@"
unset -f nightreel_java_options
