#!/usr/bin/env bash
# Checks for what pip cannot bring: Python, Java, C and C++ compilers, cmake and patch.
#
# Prints the Python to build the environments with. Whatever is missing is named on standard error,
# all of it at once, each with the way to get it; then the exit status is 1. PYTHON=path names the
# Python to take.
set -euo pipefail

missing=0

lacks() { # lacks WHAT ON_DEBIAN ON_MACOS
    printf '%s\n    Debian, Ubuntu: %s\n    macOS:          %s\n' "$1" "$2" "$3" >&2
    missing=1
}

# A python3.12 on PATH may be a version manager's stand-in for one that is not installed: run it.
python_version() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true
}

python=""
found="none"
for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3.12 python3; do
    version="$(python_version "$candidate")"
    case "$version" in
        3.11 | 3.12)
            python="$candidate"
            break
            ;;
        ?*) found="$candidate, which is $version" ;;
    esac
    # A Python that was named is taken or refused, never replaced by another.
    if [ -n "${PYTHON:-}" ]; then
        [ -n "$version" ] || found="$candidate, which does not run"
        break
    fi
done

if [ -z "$python" ]; then
    lacks "Python 3.11 or 3.12 is needed, found: $found. Elsewhere than on PATH: PYTHON=path make ..." \
        "sudo apt-get install python3.11 python3.11-venv python3.11-dev (or the same of 3.12; where a release has neither: pyenv install 3.11)" \
        "brew install python@3.11"
else
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        lacks "$python $version cannot make environments: its module venv is missing." \
            "sudo apt-get install python$version-venv" \
            "brew reinstall python@$version"
    fi
    if ! "$python" -c 'import os, sysconfig
header = os.path.join(sysconfig.get_paths()["include"], "Python.h")
raise SystemExit(not os.path.exists(header))'; then
        lacks "$python $version has no C headers (Python.h), which Horovod is built with." \
            "sudo apt-get install python$version-dev" \
            "brew reinstall python@$version"
    fi
fi

java="${JAVA_HOME:+$JAVA_HOME/bin/}java"
java_version="$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1 || true)"
case "$java_version" in
    17 | 21) ;;
    *)
        lacks "Java 17 or 21 is needed for Spark, found: ${java_version:-none}${JAVA_HOME:+ (JAVA_HOME is $JAVA_HOME)}." \
            "sudo apt-get install openjdk-17-jre-headless (or openjdk-21-jre-headless)" \
            'brew install openjdk@17 && export JAVA_HOME="$(brew --prefix openjdk@17)"'
        ;;
esac

if ! command -v "${CXX:-c++}" >/dev/null; then
    lacks "A C++ compiler is needed to build Horovod, found no ${CXX:-c++}." \
        "sudo apt-get install g++" \
        "xcode-select --install"
fi

if ! command -v "${CC:-cc}" >/dev/null; then
    lacks "A C compiler is needed to build Nightreel's loops of training, found no ${CC:-cc}." \
        "sudo apt-get install gcc" \
        "xcode-select --install"
fi

if ! command -v cmake >/dev/null; then
    lacks "cmake is needed to build Horovod, found none." \
        "sudo apt-get install cmake" \
        "brew install cmake"
fi

if ! command -v patch >/dev/null; then
    lacks "patch is needed to build Horovod, found none." \
        "sudo apt-get install patch" \
        "xcode-select --install"
fi

# On macOS, Gloo (how Horovod's ranks talk) is built on libuv.
if [ "$(uname)" = Darwin ] && ! pkg-config --exists libuv 2>/dev/null; then
    lacks "libuv and pkg-config are needed to build Horovod on macOS." "-" \
        "brew install libuv pkgconf"
fi

if [ "$missing" = 1 ]; then
    exit 1
fi
command -v "$python"
