"""One attempt: the task that owns one provider's connection, from the request to its last byte.

The task sends, and then waits while the body is poured out: what a read of the socket gives is
decoded and handed on in that read, because waking a task costs more per token than all decoding
(docs/hot-path.md). Until the race lets it (`commit`), its events wait in a buffer; from then on
they go straight into the stream log. Its facts (`content`, `ended`) are told to its listener
synchronously, so no other attempt can get in between.

It ends in one of three ways, and says so once: the answer is over, the attempt failed, or it was
aborted from outside. After that it emits nothing, closes its connection and is done. An answer
that is over is read on to the end of its body for a moment, after the fact has been told, so that
the connection can be used again.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from adapters import ratelimits
from adapters.contract import Call, Client, Decoder, Encoded, Upstream
from adapters.errors import Reached, RequestError, UpstreamError, make
from adapters.events import (
    CONTENT,
    AttemptEvent,
    BlockEnd,
    Ending,
    Error,
    ErrorCode,
    Finish,
    Meta,
    Phase,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolDelta,
    is_content,
)
from adapters.ratelimits import RateLimits
from service.clock import monotonic, now_ms
from service.hedging.deadlines import Deadlines

BUFFER_BYTES = 64 * 1024
"""What an attempt may hold back before it wins: what the race's design allows."""

MAX_BODY = 64 * 1024 * 1024  # bytes
"""What a provider may send for one answer: some two million tokens at 30 bytes of JSON each, and a
bound on what a provider gone mad can make this process keep."""

DRAIN = 0.05  # seconds
"""How long the end of the body is waited for after the answer's: it comes with the last chunk or
within a round trip. Beyond it, a new connection is cheaper than waiting."""

_log = logging.getLogger(__name__)

_OK = 200
_NOTHING = Encoded(path="", body={})
_NO_LIMITS = RateLimits()

Emit = Callable[[Sequence[AttemptEvent], int], None]
"""Takes events and the Unix time in milliseconds: a log's `append`."""


class Listener(Protocol):
    """Who is told an attempt's facts; called in the attempt's task."""

    def limits(self, attempt: "Attempt", said: RateLimits) -> None:
        """The provider has answered, and said this of its rate limits."""

    def content(self, attempt: "Attempt") -> None:
        """The first content is there, held back; `commit` may be called before this returns."""

    def ended(self, attempt: "Attempt", ending: Ending, closing: Sequence[AttemptEvent]) -> None:
        """The attempt is over by itself; `ending.error` says whether it failed.

        `closing`: what ends the open blocks of an answer that had begun and broke. It has not been
        emitted, because an answer that goes on elsewhere may keep a block open.
        """


class Recorded(Protocol):
    """Where it is written down that the attempt was sent."""

    async def before_request(self) -> None:
        """Wait until the request may go out; raises RequestError where it must not."""

    async def before_content(self) -> None:
        """Wait until content may come in; raises RequestError where it must not."""


