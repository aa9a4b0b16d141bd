"""The conversation of one WebSocket: what may be said when, and what follows. No I/O, no clock.

The sub-protocol's state machine::

    OPEN  --init-->  READY  --goaway-->  DRAINING  -->  CLOSED

and in READY and DRAINING, for each id, free -> live -> free. Facts go in: `receive` a frame,
`opened` or `refused` what was asked for, `freed` an id whose stream was sent to its end, `goaway`,
`tick` when `due` has come. Commands come out, in the order in which they are to be carried out.
What is sent of the streams themselves is not a command: the shell takes it from `delivery`, turn by
turn, for as long as its peer takes more.

A client's mistake is answered on the id it concerns wherever possible, because one socket carries
many answers; only what leaves no sense in going on closes it. Nothing a client sends raises. The
whole protocol, with its close codes, is docs/websocket.md.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from typing import Literal, assert_never

from adapters.errors import RequestError, make
from adapters.events import Error, ErrorCode, Phase
from service.http import ws_messages
from service.http.ws_delivery import Delivery, Lane
from service.http.ws_messages import (
    Ack,
    Attach,
    Cancel,
    ClientMessage,
    Detach,
    End,
    Err,
    Goaway,
    Init,
    Limits,
    MalformedError,
    Ping,
    Pong,
    Ready,
    ServerMessage,
    ServerPing,
    ServerPong,
    Start,
    Started,
)
from service.settings import Streams, Websocket
from service.streams.log import StreamLog

MAX_WINDOW = 1024 * 1024  # bytes

STRIKES = 3
"""Frames in a row that are no message, the last of which closes the socket."""

REFUSALS = 64
"""Starts and attaches in a row beyond a limit, the last of which closes the socket. A page that
opens its fifty chats at once is told about each; a client that does not listen is told to go."""

GOAWAY_LEAD = 30.0
"""Seconds from the goaway of an old socket to its close; a tenth of its age where that is less."""

DRAIN_GRACE = 1.0
"""Seconds beyond the deadline of a drain: a stream that is cut off there has one event to send."""


class Code(IntEnum):
    """Close codes: RFC 6455's below 4000, the sub-protocol's own from there."""

    NORMAL = 1000
    BINARY = 1003
    FAULT = 1011
    RESTART = 1012
    VIOLATION = 4400
    UNAUTHENTICATED = 4401
    FORBIDDEN = 4403
    SUBPROTOCOL = 4406
    INIT_TIMEOUT = 4408
    TOO_MANY = 4429
    STALLED = 4490
    MAX_AGE = 4499


# --- Commands -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Send this message."""

    message: bytes


@dataclass(frozen=True, slots=True)
class Open:
    """Start or find the stream that is asked for, then call `opened` or `refused`."""

    asked: Start | Attach


