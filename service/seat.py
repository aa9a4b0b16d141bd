"""A worker's place among several on one port: its number, what it listens on, and its parent.

The parent (`service.workers`) binds the sockets and hands them over with one end of a line, by the
numbers of their descriptors in the hidden option `--worker`. A worker does what it is told over the
line, tells there what the others must know, and drains when the line ends: its parent is gone, and
nobody would stop it any more.

Signals are the parent's business, which has them in its hands before it tells anybody: the workers
are a session of their own each, so that Ctrl-C in a terminal reaches the parent alone.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final, assert_never

from service import tasks
from service.line import (
    Ask,
    Changed,
    Drain,
    Figures,
    Gathered,
    Line,
    Message,
    Refused,
    Reload,
    Reloaded,
    Said,
    Serving,
    Tell,
    framed,
)
from service.settings import Server, SettingsError

log = logging.getLogger(__name__)

REFUSED: Final = 2
"""The exit code of a worker whose configuration cannot stand, as of every command."""

GATHERED_S: Final = 2.0
"""Seconds for the figures of the others; the parent waits half as long for them."""

_TOLD: Final = "%(asctime)s %(levelname)s "


def log_format(seat: "Seat | None") -> str:
    """For `logging`: one line each, of a worker with its number."""
    return f"{_TOLD}%(message)s" if seat is None else f"{_TOLD}worker {seat.number}: %(message)s"


def announce(address: tuple[object, ...]) -> None:
    """Print the start-up line: from now on, requests are answered there."""
    host, port = str(address[0]), address[1]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    print(f"Tailrace is at {url}", flush=True)  # noqa: T201 - the start-up line


def cannot_listen(server: Server, failure: OSError) -> SettingsError:
    """What there is to say where the address is taken, or none of this machine."""
    said = f"cannot listen on {server.host}:{server.port}: {failure.strerror}"
    return SettingsError(f"server.port: {said}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a worker does when it is told to."""

    drain: Callable[[], None]
    """May be called again."""
    reload: Callable[[], Awaitable[None]]
    """Raises SettingsError, and then everything is as it was."""
    follow: Callable[[str, bool], Awaitable[None]]
    """Another worker changed this provider, and switched it on or not."""
    figures: Callable[[], Awaitable[bytes]]
    """What is counted here, packed."""


class Seat:
    """Lives as long as the worker."""

    def __init__(
        self, number: int, of: int, line: socket.socket, listening: list[socket.socket]
    ) -> None:
        """`of`: how many there are; `line`: this side's end; `listening`: bound, everybody's."""
        self.number = number
        self._of = of
        self.listening = listening
        self._end = line
        self._line: Line | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._reloading: set[asyncio.Task[None]] = set()
        self._questions = count()
        self._asked: dict[int, asyncio.Future[Gathered]] = {}

    @classmethod
    def parse(cls, text: str) -> "Seat":
        """Take the place that `place` wrote down; raises ValueError where it is none."""
        number, of, line, listening = text.split(":")
        sockets = listening.split(",")
        try:
            return cls(int(number), int(of), _taken(line), [_taken(one) for one in sockets])
        except OSError as failure:
            raise ValueError(failure.strerror) from None

    def refuse(self, refusal: SettingsError) -> int:
        """Let the parent say why this worker cannot start, in one line for all; the exit code."""
        self._end.setblocking(True)
        self._end.sendall(framed(Refused(str(refusal))))
        return REFUSED

    async def attend(self, orders: Orders) -> None:
        """Say that requests are taken, and do what the parent says and has said already."""
        # A copy: `refuse` needs an end that no loop has closed.
        self._line = await Line.over(self._end.dup())
        self._hearing = tasks.spawn(self._hear(self._line, orders), name="hear the parent")
        self._line.say(Serving())

    def changed(self, provider: str, enabled: bool) -> None:  # noqa: FBT001 - as `Orders.follow`
        """Tell the others what the admin API changed here."""
        self._say(Changed(provider, enabled))

    async def gather(self) -> Gathered:
        """The figures of all the others; all are missing where the parent does not answer."""
        question = next(self._questions)
        answer: asyncio.Future[Gathered] = asyncio.get_running_loop().create_future()
        self._asked[question] = answer
        self._say(Ask(question))
        try:
            async with asyncio.timeout(GATHERED_S):
                return await answer
        except TimeoutError:
            return self._nobodys(question)
        finally:
            del self._asked[question]

    async def leave(self) -> None:
        """Hear nothing more, and say nothing but `refuse`."""
        if self._line is not None and self._hearing is not None:
            busy = {self._hearing, *self._reloading}
            for task in busy:
                task.cancel()
            await asyncio.wait(busy)
            self._line.close()

    def _say(self, message: Message) -> None:
        if self._line is not None:
            self._line.say(message)

    async def _hear(self, line: Line, orders: Orders) -> None:
        async for message in line.heard():
            try:
                await self._obey(line, orders, message)
            except Exception:
                # Whatever it is, whoever hears nothing more can neither be stopped nor be orphaned.
                log.exception("%s was not carried out", type(message).__name__)
        log.warning("the process that started this one is gone: draining")
        for question in self._asked:
            self._answered(self._nobodys(question))
        orders.drain()

    async def _obey(self, line: Line, orders: Orders, message: Said) -> None:
        match message:
            case Drain():
                orders.drain()
            case Reload():
                self._reload(line, orders)
            case Changed(provider, enabled):
                await orders.follow(provider, enabled)
            case Tell(question):
                line.say(Figures(question, await orders.figures()))
            case Gathered():
                self._answered(message)
            case Serving() | Refused() | Reloaded() | Ask() | Figures():
                raise AssertionError(message)  # a worker's words
            case _:
                assert_never(message)

    def _reload(self, line: Line, orders: Orders) -> None:
        """Answer later: SDKs may have to be imported, and what else is said does not wait."""

        async def answer() -> None:
            line.say(await _reloaded(orders))

        task = tasks.spawn(answer(), name="read the configuration again")
        self._reloading.add(task)
        task.add_done_callback(self._reloading.discard)

    def _nobodys(self, question: int) -> Gathered:
        return Gathered(question, {}, self._of - 1, {})

    def _answered(self, gathered: Gathered) -> None:
        answer = self._asked.get(gathered.question)  # whoever asked may have left
        if answer is not None and not answer.done():
            answer.set_result(gathered)


def place(number: int, of: int, line: socket.socket, listening: Sequence[int]) -> str:
    """For `--worker`, as `Seat.parse` reads it."""
    return f"{number}:{of}:{line.fileno()}:{','.join(map(str, listening))}"


async def _reloaded(orders: Orders) -> Reloaded | Refused:
    try:
        await orders.reload()
    except SettingsError as refusal:
        return Refused(str(refusal))
    except Exception as fault:
        log.exception("the configuration cannot be read again")
        return Refused(f"the service failed: {type(fault).__name__}, see the log")
    return Reloaded()


def _taken(descriptor: str) -> socket.socket:
    taken = socket.socket(fileno=int(descriptor))
    taken.set_inheritable(False)  # what this process starts has no business with it
    return taken
