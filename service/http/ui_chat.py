"""`/api/chat`: what `useChat` and its HTTP transport ask, on top of the UI message stream.

`POST /api/chat` answers a chat's next turn. `GET /api/chat/{id}/stream` is for a page that lost the
connection, or was opened anew: the whole turn again, from its `start`, or 204. A turn that has
ended is told again unless its end is known to have arrived (`service.http.receipt`), so a page that
shows a finished answer already gets 204. In doubt it is told: the client puts a replay in the place
of the message that it has, and a page that is told nothing has lost its answer. `POST
/api/chat/{id}/stop` ends the turn: the transport's `stop()` only hangs up, and a connection that is
gone may be a train in a tunnel.

An error before the stream is its message as plain text with its status, because the client's error
shows the body as it came.
"""

from aiohttp import web

from adapters.events import Error
from service.dialects.reading import routing_in
from service.dialects.ui_messages import HEADERS
from service.http import body, problems, receipt, sse
from service.http.borrowed import Document, Telling
from service.http.json_answer import json_answer
from service.http.native import idempotency_key, opened
from service.http.problems import Shape
from service.http.sse import Pulse
from service.http.turns import Turn, Turns
from service.settings import Streams
from service.streams.stream import Stream

PATH = "/api/chat"

STOPPED = "stopped by the user"


class UiChat:
    """Routes under /api/chat, the WebSocket apart."""

    def __init__(self, turns: Turns, settings: Streams) -> None:
        """`settings`: keep-alive and slow-reader limits."""
        self._turns = turns
        self._settings = settings
        self._pulse = Pulse(settings.keepalive_s)

    def routes(self) -> list[web.RouteDef]:
        """The routes to mount."""
        return [
            web.post(PATH, self.send),
            web.get(f"{PATH}/{{id}}/stream", self.resume, allow_head=False),
            web.post(f"{PATH}/{{id}}/stop", self.stop),
        ]

    def shapes(self) -> dict[str, Shape]:
        """An error is its message in plain text: the client's error shows the body as it came."""
        return {PATH: _refused}

    async def send(self, request: web.Request) -> web.StreamResponse:
        """POST /api/chat."""
        key, routing = idempotency_key(request), routing_in(request.headers)
        sent = await body.read(request, Document)
        turn, stream = await self._turns.begin(sent.root, routing, key)
        del sent  # the answer may take minutes, and a body be a mebibyte
        return await self._respond(request, turn, stream, again=False)

    async def resume(self, request: web.Request) -> web.StreamResponse:
        """GET /api/chat/{id}/stream: 204 where there is nothing to be told."""
        running = await self._turns.running(request.match_info["id"])
        if running is None:
            return web.Response(status=204)
        return await self._respond(request, *running, again=True)

    async def stop(self, request: web.Request) -> web.Response:
        """POST /api/chat/{id}/stop: 202, also where nothing is running."""
        running = await self._turns.running(request.match_info["id"])
        if running is not None:
            running[1].cancel(STOPPED)
        return json_answer({"stopped": running is not None}, status=202)

    async def _respond(
        self, request: web.Request, turn: Turn, stream: Stream, *, again: bool
    ) -> web.StreamResponse:
        """Follow a turn for as long as this connection lives, and see that its end arrives."""
        holder = object()
        stream.attach(holder)
        try:
            response = await self._tell(request, turn, stream, again=again)
        finally:
            stream.detach(holder)
        # Within the request, because a connection that is not kept alive closes after it.
        if stream.ended and await receipt.arrived(request.transport, self._settings.slow_reader_s):
            self._turns.told(turn, stream)
        return response

    async def _tell(
        self, request: web.Request, turn: Turn, stream: Stream, *, again: bool
    ) -> web.StreamResponse:
        """Write the turn to its end, or its failure in place of a stream."""
        early = 0 if again else turn.asked.chat.open_early_ms / 1000
        await opened(stream, early)
        error = stream.failed_before_content
        if error is not None and early > 0:
            refused = _refused(error, stream)
            await refused.prepare(request)
            await refused.write_eof()
            return refused
        return await sse.deliver(
            request,
            stream,
            pulse=self._pulse,
            patience=self._settings.slow_reader_s,
            wording=Telling(self._turns.projection(turn, stream, again=again)),
            headers=HEADERS,
        )


def _refused(error: Error, stream: Stream | None = None) -> web.Response:
    response = web.Response(status=problems.status(error), text=error.message)
    response.headers.update(problems.retry_after(error))
    if stream is not None:
        response.headers["Tailrace-Stream-Id"] = stream.id
    return response
