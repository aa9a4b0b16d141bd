"""`/api/chat/ws`: the frames of the AI SDK's `WebSocketChatTransport`.

One socket carries any number of requests, each under the client's `requestId`::

    client  send {id, messages, trigger, messageId, headers, body, metadata}
            resume {id}                           the whole turn again
            abort                                 the user stopped it
    server  start, chunk {sequence, chunk}, end, error {errorText}, no-active

The client is strict: a `sequence` starts at 0 and has no gap, and a frame of a type it does not
know ends the socket with every request on it. So nothing is sent that is not in this list, and
silence is filled by pings of the protocol, which a page never sees. For the same reason a request
under a name that is in use has no answer of its own, as it would be the other's, and ends the
socket. The native socket's close codes are used.

A turn's end has arrived when a ping that was sent after it comes back: the frames before it are
there then, and no proxy answers in the page's stead.

An `abort` ends the turn. One of a `resume` waits for a moment first: a page that resumes twice at
once aborts its first request before it sends the second.

Each request is a task that reads the log by its own cursor and waits for the peer as it writes: a
slow page holds no queue here. A socket that goes away leaves its turns, which go on.

Source: `ai` 7.0.173, websocket-chat-transport.ts.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from adapters.errors import RequestError
from service.dialects.reading import routing_in
from service.dialects.ui_messages import UiProjection
from service.http import body, handshake, paced
from service.http.borrowed import Document
from service.http.origins import REFUSED
from service.http.paced import Bell
from service.http.sse import BATCH
from service.http.turns import Turn, Turns
from service.http.ui_chat import STOPPED
from service.http.ws_protocol import Code
from service.settings import Streams, Websocket
from service.streams.log import decode
from service.streams.stream import Stream

SECOND_THOUGHT = 1.0
"""Seconds after which an aborted `resume` ends a turn that nobody else follows."""

_NOT_ONE = "must be JSON with a type and a requestId"

_log = logging.getLogger(__name__)


class UiSockets:
    """The route and the sockets that are open."""

    def __init__(self, turns: Turns, limits: Websocket, streams: Streams) -> None:
        """`streams`: how long a peer may take nothing."""
        self._turns = turns
        self._limits = limits
        self._streams = streams
        self._sockets: set[UiSocket] = set()
        self._draining = False

    def routes(self) -> list[web.RouteDef]:
        """The routes to mount."""
        return [web.get("/api/chat/ws", self.connect, allow_head=False)]

    def drain(self) -> None:
        """Close every socket when its turns are over."""
        self._draining = True
        for socket in self._sockets:
            socket.drain()

    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        """GET /api/chat/ws: the handshake, and the conversation until either side closes it."""
        if not handshake.is_asked_for(request):
            raise handshake.wanted("this is a WebSocket; without one, POST to /api/chat")
        ws, _ = await handshake.shaken(request, self._limits, self._streams, own_pings=True)
        if REFUSED in request:
            await ws.close(code=handshake.FORBIDDEN, message=handshake.FOREIGN)
            return ws
        if self._draining:
            await ws.close(code=Code.RESTART, message=b"draining")
            return ws
        if len(self._sockets) >= self._limits.max_sockets:
            await ws.close(code=Code.TOO_MANY, message=b"too many sockets are open")
            return ws
        socket = UiSocket(request, ws, self._turns, self._limits, self._streams)
        self._sockets.add(socket)
        try:
            await socket.converse()
        finally:
            self._sockets.discard(socket)
        return ws


class UiSocket:
    """One connection."""

    def __init__(
        self,
        request: web.Request,
        ws: web.WebSocketResponse,
        turns: Turns,
        limits: Websocket,
        streams: Streams,
    ) -> None:
        """The handshake is done; `converse` is to be called at once."""
        self._transport = request.transport
        self._ws = ws
        self._turns = turns
        self._limits = limits
        self._patience = streams.stalled_socket_s
        self._requests: dict[str, _Request] = {}
        self._pings = 0
        self._unproven = deque[tuple[int, Turn, Stream]](maxlen=limits.max_streams)
        """Ends that were sent, each before the ping of that number."""
        self._group = asyncio.TaskGroup()
        self._draining = False

    async def converse(self) -> None:
        """Talk until either side closes; then leave every turn."""
        async with self._group:
            try:
                with suppress(ConnectionError):  # the peer is gone, and was to be told something
                    await self._listen()
            finally:
                self._draining = False  # there is nothing left to close
                for request in self._requests.values():
                    request.task.cancel()

    def drain(self) -> None:
        """Close when nothing is left to be told."""
        self._draining = True
        self._close_if_idle()

    async def _listen(self) -> None:
        async for message in self._ws:
            match message.type:
                case WSMsgType.TEXT:
                    await self._read(message.data)
                case WSMsgType.PING:
                    await self._ws.pong(message.data)
                case WSMsgType.PONG:
                    self._prove(message.data)
                case WSMsgType.ERROR:
                    return  # aiohttp has closed it, for what is no WebSocket
                case _:
                    await self._ws.close(code=Code.BINARY, message=b"text frames only")

    async def _read(self, text: str) -> None:
        frame = _frame(text)
        if frame is None:
            await self._ws.close(code=Code.VIOLATION, message=f"a frame {_NOT_ONE}".encode())
        else:
            await self._take(frame)

    def _prove(self, pong: bytes) -> None:
        """What was sent before a ping has arrived; its answer may stand for earlier ones, too."""
        while pong.isdigit() and self._unproven and self._unproven[0][0] <= int(pong):
            _, turn, stream = self._unproven.popleft()
            self._turns.told(turn, stream)
        self._close_if_idle()

    async def _take(self, frame: Mapping[str, Any]) -> None:
        name, kind = frame["requestId"], frame["type"]
        if kind == "abort":
            self._abort(name)
        elif name in self._requests:
            await self._ws.close(code=Code.VIOLATION, message=b"the requestId is in use")
        elif kind not in {"send", "resume"}:
            await self.fail(
                name, f"a frame's type must be send, resume or abort, not {kind[:64]!r}"
            )
        elif len(self._requests) >= self._limits.max_streams:
            await self.fail(name, f"at most {self._limits.max_streams} requests at a time")
        else:
            self._requests[name] = _Request(self, frame, self._group)

    def _abort(self, name: str) -> None:
        request = self._requests.pop(name, None)
        if request is not None:
            request.abort()

    def over(self, name: str, request: "_Request") -> None:
        """A request has its end; after an abort another may have its name."""
        if self._requests.get(name) is request:
            del self._requests[name]
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        busy = self._requests or self._unproven
        if self._draining and not busy and not self._ws.closed:
            closing = self._ws.close(code=Code.RESTART, message=b"draining")
            self._group.create_task(closing)

    # --- What requests need of it ---

    async def open(self, frame: Mapping[str, Any]) -> tuple[Turn, Stream] | None:
        """The turn that a frame is about; None: there is none to resume. Raises RequestError."""
        if frame["type"] == "resume":
            chat = frame.get("id")
            return await self._turns.running(chat) if isinstance(chat, str) else None
        return await self._turns.begin(_body(frame), _routing(frame.get("headers")))

    def projection(self, turn: Turn, stream: Stream, *, again: bool) -> UiProjection:
        """What a request's reader is told."""
        return self._turns.projection(turn, stream, again=again)

    async def say(self, name: str, kind: bytes, rest: bytes = b"") -> None:
        """A frame; `rest` is more of its JSON. Raises ConnectionError where the peer has gone."""
        frame = b'{"type":"%b","requestId":%b%b}' % (kind, orjson.dumps(name), rest)
        await paced.send(self._ws, self._transport, frame.decode(), self._patience)

    async def end(self, name: str, turn: Turn, stream: Stream) -> None:
        """A request's end that is its turn's, and the ping that proves it."""
        await self.say(name, b"end")
        self._pings += 1
        self._unproven.append((self._pings, turn, stream))
        await self._ws.ping(b"%d" % self._pings)

    async def fail(self, name: str, text: str) -> None:
        """A request's end that is none of its turn's."""
        await self.say(name, b"error", b',"errorText":%b' % orjson.dumps(text))


