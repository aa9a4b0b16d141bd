"""`/v1/responses`: ask, come back to what was asked, and go on from it.

`POST /v1/responses` is a borrowed dialect like the others (`service.http.borrowed`). Beside it
there are `GET /v1/responses/{id}`, the response as it stands or, with `stream=true`, its events
again, `starting_after` a number; and `POST /v1/responses/{id}/cancel`. Both find the streams of
every process. Of a log that has lost its beginning no event has the number it had, so it is told
anew from its start or not at all.

What a response goes on from (`previous_response_id`) is its request and its answer. The answer is
in the stream's log, the request is remembered here, by the process that took it and for as long as
the stream is kept: elsewhere, or later, the client is told `previous_response_not_found`, to which
its answer is to send the whole conversation. So is one that was told not to store the response.
"""

from collections import OrderedDict
from collections.abc import Container
from dataclasses import replace
from typing import Final

import msgspec
from aiohttp import web
from typing_extensions import override

from adapters.errors import RequestError, make
from adapters.events import ErrorCode, Phase, Status
from adapters.request import ChatRequest, Message, UserMessage
from service.dialects.projection import Asked, Projection
from service.dialects.reading import refused
from service.dialects.responses import Responses
from service.dialects.responses_request import PREVIOUS, Turn, conversation
from service.dialects.responses_resource import response_id, stream_id
from service.http import folded
from service.http.borrowed import Borrowed, named_of
from service.relay import Relay
from service.settings import Streams
from service.streams.store import Store
from service.streams.stream import Stream

PATH: Final = "/v1/responses"

CONTINUABLE: Final = frozenset({Status.COMPLETED, Status.INCOMPLETE})


class Memory:
    """What the responses that are kept were asked, by stream."""

    def __init__(self, store: Store) -> None:
        """`store`: the streams of this process; what it forgets is forgotten here."""
        self._store = store
        self._asked: OrderedDict[str, Asked] = OrderedDict()
        self._dialect = Responses(self.turn)

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._asked)

    def keep(self, stream: Stream, asked: Asked) -> None:
        """Remember a request; those whose streams are gone are forgotten, the oldest first."""
        while self._asked and self._found(next(iter(self._asked))) is None:
            self._asked.popitem(last=False)
        self._asked[stream.id] = asked

    def forget(self, response: str) -> None:
        """Nobody can go on from this response any more."""
        self._asked.pop(stream_id(response), None)

    def asked(self, stream: str) -> Asked | None:
        """What a stream was asked; None where it is not known here."""
        return self._asked.get(stream)

    def turn(self, response: str, own: Container[str] = ()) -> Turn:
        """The turn that a response ended.

        `own`: the responses that a connection may continue although they were not stored. Raises
        RequestError for one that is not known, or cannot be continued.
        """
        name = stream_id(response)
        asked, stream = self._asked.get(name), self._found(name)
        if asked is None or stream is None or not (stored(asked) or response in own):
            raise _previous(f"previous response with id {response[:64]!r} not found")
        end = stream.log.end
        if end is None:
            raise refused(PREVIOUS, "that response is still in progress")
        if end.status not in CONTINUABLE:
            raise _previous(f"previous response with id {response[:64]!r} {end.status}")
        document = self._dialect.document(asked, named_of(stream, asked), stream.log.fold(), end)
        return Turn(conversation(asked), document["output"])

    def _found(self, name: str) -> Stream | None:
        try:
            return self._store.get(name)
        except RequestError:
            return None


def stored(asked: Asked) -> bool:
    """Whether a response may be asked for later."""
    return asked.body.get("store") is not False


def _previous(message: str) -> RequestError:
    return RequestError(
        # OpenAI's status: a 404 would be this address.
        make(
            ErrorCode.NOT_FOUND,
            message,
            http=web.HTTPBadRequest.status_code,
            param=PREVIOUS,
            phase=Phase.BEFORE_STREAM,
        )
    )


