"""`tailrace serve` as the process it is, told by signals, before a double in this process.

`serving` starts one and waits for its start-up line; what it writes to standard error is read line
by line as it comes, so that a test can wait for a word of it.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from adapters.registry import FIFTEEN

PATIENCE = 50.0
"""Seconds for a start, which imports up to five SDKs, and for an end, which drains.

An end that no test waits for has them, too: killed sooner, a service leaves its engine behind.
"""

_FOREIGN = {
    name
    for provider in FIFTEEN.values()
    for variable in (*provider.key_vars, provider.address_var)
    for name in (variable, f"{variable}_FILE")
}


@dataclass(slots=True)
class Served:
    """A running `tailrace serve`."""

    process: asyncio.subprocess.Process
    log: list[str] = field(default_factory=list)
    """What it has written to standard error and was read."""
    url: str = ""

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def logs(self, words: str) -> str:
        """Read its log up to a line with these words, which must come after what was read."""
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENCE):
            while line := (await self.process.stderr.readline()).decode():
                self.log.append(line)
                if words in line:
                    return line
        message = f"the log ended without {words!r}: {''.join(self.log)}"
        raise AssertionError(message)

    async def ends(self) -> int:
        """Wait for its exit code."""
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENCE):
            rest = await self.process.stderr.read()
            self.log += rest.decode().splitlines(keepends=True)
            return await self.process.wait()


def command(folder: Path, *flags: str) -> list[str]:
    """The command line of a service that writes nowhere but into `folder`."""
    serve = [sys.executable, "-m", "service", "serve", "--port", "0"]
    return [*serve, "--data", str(folder / "data"), *flags]


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """This process's environment, but only with the providers and settings that are given."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if name not in _FOREIGN and not name.startswith("TAILRACE_")
    }
    return ours | {"TAILRACE_USAGE__BALLAST_BYTES": "0"} | dict(environ)


@asynccontextmanager
async def starting(
    folder: Path, *flags: str, environ: Mapping[str, str], before: Sequence[str] = ()
) -> AsyncIterator[Served]:
    """Start one in `folder`; it is stopped at the end, and killed if it does not stop.

    Killed at once, it would leave its embedded engine behind. `before`: a command that the service
    is the last words of.
    """
    process = await asyncio.create_subprocess_exec(
        *before,
        *command(folder, *flags),
        cwd=folder,
        env=environment(environ),
        start_new_session=True,  # so that a test can send its group what a terminal sends
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Served(process)
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(PATIENCE):
                await process.communicate()
        except TimeoutError:
            process.kill()
            await process.communicate()


@asynccontextmanager
async def serving(
    folder: Path, *flags: str, environ: Mapping[str, str], before: Sequence[str] = ()
) -> AsyncIterator[Served]:
    """Start one and wait for its start-up line."""
    async with starting(folder, *flags, environ=environ, before=before) as served:
        assert served.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            line = (await served.process.stdout.readline()).decode()
        if not line:
            code = await served.ends()
            message = f"it ended with {code}: {''.join(served.log)}"
            raise AssertionError(message)
        told, _, served.url = line.rstrip("\n").rpartition(" ")
        assert told == "Tailrace is at"
        yield served
