"""aiohttp's side of one connection to a provider: how it died, and its body without a detour.

`Line` is aiohttp's own protocol with two things added. It knows whether a request died on a
connection that had served before, with no byte of an answer: the only case in which the request may
be sent once more. And it hands the body of a response, block by block, to a `sink` in the very call
in which the parser found it, where aiohttp would store it, wake a task and give it out from there.
That detour costs 3.2 of the 8.3 us that a token takes in this process (docs/hot-path.md), more than
its decoding.

aiohttp 3.14 has no public way to either, so this file leans on four of its private names, and all
of it is in this file: `TCPConnector._factory`, `ResponseHandler._payload`, `StreamReader._protocol`
and the class of a response's reader. The tests of dead connections and of the tap fail without
them, and pyproject.toml pins aiohttp's minor version.

What the detour gave and this does not is back-pressure: a provider is never paused. It would only
run into the provider's own time limits, and what it sends is bounded by the stream log.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from typing_extensions import override

Sink = Callable[[bytes], None]


class StaleConnectionError(aiohttp.ClientConnectionError):
    """A request died on a connection that had served before, before any byte of an answer."""


class Connector(aiohttp.TCPConnector):
    """Without limits, and with `Line` as its protocol."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - aiohttp's own
        super().__init__(limit=0, **options)
        # The only way in: aiohttp 3.14 has no option for the protocol. The tests of dead
        # connections fail without it.
        line: Callable[..., ResponseHandler] = Line
        self._factory = partial(line, loop=self._loop)


class Line(ResponseHandler):
    """aiohttp's side of one connection, which also knows how it died.

    It cannot be told from outside: aiohttp's tracing tells that a connection is reused, but not
    whether the answer had begun, and a reset looks the same before and after its first bytes.
    """

    _served = False
    _reused = False
    _answered = False
    sink: Sink | None = None
    """Where the body of the response goes, while a `Tap` is on it."""

    @override
    def set_response_params(self, **params: Any) -> None:
        """A request is about to be written."""
        self._reused, self._served, self._answered = self._served, True, False
        self.sink = None
        super().set_response_params(**params)

    @override
    def data_received(self, data: bytes) -> None:
        """A read: all that this class adds to a chunk, 0.25 us of some 30."""
        if data:  # aiohttp also calls it with nothing, to resume parsing
            self._answered = True
        super().data_received(data)

    @override
    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """The connection is lost to the request."""
        body = self._payload
        # Without this, whoever reads the body waits until the deadline: aiohttp 3.14.5 forgets to
        # tell the reader about framing that breaks after the headers.
        if isinstance(exc, HttpProcessingError) and body is not None and not body.is_eof():
            body.set_exception(aiohttp.ClientPayloadError("the framing is broken"), exc)
        if self._reused and not self._answered:
            exc, exc_cause = StaleConnectionError("a kept-alive connection was dead"), exc
        cause = {} if exc_cause is None else {"exc_cause": exc_cause}
        super().set_exception(exc, **cause)

    @override
    def close(self) -> None:
        """Close the socket now.

        A plain close first sends what is still buffered, to a peer that may not read, and over TLS
        waits up to 30 s for a farewell while the answer that nobody wants streams on.
        """
        self.abort()


# --- The body -------------------------------------------------------------------------------


class Tap(aiohttp.StreamReader):
    """A response's reader that passes on what it is fed instead of keeping it."""

    __slots__ = ()

    @override
    def feed_data(self, data: bytes, size: int = 0) -> bool:
        """A block of the body, from the parser."""
        line = cast("Line", self._protocol)  # `tap` has made sure
        if line.sink is None:
            return False
        try:
            line.sink(data)
        except Exception as failure:  # noqa: BLE001 - it belongs to who waits, not to the parser
            line.sink = None
            self.set_exception(failure)
        return False

    @override
    def begin_http_chunk_receiving(self) -> None:
        """Chunk boundaries mean nothing here."""

    @override
    def end_http_chunk_receiving(self) -> None:
        """As above."""


def tap(content: aiohttp.StreamReader, line: ResponseHandler, sink: Sink) -> None:
    """Pass what comes on `line` for `content` to `sink` from now on; nothing may be buffered in it.

    The reader is made by aiohttp's parser, which cannot be told to make another kind, so its class
    is changed; `Tap` has no fields of its own for that reason.
    """
    if not isinstance(line, Line):
        raise TypeError(f"{type(line).__name__} is not a connection of ours")
    line.sink = sink
    content.__class__ = Tap
