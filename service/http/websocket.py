"""WebSocket: the shell that carries out what `ws_protocol` decides, on one aiohttp socket each.

A socket's task is its handler's. It sleeps in `receive`, under one alarm that stands at the time
the protocol names next, and does what a message or the alarm leads to. What the streams' logs get
is written by `push`, in the task that read it from upstream: straight to the transport, one write
for one network read, because a task switch costs more than the frame (docs/hot-path.md). Only where
the transport is full does a second task appear, which waits until the peer has taken enough and
writes on; until then the events stay in the log. So a slow peer costs its transport's buffer,
64 KiB and the turn that overfilled it, however many streams it follows.

Writing past aiohttp's own writer is right here: frames are whole and uncompressed, a server's are
not masked, and aiohttp's pings and close frames are whole writes of their own.

A socket that goes away leaves its streams, which go on or not as their `on_disconnect` says. The
protocol's messages, limits and close codes are docs/websocket.md.
"""

import asyncio
import logging
import random
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import assert_never

from aiohttp import WSMessage, WSMsgType, web
from aiohttp.abc import AbstractStreamWriter

from adapters.errors import RequestError, make
from adapters.events import ErrorCode, Phase
from adapters.request import ChatRequest
from service import clock, ids
from service.http import body, handshake
from service.http.origins import REFUSED
from service.http.ws_delivery import Delivery, Lane
from service.http.ws_messages import SUBPROTOCOL, Attach, Start
from service.http.ws_protocol import Close, Code, Command, Leave, Open, Send, Session, Stop
from service.relay import Ask, Relay
from service.settings import Streams, Websocket
from service.streams.stream import Stream

MAX_REPLIES = 64
"""Answers that may wait for a full transport; beyond them no more is read from the peer."""

RECONNECT_MS = (1_000, 5_000)
"""Spread of a restart's reconnections, so that they are no stampede."""

_log = logging.getLogger(__name__)


class WebSockets:
    """The route /v1/ws and the sockets that are open."""

    def __init__(self, relay: Relay, limits: Websocket, streams: Streams) -> None:
        """`streams`: what a slow reader gets, which is not about sockets alone."""
        self._relay = relay
        self._limits = limits
        self._streams = streams
        self._sockets: set[Socket] = set()

    def __len__(self) -> int:
        """How many sockets are open."""
        return len(self._sockets)

    def routes(self) -> list[web.RouteDef]:
        """The routes to mount."""
        return [web.get("/v1/ws", self.connect, allow_head=False)]

    def drain(self, seconds: float) -> None:
        """Tell every socket to go: at once if it has no streams, in `seconds` at the latest."""
        for socket in self._sockets:
            socket.drain(seconds)

    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        """GET /v1/ws: the handshake, and the conversation until either side closes it."""
        if not handshake.is_asked_for(request):
            raise handshake.wanted(
                f"this is a WebSocket: connect with the sub-protocol {SUBPROTOCOL}"
            )
        ws, writer = await handshake.shaken(request, self._limits, self._streams, SUBPROTOCOL)
        refusal = self._refusal(request)
        if refusal is not None:
            await ws.close(code=refusal.code, message=refusal.reason.encode())
            return ws
        socket = Socket(request, ws, writer, self._relay, self._session(), self._streams)
        self._sockets.add(socket)
        try:
            await socket.converse()
        finally:
            self._sockets.discard(socket)
        return ws

    def _refusal(self, request: web.Request) -> Close | None:
        offered = handshake.offered(request)
        if REFUSED in request:
            return Close(Code.FORBIDDEN, handshake.FOREIGN.decode())
        if offered and SUBPROTOCOL not in offered:
            return Close(Code.SUBPROTOCOL, f"only {SUBPROTOCOL} is spoken here")
        if self._relay.draining:
            return Close(Code.RESTART, "draining")
        if len(self._sockets) >= self._limits.max_sockets:
            return Close(Code.TOO_MANY, f"{self._limits.max_sockets} sockets are open")
        return None

    def _session(self) -> Session:
        now_ms = clock.now_ms()
        return Session(
            self._limits,
            self._streams,
            conn=ids.new("ws", now_ms),
            now=clock.monotonic(),
            now_ms=now_ms,
            max_age=handshake.lifetime(self._limits),
        )


