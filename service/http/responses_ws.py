"""`/v1/responses` as a WebSocket: requests as messages, the events of their answers as frames.

A client sends `response.create` with the fields of the POST; `stream_id` names a lane, whose
requests are answered one after the other, and is repeated in the events. Lanes run side by side.
The events are those of the SSE stream, one JSON object a frame, without a mark at the end. What
fails before there is a response is one frame `{"type": "error", status, error}`, and the socket
stays open.

A response that was not stored can be continued on the socket that asked for it. One whose
continuation failed cannot be continued again: the client sends the whole conversation.

A lane reads its stream's log by a cursor of its own and waits for the peer as it writes, so a slow
one costs its transport's buffer. When the socket closes, what it asked for ends, unless it runs in
the background. It is closed at its age; who waits for an answer then is told so. With
`generate: false` nobody is asked: the response is empty, and what follows it on this socket goes on
from its input. Left out: steering, compaction, binary frames.
Source: openai 3.54.0, types/responses/responses_client_event.py; Open Responses, WebSocket mode.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from adapters.errors import RequestError, TailraceError, make
from adapters.events import Error, ErrorCode
from service import clock, complaints, ids
from service.dialects.projection import Asked, Named
from service.dialects.reading import flag, refused, routing_in
from service.dialects.responses import Responses
from service.dialects.responses_request import LONGEST_LANE, PREVIOUS, Turn, conversation
from service.dialects.responses_resource import failure, response_id
from service.http import body, handshake, paced, problems
from service.http.borrowed import OPEN_EARLY, Document, named_of
from service.http.earlier_responses import (
    CONTINUABLE,
    DIALECT,
    EarlierResponses,
    question_of,
)
from service.http.native import opened
from service.http.origins import REFUSED
from service.http.paced import Bell
from service.http.responses import PATH
from service.http.sse import BATCH
from service.relay import Ask, Relay
from service.settings import Streams, Websocket
from service.streams.log import decode
from service.streams.stream import Stream

CREATE: Final = "response.create"

TOO_OLD: Final = {
    "type": "error",
    "status": 400,
    "error": {
        "type": "invalid_request_error",
        "code": "websocket_connection_limit_reached",
        "message": "this connection is too old: connect anew, and ask again",
        "param": None,
    },
}
"""As Open Responses words it."""

WAITING: Final = 64
"""Requests that may wait in each lane of a socket."""

WARM: Final = 8
"""Responses without an answer that a socket remembers, the newest ones: each is a conversation, and
costs its client nothing."""

_log = logging.getLogger(__name__)


class ResponsesSockets:
    """The route, and how many sockets are open."""

    def __init__(
        self, relay: Relay, earlier: EarlierResponses, limits: Websocket, streams: Streams
    ) -> None:
        """`earlier`: what requests may go on from; `streams`: what a stalled peer gets."""
        self.relay = relay
        self.earlier = earlier
        self.limits = limits
        self.streams = streams
        self._sockets: set[Conversation] = set()

    def routes(self) -> list[web.RouteDef]:
        """The route to mount."""
        return [web.get(PATH, self.connect, allow_head=False)]

    def drain(self) -> None:
        """Close every socket when its answers are over."""
        for socket in self._sockets:
            socket.drain()

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/responses: the handshake, and the conversation until either side closes it."""
        if not handshake.is_asked_for(request):
            raise handshake.wanted("this is a WebSocket; without one, POST here")
        ws, _ = await handshake.shaken(request, self.limits, self.streams)
        if REFUSED in request:
            await ws.close(code=handshake.FORBIDDEN, message=handshake.FOREIGN)
            return ws
        if self.relay.draining or len(self._sockets) >= self.limits.max_sockets:
            await ws.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"no more sockets here")
            return ws
        socket = Conversation(request, ws, self)
        self._sockets.add(socket)
        try:
            await socket.run()
        finally:
            self._sockets.discard(socket)
        return ws


