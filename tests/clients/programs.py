"""Other people's programs, each told what to do and asked what it saw, a line of JSON at a time."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import orjson
import pytest

LIMIT = 50.0  # seconds
"""For one answer; the first one waits for imports, which are 7 s of processor time with some."""


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
async def started(
    *command: str, environ: Mapping[str, str] | None = None
) -> AsyncIterator[Program]:
    """Run a command until the test is over; `environ` is added to this process's own."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **(environ or {})},
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


def missing(what: str) -> NoReturn:
    """What a test needs is not installed: skip it, or fail it under CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)
