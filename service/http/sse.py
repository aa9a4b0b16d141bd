r"""A stream log to one client over server-sent events.

`SseWriter.push` runs in the task that read the upstream bytes and writes the new entries straight
to the client's transport: one write per network read, no task switch (docs/hot-path.md). The
handler's own task only sleeps. It is woken when the peer is slow (the transport's buffer is over
its high-water mark), catches up from the cursor, waiting for the peer as it goes, and hands back to
`push`. So a slow client costs its transport's buffer and nothing else: the entries stay in the log,
where they are anyway.

A client that takes nothing for `patience` seconds is told `notice: slow_consumer` and detached: the
stream goes on, and the client can resume it. Silence is filled with `:\n`, one newline, because
two would end an event, and openai-python, for one, chokes on the empty one.

What an entry is on the wire is the `Wording`'s business: the entry itself (`Events`), or what a
client's dialect makes of it (`service.http.borrowed`).

Wire rules: docs/streams.md, SSE.
"""

import asyncio
import random
from collections.abc import Mapping
from typing import Protocol

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from adapters.events import ControlEvent, Notice
from service.streams.log import StreamLog, control_json, tag_of
from service.streams.stream import Stream

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}

RETRY_MS = (1_000, 3_000)
"""A browser waits this long before it reconnects: jittered, so that a restart is no stampede."""

BATCH = 64 * 1024
"""Bytes a catching-up reader writes before it waits for the peer again."""

HIGH_WATER = 64 * 1024  # bytes
"""What may wait in a transport: where asyncio and uvloop tell a protocol to pause, by default."""

LOOKS = 10

KEEPALIVE = b":\n"


class Wording(Protocol):
    """How one client is told a log: a place of its own, used once."""

    def tell(self, entries: list[bytes]) -> bytes | None:
        """New entries, in their order; empty where they say nothing to it. Must not raise.

        None: it cannot go on, and the connection is to break.
        """

    def catch_up(self, log: StreamLog) -> bytes | None:
        """What stands for the entries that are no longer kept; None: nothing can."""

    def silence(self) -> bytes:
        """What is written where nothing was for long."""

    def too_slow(self) -> bytes:
        """The last words to a client that took nothing for too long."""


class Events:
    """The native wording: the entries themselves."""

    def __init__(self, stream: str) -> None:
        """`stream`: its id."""
        self._stream = stream
        # Jitter, not a secret.
        self._retry = b"retry: %d\n" % random.randint(*RETRY_MS)  # noqa: S311

    def tell(self, entries: list[bytes]) -> bytes:
        """The first block of a response carries the reconnection time."""
        if self._retry:
            entries, self._retry = [self._retry, *entries], b""
        return b"".join(entries)

    def catch_up(self, log: StreamLog) -> bytes:
        """A snapshot: it holds all that came before, whatever the client has had of it."""
        snapshot = log.snapshot()
        return b"" if snapshot is None else control(self._stream, snapshot)

    def silence(self) -> bytes:
        """A comment."""
        return KEEPALIVE

    def too_slow(self) -> bytes:
        """A notice, because the client can resume."""
        notice = Notice(code="slow_consumer", reconnect_after_ms=RETRY_MS[0])
        return control(self._stream, notice)