class Follower:
    """A stream's reader on a socket, and its lane there."""

    def __init__(self, socket: "Socket", stream: Stream, lane: Lane) -> None:
        """`socket` writes what `lane` has to send."""
        self.stream = stream
        self._socket = socket
        self._lane = lane

    def push(self, new: list[bytes], upto: int) -> None:
        """The log has grown: called in the upstream's task."""
        del new, upto  # the lane reads by its own cursor, for it may be waiting for credit
        self._socket.push(self._lane)


class Socket:
    """One connection."""

    def __init__(
        self,
        request: web.Request,
        ws: web.WebSocketResponse,
        writer: AbstractStreamWriter,
        relay: Relay,
        session: Session,
        streams: Streams,
    ) -> None:
        """The handshake is done; `converse` is to be called at once."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client has gone")
        self._transport = transport
        self._protocol = request.protocol
        self._ws = ws
        self._writer = writer
        self._relay = relay
        self._session = session
        self._delivery: Delivery = session.delivery
        self._stall_s = streams.stalled_socket_s
        self._asked: list[Start | Attach] = []
        self._replies: list[bytes] = []
        self._followers: dict[str, Follower] = {}
        self._verdict: Close | None = None
        self._alarm: asyncio.Timeout | None = None
        self._flusher: asyncio.Task[None] | None = None
        self._group = asyncio.TaskGroup()

    # --- Called by the streams' logs and by the service, in their tasks ---

    def push(self, lane: Lane) -> None:
        """A stream has news."""
        self._delivery.wake(lane)
        self._pump()

    def drain(self, seconds: float) -> None:
        """Say goodbye; the socket closes when its streams are done."""
        self._execute(
            self._session.goaway(
                "draining",
                seconds=seconds,
                reconnect_after_ms=random.randint(*RECONNECT_MS),  # noqa: S311 - jitter
                now=clock.monotonic(),
            )
        )
        self._pump()
        self._rearm()

    # --- The conversation ---

    async def converse(self) -> None:
        """Talk until either side closes; then leave every stream."""
        try:
            async with self._group:
                try:
                    await self._listen()
                finally:
                    self._leave_all()
        except Exception:  # noqa: BLE001 - a fault of ours is a close code, not a broken handshake
            _log.exception("%s died", self._session.conn)
            self._verdict = Close(Code.FAULT, "the router failed")
        if self._verdict is not None:
            await self._close(self._verdict)

    async def _listen(self) -> None:
        while self._verdict is None:
            message = await self._next_message()
            if message is None:
                self._execute(self._session.tick(clock.monotonic()))
            elif message.type is WSMsgType.TEXT:
                self._execute(self._session.receive(message.data, clock.monotonic()))
                await self._open_asked()
            elif message.type is WSMsgType.BINARY:
                self._verdict = Close(Code.BINARY, "text frames only")
            else:
                return  # closed: by the peer, or by aiohttp for what is no WebSocket (1002 to 1009)
            self._pump()

    async def _next_message(self) -> WSMessage | None:
        """The next message; None where there is something else to look at first."""
        try:
            async with asyncio.timeout_at(self._session.due()) as self._alarm:
                if len(self._replies) > MAX_REPLIES and self._flusher is not None:
                    await asyncio.wait([self._flusher])
                    return None
                return await self._ws.receive()
        except TimeoutError:
            return None
        finally:
            self._alarm = None

    def _rearm(self) -> None:
        """What is due next has changed."""
        if self._alarm is not None and not self._alarm.expired():
            now = asyncio.get_running_loop().time()
            self._alarm.reschedule(now if self._verdict is not None else self._session.due())

    # --- Commands ---

    def _execute(self, commands: Iterable[Command]) -> None:
        for command in commands:
            match command:
                case Send():
                    self._replies.append(command.message)
                case Open():
                    self._asked.append(command.asked)
                case Stop():
                    self._followers[command.id].stream.cancel(command.reason)
                case Leave():
                    self._leave(command.id)
                case Close():
                    self._verdict = command
                case _:
                    assert_never(command)

    async def _open_asked(self) -> None:
        """Open what the last message has asked for.

        Where that waits for another process, so do the messages behind it: a cancel must find what
        it is about. Streams that are open go on.
        """
        asked, self._asked = self._asked, []
        for each in asked:
            await self._open(each)

    async def _open(self, asked: Start | Attach) -> None:
        try:
            find = self._start(asked) if isinstance(asked, Start) else self._find(asked)
            stream = await find
            lane, commands = self._session.opened(asked, stream.log)
        except RequestError as refusal:
            self._execute(self._session.refused(asked, refusal.error))
            return
        except Exception:  # noqa: BLE001 - one request's fault must not end the others' socket
            _log.exception("%s: a start failed", self._session.conn)
            error = make(ErrorCode.INTERNAL, "the router failed", phase=Phase.BEFORE_STREAM)
            self._execute(self._session.refused(asked, error))
            return
        follower = self._followers[asked.id] = Follower(self, stream, lane)
        stream.follow(follower)
        self._execute(commands)

    async def _start(self, asked: Start) -> Stream:
        request = body.parse(bytes(asked.request), ChatRequest)
        if asked.on_disconnect is not None:
            policy = request.model_copy(update={"on_disconnect": asked.on_disconnect})
            cancel_after = policy.cancel_after
        else:
            cancel_after = request.cancel_after
        ask = Ask(
            request=request,
            dialect="native",
            cancel_after=cancel_after,
            idempotency_key=asked.idempotency_key,
            arrived=clock.monotonic(),
        )
        stream, _ = await self._relay.start(ask)
        return stream

    async def _find(self, asked: Attach) -> Stream:
        return await self._relay.find(asked.stream, asked.after)

    def _leave(self, id: str) -> None:  # noqa: A002 - the protocol's word
        follower = self._followers.pop(id)
        follower.stream.leave(follower)

    def _leave_all(self) -> None:
        """Nothing is written from here on but what closes the socket."""
        if self._flusher is not None:
            self._flusher.cancel()
        for id_ in list(self._followers):
            self._leave(id_)

    # --- Writing ---

    def _pump(self) -> None:
        """Write answers, then the streams' turns, for as long as the transport takes them."""
        if self._transport.is_closing():
            return
        now = clock.monotonic()
        while not self._protocol.writing_paused:
            messages = self._replies or self._delivery.next(now)
            if not messages:
                break
            self._replies = []
            self._transport.write(b"".join(_frames(messages)))
            self._session.sent(now)
        else:
            if self._flusher is None:
                self._flusher = self._group.create_task(self._flush())
        if self._delivery.notable:
            self._attend(now)

    def _attend(self, now: float) -> None:
        """Streams were sent to their end, or wait for credit."""
        for id_ in self._delivery.ended():
            self._leave(id_)
            self._session.freed(now)
        self._rearm()

    async def _flush(self) -> None:
        """Wait until the peer has taken enough, and write on."""
        try:
            async with asyncio.timeout(self._stall_s):
                await self._writer.drain()
        except TimeoutError:
            self._verdict = Close(Code.STALLED, f"nothing was taken for {self._stall_s:g} s")
            self._rearm()
            return
        except ConnectionError:
            return  # the peer is gone; the handler hears of it by itself
        self._flusher = None
        self._pump()

    async def _close(self, verdict: Close) -> None:
        """The closing handshake; a peer that does not take part is cut off."""
        if self._replies and not self._transport.is_closing():
            self._transport.write(b"".join(_frames(self._replies)))
        # drain=False: a stalled peer would hold the close frame for ever.
        await self._ws.close(code=verdict.code, message=verdict.reason.encode(), drain=False)
        if self._transport.get_write_buffer_size():
            self._transport.abort()


_SHORT, _MEDIUM = 126, 65_536
_pack_medium: Callable[..., bytes] = struct.Struct("!BBH").pack
_pack_long: Callable[..., bytes] = struct.Struct("!BBQ").pack


def _frames(messages: Iterable[bytes]) -> Iterator[bytes]:
    """Text frames: final, unmasked, uncompressed (RFC 6455, section 5.2)."""
    for message in messages:
        size = len(message)
        if size < _SHORT:
            yield b"\x81%c" % size
        elif size < _MEDIUM:
            yield _pack_medium(0x81, 126, size)
        else:
            yield _pack_long(0x81, 127, size)
        yield message
