#!/bin/sh
# Sees to it that there is a Chromium for the tests of the web app: the machine's own, else the
# distribution's where apt may install it, else the one that Playwright offers, into $1. Where none of
# this works it says so in one line; the tests are skipped then, and fail under CI=true.
set -eu

into=$1
python=$2

for name in chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "$name" >/dev/null; then exit 0; fi
done
if [ -x "$into/chromium" ]; then exit 0; fi

mkdir -p "$into"
log=$into/log.txt
echo 'make: fetching a Chromium for the tests of the web app'

# Ubuntu's apt has none but a reference to a snap, which fails here, as it should.
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    if { apt-get update && apt-get install -y --no-install-recommends chromium; } >"$log" 2>&1 &&
        command -v chromium >/dev/null; then
        exit 0
    fi
fi

with=$([ "$(id -u)" = 0 ] && echo --with-deps || true)
# shellcheck disable=SC2086 # nothing, or one word
if PLAYWRIGHT_BROWSERS_PATH=$into "$python" -m playwright install --only-shell $with chromium \
    >>"$log" 2>&1; then
    found=$(find "$into" -type f -perm -u+x \( -name headless_shell -o -name chrome-headless-shell \) | head -n 1)
    if [ -n "$found" ]; then
        ln -sf "$(cd "$(dirname "$found")" && pwd)/$(basename "$found")" "$into/chromium"
        exit 0
    fi
fi

echo "make: no Chromium, and none could be installed ($log says why): the tests of the web app need one"
test "${CI:-}" != true
