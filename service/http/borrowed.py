"""A client's dialect over HTTP: one POST route for each, and nothing of the dialect in here.

The body is read by the dialect, the answer comes from the same relay as every other, and goes out
as the dialect's projection: event by event over SSE, or folded into one document. A stream is told
from its log by the native writer (`service.http.sse`), so a borrowed dialect has its direct push,
its patience and its pulse.

Nothing is sent before the first content, so that a failure until then is an HTTP error, in the
dialect's own shape, which SDKs retry. Only where that takes longer than proxies hold a silent
connection (30 s at some) the headers leave at `OPEN_EARLY`, and comments keep the line open.

A document is a whole answer or an error: these dialects have no word for half of one. Who waits for
it never saw what was taken back, so another provider may start it again. A streamed answer that
breaks ends with the dialect's own error and without its mark of a clean end; where not even that
can be said, the connection breaks, too.

The generation ends when its client leaves, because these clients cannot come back to it, unless an
Idempotency-Key can ask for it again.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from aiohttp import web
from pydantic import RootModel

from adapters.errors import UpstreamError, make
from adapters.events import (
    AttemptStart,
    Error,
    ErrorCode,
    Finish,
    Phase,
    SequencedEvent,
    Status,
)
from service import clock, ids
from service.dialects.projection import Asked, Dialect, Named, Projection
from service.dialects.reading import routing_in
from service.http import body, folded, problems, sse
from service.http.json_answer import json_answer
from service.http.native import idempotency_key, opened
from service.http.problems import Shape
from service.http.sse import Pulse
from service.relay import Ask, Relay
from service.settings import Streams
from service.streams import ending
from service.streams.fold import Fold
from service.streams.log import StreamLog, decode
from service.streams.question import Question
from service.streams.stream import Stream

OPEN_EARLY = 20.0  # seconds
"""When the headers leave without content: a proxy's patience is 30 s and more, and an SDK that got
an error before them could have tried again."""

_log = logging.getLogger(__name__)


class Document(RootModel[dict[str, Any]]):
    """Any JSON object."""


class Borrowed:
    """The POST route of one dialect; a dialect with more routes has its own and uses this one."""

    def __init__(
        self,
        relay: Relay,
        settings: Streams,
        dialect: Dialect,
        path: str,
        *,
        cancel_after: float | None = 0,
        open_early: float = OPEN_EARLY,
        headers: dict[str, str] | None = None,
    ) -> None:
        """`cancel_after`: seconds without a reader, None: never. `open_early` in seconds.

        `headers`: what its streamed answers carry beside the usual.
        """
        self.relay = relay
        self.dialect = dialect
        self._path = path
        self._cancel_after = cancel_after
        self._open_early = open_early
        self._patience = settings.slow_reader_s
        self._pulse = Pulse(settings.keepalive_s)
        self._headers = headers or {}

    def routes(self) -> list[web.RouteDef]:
        """The route to mount."""
        return [web.post(self._path, self.start)]

    def shapes(self) -> dict[str, Shape]:
        """The dialect's errors, at its path and below."""
        return {self._path: self.failure}

    async def start(self, request: web.Request) -> web.StreamResponse:
        """POST: ask, and answer with the stream or with all of it."""
        arrived = clock.monotonic()
        sent = await body.read(request, Document)
        asked = await self.read(request, sent.root)
        del sent  # the answer may take minutes, and a body be a mebibyte
        key = idempotency_key(request)
        ask = Ask(
            request=asked.chat,
            dialect=self.dialect.name,
            cancel_after=self._grace(asked, key),
            idempotency_key=key,
            arrived=arrived,
            question=self.question(asked),
            whole=not asked.streams,
        )
        stream, _ = await self.relay.start(ask)
        return await self.respond(request, stream, asked)

    async def read(self, request: web.Request, sent: Mapping[str, Any]) -> Asked:
        """What a body asks. Raises RequestError naming the field."""
        return self.dialect.read(sent, routing_in(request.headers))

    def question(self, asked: Asked) -> Question | None:
        """What is kept of a request beside its stream, where clients can come back to it."""
        del asked
        return None

    async def respond(
        self,
        request: web.Request,
        stream: Stream,
        asked: Asked,
        projection: Projection | None = None,
    ) -> web.StreamResponse:
        """Follow a stream for as long as this connection lives, in the form that was asked for.

        `projection`: the dialect's own, from the beginning, unless given.
        """
        named = named_of(stream, asked)
        holder = object()
        stream.attach(holder)
        try:
            if not asked.streams:
                return await self._document(stream, asked, named)
            await opened(stream, self._open_early)
            error = stream.failed_before_content
            if error is not None:
                return self.failure(error, stream)
            telling = (
                Telling(self.dialect.projection(asked, named), _settled(stream))
                if projection is None
                else Telling(projection)
            )
            return await sse.deliver(
                request,
                stream,
                pulse=self._pulse,
                patience=self._patience,
                wording=telling,
                headers=self._headers | _answering(stream.log),
            )
        finally:
            stream.detach(holder)

    def failure(self, error: Error, stream: Stream | None = None) -> web.Response:
        """The HTTP error, of a stream where there is one."""
        placed = msgspec.structs.replace(error, phase=Phase.BEFORE_STREAM)
        response = json_answer(self.dialect.failure(placed), status=problems.status(error))
        response.headers.update(problems.retry_after(error))
        if not error.retryable:
            # The SDKs would try any 5xx again, with the same result.
            response.headers["x-should-retry"] = "false"
        if stream is not None:
            response.headers["Tailrace-Stream-Id"] = stream.id
        return response

    async def _document(self, stream: Stream, asked: Asked, named: Named) -> web.Response:
        await stream.over()
        fold = stream.log.fold()
        end = fold.end
        if end is None:
            return self.failure(make(ErrorCode.INTERNAL, "the stream has no end"), stream)
        if end.error is not None:
            return self.failure(end.error, stream)
        try:
            response = json_answer(self.dialect.document(asked, named, fold, end))
        except UpstreamError as failure:
            return self.failure(failure.error, stream)
        response.headers.update(folded.headers(stream, end))
        return response

    def _grace(self, asked: Asked, key: str | None) -> float | None:
        if asked.chat.on_disconnect is not None:
            return asked.chat.cancel_after
        return self._cancel_after if key is None else None


