"""`tailrace serve --workers N`: several processes on one port, and the one that looks after them.

The parent binds the port once, starts N processes of the same command line, each a fresh
interpreter with the sockets and one end of a line (`service.line`), and serves nothing itself: it
imports no SDK and has nothing to do while requests come.

- All workers accept from the same sockets, so a connection goes to whoever is free to take it, and
  none is lost with a worker. With a socket each (SO_REUSEPORT) the system would deal out the
  connections by a hash: to a worker that is busy as often as to one that is not, and those that
  wait for one that dies are reset. docs/workers.md has what was measured.
- The start-up line is printed when all of them serve. Until then, one that ends, ends everything;
  a configuration that cannot stand is told in one line, by the parent.
- Later, one that ends is replaced after a pause that grows while they end soon after their start;
  the others serve meanwhile. One whose configuration cannot stand is replaced, too, while others
  serve by the one before: the file was changed, and nobody has asked to read it again.
- SIGTERM and SIGINT drain all, a second one kills them. SIGHUP reads the configuration here first,
  so that a bad file is refused once.
- What one worker says that concerns the others (`Changed`, `Ask`) goes through here.

A parent that dies takes its ends of the lines with it: the workers drain and end (`service.seat`).

Left out: changing the number of workers, the host or the port while it runs.
"""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import Final, assert_never

import uvloop

from service import clock, jitter, tasks
from service.line import (
    Ask,
    Changed,
    Drain,
    Figures,
    Gathered,
    Line,
    Refused,
    Reload,
    Reloaded,
    Said,
    Serving,
    Tell,
)
from service.seat import REFUSED, announce, cannot_listen, log_format, place
from service.settings import Server, Settings, SettingsError

log = logging.getLogger(__name__)

STEADY_S: Final = 10.0
"""Seconds after which an end is one by itself, not the next of a row."""

FIGURES_S: Final = 1.0
"""Seconds for a worker to say its figures; a scraper waits for ten, by default."""

RELOADED_S: Final = 30.0
"""Seconds for a worker to read the configuration and build what it is asked with anew.

It imports the SDKs that are wanted for the first time, and all workers do at once: five take 3 s of
CPU for each.
"""

LAST_WORDS_S: Final = 1.0
"""Seconds to read what a worker said before it ended."""


def serve(settings: Settings, *, reload: Callable[[], Settings]) -> int:
    """Run several workers until told to stop; the process's exit code, 0 if all have drained.

    `reload` reads the configuration anew, for SIGHUP; it raises SettingsError. Raises SettingsError
    where the port cannot be had, or a worker finds that the configuration cannot stand.
    """
    workers = settings.server.workers
    if settings.usage.engine == "in-process":
        raise SettingsError(
            f"server.workers: {workers}: must be 1 where usage.engine is in-process: "
            "several workers share what they count through an engine"
        )
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=log_format(None))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings.server, reload))


async def _serve(server: Server, reload: Callable[[], Settings]) -> int:
    # Bound, and not listening: whoever comes before a worker is there is refused.
    loop = asyncio.get_running_loop()
    try:
        bound = await loop.create_server(
            asyncio.Protocol, server.host, server.port, start_serving=False
        )
    except OSError as failure:
        raise cannot_listen(server, failure) from None
    async with bound:
        workers = Workers(server.workers, bound.sockets, reload)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, workers.told_to_stop, number)
        loop.add_signal_handler(signal.SIGHUP, workers.told_to_reload)
        try:
            return await workers.run()
        finally:
            await tasks.settle()


class Worker:
    """One process, from its start to its end."""

    def __init__(self, process: asyncio.subprocess.Process, line: Line) -> None:
        """`line`: to this process."""
        self.process = process
        self.line = line
        self.serving = False
        self.refusal: str | None = None
        """Why it could not start."""
        self._reloaded: asyncio.Future[str | None] | None = None

    async def reload(self, patience: float) -> str | None:
        """Let it read the configuration again; why it refused, None if it did not.

        `patience`: seconds for its answer.
        """
        self._reloaded = asyncio.get_running_loop().create_future()
        self.line.say(Reload())
        try:
            async with asyncio.timeout(patience):
                return await self._reloaded
        except TimeoutError:
            return f"no answer within {patience:.0f} s"

    def answered(self, refusal: str | None) -> None:
        """It has read the configuration, or is gone: who takes its place will."""
        if self._reloaded is not None and not self._reloaded.done():
            self._reloaded.set_result(refusal)
        elif refusal is not None:
            self.refusal = refusal