class ResponsesRoutes(Borrowed):
    """Routes under /v1/responses, but for the WebSocket."""

    def __init__(self, relay: Relay, settings: Streams) -> None:
        """`settings`: keep-alive and slow-reader limits."""
        self.memory = Memory(relay.store)
        self._responses = Responses(self.memory.turn)
        super().__init__(relay, settings, self._responses, PATH)

    @override
    def routes(self) -> list[web.RouteDef]:
        """The routes to mount."""
        return [
            *super().routes(),
            web.get(f"{PATH}/{{id}}", self.retrieve, allow_head=False),
            web.post(f"{PATH}/{{id}}/cancel", self.cancel),
        ]

    @override
    async def respond(
        self,
        request: web.Request,
        stream: Stream,
        asked: Asked,
        projection: Projection | None = None,
    ) -> web.StreamResponse:
        """As every dialect's; what is answered can be asked for again.

        What runs in the background and is not streamed is shown as it has begun, and asked for
        until it has ended: who holds a connection instead would lose it to some proxy.
        """
        self.memory.keep(stream, asked)
        if asked.body.get("background") is True and not asked.streams:
            return self._document_of(stream, asked)
        return await super().respond(request, stream, asked, projection)

    async def retrieve(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/responses/{id}: the response, or its events."""
        stream, asked = await self._found(request)
        if request.query.get("stream") != "true":
            return self._document_of(stream, asked)
        after = _after(request)
        if after >= 0 and stream.log.first > 0:
            message = "starting_after: the response is too long to be resumed; ask for all of it"
            raise RequestError(make(ErrorCode.STREAM_EXPIRED, message, param="starting_after"))
        asked = replace(asked, streams=True)
        projection = self._responses.projection(asked, named_of(stream, asked), after)
        return await super().respond(request, stream, asked, projection)

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/responses/{id}/cancel: the response; one that has ended stays as it is."""
        stream, asked = await self._found(request)
        stream.cancel("cancelled by the client")
        await stream.over()
        return self._document_of(stream, asked)

    def _document_of(self, stream: Stream, asked: Asked) -> web.Response:
        fold = stream.log.fold()
        document = self._responses.document(asked, named_of(stream, asked), fold, fold.end)
        response = web.Response(body=msgspec.json.encode(document), content_type="application/json")
        response.headers["Tailrace-Stream-Id"] = stream.id
        if fold.end is not None:
            response.headers.update(folded.headers(stream, fold.end))
        return response

    async def _found(self, request: web.Request) -> tuple[Stream, Asked]:
        """The stream of the response that the path names, and what it was asked."""
        response = request.match_info["id"]
        name = stream_id(response)
        missing = make(
            ErrorCode.NOT_FOUND,
            f"response with id {response[:64]!r} not found",
            phase=Phase.BEFORE_STREAM,
        )
        try:
            stream = await self.relay.find(name)
        except RequestError as refusal:
            if refusal.error.code in (ErrorCode.NOT_FOUND, ErrorCode.STREAM_EXPIRED):
                raise RequestError(missing) from None
            raise
        asked = self.memory.asked(name) or _guessed(stream)
        if asked is None or response != response_id(name) or not stored(asked):
            raise RequestError(missing)
        return stream, asked


def _guessed(stream: Stream) -> Asked | None:
    """What another process' stream says of its request; None where it is no response."""
    start = stream.log.fold().start
    if start is None or start.dialect != Responses.name:
        return None
    nothing: list[Message] = [UserMessage(role="user", content="")]
    chat = ChatRequest(messages=nothing, model=start.model_requested)
    return Asked(chat=chat, streams=True, body={"metadata": start.metadata or {}})


def _after(request: web.Request) -> int:
    """`starting_after`; -1 where it is not given."""
    given = request.query.get("starting_after", "-1")
    if given != "-1" and not (given.isascii() and given.isdigit() and len(given) < _DIGITS):
        raise refused("starting_after", f"{given[:64]!r} is not allowed; must be a number")
    return int(given)


_DIGITS: Final = 16
