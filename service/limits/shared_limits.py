"""The providers' limits, held by all processes on one engine together.

A request that is to go to a provider with a limit asks the engine first, by one script that counts
for all (`limit_scripts`); what became of the attempt is told later, by the way. Providers without a
limit never come here, and without an engine nothing does: then every process keeps its own count
(`provider_limits`), as it does anyway, so that it has one when it needs it.

Each provider has a lane: one call at a time takes everything that waits (`account`). So it costs a
connection per provider however many requests come at once, what waits is never blocked by what
hangs, and cancelling a request touches no connection. `python -m bench.shared_limits` measures it
(bench/README.md): half a millisecond for one request alone; in a crowd, from the reservation to the
end of an attempt, 30 us of this process' CPU and 10 us of the server's.

Where the engine does not answer within 50 ms, or with an error, it counts as away for everybody
here: who waits for it goes on at once, and each process holds itself to its part of every limit,
the limit divided by the number of processes there were last (each tells of itself every 5 s), by
its own sliding minute, in which what it sent before counts, too. From then on no request waits for
the engine; a task looks for it once a second. When it is back it is told first what was admitted
meanwhile and what runs, so that this counts for all, then what became of what; nothing is crossed
off before it has said so. What could not be told by the end of its lease heals by itself.

Lifetime: `start` once the engine is known, `stop` when the last attempt is over. One per process.
Left out: shares taken in advance, which would spare the engine; it has one core for a provider,
which at 10 us each is enough for some 100,000 attempts a second.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain, count
from typing import Any, Final

from redis.exceptions import RedisError

from service import clock, tasks
from service.limits import limit_scripts
from service.limits.account import Account, Counted, End, Entry, Hold
from service.limits.provider_limits import LEASE, Limits, ProviderLimits, Reservation, Together
from service.usage.client import Client, close
from service.usage.scripts import Script

PATIENCE: Final = 0.05
"""Seconds that a request waits for the engine at most."""

_GLANCES: Final = 10
"""In which that time is spent. A process that was busy itself comes to each of them late, but finds
the reply at the next one: it does not blame the engine for its own delay."""

BEAT: Final = 5.0
"""Seconds between two times that a process tells of itself, and asks what the others use."""

FORGOTTEN: Final = 15.0
"""Seconds after which a process that does not is taken for gone."""

LOOK: Final = 1.0
"""Seconds between two looks for an engine that is away, and for which each of them waits."""

FAREWELL: Final = 0.5
"""Seconds that a process which ends takes to tell what it has not told yet."""

_log = logging.getLogger(__name__)


class SharedLimits:
    """Reservations under the limits of all processes, or of this one where it is alone."""

    def __init__(self, limits: Limits) -> None:
        """Alone, until `start`. `limits`: this process' own."""
        self._limits = limits
        self._line = _Line(_nowhere)
        self._up = False
        self._fallen = asyncio.Event()
        self._processes = 1
        self._name = secrets.token_hex(8)
        self._numbers = count(1)
        self._lanes: dict[str, _Lane] = {}
        self._holds: dict[Reservation, Hold] = {}
        self._pulse: asyncio.Task[None] | None = None

    async def start(self, connect: Callable[[], Client]) -> None:
        """Count together with all who are on this engine, whenever it is there.

        Waits for it a second. `connect` makes a client; it is called anew after every failure.
        """
        self._line = _Line(connect)
        await self._beat()
        self._pulse = tasks.spawn(self._run(), name="shared limits")

    async def stop(self) -> None:
        """Tell the engine what it does not know yet, and leave it."""
        if self._pulse is None:
            return
        self._pulse.cancel()
        telling = [lane.task for lane in self._lanes.values() if lane.task is not None]
        _ = await asyncio.wait([self._pulse, *telling], timeout=FAREWELL)
        self._pulse = None
        untold = sum(lane.account.waiting for lane in self._lanes.values())
        if untold:
            _log.warning("%d attempts count against limits until their leases end", untold)
        if self._up:
            self._up = False
            await self._leave()
        await self._line.aclose()

    # --- One attempt ---

    def asks(self, provider: str) -> bool:
        """Whether the engine is to be asked (`reserve`); otherwise `reserve_here` will do."""
        return self._up and self._limits.limited(provider) is not None

    def reserve_here(
        self,
        provider: str,
        tokens: int,
        now: float,
        *,
        model: str | None = None,
        lease: float = LEASE,
    ) -> Reservation | None:
        """`Limits.reserve`, of which the engine is told when it is there again."""
        reservation = self._limits.reserve(provider, tokens, now, model=model, lease=lease)
        if reservation is not None and self._pulse is not None and self._limits.limited(provider):
            hold = self._hold(tokens, now, lease)
            self._holds[reservation] = hold
            self._lane(provider).account.owe(hold)
        return reservation

    async def reserve(
        self, provider: str, tokens: int, *, model: str | None = None, lease: float = LEASE
    ) -> Reservation | None:
        """The same, under the limits of all processes; None: `Limits.wait` says for how long.

        Takes `PATIENCE` at most where the engine has stopped answering; where it is slow, twice as
        long, for the call before it. A caller that is cancelled meanwhile has reserved nothing.
        """
        limits, now = self._limits, clock.monotonic()
        if limits.wait_as_said(provider, tokens, now, model=model) > 0:
            return None
        hold, lane = self._hold(tokens, now, lease), self._lane(provider)
        admitted = await self._admitted(lane, hold)
        now = clock.monotonic()
        if admitted is None:
            reservation = limits.reserve(provider, tokens, now, model=model, lease=lease)
        else:
            reservation = limits.take(provider, tokens, now, lease=lease) if admitted else None
        if reservation is not None:
            self._holds[reservation] = hold
        if admitted is None:
            # Whether it was heard or not: it was admitted here, or not at all.
            (lane.account.withdraw if reservation is None else lane.account.owe)(hold)
        return reservation

    def settle(self, reservation: Reservation, tokens: int | None, now: float) -> None:
        """As `Limits.settle`. Never waits: the engine is told as soon as it can be."""
        self._limits.settle(reservation, tokens, now)
        self._end(reservation, tokens, unsent=False)

    def release(self, reservation: Reservation, now: float) -> None:
        """As `Limits.release`."""
        self._limits.release(reservation, now)
        self._end(reservation, None, unsent=True)

    def _end(self, reservation: Reservation, tokens: int | None, *, unsent: bool) -> None:
        hold = self._holds.pop(reservation, None)
        if hold is not None:
            lane = self._lane(reservation.provider)
            lane.account.end(End(hold, tokens, unsent=unsent))
            self._go(lane)

    def _hold(self, tokens: int, now: float, lease: float) -> Hold:
        return Hold(f"{self._name}:{next(self._numbers)}", tokens, made=now, until=now + lease)

    # --- Lanes ---

    def _lane(self, provider: str) -> "_Lane":
        return self._lanes.setdefault(provider, _Lane(provider))

    async def _admitted(self, lane: "_Lane", hold: Hold) -> bool | None:
        """Whether the engine admits it; None: it is away."""
        if not self._up:
            hold.refused = True
            return None
        answer: asyncio.Future[bool | None] = asyncio.get_running_loop().create_future()
        lane.answers[hold] = answer
        lane.account.ask(hold)
        self._go(lane)
        try:
            return await answer
        except asyncio.CancelledError:
            lane.account.withdraw(hold)
            self._go(lane)
            raise
        finally:
            del lane.answers[hold]

    def _go(self, lane: "_Lane") -> None:
        """See to it that what waits is told."""
        if self._up and (lane.task is None or lane.task.done()):
            lane.task = tasks.spawn(self._tell(lane), name=f"limits of {lane.provider}")

    async def _tell(self, lane: "_Lane") -> None:
        while self._up and (entries := lane.account.batch(clock.monotonic())):
            await self._call(lane, entries)

    async def _call(self, lane: "_Lane", entries: list[Entry]) -> None:
        try:
            counted = await self._count(lane.provider, entries, PATIENCE)
            verdicts = lane.account.took(entries, counted)
        except Exception as failure:  # noqa: BLE001 - whatever it is, requests go on without it
            self._fall(failure)
            lane.answer((hold, None) for hold in lane.account.lost(entries))
            return
        if self._up:
            self._limits.told(lane.provider, counted.together(clock.monotonic()))
        lane.answer(verdicts)

    async def _count(self, provider: str, entries: list[Entry], patience: float) -> Counted:
        limits = self._limits.limited(provider) or ProviderLimits()
        words: list[str | int] = [*_words(limits)]
        words += chain.from_iterable(entry.words for entry in entries)
        reply = await self._line.run(
            limit_scripts.COUNT, limit_scripts.keys(provider), words, patience
        )
        return Counted.of(reply)

    # --- The engine comes and goes ---

    async def _run(self) -> None:
        while True:
            if self._up:
                with suppress(TimeoutError):
                    async with asyncio.timeout(BEAT):
                        await self._fallen.wait()
            if not self._up:
                await asyncio.sleep(LOOK)
            await self._beat()

    async def _beat(self) -> None:
        """Tell of this process, and ask what is used: nobody waits for either."""
        words: list[str | int] = [self._name, round(FORGOTTEN * 1_000_000)]
        limited = self._limits.everybody_limited()
        try:
            (there,) = await self._line.run(
                limit_scripts.PRESENT, [limit_scripts.REPLICAS], words, LOOK
            )
            used = await asyncio.gather(*(self._used(provider) for provider in limited))
        except Exception as failure:  # noqa: BLE001 - whatever it is, the next look may do
            self._fall(failure)
            return
        self._processes = there
        self._rise()
        self._tell_of_losses()
        for provider, together in zip(limited, used, strict=True):
            self._limits.told(provider, together)
        now = clock.monotonic()
        self._holds = {of: hold for of, hold in self._holds.items() if now < hold.until}

    async def _used(self, provider: str) -> Together:
        counted = await self._count(provider, [], LOOK)
        return counted.together(clock.monotonic())

    def _rise(self) -> None:
        if self._up:
            return
        if self._fallen.is_set():
            _log.info(
                "the limits are held by all processes together again, %d of them", self._processes
            )
            for reservation, hold in self._holds.items():
                self._lane(reservation.provider).account.remind(hold)
        self._fallen.clear()
        self._up = True
        self._limits.divide(1)
        for lane in self._lanes.values():
            self._go(lane)

    def _fall(self, failure: Exception) -> None:
        if self._fallen.is_set():
            return
        self._fallen.set()
        self._up = False
        self._limits.divide(self._processes)
        _log.warning(
            "the engine is away, each of %d processes holds its part of the limits: %s: %s",
            self._processes,
            type(failure).__name__,
            str(failure).partition("\n")[0],
        )
        for lane in self._lanes.values():
            lane.answer((hold, None) for hold in lane.account.strand())

    def _tell_of_losses(self) -> None:
        for lane in self._lanes.values():
            if lane.account.left_to_leases:
                _log.warning(
                    "%s: %d ends were not told while the engine was away; their leases end them",
                    lane.provider,
                    lane.account.left_to_leases,
                )
                lane.account.left_to_leases = 0

    async def _leave(self) -> None:
        try:
            _ = await self._line.run(
                limit_scripts.GONE, [limit_scripts.REPLICAS], [self._name], FAREWELL
            )
        except Exception as failure:  # noqa: BLE001 - it is forgotten without it, a little later
            _log.debug("the engine was not told of the end: %s", failure)


