#!/usr/bin/env bash
# Writes the locks beside it: every package that conf/requirements-*.txt pin, with the SHA-256 of each
# of its files on PyPI, for Python 3.11 and 3.12 on any system. To be run when one of these changes:
#
#     make locks
#
# What is installed is what a lock names, and nothing else: pip --require-hashes. horovod has a lock
# of its own, conf/horovod/source.txt.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
conf="$(dirname "$here")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

"${1:-python3}" -m venv "$work/environment"
"$work/environment/bin/python" -m pip install -q --disable-pip-version-check uv==0.13.9

lock() { # lock NAME REQUIREMENTS...
    local name="$1"
    shift
    "$work/environment/bin/uv" pip compile --quiet --no-config --universal --python-version 3.11 \
        --generate-hashes --no-annotate --no-header "$@" -o "$work/$name.lock"
    { echo "# Written by write.sh from conf/requirements-*.txt."; cat "$work/$name.lock"; } \
        >"$here/$name.lock"
}

printf 'setuptools\nwheel\n' >"$work/build.txt"
printf 'torch\n' >"$work/torch.txt"
printf 'pytest\npytest-timeout\n' >"$work/pytest.txt"
cat "$conf/requirements-jobs.txt" "$conf/requirements-test.txt" |
    grep -v -E '^(torch|horovod)==' >"$work/jobs.txt"

lock build "$work/build.txt" -c "$conf/requirements-jobs.txt"
lock torch "$work/torch.txt" -c "$conf/requirements-jobs.txt"
lock jobs "$work/jobs.txt"
lock airflow "$conf/requirements-airflow.txt" "$work/pytest.txt" -c "$conf/requirements-test.txt"
lock audit "$conf/requirements-audit.txt"
lock text "$conf/requirements-text.txt" --no-deps
lock benchmark "$conf/requirements-benchmark.txt" -c "$conf/requirements-jobs.txt"