def named_of(stream: Stream, asked: Asked) -> Named:
    """What an answer says of itself, the same whenever it is said."""
    made = ids.made_at(stream.id) or 0
    return Named(stream=stream.id, model=asked.chat.model, created=made // 1000)


class Telling:
    """A projection as the wording of a log."""

    def __init__(self, projection: Projection, settled: Fold | None = None) -> None:
        """`projection` has been fed nothing yet.

        `settled`: all of a stream that is over, which is told in place of its entries.
        """
        self._projection = projection
        self._settled = settled
        self._begun = False

    def tell(self, entries: list[bytes]) -> bytes | None:
        """What the projection makes of them; None where it failed: nothing true can follow."""
        first, self._begun = not self._begun, True
        if self._settled is None:
            return self._fed(map(decode, entries))
        return self._fed(self._settled.events()) if first else b""

    def catch_up(self, log: StreamLog) -> bytes | None:
        """The same events in fewer, where nothing was told yet: these clients take nothing back."""
        fold = log.evicted()
        if self._begun or fold is None:
            return None
        self._begun = True
        return self._fed(fold.events())

    def _fed(self, events: Iterable[SequencedEvent]) -> bytes | None:
        try:
            return b"".join(map(self._projection.feed, events))
        except Exception:  # noqa: BLE001 - a generation, in whose task this runs, outlives it
            _log.exception("a projection failed")
            return None

    def silence(self) -> bytes:
        """As the dialect has it."""
        return self._projection.keepalive()

    def too_slow(self) -> bytes:
        """The dialect's error, though the stream itself may go on."""
        message = "the answer was not read for too long"
        error = make(ErrorCode.SLOW_CONSUMER, message, phase=Phase.MID_STREAM, bytes_out=True)
        return self._projection.feed(ending.bare(Status.FAILED, Finish.INTERRUPTED, error))


def _settled(stream: Stream) -> Fold | None:
    """The answer that stands, of a stream that is over and was begun again on its way there.

    Who waited for it whole has it so. Who comes for it later, and streams, could not be told what
    was taken back.
    """
    fold = stream.log.fold() if stream.ended else None
    return fold if fold is not None and fold.restarted else None


def _answering(log: StreamLog) -> dict[str, str]:
    """Who answers as the headers leave; nothing where nobody does yet.

    Looked for where a stream begins: of an old one that was restarted, its first is told.
    """
    start = _committed(log)
    if start is None:
        return {}
    return {"Tailrace-Provider": start.provider, "Tailrace-Model": start.model}


def _committed(log: StreamLog) -> AttemptStart | None:
    evicted = log.evicted()
    fold = Fold() if evicted is None else evicted.copy()
    for entry in log.read_some(log.first, sse.BATCH):
        if fold.commit is not None:
            break
        fold.add(decode(entry))
    return None if fold.commit is None else fold.attempts[fold.commit.attempt]
