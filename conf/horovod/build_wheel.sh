#!/usr/bin/env bash
# Builds the Horovod wheel for an environment, once, and prints where it lies in the cache.
#
#     conf/horovod/build_wheel.sh .venv/bin/python
#
# That Python must have torch, setuptools and wheel. source.txt has the version and the digest of its
# source, patches/ what is changed in it. With torch for CUDA, nvcc and the headers of NCCL the wheel
# has NCCL operations, else it works on the CPU over Gloo; HOROVOD_GPU_OPERATIONS=NCCL, or an empty
# one, decides otherwise.
set -euo pipefail

python="$(cd "$(dirname "$1")" && pwd)/$(basename "$1")"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
version="$(sed -n 's/^horovod==\([^ ]*\) .*/\1/p' "$here/source.txt")"
# Part of the cache key, with the patches: to be raised when this script builds something else.
recipe=2
patches="$(cat "$here"/patches/*.patch | cksum | cut -d ' ' -f 1)"

say() { printf '%s\n' "$*" >&2; }

# One line: the environment's key, torch's CUDA version or -, and the CUDA toolkit's folder or -.
about="$("$python" -c '
import sys, sysconfig, torch
from torch.utils.cpp_extension import CUDA_HOME
environment = f"torch{torch.__version__}-cp{sys.version_info[0]}{sys.version_info[1]}"
print(f"{environment}-{sysconfig.get_platform()}", torch.version.cuda or "-", CUDA_HOME or "-")
' 2>/dev/null || true)"
read -r environment torch_cuda cuda_home <<<"$about"
if [ -z "$environment" ]; then
    say "Horovod cannot be built: $python has no torch that can be imported."
    exit 1
fi

nccl_found() {
    [ "$torch_cuda" != - ] && [ "$cuda_home" != - ] && [ -x "$cuda_home/bin/nvcc" ] &&
        printf '#include <nccl.h>\n' | "${CXX:-c++}" -E -x c++ -I"$cuda_home/include" \
            ${HOROVOD_NCCL_HOME:+-I"$HOROVOD_NCCL_HOME/include"} \
            ${HOROVOD_NCCL_INCLUDE:+-I"$HOROVOD_NCCL_INCLUDE"} - >/dev/null 2>&1
}

if [ -n "${HOROVOD_GPU_OPERATIONS+set}" ]; then
    operations="$HOROVOD_GPU_OPERATIONS"
elif nccl_found; then
    operations=NCCL
else
    operations=""
fi
if [ -n "$operations" ]; then
    kind="with $operations operations on CUDA $torch_cuda"
else
    kind="for the CPU, over Gloo"
fi

cache="${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/nightreel"
key="horovod$version-$environment-${operations:-cpu}-recipe$recipe-$patches"
folder="$cache/$key"
log="$cache/$key.log"

for wheel in "$folder"/*.whl; do
    if [ -f "$wheel" ]; then
        say "Horovod $version $kind: taken from the cache, $folder"
        printf '%s\n' "$wheel"
        exit 0
    fi
done

say "Building Horovod $version $kind (about two minutes, once) ..."
mkdir -p "$folder"
work="$(mktemp -d "${TMPDIR:-/tmp}/horovod-build.XXXXXX")"
trap 'rm -rf "$work"' EXIT

failed() {
    say "Horovod could not be built: $1 The log: $log"
    grep -m 3 -i -E 'error[: ]' "$log" | sed 's/^/    /' >&2 || true
    exit 1
}

pip() { "$python" -m pip "$@" --no-input --disable-pip-version-check; }

: >"$log"
if ! (cd "$work" && pip download --no-deps --no-binary horovod --no-build-isolation \
    --require-hashes -r "$here/source.txt") >>"$log" 2>&1; then
    if grep -q 'DO NOT MATCH THE HASHES' "$log"; then
        failed "what arrived is not the source that conf/horovod/source.txt names."
    fi
    failed "its source distribution did not arrive (is there a network?)."
fi
tar -xzf "$work/horovod-$version.tar.gz" -C "$work" || failed "its source distribution is damaged."
source="$work/horovod-$version"

# cxx17: torch >= 2.1 needs C++17, and the released source asks for C++14; fixed upstream, never
# released. rendezvous: the server by which ranks find one another listens on one address instead of
# all, answers whoever knows the job's token, and takes addresses as JSON instead of pickles.
for file in "$here"/patches/*.patch; do
    patch --quiet --directory="$source" --strip=1 --input="$file" >>"$log" 2>&1 ||
        failed "$(basename "$file") does not fit its source."
done
if [ -z "$operations" ]; then
    # A torch for CUDA beside a CUDA toolkit would draw in CUDA without anybody having asked for it.
    file=cmake/Modules/FindPytorch.cmake
    sed 's/^string(TOUPPER "${Pytorch_CUDA}" Pytorch_CUDA)/set(Pytorch_CUDA FALSE)/' \
        "$source/$file" >"$work/patched"
    cat "$work/patched" >"$source/$file"
fi

export HOROVOD_WITH_PYTORCH=1 HOROVOD_WITH_GLOO=1
export HOROVOD_WITHOUT_MPI=1 HOROVOD_WITHOUT_TENSORFLOW=1 HOROVOD_WITHOUT_MXNET=1
unset HOROVOD_GPU_OPERATIONS
if [ -n "$operations" ]; then
    export HOROVOD_GPU_OPERATIONS="$operations"
    if [ "$cuda_home" != - ]; then
        export HOROVOD_CUDA_HOME="${HOROVOD_CUDA_HOME:-$cuda_home}"
    fi
fi
# CMake 4 refuses the old minimum versions that the bundled libraries ask for.
export CMAKE_POLICY_VERSION_MINIMUM=3.5
# Called by make, the build would otherwise inherit its flags, and with them a single process.
unset MFLAGS MAKELEVEL
export MAKEFLAGS="-j$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)"

pip wheel --verbose --no-deps --no-build-isolation -w "$work/wheels" "$source" >>"$log" 2>&1 ||
    failed "the compiler's or cmake's message is there."

# Under its last name only when it is whole: another build may be looking.
for built in "$work/wheels"/*.whl; do
    wheel="$folder/$(basename "$built")"
    cp "$built" "$wheel.$$"
    mv "$wheel.$$" "$wheel"
done
printf '%s\n' "$wheel"
