r"""What was used and spent, as sums and as it happens.

`GET /v1/usage` asks the sums, in a thread, over a connection that only reading uses: one answer is
of one moment, whoever counts meanwhile. `GET /v1/usage/events` is every usage event as it is in the
stream, live: server-sent events by the same wire rules as a stream of an answer (`:\n` as
keep-alive, `retry` with the first block), until the service ends. A block's `id` is where to go on;
the first one of a watcher without a position has nothing else, so that it can come back even before
there was an event. Docs: docs/usage.md.
"""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Collection, Iterable, Sequence
from contextlib import aclosing, suppress
from typing import Final

import orjson
from aiohttp import web

from adapters.errors import RequestError, TailraceError, make
from adapters.events import Error, ErrorCode, Phase
from service.http.json_answer import json_answer
from service.http.sse import BATCH, HEADERS, LOOKS, RETRY_MS
from service.settings import Streams
from service.usage import live, report
from service.usage.database import UnavailableError
from service.usage.live import Begun, Gap, Live, Position, PositionError, Said, Seen
from service.usage.report import Query, QueryError, Report
from service.usage.sums import Reading

log = logging.getLogger(__name__)

FORMATS: Final = ("json", "csv")

_RETRY_AFTER_MS: Final = 1_000

_KEEPALIVE: Final = b":\n"