class _Lane:
    """One provider's way to the engine."""

    def __init__(self, provider: str) -> None:
        self.provider = provider
        self.account = Account()
        self.answers: dict[Hold, asyncio.Future[bool | None]] = {}
        """Of those who wait."""
        self.task: asyncio.Task[None] | None = None

    def answer(self, verdicts: Iterable[tuple[Hold, bool | None]]) -> None:
        """Let them go on."""
        for hold, verdict in verdicts:
            waiting = self.answers.get(hold)
            if waiting is not None and not waiting.done():
                waiting.set_result(verdict)


_Outcome = list[Any] | Exception


class _Line:
    """The engine, waited for within bounds; a client that once failed is not used again."""

    def __init__(self, connect: Callable[[], Client]) -> None:
        self._connect = connect
        self._client: Client | None = None
        self._asked: set[asyncio.Task[_Outcome]] = set()
        """What this client is being asked; another one has a set of its own."""

    async def run(
        self, script: Script, keys: list[str], words: Sequence[str | int], patience: float
    ) -> list[Any]:
        """The script's reply; raises TimeoutError, OSError, RedisError."""
        client = self._client = self._client or self._connect()
        under_way = self._asked
        asked = tasks.spawn(_outcome(script.run(client, keys, [*words])), name="limits asked")
        under_way.add(asked)
        asked.add_done_callback(under_way.discard)
        try:
            return _told(await _within(patience, asked))
        except (OSError, RedisError):
            if self._client is client:
                self._client, self._asked = None, set()
                _ = tasks.spawn(_drop(client, under_way), name="limits hung up")
            raise

    async def aclose(self) -> None:
        """Close what is open."""
        client, self._client = self._client, None
        if client is not None:
            await _drop(client, self._asked)


