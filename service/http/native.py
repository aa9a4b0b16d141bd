"""The native API: start a stream, attach to it, resume it, cancel it.

`POST /v1/streams` answers with the event stream, or with the folded JSON where that is what
`Accept` asks for. Nothing is sent before the first content or `open_early_ms`, so a failure until
then is an HTTP error with its own status; after that it is an event.
"""

import asyncio
import re

from aiohttp import web

from adapters.errors import RequestError, make
from adapters.events import ErrorCode, Phase
from adapters.request import ChatRequest
from service import clock
from service.http import body, folded, sse
from service.http.json_answer import json_answer
from service.http.sse import Pulse
from service.relay import Ask, Relay
from service.settings import Streams
from service.streams.stream import Stream

MAX_KEY = 256
"""Characters of an Idempotency-Key."""

_SEQ = re.compile(r"-1|\d{1,15}")


class Native:
    """Routes under /v1/streams."""

    def __init__(self, relay: Relay, settings: Streams) -> None:
        """`settings`: keep-alive and slow-reader limits."""
        self._relay = relay
        self._settings = settings
        self._pulse = Pulse(settings.keepalive_s)

    def routes(self) -> list[web.RouteDef]:
        """The routes to mount."""
        return [
            web.post("/v1/streams", self.start),
            web.get("/v1/streams/{id}", self.attach, allow_head=False),
            web.post("/v1/streams/{id}/cancel", self.cancel),
        ]

    async def start(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/streams."""
        arrived = clock.monotonic()
        chat = await body.read(request, ChatRequest)
        key = idempotency_key(request)
        json = _wants_json(request)
        ask = Ask(
            request=chat,
            dialect="native",
            cancel_after=_cancel_after(chat, json=json and key is None),
            idempotency_key=key,
            arrived=arrived,
        )
        stream, _ = await self._relay.start(ask)
        return await self.respond(request, stream, json=json, open_early_ms=chat.open_early_ms)

    async def attach(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/streams/{id}: from the beginning, or after the cursor given."""
        stream_id = request.match_info["id"]
        name, after = _cursor(request, stream_id)
        stream = await self._relay.find(stream_id, after)
        if after >= stream.log.next:
            last = stream.log.next - 1
            raise _bad(name, f"{after} is ahead of the stream, whose last is {last}")
        if stream.ended and after == stream.log.next - 1:
            return web.Response(status=204, headers={"Tailrace-Stream-Id": stream.id})
        json = _wants_json(request)
        return await self.respond(request, stream, json=json, open_early_ms=0, cursor=after + 1)

    async def cancel(self, request: web.Request) -> web.Response:
        """POST /v1/streams/{id}/cancel: 202, also when it is over already."""
        stream = await self._relay.find(request.match_info["id"])
        stream.cancel("cancelled by the client")
        end = stream.log.end
        status = end.status if end is not None else "cancelled"
        return json_answer({"id": stream.id, "status": status}, status=202)

    async def respond(
        self,
        request: web.Request,
        stream: Stream,
        *,
        json: bool,
        open_early_ms: int,
        cursor: int = 0,
    ) -> web.StreamResponse:
        """Follow a stream for as long as this connection lives, in the form it asked for."""
        holder = object()
        stream.attach(holder)
        try:
            if json:
                return await folded.answer(stream)
            await opened(stream, open_early_ms / 1000)
            error = stream.failed_before_content
            if error is not None and cursor == 0 and open_early_ms > 0:
                return folded.failure(stream, error)
            return await sse.deliver(
                request,
                stream,
                pulse=self._pulse,
                cursor=cursor,
                patience=self._settings.slow_reader_s,
            )
        finally:
            stream.detach(holder)


async def opened(stream: Stream, limit: float) -> None:
    """Wait for content, for the end, or for `limit` seconds."""
    if stream.content_started or limit == 0:
        return
    try:
        async with asyncio.timeout(limit):
            await stream.opened()
    except TimeoutError:
        return


def _cancel_after(chat: ChatRequest, *, json: bool) -> float | None:
    """A JSON answer nobody waits for is of no use to anybody, unless a key can ask for it again."""
    if chat.on_disconnect is None and json:
        return 0
    return chat.cancel_after


def _wants_json(request: web.Request) -> bool:
    accept = request.headers.get("Accept", "")
    return "application/json" in accept and "text/event-stream" not in accept


def idempotency_key(request: web.Request) -> str | None:
    """The request's Idempotency-Key. Raises RequestError for one of the wrong length."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 0 < len(key) <= MAX_KEY:
        raise _bad("Idempotency-Key", f"must have 1 to {MAX_KEY} characters, has {len(key)}")
    return key


def _cursor(request: web.Request, stream_id: str) -> tuple[str, int]:
    """The field that says after which sequence number to go on, and the number; -1: all of it.

    `Last-Event-ID` wins over `?after=`; both take the whole id, `?after=` the bare number too.
    Raises RequestError where it is malformed or another stream's.
    """
    name, value = "Last-Event-ID", request.headers.get("Last-Event-ID")
    if not value:
        name, value = "after", request.query.get("after")
    if not value:
        return name, -1
    owner, colon, number = value.rpartition(":")
    if (colon and owner != stream_id) or not _SEQ.fullmatch(number):
        raise _bad(name, f"{value[:64]!r} is not a cursor of this stream: <id>:<seq>")
    return name, int(number)


def _bad(param: str, message: str) -> RequestError:
    error = make(
        ErrorCode.INVALID_REQUEST, f"{param}: {message}", param=param, phase=Phase.BEFORE_STREAM
    )
    return RequestError(error)
