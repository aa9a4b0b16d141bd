"""`/v1/responses`: ask, come back to what was asked, and go on from it.

`POST /v1/responses` is a borrowed dialect like the others (`service.http.borrowed`). Beside it
there are `GET /v1/responses/{id}`, the response as it stands or, with `stream=true`, its events
again, `starting_after` a number; and `POST /v1/responses/{id}/cancel`. Both find those of
every process. Of a log that has lost its beginning no event has the number it had, so it is told
anew from its start or not at all.

What a response goes on from (`previous_response_id`) is looked up before a body is read
(`service.http.earlier_responses`).
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from aiohttp import web
from typing_extensions import override

from adapters.errors import RequestError, make
from adapters.events import ErrorCode, Phase
from service.dialects.projection import Asked, Projection
from service.dialects.reading import refused, routing_in
from service.dialects.responses import Responses
from service.dialects.responses_resource import response_id, stream_id
from service.http import folded
from service.http.borrowed import Borrowed, named_of
from service.http.compaction import CompactionRoute
from service.http.earlier_responses import DIALECT, EarlierResponses, question_of
from service.http.json_answer import json_answer
from service.relay import Relay
from service.settings import Streams
from service.streams.question import Question
from service.streams.stream import Stream

PATH: Final = "/v1/responses"

CANCELLING: Final = 10.0
"""Seconds that a cancelled response is waited for; of another process, which may be gone."""


class ResponsesRoutes(Borrowed):
    """Routes under /v1/responses, but for the WebSocket."""

    def __init__(self, relay: Relay, settings: Streams) -> None:
        """`settings`: keep-alive and slow-reader limits."""
        self.earlier = EarlierResponses(relay)
        self._compaction = CompactionRoute(relay, settings, self.earlier)
        super().__init__(relay, settings, DIALECT, PATH)

    @override
    def routes(self) -> list[web.RouteDef]:
        """The routes to mount."""
        return [
            *super().routes(),
            web.get(f"{PATH}/{{id}}", self.retrieve, allow_head=False),
            web.post(f"{PATH}/{{id}}/cancel", self.cancel),
            *self._compaction.routes(),
        ]

    @override
    async def read(self, request: web.Request, sent: Mapping[str, Any]) -> Asked:
        """As every dialect's, with what it goes on from."""
        earlier = await self.earlier.named_in(sent)
        return Responses(earlier).read(sent, routing_in(request.headers))

    @override
    def question(self, asked: Asked) -> Question | None:
        """What a response repeats, and what a later one goes on from."""
        return question_of(asked)

    @override
    async def respond(
        self,
        request: web.Request,
        stream: Stream,
        asked: Asked,
        projection: Projection | None = None,
    ) -> web.StreamResponse:
        """As every dialect's.

        What runs in the background and is not streamed is shown as it has begun, and asked for
        until it has ended: who holds a connection instead would lose it to some proxy.
        """
        if asked.body.get("background") is True and not asked.streams:
            return self._document_of(stream, asked)
        return await super().respond(request, stream, asked, projection)

    async def retrieve(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/responses/{id}: the response, or its events."""
        streams, after = _streams(request), _after(request)
        stream, asked = await self._found(request)
        if not streams:
            return self._document_of(stream, asked)
        if after >= 0 and stream.log.first > 0:
            message = "starting_after: the response is too long to be resumed; ask for all of it"
            raise RequestError(make(ErrorCode.STREAM_EXPIRED, message, param="starting_after"))
        asked = replace(asked, streams=True)
        projection = DIALECT.projection(asked, named_of(stream, asked), after)
        return await super().respond(request, stream, asked, projection)

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/responses/{id}/cancel: the response; one that has ended stays as it is."""
        stream, asked = await self._found(request)
        stream.cancel("cancelled by the client")
        with suppress(TimeoutError):
            async with asyncio.timeout(CANCELLING):
                await stream.over()
        return self._document_of(stream, asked)

    def _document_of(self, stream: Stream, asked: Asked) -> web.Response:
        fold = stream.log.fold()
        document = DIALECT.document(asked, named_of(stream, asked), fold, fold.end)
        response = json_answer(document)
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
        asked = await self.earlier.asked(stream)
        if asked is None or response != response_id(name):
            raise RequestError(missing)
        return stream, asked


def _streams(request: web.Request) -> bool:
    """`stream`: whether the events are asked for."""
    given = request.query.get("stream", "false")
    if given not in ("true", "false"):
        raise refused("stream", f"{given[:64]!r} is not allowed; must be true or false")
    return given == "true"


def _after(request: web.Request) -> int:
    """`starting_after`; -1 where it is not given."""
    given = request.query.get("starting_after", "-1")
    if given != "-1" and not (given.isascii() and given.isdigit() and len(given) <= _DIGITS):
        must = f"must be a whole number from -1 to {10**_DIGITS - 1}"
        raise refused("starting_after", f"{given[:64]!r} is not allowed; {must}")
    return int(given)


_DIGITS: Final = 15
