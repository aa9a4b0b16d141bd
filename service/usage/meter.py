"""Every attempt in the journal: when it is sent, while it runs, and how it ended.

What is written down when an attempt is sent is the event that will be true if this process dies
(`record.interrupted`); every two seconds it is renewed with how far the answer has come, and at the
end the event of how it ended takes its place. So a crash hides nothing, and what it cut short is
told of with what had been said two seconds before it.

To write it down costs a sync of the disk, some 4 ms. Under `async`, the default, the request goes
out meanwhile and only the first content waits, which comes much later than 4 ms; under `sync` the
request waits; `off` spares the write and the promise. The last event of a stream waits for its
attempts' events: who has seen the end of an answer may rely on its being in the bill.

Where the disk is full, or the journal has failed, nothing new is started: a 503, and no attempt
whose cost nobody would ever hear of. `lossy` is the operator's word that answers matter more.

Without a journal nothing is written: what tests and benchmarks of other rooms use.
"""

import logging
from asyncio import Future, wait
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Literal, Protocol
from uuid import UUID

from adapters.errors import RequestError, make
from adapters.events import ErrorCode, Phase
from service import clock
from service.telemetry.attempts import AttemptFacts
from service.usage.cost import Cost
from service.usage.record import (
    Origin,
    Progress,
    Reply,
    Sent,
    encode,
    finished,
    interrupted,
)
from service.usage.store import JournalError

log = logging.getLogger(__name__)

CHECKPOINT: Final = 2.0
"""Seconds between two words on a running attempt."""

RETRY_MS: Final = 5_000
"""When a caller may ask again whose request nothing could be written down of: the disk is looked at
once a second."""

OpenRecord = Literal["async", "sync", "off"]
"""Who waits until it is written down that an attempt was sent."""


class Book(Protocol):
    """What is asked of a journal."""

    @property
    def writable(self) -> bool:
        """Whether attempts may be opened."""

    def open(self, attempt_id: bytes, body: bytes) -> Future[None]:
        """Write down that an attempt was sent; the future raises JournalError."""

    def checkpoint(self, attempt_id: bytes, body: bytes) -> None:
        """Write down how far it has come."""

    def close(self, attempt_id: bytes, event: bytes) -> Future[None]:
        """Write down how it ended; the future raises JournalError."""


class Meter:
    """The attempts of a process; for the event loop's thread."""

    def __init__(
        self,
        book: Book | None = None,
        *,
        open_record: OpenRecord = "async",
        lossy: bool = False,
    ) -> None:
        """`lossy`: whether requests are served although nothing can be written down of them."""
        self._book = book
        self._open_record = open_record
        self._lossy = lossy
        self._running: OrderedDict[UUID, Metered] = OrderedDict()
        """By who is to be written down of next."""

    def keep(self, book: Book) -> None:
        """From now on write into this journal."""
        self._book = book

    def check(self) -> None:
        """Raise RequestError where no attempt may be started."""
        if self._book is not None and not self._book.writable and not self._lossy:
            raise _refusal()

    def begin(self, origin: Origin, sent: Sent, progress: Callable[[], Progress]) -> "Metered":
        """An attempt is being sent; `progress` is asked how it goes until it is closed."""
        metered = Metered(self, origin, sent, progress)
        if self._book is not None and self._open_record != "off":
            opened = _heeded(self._book.open(sent.id.bytes, metered.body()))
            metered.opened(opened, before=self._open_record == "sync", lossy=self._lossy)
            self._wait_for(metered)
        return metered

    def checkpoint(self, now: float) -> None:
        """Write down of every attempt that is due; `now` in monotonic seconds."""
        while self._running:
            metered = next(iter(self._running.values()))
            if metered.due > now:
                return
            del self._running[metered.id]
            self._wait_for(metered)
            self._renew(metered)

    def _renew(self, metered: "Metered") -> None:
        try:
            body = metered.body()
        except Exception:
            log.exception("how attempt %s goes could not be told", metered.id)
            return
        if self._book is not None:
            self._book.checkpoint(metered.id.bytes, body)

    def close(self, attempt: UUID, event: bytes) -> Future[None] | None:
        """Write down how an attempt ended; None: there is no journal."""
        self._running.pop(attempt, None)
        return None if self._book is None else _heeded(self._book.close(attempt.bytes, event))

    def _wait_for(self, metered: "Metered") -> None:
        metered.due = clock.monotonic() + CHECKPOINT
        self._running[metered.id] = metered


class Metered:
    """One attempt's place in the journal."""

    __slots__ = ("_before", "_lossy", "_meter", "_opened", "_origin", "_progress", "_sent", "due")

    def __init__(
        self, meter: Meter, origin: Origin, sent: Sent, progress: Callable[[], Progress]
    ) -> None:
        """`Meter.begin` makes one."""
        self._meter = meter
        self._origin = origin
        self._sent = sent
        self._progress = progress
        self._opened: Future[None] | None = None
        self._before = False
        self._lossy = False
        self.due = 0.0
        """When it is to be written down of again, monotonic seconds."""

    @property
    def id(self) -> UUID:
        """The attempt's, and its event's."""
        return self._sent.id

    def opened(self, opened: Future[None], *, before: bool, lossy: bool) -> None:
        """It is being written down; `before`: the request waits for that, not only the content."""
        self._opened = opened
        self._before = before
        self._lossy = lossy

    async def before_request(self) -> None:
        """Wait where the request has to; raises RequestError where it must not go out."""
        if self._before:
            await self._safe()

    async def before_content(self) -> None:
        """Wait until the attempt is written down; raises RequestError where it cannot be."""
        await self._safe()

    def body(self) -> bytes:
        """Its event, should this process die now."""
        return encode(interrupted(self._origin, self._sent, self._progress(), clock.now_ns()))

    def close(self, facts: AttemptFacts, *, reply: Reply, cost: Cost) -> Future[None] | None:
        """It is over; resolved when that is safe, None where there is no journal."""
        event = finished(self._origin, self._sent, facts, reply=reply, cost=cost)
        return self._meter.close(self.id, encode(event))

    async def _safe(self) -> None:
        if self._opened is None:
            return
        if not self._opened.done():
            # Not awaited itself: who is cancelled here must not cancel it for the journal.
            await wait([self._opened])
        try:
            self._opened.result()
        except JournalError as failure:
            if not self._lossy:
                raise _refusal() from failure
        self._opened = None


def _heeded(future: Future[None]) -> Future[None]:
    """A failure is the journal's to tell of: nobody has to look at the future for it."""
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


def _refusal() -> RequestError:
    message = "the service cannot write down what is used, and starts nothing until it can"
    return RequestError(
        make(
            ErrorCode.NO_CANDIDATES,
            message,
            retry_after_ms=RETRY_MS,
            phase=Phase.BEFORE_STREAM,
        )
    )