async def deliver(
    request: web.Request,
    stream: Stream,
    *,
    pulse: "Pulse",
    cursor: int = 0,
    patience: float,
    wording: Wording | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """Answer `request` with the stream from sequence number `cursor` on, live until its end.

    `patience` in seconds; `wording`: the native one unless given; `headers`: beside the usual.
    The caller has attached to the stream and detaches.
    """
    response = web.StreamResponse(headers=HEADERS)
    response.headers["Tailrace-Stream-Id"] = stream.id
    response.headers["Location"] = f"/v1/streams/{stream.id}"
    response.headers.update(headers or {})
    writer = await response.prepare(request)
    if writer is None:
        return response
    told = wording or Events(stream.id)
    sse = SseWriter(stream.log, told, request, response, writer, cursor=cursor, patience=patience)
    stream.log.subscribe(sse)
    pulse.add(sse)
    try:
        await sse.run()
    finally:
        pulse.discard(sse)
        stream.log.unsubscribe(sse)
        sse.close()
    return response


def control(stream: str, event: ControlEvent) -> bytes:
    """A control event as an SSE block: without an id, so it moves no cursor."""
    return b"event: %b\ndata: %b\n\n" % (tag_of(event), control_json(stream, event))


class SseWriter:
    """One client's place in a log."""

    __slots__ = (
        "_asleep",
        "_chunked",
        "_cursor",
        "_live",
        "_log",
        "_patience",
        "_protocol",
        "_response",
        "_seen",
        "_silent",
        "_transport",
        "_wording",
        "_writer",
    )

    def __init__(
        self,
        log: StreamLog,
        wording: Wording,
        request: web.Request,
        response: web.StreamResponse,
        writer: AbstractStreamWriter,
        *,
        cursor: int,
        patience: float,
    ) -> None:
        """The response is prepared: its headers are on the wire."""
        self._log = log
        self._wording = wording
        self._cursor = cursor
        self._response = response
        self._writer = writer
        self._protocol = request.protocol
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client has gone")
        self._transport = transport
        self._chunked = response.headers.get("Transfer-Encoding") == "chunked"
        self._patience = patience
        self._live = False
        self._asleep: asyncio.Future[None] | None = None
        self._seen = cursor
        self._silent = 0

    # --- Called by the log, in the upstream's task ---

    def push(self, new: list[bytes], upto: int) -> None:
        """Write what is new, if the peer keeps up; else leave it to the handler's task."""
        if not self._live:
            return
        transport = self._transport
        if (
            self._cursor + len(new) != upto
            or transport.get_write_buffer_size() > HIGH_WATER
            or transport.is_closing()
        ):
            self._wake()
            return
        self._cursor = upto
        data = self._wording.tell(new)
        if data:  # an empty chunk would end the body
            transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        elif data is None:
            self._break()
        if self._log.end is not None:
            self._wake()

    def _wake(self) -> None:
        self._live = False
        if self._asleep is not None and not self._asleep.done():
            self._asleep.set_result(None)

    # --- The handler's task ---

    async def run(self) -> None:
        """Follow the log to its end; returns early where the client was too slow."""
        while True:
            if not await self._catch_up():
                return
            if self._log.end is not None:
                await self._finish()
                return
            self._live = True
            self._asleep = asyncio.get_running_loop().create_future()
            await self._asleep

    def close(self) -> None:
        """Stop writing, whatever the log still calls."""
        self._live = False

    async def _catch_up(self) -> bool:
        """Write everything from the cursor on; False where the client did not take it in time."""
        while True:
            if not await self._drained():
                return False
            if self._cursor < self._log.first and not self._skip():
                return False
            entries = self._log.read_some(self._cursor, BATCH)
            if not entries:
                return True
            self._cursor += len(entries)
            data = self._wording.tell(entries)
            if data is None:
                self._break()
                return False
            self._send(data)

    def _break(self) -> None:
        """Cut the connection, so that no client takes this for an end."""
        self._transport.abort()

    def _skip(self) -> bool:
        """Go past what is no longer kept; False where this client cannot, and was told so."""
        standing = self._wording.catch_up(self._log)
        if standing is None:
            self._detach()
            return False
        self._send(standing)
        self._cursor = self._log.first
        return True

    async def _drained(self) -> bool:
        """Wait until the peer has taken enough; False after `patience`."""
        if not self._protocol.writing_paused:
            return True
        try:
            async with asyncio.timeout(self._patience):
                await self._writer.drain()
        except TimeoutError:
            self._detach()
            return False
        return True

    async def _finish(self) -> None:
        """End the body; a peer that takes nothing more, or left, has all it will get."""
        try:
            async with asyncio.timeout(self._patience):
                await self._response.write_eof()
        except (TimeoutError, ConnectionError):
            self._transport.abort()

    def _detach(self) -> None:
        """Say why and hang up: what is buffered is still flushed if the peer wakes in time."""
        self._send(self._wording.too_slow())
        transport = self._transport
        transport.close()
        asyncio.get_running_loop().call_later(self._patience, transport.abort)

    def _send(self, data: bytes) -> None:
        """One write past aiohttp's writer: it cannot be awaited from `push`, and costs 1 us more.

        Right only because the response is prepared and not compressed.
        """
        if not data:  # an empty chunk would end the body
            return
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        self._transport.write(data)

    def look(self) -> None:
        """Called LOOKS times per silence: write a comment where nothing was written for one."""
        if self._cursor != self._seen or not self._live:
            self._seen = self._cursor
            self._silent = 0
            return
        self._silent += 1
        if self._silent > LOOKS and not self._protocol.writing_paused:
            self._silent = 0
            if not self._transport.is_closing():
                self._send(self._wording.silence())


class Pulse:
    """The keep-alive of every SSE reader: one timer for all of them, not one each.

    It looks LOOKS times per silence whether a reader's cursor has moved, so a comment comes a tenth
    late at most and a write needs no clock. A timer each costs half a KiB per open stream, and
    re-arming one on every write more than the write's encoding.
    """

    def __init__(self, silence: float) -> None:
        """`silence`: seconds without a write after which a comment is due."""
        self._silence = silence
        self._writers: set[SseWriter] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, writer: SseWriter) -> None:
        """Keep this one alive."""
        self._writers.add(writer)
        if self._timer is None:
            self._arm()

    def discard(self, writer: SseWriter) -> None:
        """Its response is over."""
        self._writers.discard(writer)
        if not self._writers and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._silence / LOOKS, self._look)

    def _look(self) -> None:
        for writer in self._writers:
            writer.look()
        self._arm()