class Workers:
    """All of them, by their numbers from 0."""

    def __init__(
        self,
        number: int,
        listening: Sequence[socket.socket],
        reload: Callable[[], Settings],
        *,
        reloaded_s: float = RELOADED_S,
    ) -> None:
        """`number`: how many; `listening`: bound; `reload` reads the configuration anew.

        `reloaded_s`: seconds for a worker to have done that, too.
        """
        self._number = number
        self._listening = listening
        self._reload = reload
        self._reloaded_s = reloaded_s
        self._there: dict[int, Worker] = {}
        self._restarts = dict.fromkeys(range(number), 0)
        self._announced = False
        self._stop = asyncio.Event()
        self._code = 0
        self._refusal: str | None = None
        self._starting = asyncio.Lock()
        self._reloading = asyncio.Lock()
        self._questions = count()
        self._asked: dict[int, asyncio.Future[bytes]] = {}

    async def run(self) -> int:
        """Keep all running until they are told to stop; the exit code.

        Raises SettingsError where a worker found that the configuration cannot stand.
        """
        async with asyncio.TaskGroup() as keepers:
            for number in range(self._number):
                keepers.create_task(self._keep(number))
        if self._refusal is not None:
            raise SettingsError(self._refusal)
        return self._code

    def told_to_stop(self, number: int) -> None:
        """By a signal of that number: drain; the second time, end at once."""
        if not self._stop.is_set():
            self._drain()
            return
        self._code = 128 + number
        for worker in self._there.values():
            with suppress(ProcessLookupError):  # one that has ended, and whose last words are read
                worker.process.kill()

    def told_to_reload(self) -> None:
        """By SIGHUP: read the configuration again, all of them."""
        _ = tasks.spawn(self._reload_all(), name="read the configuration again")

    # --- Their lives ---

    async def _keep(self, number: int) -> None:
        """Have a worker of that number until all are told to stop."""
        failures = 0
        while not self._stop.is_set():
            began = clock.monotonic()
            code, refusal = await self._run(number)
            if self._stop.is_set():
                self._code = self._code or (1 if code else 0)
                return
            if self._hopeless(code):
                # A signal's number, below 0, is no exit code.
                self._code, self._refusal = code if code > 0 else 1, refusal
                if refusal is None:
                    how = _ended(code, refusal)
                    log.error("all end: worker %d %s before all of them served", number, how)
                self._drain()
                return
            if clock.monotonic() - began >= STEADY_S:
                failures = 0
            seconds = jitter.pause(failures)
            failures += 1
            self._restarts[number] += 1
            log.warning(
                "worker %d %s; another one starts in %.1f s", number, _ended(code, refusal), seconds
            )
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stop.wait()

    async def _run(self, number: int) -> tuple[int, str | None]:
        """One process, to its end: its exit code, and why its configuration could not stand."""
        try:
            worker = await self._start(number)
        except OSError as failure:
            # No traceback: it is the system's refusal, and says all there is to know.
            log.error("worker %d cannot be started: %s", number, failure.strerror)  # noqa: TRY400 - so
            return 1, None
        self._there[number] = worker
        if self._stop.is_set():
            worker.line.say(Drain())
        hearing = tasks.spawn(self._hear(number, worker), name=f"hear worker {number}")
        code = await worker.process.wait()
        await asyncio.wait({hearing}, timeout=LAST_WORDS_S)
        hearing.cancel()
        worker.line.close()
        worker.answered(None)
        del self._there[number]
        return code, worker.refusal

    async def _start(self, number: int) -> Worker:
        ours, theirs = socket.socketpair()
        listening = [bound.fileno() for bound in self._listening]
        # The interpreter's own options too, and however it was told what to run. One at a time: its
        # end of the line is nobody else's to inherit.
        command = (sys.executable, *sys.orig_argv[1:])
        async with self._starting:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    "--worker",
                    place(number, self._number, theirs, listening),
                    pass_fds=(theirs.fileno(), *listening),
                    start_new_session=True,  # Ctrl-C reaches the parent alone
                )
        return Worker(process, await Line.over(ours))

    def _hopeless(self, code: int) -> bool:
        """Whether another one would fare no better, or nobody is there to serve meanwhile."""
        if not self._announced:
            return True
        return code == REFUSED and not any(worker.serving for worker in self._there.values())

    def _drain(self) -> None:
        self._stop.set()
        for worker in self._there.values():
            worker.line.say(Drain())

    # --- What they say ---

    async def _hear(self, number: int, worker: Worker) -> None:
        async for message in worker.line.heard():
            try:
                self._heard(number, worker, message)
            except Exception:
                # Whatever it is, what the worker says next is to be heard.
                log.exception("%s of worker %d was passed over", type(message).__name__, number)

    def _heard(self, number: int, worker: Worker, message: Said) -> None:
        match message:
            case Serving():
                self._serves(number, worker)
            case Refused(text):
                worker.answered(text)
            case Reloaded():
                worker.answered(None)
            case Changed():
                for other in self._others(number).values():
                    other.line.say(message)
            case Ask(question):
                _ = tasks.spawn(self._gather(number, worker, question), name="gather figures")
            case Figures(question, packed):
                asked = self._asked.get(question)  # the answer may be too late
                if asked is not None and not asked.done():
                    asked.set_result(packed)
            case Drain() | Reload() | Tell() | Gathered():
                raise AssertionError(message)  # the parent's words
            case _:
                assert_never(message)

    def _serves(self, number: int, worker: Worker) -> None:
        worker.serving = True
        log.info("worker %d serves as process %d", number, worker.process.pid)
        if self._all_serve() and not self._announced and not self._stop.is_set():
            self._announced = True
            announce(self._listening[0].getsockname())

    def _all_serve(self) -> bool:
        return sum(worker.serving for worker in self._there.values()) == self._number

    def _others(self, number: int) -> dict[int, Worker]:
        return {other: worker for other, worker in self._there.items() if other != number}

    async def _gather(self, number: int, worker: Worker, question: int) -> None:
        """Ask all the others for their figures, and tell the one that wants to know."""
        asked = {
            other: self._ask(neighbour)
            for other, neighbour in self._others(number).items()
            if neighbour.serving
        }
        if asked:
            await asyncio.wait({answer for _, answer in asked.values()}, timeout=FIGURES_S)
        for own, _ in asked.values():
            del self._asked[own]
        figures = {other: a.result() for other, (_, a) in asked.items() if a.done()}
        missing = self._number - 1 - len(figures)
        worker.line.say(Gathered(question, figures, missing, self._restarts))

    def _ask(self, worker: Worker) -> tuple[int, asyncio.Future[bytes]]:
        question = next(self._questions)
        answer = self._asked[question] = asyncio.get_running_loop().create_future()
        worker.line.say(Tell(question))
        return question, answer

    # --- The configuration ---

    async def _reload_all(self) -> None:
        async with self._reloading:
            try:
                _ = self._reload()
            except SettingsError as refusal:
                log.warning("configuration not changed: %s", refusal)
                return
            there = dict(self._there)
            answers = await asyncio.gather(
                *(worker.reload(self._reloaded_s) for worker in there.values())
            )
        refused = {n: text for n, text in zip(there, answers, strict=True) if text is not None}
        if not refused:
            log.info("configuration read again")
        elif len(refused) == len(there):
            log.warning("configuration not changed: %s", next(iter(refused.values())))
        else:
            who = ", ".join(map(str, refused))
            why = next(iter(refused.values()))
            log.warning("configuration not changed in worker %s: %s", who, why)


def _ended(code: int, refusal: str | None) -> str:
    if refusal is not None:
        return f"cannot start: {refusal}"
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
