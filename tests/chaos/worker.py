"""A process of the stage: what it says is heard at once, and it is killed without a warning.

A worker says one thing a line: a word and, where there is one, a number. Numbers of one word are
added up over all its lives. `News` is how a scenario waits: for a fact, which is looked at again
whenever anybody has said something, and never by the clock. A worker that ends without having been
told to is news, too: it ends the waiting with an error.
"""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from service import tasks
from tests.house.tree import ROOT

PATIENCE = 120.0
"""Seconds for what needs a few on a machine of one's own."""


def say(word: str, number: int = 1) -> None:
    """What a worker says; a single write, so that it is out before the next thing happens."""
    os.write(1, f"{word} {number}\n".encode())


class News:
    """That somebody has said something."""

    def __init__(self) -> None:
        self._some = asyncio.Event()
        self._deaths: list[str] = []

    def tell(self) -> None:
        """Let those who wait look again."""
        self._some.set()

    def died(self, why: str) -> None:
        """Let them give up."""
        self._deaths.append(why)
        self._some.set()

    async def until(self, holds: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
        """Wait until it holds; raises AssertionError, naming `what` never came."""
        try:
            async with asyncio.timeout(patience):
                while not holds():
                    assert not self._deaths, self._deaths[0]
                    self._some.clear()
                    await self._some.wait()
        except TimeoutError:
            message = f"{what}: not within {patience:.0f} s"
            raise AssertionError(message) from None


class Worker:
    """One place on the stage, and the process that fills it."""

    def __init__(
        self,
        name: str,
        module: str,
        order: msgspec.Struct,
        *,
        news: News,
        folder: Path,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Nothing runs before `start`; `order` is the module's only argument."""
        self.name = name
        self.heard: Counter[str] = Counter()
        """Word -> the sum of its numbers, over all lives."""

        self.times: dict[str, list[float]] = {}
        """Word -> when it was said, by the loop's clock."""

        self.lives = 0
        self._command = [sys.executable, "-m", module, msgspec.json.encode(order).decode()]
        self._environ = os.environ | (environ or {})
        self._news = news
        self._log = folder / f"{name}.log"
        self._process: asyncio.subprocess.Process | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._killed = False

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> "Worker":
        """Run it, which takes a second; what it has to say tells when it is there."""
        self._killed = False
        self.lives += 1
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                cwd=ROOT,
                env=self._environ,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        self._hearing = tasks.spawn(self._hear(self._process), name=f"what {self.name} says")
        return self

    def tell(self, word: str) -> None:
        """A line to it."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n".encode())

    def dismiss(self) -> None:
        """Let it finish what it does; `ended` waits for it."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()

    async def ended(self) -> int:
        """Its exit code, when all that it said has been heard."""
        assert self._process is not None
        assert self._hearing is not None
        await self._hearing
        return await self._process.wait()

    async def kill(self) -> None:
        """As kill -9 does; and it did, or this fails."""
        assert self._process is not None
        self._killed = True
        self._process.kill()
        code = await self.ended()
        assert code == -9, f"{self.name} had ended already, with {code}"

    async def end(self) -> None:
        """Whatever it is doing, if it is doing anything."""
        if self._process is not None and self._process.returncode is None:
            await self.kill()

    async def hears(self, word: str, times: int = 1, patience: float = PATIENCE) -> None:
        """Wait for it to say so much more of a word than it has said so far."""
        wanted = self.heard[word] + times
        await self._news.until(
            lambda: self.heard[word] >= wanted, f"{self.name} says {word!r}", patience
        )

    async def _hear(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := (await process.stdout.readline()).decode():
            word, _, number = line.rpartition(" ")
            self.heard[word] += int(number)
            self.times.setdefault(word, []).append(asyncio.get_running_loop().time())
            self._news.tell()
        code = await process.wait()
        if code and not self._killed:
            end = self._log.read_text(errors="replace")[-2_000:]
            self._news.died(f"{self.name} ended with {code}: {end}")