class _Request:
    """One of the client's requests, and the task that answers it."""

    def __init__(
        self, socket: UiSocket, frame: Mapping[str, Any], group: asyncio.TaskGroup
    ) -> None:
        self._socket = socket
        self._frame = frame
        self._name: str = frame["requestId"]
        self._again = frame["type"] == "resume"
        self._stream: Stream | None = None
        self._sequence = 0
        self.task = group.create_task(self._run())

    def abort(self) -> None:
        """The user stopped it."""
        self.task.cancel()
        stream = self._stream
        if stream is None:
            return
        if self._again:
            asyncio.get_running_loop().call_later(SECOND_THOUGHT, _cancel_if_left, stream)
        else:
            stream.cancel(STOPPED)

    async def _run(self) -> None:
        try:
            await self._answer()
        except ConnectionError:
            return  # the socket's own task hears of it by itself
        except Exception:  # noqa: BLE001 - one request's fault must not end the others' socket
            _log.exception("a request of a chat's socket failed")
            with suppress(ConnectionError):
                await self._socket.fail(self._name, "the router failed")
        finally:
            self._socket.over(self._name, self)

    async def _answer(self) -> None:
        try:
            opened = await self._socket.open(self._frame)
        except RequestError as refusal:
            await self._socket.fail(self._name, refusal.error.message)
            return
        self._frame = {}  # the answer may take minutes, and a frame be a mebibyte
        if opened is None:
            await self._socket.say(self._name, b"no-active")
            return
        turn, self._stream = opened
        bell = Bell()
        self._stream.follow(bell)
        try:
            await self._socket.say(self._name, b"start")
            projection = self._socket.projection(turn, self._stream, again=self._again)
            if await self._follow(self._stream, projection, bell):
                await self._socket.end(self._name, turn, self._stream)
        finally:
            self._stream.leave(bell)

    async def _follow(self, stream: Stream, projection: UiProjection, bell: Bell) -> bool:
        """Tell the log to its end; False where the client was too slow for what is kept of it."""
        log, cursor = stream.log, 0
        while True:
            if cursor < log.first:
                if cursor > 0:
                    await self._socket.fail(self._name, "too slow: resume the chat")
                    return False
                cursor, fold = log.first, log.evicted()
                for event in [] if fold is None else fold.events():
                    await self._tell(projection.chunks(event))
            entries = log.read_some(cursor, BATCH)
            cursor += len(entries)
            for entry in entries:
                await self._tell(projection.chunks(decode(entry)))
            if not entries and log.end is not None:
                return True
            if not entries:
                await bell.rings()

    async def _tell(self, chunks: list[bytes]) -> None:
        for chunk in chunks:
            rest = b',"sequence":%d,"chunk":%b' % (self._sequence, chunk)
            await self._socket.say(self._name, b"chunk", rest)
            self._sequence += 1


def _cancel_if_left(stream: Stream) -> None:
    if not stream.attached:
        stream.cancel(STOPPED)


def _frame(text: str) -> dict[str, Any] | None:
    """A frame that can be answered; None: the peer speaks something else."""
    try:
        frame = body.parse(text.encode(), Document).root
    except RequestError:
        return None
    named = isinstance(frame.get("type"), str) and isinstance(frame.get("requestId"), str)
    return frame if named else None


def _routing(headers: object) -> dict[str, str]:
    """What the headers in a frame, which are the application's, say of routing."""
    given = headers.items() if isinstance(headers, Mapping) else ()
    return routing_in({name.lower(): value for name, value in given if isinstance(value, str)})


def _body(frame: Mapping[str, Any]) -> dict[str, Any]:
    """What the HTTP transport would have posted."""
    extra = frame.get("body")
    own = ("id", "messages", "trigger", "messageId")
    told = {name: frame[name] for name in own if name in frame}
    metadata = {"metadata": frame["metadata"]} if frame.get("metadata") is not None else {}
    return metadata | (dict(extra) if isinstance(extra, Mapping) else {}) | told