@dataclass(frozen=True, slots=True)
class Stop:
    """End the generation under this id."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Leave:
    """Stop following the stream under this id."""

    id: str


@dataclass(frozen=True, slots=True)
class Close:
    """Close the socket; nothing is sent after it. `reason` has at most 123 bytes (RFC 6455)."""

    code: Code
    reason: str


Command = Send | Open | Stop | Leave | Close


# --- The state machine ----------------------------------------------------------------------


class State(Enum):
    """How far the conversation is."""

    OPEN = auto()
    """The handshake is done; `init` has not come."""
    READY = auto()
    DRAINING = auto()
    """A goaway was sent: running streams may finish, new ones are refused."""
    CLOSED = auto()


class Session:
    """The server's side of one socket's conversation. All times are monotonic seconds."""

    def __init__(
        self,
        limits: Websocket,
        streams: Streams,
        *,
        conn: str,
        now: float,
        now_ms: int,
        max_age: float,
    ) -> None:
        """`now_ms` is `now` as Unix time; `max_age` in seconds, the limit's with its jitter."""
        self.state = State.OPEN
        self.delivery = Delivery(patience=streams.slow_reader_s)
        self._limits = limits
        self._streams = streams
        self.conn = conn
        self._born = now
        self._born_ms = now_ms
        self._max_age = max_age
        self._starts = Bucket(rate=limits.starts_per_s, size=limits.max_generating, now=now)
        self._strikes = 0
        self._refusals = 0
        self._idle_since = now
        self._sent_at = now
        self._deadline = now + limits.init_s
        """Of the state: for `init`, then for the goaway of age, then for the streams that run."""
        self._verdict = Close(Code.INIT_TIMEOUT, f"no init within {limits.init_s:g} s")
        """What the socket is closed with when the deadline has come."""

    # --- Facts from the socket ---

    def receive(self, text: str, now: float) -> list[Command]:
        """A text frame has come."""
        if self.state is State.CLOSED:
            return []
        try:
            message = ws_messages.decode(text)
        except MalformedError as fault:
            return self._on_malformed(fault)
        if self.state is State.OPEN and not isinstance(message, Init | Ping):
            return self._close(Close(Code.UNAUTHENTICATED, "the first message must be init"))
        self._strikes = 0
        return self._on(message, now)

    def sent(self, now: float) -> None:
        """Something was written to the socket."""
        self._sent_at = now

    # --- Facts from the streams ---

    def opened(self, asked: Start | Attach, log: StreamLog) -> tuple[Lane, list[Command]]:
        """What an `Open` asked for is there; `delivery` has its events from now on.

        Raises RequestError where an attach asks for what comes after the newest event.
        """
        after = asked.after if isinstance(asked, Attach) else -1
        if after >= log.next:
            message = f"after: {after} is ahead of the stream, whose last is {log.next - 1}"
            raise RequestError(_error(ErrorCode.INVALID_REQUEST, message, param="after"))
        window = min(asked.window or self._streams.slow_reader_bytes, MAX_WINDOW)
        lane = Lane(asked.id, log, cursor=after + 1, window=window)
        self.delivery.add(lane)
        started = Started(
            id=asked.id,
            stream=log.stream,
            next=max(after + 1, log.first),
            live=log.end is None,
        )
        return lane, [_send(started)]

    def refused(self, asked: Start | Attach, error: Error) -> list[Command]:
        """What an `Open` asked for cannot be had."""
        return [_send(Err(id=asked.id, error=error))]

    def freed(self, now: float) -> None:
        """A stream was sent to its end."""
        self._idle_since = now

    # --- Facts from the service and the clock ---

    def goaway(
        self,
        reason: Literal["draining", "max_age"],
        *,
        seconds: float,
        reconnect_after_ms: int,
        now: float,
    ) -> list[Command]:
        """The socket is to be closed when its streams are done, in `seconds` at the latest."""
        code, grace = _GOAWAY[reason]
        if self.state is State.OPEN:
            return self._close(Close(code, reason))
        if self.state is not State.READY:
            return []
        self.state = State.DRAINING
        self._deadline = now + seconds + grace
        self._verdict = Close(code, reason)
        message = Goaway(
            reason=reason, deadline_ms=round(seconds * 1000), reconnect_after_ms=reconnect_after_ms
        )
        return [_send(message)]

    def due(self) -> float:
        """When `tick` is to be called, if nothing else happens before."""
        times = [self._deadline]
        if self.state is not State.OPEN:
            times.append(self._sent_at + self._limits.heartbeat_s)
        slow = self.delivery.due()
        if slow is not None:
            times.append(slow)
        if not len(self.delivery):
            times.append(self._idle_until())
        return min(times)

    def tick(self, now: float) -> list[Command]:
        """Do what is due; it may be nothing."""
        if self.state is State.CLOSED:
            return []
        commands: list[Command] = []
        for slow in self.delivery.slow(now):
            commands += self._drop(slow, "slow_consumer", now)
        if now >= self._deadline:
            return commands + self._expire(now)
        if not len(self.delivery) and now >= self._idle_until():
            return commands + self._close(self._idle_verdict())
        if self.state is not State.OPEN and now >= self._sent_at + self._limits.heartbeat_s:
            commands.append(_send(ServerPing(ts=self._unix_ms(now))))
        return commands

    # --- Messages ---

    def _on(self, message: ClientMessage, now: float) -> list[Command]:
        commands: list[Command] = []
        match message:
            case Init():
                commands = self._on_init(message)
            case Start():
                commands = self._ask(message, self._barred(message) or self._overdrawn(now))
            case Attach():
                commands = self._ask(message, self._barred(message))
            case Ack():
                self.delivery.ack(message.id, message.seq)
            case Cancel():
                commands = self._on_cancel(message)
            case Detach():
                commands = self._on_detach(message, now)
            case Ping():
                commands = [_send(ServerPong(ts=message.ts))]
            case Pong():
                pass
            case _:
                assert_never(message)
        return commands

    def _on_init(self, message: Init) -> list[Command]:
        if self.state is not State.OPEN:
            return self._close(Close(Code.TOO_MANY, "init came twice"))
        self.state = State.READY
        self.delivery.coalesce = message.accept.coalesce
        lead = min(GOAWAY_LEAD, self._max_age / 10)
        self._deadline = self._born + self._max_age - lead
        ready = Ready(
            conn=self.conn,
            limits=self._told(),
            heartbeat_ms=round(self._limits.heartbeat_s * 1000),
            session_expires_at=self._unix_ms(self._born + self._max_age),
        )
        return [_send(ready)]

    def _on_cancel(self, message: Cancel) -> list[Command]:
        # An id that is free has crossed its own end on the way; that is no fault.
        if message.id not in self.delivery:
            return []
        reason = "cancelled by the client"
        return [Stop(message.id, f"{reason}: {message.reason}" if message.reason else reason)]

    def _on_detach(self, message: Detach, now: float) -> list[Command]:
        return self._drop(message.id, "detached", now) if message.id in self.delivery else []

    def _on_malformed(self, fault: MalformedError) -> list[Command]:
        if self.state is State.OPEN:
            known = fault.kind == "init"
            code = Code.VIOLATION if known else Code.UNAUTHENTICATED
            return self._close(Close(code, "init is malformed" if known else "no init"))
        self._strikes += 1
        answer: list[Command] = [_send(Err(id=fault.id, error=fault.error))]
        if self._strikes < STRIKES:
            return answer
        return answer + self._close(Close(Code.VIOLATION, f"{STRIKES} malformed messages in a row"))

    # --- What a start or an attach may meet ---

    def _ask(self, asked: Start | Attach, obstacle: Error | None) -> list[Command]:
        if obstacle is None:
            self._refusals = 0
            return [Open(asked)]
        refusal = self.refused(asked, obstacle)
        self._refusals += obstacle.code is ErrorCode.RATE_LIMIT_CLIENT
        if self._refusals < REFUSALS:
            return refusal
        return refusal + self._close(Close(Code.TOO_MANY, f"{REFUSALS} refusals in a row"))

    def _barred(self, asked: Start | Attach) -> Error | None:
        if asked.id in self.delivery:
            return _error(ErrorCode.CONFLICT, "id: is in use on this socket", param="id")
        if self.state is State.DRAINING:
            return _error(ErrorCode.DRAINING, "this socket is about to close: open another one")
        if len(self.delivery) >= self._limits.max_streams:
            return _too_many(f"{self._limits.max_streams} streams are open on this socket")
        return None

    def _overdrawn(self, now: float) -> Error | None:
        if self.delivery.generating >= self._limits.max_generating:
            limit = self._limits.max_generating
            return _too_many(f"{limit} answers are being generated on this socket")
        wait = self._starts.take(now)
        if wait > 0:
            rate = self._limits.starts_per_s
            return _too_many(f"more than {rate:g} starts a second", round(wait * 1000))
        return None

    # --- Ends ---

    def _drop(
        self,
        id: str,  # noqa: A002 - the protocol's word
        reason: Literal["detached", "slow_consumer"],
        now: float,
    ) -> list[Command]:
        self.delivery.remove(id)
        self.freed(now)
        return [_send(End(id=id, reason=reason)), Leave(id)]

    def _expire(self, now: float) -> list[Command]:
        """The state's deadline has come."""
        if self.state is not State.READY:
            return self._close(self._verdict)
        left = max(0.0, self._born + self._max_age - now)
        return self.goaway("max_age", seconds=left, reconnect_after_ms=0, now=now)

    def _idle_until(self) -> float:
        """When a socket without a stream is closed: at once where it was told to go."""
        if self.state is State.DRAINING:
            return self._idle_since
        return self._idle_since + self._limits.idle_s

    def _idle_verdict(self) -> Close:
        return self._verdict if self.state is State.DRAINING else Close(Code.NORMAL, "idle")

    def _close(self, verdict: Close) -> list[Command]:
        self.state = State.CLOSED
        return [verdict]

    # --- Words ---

    def _told(self) -> Limits:
        limits, streams = self._limits, self._streams
        return Limits(
            max_frame_bytes=limits.max_frame_bytes,
            max_streams=limits.max_streams,
            max_generating=limits.max_generating,
            starts_per_s=limits.starts_per_s,
            window=min(streams.slow_reader_bytes, MAX_WINDOW),
            max_window=MAX_WINDOW,
            slow_ms=round(streams.slow_reader_s * 1000),
            idle_ms=round(limits.idle_s * 1000),
        )

    def _unix_ms(self, at: float) -> int:
        return self._born_ms + round((at - self._born) * 1000)


class Bucket:
    """A rate limit that lets a full bucket through at once."""

    def __init__(self, *, rate: float, size: float, now: float) -> None:
        """`rate` tokens a second flow in, up to `size`; it starts full."""
        self._rate = rate
        self._size = size
        self._level = size
        self._at = now

    def take(self, now: float) -> float:
        """Take one token: 0, or the seconds until there is one, and then none is taken."""
        self._level = min(self._size, self._level + (now - self._at) * self._rate)
        self._at = now
        if self._level < 1:
            return (1 - self._level) / self._rate
        self._level -= 1
        return 0


_GOAWAY = {"draining": (Code.RESTART, DRAIN_GRACE), "max_age": (Code.MAX_AGE, 0.0)}


def _send(message: ServerMessage) -> Send:
    return Send(ws_messages.encode(message))


def _error(
    code: ErrorCode, message: str, *, param: str | None = None, retry_after_ms: int | None = None
) -> Error:
    return make(
        code, message, param=param, retry_after_ms=retry_after_ms, phase=Phase.BEFORE_STREAM
    )


def _too_many(message: str, retry_after_ms: int | None = None) -> Error:
    return _error(ErrorCode.RATE_LIMIT_CLIENT, message, retry_after_ms=retry_after_ms)