class Conversation:
    """One socket."""

    def __init__(
        self, request: web.Request, ws: web.WebSocketResponse, shared: ResponsesSockets
    ) -> None:
        """The handshake is done."""
        self._ws = ws
        self._transport = request.transport
        self._routed = routing_in(request.headers)
        self._shared = shared
        self._own: set[str] = set()
        """Responses of this socket that were not stored."""
        self._warmed: dict[str, Turn] = {}
        """Responses that were to generate nothing."""
        self._lanes: dict[str | None, asyncio.Queue[dict[str, Any]]] = {}
        self._running = asyncio.Semaphore(shared.limits.max_generating)
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()
        """The open lanes'."""
        self._pending = 0
        """Requests that are not answered yet."""
        self._draining = False

    async def run(self) -> None:
        """Receive until the socket closes or is too old; what is being answered ends then."""
        try:
            async with asyncio.timeout(handshake.lifetime(self._shared.limits)), self._group:
                with suppress(ConnectionError):  # the peer is gone, and was to be told something
                    await self._listen()
                for task in self._tasks:
                    task.cancel()
        except TimeoutError:
            await self._leave()

    async def _listen(self) -> None:
        async for message in self._ws:
            if message.type is WSMsgType.ERROR:
                return  # aiohttp has closed it, for what is no WebSocket
            await self._take(message)

    async def _leave(self) -> None:
        """Close an old socket. Who waits for an answer is told why there is none.

        Nobody else is: an error that answers nothing has crashed clients.
        """
        if self._pending:
            with suppress(ConnectionError):
                await self._send(dict(TOO_OLD), None)
        await self._ws.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"too old: connect anew")

    def drain(self) -> None:
        """Close when everything is answered."""
        self._draining = True
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        # One that is being closed already may have no task group any more.
        if self._draining and not self._pending and not self._ws.closed:
            leave = self._ws.close(code=WSCloseCode.SERVICE_RESTART, message=b"draining")
            self._group.create_task(leave)

    # --- Requests ---

    async def _take(self, message: WSMessage) -> None:
        lane = None
        try:
            if message.type is not WSMsgType.TEXT:
                raise refused("message", "binary frames are not taken; must be text")
            sent = body.parse(message.data.encode(), Document).root
            lane = _lane(sent)
            if sent.get("type") != CREATE:
                shown = complaints.shown(sent.get("type"))
                raise refused("type", f"{shown} is not allowed; must be '{CREATE}'")
            self._queue(lane).put_nowait(sent)
            self._pending += 1
        except asyncio.QueueFull:
            await self._fail(make(ErrorCode.RATE_LIMIT_CLIENT, "too many requests wait"), lane)
        except TailraceError as failed:
            await self._fail(failed.error, lane)

    def _queue(self, lane: str | None) -> asyncio.Queue[dict[str, Any]]:
        queue = self._lanes.get(lane)
        if queue is None:
            if len(self._lanes) >= self._shared.limits.max_streams:
                message = f"stream_id: {len(self._lanes)} lanes are open on this connection"
                raise RequestError(make(ErrorCode.RATE_LIMIT_CLIENT, message, param="stream_id"))
            queue = self._lanes[lane] = asyncio.Queue(WAITING)
            task = self._group.create_task(self._serve(lane, queue))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return queue

    async def _serve(self, lane: str | None, queue: asyncio.Queue[dict[str, Any]]) -> None:
        """Answer a lane's requests, one after the other, and close it when none is left."""
        while not queue.empty():
            sent = queue.get_nowait()
            try:
                async with self._running:
                    continuable = await self._answer(sent, lane)
            except ConnectionError:
                return  # the peer is gone, which `run` hears, too
            if not continuable:
                previous = str(sent.get(PREVIOUS))
                self._own.discard(previous)
                self._warmed.pop(previous, None)
            self._pending -= 1
            self._close_if_idle()
        del self._lanes[lane]

    # --- Answers ---

    async def _answer(self, sent: dict[str, Any], lane: str | None) -> bool:
        """Answer one request; whether a response came of it that can be continued."""
        try:
            return await self._respond(sent, lane)
        except TailraceError as failed:
            await self._fail(failed.error, lane)
        except ConnectionError:
            raise
        except Exception:  # noqa: BLE001 - one request's fault is not the others'
            _log.exception("a response failed")
            await self._fail(make(ErrorCode.INTERNAL, "the router failed"), lane)
        return False

    async def _respond(self, sent: dict[str, Any], lane: str | None) -> bool:
        earlier = await self._shared.earlier.named_in(sent, self._own, self._warmed)
        asked = Responses(earlier).read(sent, self._routed)
        if not flag(sent, "generate", unset=True):
            await self._warm(asked, lane)
            return True
        ask = Ask(
            request=asked.chat,
            dialect=DIALECT.name,
            cancel_after=0 if asked.chat.on_disconnect is None else asked.chat.cancel_after,
            arrived=clock.monotonic(),
            question=question_of(asked),
        )
        stream, _ = await self._shared.relay.start(ask)
        if ask.question is not None and ask.question.private:
            self._own.add(response_id(stream.id))
        stream.attach(self)
        try:
            await opened(stream, OPEN_EARLY)
            error = stream.failed_before_content
            if error is not None:
                raise RequestError(error)
            await self._tell(stream, asked, lane)
        finally:
            stream.detach(self)
        end = stream.log.end
        return end is not None and end.status in CONTINUABLE

    async def _warm(self, asked: Asked, lane: str | None) -> None:
        """Answer with nothing, and remember what was said."""
        now = clock.now_ms()
        named = Named(stream=ids.new("st", now), model=asked.chat.model, created=now // 1000)
        self._warmed[response_id(named.stream)] = Turn(conversation(asked), ())
        if len(self._warmed) > WARM:
            del self._warmed[next(iter(self._warmed))]
        for told in DIALECT.nothing(asked, named):
            await self._send(told, lane)

    async def _tell(self, stream: Stream, asked: Asked, lane: str | None) -> None:
        """Send a stream's events to its end."""
        log, bell, cursor = stream.log, Bell(), 0
        projection = DIALECT.projection(asked, named_of(stream, asked))
        log.subscribe(bell)
        try:
            while cursor < log.next or log.end is None:
                if cursor < log.first:
                    message = "the answer was not read for too long"
                    raise RequestError(make(ErrorCode.SLOW_CONSUMER, message))
                entries = log.read_some(cursor, BATCH)
                cursor += len(entries)
                for entry in entries:
                    for told in projection.events(decode(entry)):
                        await self._send(told, lane)
                if not entries:
                    await bell.rings()
        finally:
            log.unsubscribe(bell)

    async def _fail(self, error: Error, lane: str | None) -> None:
        """What is sent where there is no response."""
        told = {"type": "error", "status": problems.status(error), **failure(error)}
        await self._send(told, lane)

    async def _send(self, told: dict[str, Any], lane: str | None) -> None:
        """One frame. Raises ConnectionError where the peer is gone, or takes nothing."""
        if lane is not None:
            told["stream_id"] = lane
        frame = msgspec.json.encode(told).decode()
        patience = self._shared.streams.stalled_socket_s
        await paced.send(self._ws, self._transport, frame, patience)


def _lane(sent: Mapping[str, Any]) -> str | None:
    lane = sent.get("stream_id")
    if lane is None or (isinstance(lane, str) and len(lane) <= LONGEST_LANE):
        return lane
    must = f"must be a string of at most {LONGEST_LANE} characters"
    raise refused("stream_id", f"{complaints.shown(lane)} is not allowed; {must}")
