"""A provider's answer as its raw bytes, straight from aiohttp's reader.

`RawUpstream` is what a client hands out: `pour` passes the body on while the socket is read, and
`chunks` is aiohttp's `content.readany()` with the errors translated, for who wants to wait. Error
bodies are read here too (`read_bounded`), within 64 KiB and 5 s, because a provider in trouble may
send anything, or never stop.

A response leaves its connection in the pool once its last byte has come, by itself; `close` on it
then does nothing, and before that it closes the socket. So there is one call for both, and it may
come at any time, also in the middle of a cancelled read.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

import aiohttp
import orjson

from adapters.clients.line import Sink, tap
from adapters.errors import UpstreamError, make
from adapters.events import ErrorCode, Phase

MAX_ERROR_BODY = 64 * 1024  # bytes; the longest recorded one has 5 KiB
MAX_ERROR_WAIT = 5.0  # seconds

_CUTS = (aiohttp.ClientError, OSError)
"""What a read raises when the connection or the framing breaks."""


class RawUpstream:
    """A streamed answer whose headers have come; holds its connection until it ends or `close`."""

    __slots__ = ("_provider", "_response", "sent")

    def __init__(self, response: aiohttp.ClientResponse, provider: str, *, sent: int = 0) -> None:
        """`provider` is the name its errors carry; `sent`: bytes of the request's body."""
        self._response = response
        self._provider = provider
        self.sent = sent

    @property
    def headers(self) -> Mapping[str, str]:
        """Response headers, names case-insensitive."""
        return self._response.headers

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as the socket gives it, decompressed; to be iterated once.

        Raises UpstreamError (`stream_interrupted`) where it is cut, after all that came before.
        """
        return _Chunks(self._response.content, self._provider)

    async def pour(self, sink: Sink) -> None:
        """Pass every piece of the body to `sink` as the socket gives it, until it ends.

        In place of `chunks`. `sink` is called while the socket is read, not in this task; what it
        raises is raised here. Raises UpstreamError (`stream_interrupted`) where the body is cut.
        """
        content, connection = self._response.content, self._response.connection
        chunks = _Chunks(content, self._provider)
        if content.exception() is not None or connection is None or connection.protocol is None:
            # Cut or complete already: there is nothing to wait for but what is buffered.
            async for data in chunks:
                sink(data)
            return
        try:
            data = content.read_nowait(-1)
            if data:
                sink(data)
            tap(content, connection.protocol, sink)
            if content.exception() is None:
                # A cut that came before this is not told to who begins to wait after it.
                await content.wait_eof()
        except _CUTS as cut:
            raise _interrupted(self._provider) from cut
        failed = content.exception()
        if failed is not None:
            raise _interrupted(self._provider) from failed

    def close(self) -> None:
        """Close the socket, unless the body has come whole and gave it back already. Idempotent."""
        self._response.close()


class _Chunks:
    """One read after another."""

    __slots__ = ("_content", "_provider")

    def __init__(self, content: aiohttp.StreamReader, provider: str) -> None:
        self._content = content
        self._provider = provider

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._content.readany()
        except _CUTS as cut:
            chunk = self._before_the_cut()
            if not chunk:
                raise _interrupted(self._provider) from cut
        if not chunk:
            raise StopAsyncIteration
        return chunk

    def _before_the_cut(self) -> bytes:
        """What had come but was not read yet: aiohttp raises a cut before it gives that out.

        A finish signal may be in it, and then the answer is complete. The cut itself stays set, so
        the next read raises it again. There is no public way to these bytes in aiohttp 3.14.
        """
        buffer = self._content._buffer  # noqa: SLF001 - see above
        rest = b"".join(buffer)
        buffer.clear()
        return rest


def _interrupted(provider: str) -> UpstreamError:
    message = "The provider's answer was cut off."
    error = make(ErrorCode.STREAM_INTERRUPTED, message, phase=Phase.MID_STREAM, provider=provider)
    return UpstreamError(error)


async def read_bounded(response: aiohttp.ClientResponse, *, wait: float = MAX_ERROR_WAIT) -> bytes:
    """The body, or as much of it as comes within the bounds; never raises for what comes.

    Not more than `MAX_ERROR_BODY` bytes, not longer than `wait` seconds.
    The connection goes back to the pool where the body ended, and is closed otherwise.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(wait):
            async for chunk in RawUpstream(response, "").chunks():
                body += chunk
                if len(body) >= MAX_ERROR_BODY:
                    break
    except (TimeoutError, UpstreamError):
        pass  # what came before says more than that it broke off
    finally:
        response.close()
    return bytes(body[:MAX_ERROR_BODY])


def parsed(body: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """What a body says: its JSON, or its text where it is none."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode(errors="replace")