async def _outcome(asked: Awaitable[list[Any]]) -> _Outcome:
    """What comes of it; returned, as a task that dies is logged by who keeps the tasks."""
    try:
        return await asked
    except Exception as failure:  # noqa: BLE001 - raised by who waits for it
        return failure


def _told(outcome: _Outcome) -> list[Any]:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


async def _within(patience: float, asked: asyncio.Task[_Outcome]) -> _Outcome:
    for _ in range(_GLANCES):
        done, _pending = await asyncio.wait([asked], timeout=patience / _GLANCES)
        if asked.cancelled():
            return ConnectionError("another question has waited in vain for the same connections")
        if done:
            return asked.result()
    raise TimeoutError(f"no answer within {patience:g} s")


async def _drop(client: Client, asked: Iterable[asyncio.Task[_Outcome]]) -> None:
    """Close a client, when all that it is asked has ended: tried again it would connect anew."""
    _ = await asyncio.gather(*map(tasks.end, asked))
    await close(client)


def _nowhere() -> Client:
    raise ConnectionError("no engine is known")


def _words(limits: ProviderLimits) -> list[int]:
    """As the script wants them."""
    of = (limits.requests_per_minute, limits.tokens_per_minute, limits.concurrent_streams)
    return [-1 if limit is None else limit for limit in of]