class Usage:
    """Routes under /v1/usage."""

    def __init__(self, sums: Reading, events: Live, settings: Streams) -> None:
        """`settings`: keep-alive and slow-reader limits."""
        self._sums = sums
        self._events = events
        self._settings = settings

    def routes(self) -> list[web.RouteDef]:
        """The routes to mount."""
        return [
            web.get("/v1/usage", self.sums),
            web.get("/v1/usage/events", self.events, allow_head=False),
        ]

    async def sums(self, request: web.Request) -> web.Response:
        """GET /v1/usage.

        Raises RequestError naming the parameter, and TailraceError: the sums cannot be read now.
        """
        asked = _parameters(request, ("from", "to", "group_by", "format"))
        wanted = asked.get("format", "json")
        if wanted not in FORMATS:
            allowed = " or ".join(FORMATS)
            raise _bad("format", f"{wanted[:64]!r} is not allowed; must be {allowed}")
        try:
            query = Query.parse(asked.get("from"), asked.get("to"), asked.get("group_by"))
        except QueryError as refusal:
            raise RequestError(_error(refusal.param, str(refusal))) from None
        answer = await reported(self._sums, query)
        if wanted == "csv":
            return web.Response(
                text=answer.to_csv(),
                content_type="text/csv",
                charset="utf-8",
                headers={"Content-Disposition": "attachment; filename=usage.csv"},
            )
        return json_answer(answer.to_json())

    async def events(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/usage/events; raises RequestError for what is no position."""
        after = _after(request)
        response = web.StreamResponse(headers=HEADERS)
        await response.prepare(request)
        connection = _Connection(request, response, patience=self._settings.slow_reader_s)
        async with aclosing(self._events.follow(after)) as said:
            await connection.carry(said, self._settings.keepalive_s)
        return response


async def reported(sums: Reading, query: Query) -> Report:
    """Ask the sums; raises TailraceError where they cannot be read now."""
    try:
        return await sums.ask(report.report, query)
    except UnavailableError as failure:
        raise unavailable(failure) from failure


def unavailable(failure: UnavailableError) -> TailraceError:
    """The sums cannot be read: the log says why, and who asked that there is nothing wrong."""
    log.warning("the sums of usage cannot be read: %s", failure)
    return TailraceError(
        make(
            ErrorCode.INTERNAL,
            "the sums of usage cannot be read now; nothing is lost",
            http=503,
            phase=Phase.BEFORE_STREAM,
            retry_after_ms=_RETRY_AFTER_MS,
        )
    )


# --- Parameters -----------------------------------------------------------------------------


def _parameters(request: web.Request, known: Collection[str]) -> dict[str, str]:
    """The query's, each at most once; raises RequestError."""
    for name in request.query:
        if name not in known:
            raise _bad(name[:64], f"no such parameter; known are {', '.join(known)}")
        if len(request.query.getall(name)) > 1:
            raise _bad(name, "given more than once")
    return dict(request.query)


def _after(request: web.Request) -> Position | None:
    """Where to go on; `Last-Event-ID` wins over `?after=`. None: now."""
    asked = _parameters(request, ("after",))
    name, value = "Last-Event-ID", request.headers.get("Last-Event-ID")
    if not value:
        name, value = "after", asked.get("after")
    if value is None:
        return None
    try:
        return live.parse(value)
    except PositionError as refusal:
        raise _bad(name, str(refusal)) from None


def _bad(param: str, message: str) -> RequestError:
    return RequestError(_error(param, f"{param}: {message}"))


def _error(param: str, message: str) -> Error:
    return make(ErrorCode.INVALID_REQUEST, message, param=param, phase=Phase.BEFORE_STREAM)


# --- Events ---------------------------------------------------------------------------------


class _Connection:
    """A watcher's, and how it is written to."""

    def __init__(
        self, request: web.Request, response: web.StreamResponse, *, patience: float
    ) -> None:
        self._transport = request.transport
        self._response = response
        self._chunked = response.headers.get("Transfer-Encoding") == "chunked"
        self._patience = patience
        self._looks = 0
        """Since something was written."""

    async def carry(self, said: AsyncGenerator[Sequence[Said], None], silence: float) -> None:
        """Pass on what is said until the client leaves or takes nothing any more."""
        async with asyncio.TaskGroup() as group:
            beating = group.create_task(self._beat(silence))
            # Not left to the group: it would wrap what is the end of most of these responses.
            with suppress(ConnectionError):
                # Jitter, not a secret. Ends in one newline: the first block goes on from there.
                await self._send(b"retry: %d\n" % random.randint(*RETRY_MS))  # noqa: S311
                async for batch in said:
                    if not await self._send_all(map(_block, batch)):
                        break
                else:
                    await self._send(_notice("draining"))
            beating.cancel()

    async def _send_all(self, blocks: Iterable[bytes]) -> bool:
        """Write in pieces, so that one who is slow has few of them waiting; as `_send`."""
        piece = bytearray()
        for block in blocks:
            piece += block
            if len(piece) >= BATCH:
                if not await self._send(bytes(piece)):
                    return False
                piece.clear()
        return not piece or await self._send(bytes(piece))

    async def _send(self, data: bytes) -> bool:
        """Write, and wait for the client to take enough; False: it did not."""
        self._looks = 0
        try:
            async with asyncio.timeout(self._patience):
                await self._response.write(data)
        except TimeoutError:
            self._hang_up()
            return False
        return True

    async def _beat(self, silence: float) -> None:
        """A comment where nothing was written for so many seconds."""
        with suppress(ConnectionError):
            while True:
                await asyncio.sleep(silence / LOOKS)
                self._looks += 1
                if self._looks >= LOOKS:
                    self._looks = 0
                    await self._response.write(_KEEPALIVE)

    def _hang_up(self) -> None:
        """Say why, past what cannot be written to: it is read if the client wakes in time."""
        if self._transport is None:
            return
        notice = _notice("slow_consumer")
        framed = b"%x\r\n%b\r\n" % (len(notice), notice)
        self._transport.write(framed if self._chunked else notice)
        self._transport.close()
        asyncio.get_running_loop().call_later(self._patience, self._transport.abort)


def _notice(code: str) -> bytes:
    """A word about the connection: without an id, so it moves nobody."""
    data = {"type": "notice", "code": code, "reconnect_after_ms": RETRY_MS[0]}
    return b"event: notice\ndata: %b\n\n" % orjson.dumps(data)


def _block(said: Said) -> bytes:
    match said:
        case Seen(key, body):
            # A body of ours is one line; in a stream that others write to, too, it may be more.
            lines = b"\ndata: ".join(body.splitlines())
            return b"id: %b\nevent: usage\ndata: %b\n\n" % (key.encode(), lines)
        case Begun(key):
            return b"id: %b\n\n" % key.encode()
        case Gap(after):
            message = "events after this position may be gone; what is kept follows"
            data = orjson.dumps({"type": "gap", "after": after, "message": message})
            return b"event: gap\ndata: %b\n\n" % data