class Attempt:
    """One request to one provider, and what came of it."""

    __slots__ = (
        "_buffer",
        "_buffered",
        "_client",
        "_connect_timeout",
        "_deadlines",
        "_emit",
        "_encoded",
        "_listener",
        "_recorded",
        "_secret",
        "_task",
        "_timer",
        "call",
        "decoder",
        "ending",
        "first_content",
        "reached",
        "received",
        "sent",
        "started",
        "status",
    )

    def __init__(  # noqa: PLR0913 - one keyword for each thing an attempt needs
        self,
        call: Call,
        encoded: Encoded,
        decoder: Decoder,
        *,
        client: Client,
        connect_timeout: float,
        deadlines: Deadlines,
        listener: Listener,
        secret: str = "",
    ) -> None:
        """`connect_timeout` in seconds; `deadlines` started when this was made.

        `secret`: the key that is sent, which no error may repeat, whatever it looks like.
        """
        self.call = call
        self.started = monotonic()
        self.first_content: float | None = None
        self.ending: Ending | None = None
        """How it ended, once it has."""
        self.decoder = decoder
        self.reached: Reached = "taken"
        """How far its request came; known better once it has failed."""
        self.status: int | None = None
        """The response's, once it is there."""
        self.sent = 0
        """Bytes of the request's body."""
        self.received = 0
        """Bytes of the response's body."""
        self._encoded = encoded
        self._client = client
        self._connect_timeout = connect_timeout
        self._deadlines = deadlines
        self._listener = listener
        self._secret = secret
        self._buffer: list[AttemptEvent] = list(encoded.warnings)
        self._buffered = 0  # bytes of body behind the buffer
        self._recorded: Recorded | None = None
        self._emit: Emit | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def number(self) -> int:
        """Its number in the stream, from 1."""
        return self.call.attempt

    # --- From outside ---

    def own(self, task: asyncio.Task[None]) -> None:
        """The task that runs `run`, so that it can be stopped."""
        self._task = task

    def record(self, recorded: Recorded) -> None:
        """Where it is written down; to be told before it runs."""
        self._recorded = recorded

    def commit(self, emit: Emit) -> list[AttemptEvent]:
        """It answers: hands out what was held back; everything after it goes to `emit` at once."""
        self._emit = emit
        held, self._buffer = self._buffer, []
        return held

    def abort(self, error: Error | None) -> Sequence[AttemptEvent]:
        """Stop it: close the connection, emit nothing more. `error` None: it lost the race.

        Returns what ends its open blocks, for a committed attempt's stream. One that is over
        already returns nothing.
        """
        if self.ending is not None:
            return ()
        events = self.decoder.close()
        usage = self.decoder.ending.usage if self.decoder.ending is not None else None
        self._settle(Ending(finish=Finish.CANCELLED, usage=usage, error=error))
        if self._task is not None:
            self._task.cancel()
        return events

    # --- The task ---

    async def run(self) -> None:
        """Send, read to the end, tell the listener. Raises nothing but cancellation."""
        self._arm()
        try:
            upstream = await self._send()
            try:
                if self._recorded is not None:
                    await self._recorded.before_content()
                await upstream.pour(self._feed)
                self._conclude()
            finally:
                upstream.close()
        except UpstreamError as failure:
            self.reached, self.status = failure.reached, failure.status or self.status
            self.sent = self.sent or failure.sent
            self._broken(failure.error)
        except RequestError as refusal:
            if self.status is None:
                self.reached = "unsent"
            self._broken(refusal.error)
        except Exception:  # noqa: BLE001 - a fault of ours must not leave a stream without an end
            _log.exception("attempt %d at %s died", self.number, self.call.provider.name)
            self._broken(make(ErrorCode.INTERNAL, "the attempt failed inside the router"))
        finally:
            self._disarm()

    async def _send(self) -> Upstream:
        # What is asked is not kept while the answer streams: it may be a megabyte.
        encoded, self._encoded = self._encoded, _NOTHING
        if self._recorded is not None:
            await self._recorded.before_request()
        upstream = await self._client.send(encoded, connect_timeout=self._connect_timeout)
        self.status, self.sent = _OK, upstream.sent
        limits = ratelimits.read(upstream.headers, now_ms() / 1000)
        if limits != _NO_LIMITS:
            self._buffer.append(Meta(key="rate_limits", value=msgspec.to_builtins(limits)))
            self._listener.limits(self, limits)
        return upstream

    def _feed(self, data: bytes) -> None:
        """What one read gave. Called while the socket is read, not in the task."""
        if self.ending is not None:
            return
        self.received += len(data)
        if self.received > MAX_BODY:
            message = f"the provider sent more than {MAX_BODY} bytes"
            raise UpstreamError(make(ErrorCode.UPSTREAM_MALFORMED, message))
        decoder = self.decoder
        events = decoder.feed(data)
        if decoder.ending is not None and decoder.ending.error is not None:
            self._fail(decoder.ending, events)
            self._drain()
            return
        if events:
            # The path of a token, kept to this function: each call here costs it 2 to 5 %.
            if self._emit is None or self._deadlines.counting:
                self._take(events, len(data))
                self._check_buffer()
            else:
                if type(events[-1]) in CONTENT or any(map(is_content, events)):
                    self._deadlines.last = monotonic()
                self._emit(events, now_ms())
        if decoder.ending is not None:
            self._over(decoder.ending)
            self._drain()
        elif decoder.finished:
            self._deadlines.finished(monotonic())
            self._arm()

    def _take(self, events: list[AttemptEvent], size: int) -> None:
        """Hand on what one read gave: to the log, or to the buffer until this attempt has won."""
        if self.ending is not None:
            return
        if self._emit is None:
            self._hold(events, size)
            return
        self._stamp(events)
        self._emit(events, now_ms())

    def _stamp(self, events: Sequence[AttemptEvent]) -> None:
        if any(map(is_content, events)):
            self._deadlines.content(monotonic(), _characters(events))

    def _hold(self, events: list[AttemptEvent], size: int) -> None:
        """Keep events back until this attempt has won."""
        self._buffer.extend(events)
        self._buffered += size
        if self.first_content is None and any(map(is_content, events)):
            self.first_content = monotonic()
            self._deadlines.content(self.first_content, _characters(events))
            self._listener.content(self)
            self._arm()

    def _check_buffer(self) -> None:
        """Raise UpstreamError where more is held back than an attempt may hold."""
        if self._emit is None and self._buffered > BUFFER_BYTES and self.ending is None:
            message = f"more than {BUFFER_BYTES} bytes were held back before the attempt had won"
            raise UpstreamError(make(ErrorCode.UPSTREAM_MALFORMED, message))

    # --- Its end ---

    def _conclude(self) -> None:
        """No more bytes: the decoder says what that means."""
        events = self.decoder.close()
        ending = self.decoder.ending
        if ending is not None and ending.error is not None:
            self._fail(ending, events)
            return
        if events:
            self._take(events, 0)
        if ending is not None:
            self._over(ending)

    def _broken(self, error: Error) -> None:
        """The connection or a limit broke it; an answer already whole stays whole."""
        if self.ending is not None:
            return
        events = self.decoder.close()
        ending = self.decoder.ending
        if ending is None or ending.finish is Finish.INTERRUPTED:
            usage = ending.usage if ending is not None else None
            code = error.code
            finish = Finish.INTERRUPTED if code is ErrorCode.STREAM_INTERRUPTED else Finish.ERROR
            self._fail(Ending(finish=finish, usage=usage, error=error), events)
            return
        if events:
            self._take(events, 0)
        self._over(ending)

    def _fail(self, ending: Ending, events: list[AttemptEvent]) -> None:
        """It ends with an error; what was said before it counts, in whatever reads it came."""
        said = [event for event in events if not _cut_off(event)]
        if said:
            self._take(said, 0)
        closing = [event for event in events if _cut_off(event)] if self._emit else ()
        self._over(ending, closing)

    def _over(self, ending: Ending, closing: Sequence[AttemptEvent] = ()) -> None:
        if self.ending is None:
            self._listener.ended(self, self._settle(ending), closing)

    def _settle(self, ending: Ending) -> Ending:
        """Set the ending; an error is placed where it happened."""
        self._disarm()
        if ending.error is not None:
            committed = self._emit is not None
            error = msgspec.structs.replace(
                ending.error,
                message=self._masked(ending.error.message),
                attempt=self.number,
                provider=ending.error.provider or self.call.provider.name,
                phase=Phase.MID_STREAM if committed else Phase.BEFORE_COMMIT,
                bytes_out=committed,
            )
            ending = msgspec.structs.replace(ending, error=error)
        self.ending = ending
        return ending

    def _masked(self, message: str) -> str:
        return message.replace(self._secret, "[redacted]") if self._secret else message

    def _drain(self) -> None:
        """Let the body end by itself, but not for long."""
        if self._task is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(DRAIN, self._task.cancel)

    # --- Its limits ---

    def _arm(self) -> None:
        self._disarm()
        if self.ending is None:
            loop = asyncio.get_running_loop()
            due = self._deadlines.due(monotonic())
            self._timer = loop.call_at(due, self._due)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        error = self._deadlines.check(monotonic())
        if error is None:
            self._arm()
            return
        self._broken(error)
        if self._task is not None:
            self._task.cancel()


_TEXT = (TextDelta, ReasoningDelta, RefusalDelta, ToolDelta)


def _cut_off(event: AttemptEvent) -> bool:
    """Whether it ends a block that was not finished."""
    return isinstance(event, BlockEnd) and event.status == "incomplete"


def _characters(events: Iterable[AttemptEvent]) -> int:
    return sum(len(event.delta) for event in events if isinstance(event, _TEXT))
