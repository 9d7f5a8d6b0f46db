#!/usr/bin/env bash
# Makes Airflow's database, or brings it up to date, and adds our pools: once for each database.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
source "$here/environment.sh"

name="$(printf '%s' "$AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" | cksum | cut -d ' ' -f 1)"
stamp="$AIRFLOW_HOME/database-$name.ready"
if [ "$stamp" -nt "$here/pools.json" ] && [ "$stamp" -nt "$here/../locks/airflow.lock" ]; then
    exit 0
fi
mkdir -p "$AIRFLOW_HOME"
log="$AIRFLOW_HOME/database.log"

# Only pools that are not there yet: sizes that somebody has set stay.
import_pools() {
    local missing
    missing="$(mktemp -d)/pools.json"
    airflow pools list --output json | python -c '
import json, sys
known = {pool["pool"] for pool in json.load(sys.stdin)}
wanted = json.load(open(sys.argv[1]))
json.dump({name: wanted[name] for name in wanted if name not in known}, open(sys.argv[2], "w"))
' "$here/pools.json" "$missing" && airflow pools import "$missing" && rm -r "$(dirname "$missing")"
}

if ! { airflow db migrate && import_pools; } > "$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "Airflow's database could not be made: see above, or all of it in $log." >&2
    exit 1
fi
touch "$stamp"
