#!/usr/bin/env bash
# Installs PyTorch, of the version that is pinned, into an environment.
#
#     conf/install_torch.sh .venv/bin/python
#
# From PyPI, or a copy of it, it comes with its CUDA packages, all as conf/locks/torch.lock has their
# digests. A wheel that lies on this machine's disk, where pip has been set up to find it (find-links),
# is whoever set that up's own, as for the CPU alone: it is taken as it is, and its digest shown.
set -euo pipefail

python="$1"
conf="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
lock="$conf/locks/torch.lock"
pinned="$(sed -n 's/^\(torch==[^ ]*\).*/\1/p' "$lock")"
pip() { "$python" -m pip "$@" -q -q --no-input --disable-pip-version-check; }

if "$python" -c "import sys, importlib.metadata as m
sys.exit(m.version('torch').split('+')[0] != '${pinned#torch==}')" 2>/dev/null; then
    exit 0
fi

# The one file that pip would take, and no other: its address and its digest.
report="$(mktemp)"
trap 'rm -f "$report"' EXIT
pip install --dry-run --ignore-installed --no-deps --report "$report" "$pinned"
read -r digest address < <("$python" -c '
import json, sys
found = json.load(open(sys.argv[1]))["install"][0]["download_info"]
print(found["archive_info"]["hashes"]["sha256"], found["url"])
' "$report")

if [[ "$address" != file:* ]] || grep -q "$digest" "$lock"; then
    pip install --require-hashes -r "$lock"
else
    printf '    the wheel on this disk, SHA-256 %s\n' "$digest" >&2
    printf '%s --hash=sha256:%s\n' "torch @ $address" "$digest" >"$report"
    pip install --no-deps --require-hashes -r "$report"
fi
