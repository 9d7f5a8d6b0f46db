#!/usr/bin/env bash
# Starts Airflow on this machine, with our DAGs and connections: scheduler, web interface, REST API.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

# Airflow would choose a password itself and print it among hundreds of lines.
passwords="$AIRFLOW_HOME/simple_auth_manager_passwords.json.generated"
password="$("$NIGHTREEL_ROOT/.venv-airflow/bin/python" - "$passwords" <<'PYTHON'
import json
import os
import secrets
import sys
from pathlib import Path

file = Path(sys.argv[1])
known = json.loads(file.read_text()) if file.is_file() and file.stat().st_size else {}
if "admin" not in known:
    known["admin"] = secrets.token_urlsafe(12)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        opened.write(json.dumps(known) + "\n")
print(known["admin"])
PYTHON
)"

# On the terminal only what asks for attention; in the logs of the tasks all that they say.
export AIRFLOW__LOGGING__LOGGING_LEVEL="${AIRFLOW__LOGGING__LOGGING_LEVEL:-WARNING}"
export AIRFLOW__LOGGING__NAMESPACE_LEVELS="${AIRFLOW__LOGGING__NAMESPACE_LEVELS:-airflow.task=INFO task=INFO}"
cat <<TEXT
Airflow starts, which takes about half a minute. Then:

    address    http://localhost:$AIRFLOW__API__PORT
    user       admin
    password   $password

Switch the DAG \`nightly\` on there, or trigger it. Ctrl-C stops Airflow.
TEXT
exec airflow standalone
