"""One request's way through an SDK: what is sent for it, and what came of it, as a typed outcome.

`through` calls an SDK and comes back with the answer or with an UpstreamError. Between the two, the
SDK calls the transport it was given, which knows nothing of the call; the two meet in a context
variable that holds the `Exchange`. So, whatever an SDK is like,

* the body on the wire is the one our dialect wrote, byte for byte, also where the SDK's way in
  would encode it again;
* the outcome is decided here, from what the network did. The SDK is told the status and raises its
  own exception, of one of two families, which never leaves but as a cause. The body it is not
  told: some fail, with anything, over one that is no text, and what a body repeats of a prompt
  has no place in an exception's text;
* nothing stays open: whoever cancels the call, wherever it is by then, closes the socket.

Nothing here is per chunk: an answer that streams is handed out as it is.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final, Protocol

import aiohttp
import msgspec

from adapters.classify import classify
from adapters.clients.upstream import RawUpstream, parsed, read_bounded
from adapters.contract import Encoded, Failure, Provider
from adapters.errors import Reached, UpstreamError, make
from adapters.events import ErrorCode

_OK = 200
_FIRST_ERROR_STATUS = 400
_EVENT_STREAM = "text/event-stream"


class Post(Protocol):
    """Puts a request on the wire; raises aiohttp's ClientError, or OSError."""

    async def __call__(
        self, url: str, headers: Mapping[str, str], body: bytes, *, connect_timeout: float
    ) -> aiohttp.ClientResponse:
        """Send, and wait for the headers of the response."""


class Placeholder(Protocol):
    """What an SDK is given for a response; the real one does not go through it."""

    stream: Any
    """What would hold the body."""


class Exchange:
    """One request on its way, and what came of it: an answer, an error, or nothing was sent.

    A connection's callbacks keep the context in which it was made, and so this object, for as long
    as it is pooled: it lets go of the body once that is sent, of the answer once that is taken.
    """

    __slots__ = ("_answer", "_body", "_connect_timeout", "_placeholder", "_provider", "error")

    def __init__(self, provider: Provider, body: bytes, connect_timeout: float) -> None:
        """`connect_timeout` in seconds."""
        self._provider = provider
        self._body = body
        self._connect_timeout = connect_timeout
        self._answer: RawUpstream | None = None
        self.error: UpstreamError | None = None
        self._placeholder: Placeholder | None = None

    async def perform(self, post: Post, url: str, headers: Mapping[str, str]) -> int:
        """Send the request, keep what came of it, and tell the status.

        Raises what `post` raises, for the transport to say in the words of its HTTP library.
        """
        sent = len(self._body)
        try:
            response = await post(url, headers, self._body, connect_timeout=self._connect_timeout)
        except (aiohttp.ClientError, OSError) as silence:
            self.error = _unanswered(silence, self._provider)
            raise
        finally:
            self._body = b""
        content_type = _media_type(response)
        if response.status == _OK and content_type == _EVENT_STREAM:
            self._answer = RawUpstream(response, self._provider.name, sent=sent)
        else:
            body = await read_bounded(response)
            self.error = _refused(response, content_type, body, self._provider)
            self.error.sent = sent
        return response.status

    def take(self) -> RawUpstream:
        """Hand the answer out. Raises UpstreamError where there is none."""
        answer, self._answer = self._answer, None
        if answer is None:
            raise self.error or _unsent(self._provider)
        return answer

    def untie(self, placeholder: Placeholder) -> None:
        """Remember what the SDK was given for a response, whose cycle `close` will cut.

        httpx 0.28 makes a response and its stream know each other. Left to the garbage collector
        they and what they hold pile up by the thousand (service.hedging.runner).
        """
        self._placeholder = placeholder

    def close(self) -> None:
        """Close the answer that nobody took, and cut what the SDK was given for a response."""
        if self._answer is not None:
            self._answer.close()
        if self._placeholder is not None:
            self._placeholder.stream = None
            self._placeholder = None


_current: ContextVar[Exchange] = ContextVar("exchange")


def current() -> Exchange:
    """The exchange whose SDK call this runs in. Raises LookupError outside of one."""
    return _current.get()


async def through(
    sdk: Callable[[Encoded, bytes], Awaitable[object]],
    encoded: Encoded,
    provider: Provider,
    *,
    connect_timeout: float,
    raises: type[Exception] | tuple[type[Exception], ...],
) -> RawUpstream:
    """Send `encoded` by calling `sdk` with it and its bytes; wait for the headers.

    Args:
        sdk: Sends over a transport that performs the `current` exchange; its result is not used.
        encoded: What to send.
        provider: Whose address it goes to: errors are read and named by it.
        connect_timeout: Seconds for name, TCP and TLS together.
        raises: The SDK's own exceptions.

    Raises:
        UpstreamError: Where there was no connection, an error status, or no event stream.
    """
    # Not orjson: it refuses the integers beyond 64 bits that a JSON Schema may hold.
    body = msgspec.json.encode(encoded.body)
    exchange = Exchange(provider, body, connect_timeout)
    token = _current.set(exchange)
    try:
        await sdk(encoded, body)
        return exchange.take()
    except raises as failure:
        raise exchange.error or _unsent(provider) from failure
    finally:
        _current.reset(token)
        exchange.close()


# --- What an answer means -------------------------------------------------------------------


def _media_type(response: aiohttp.ClientResponse) -> str:
    """The content type without its parameters.

    None at all counts as an event stream: the address was asked for one, small servers of one's
    own forget the header, and a decoder says soon enough what it is not.
    """
    stated = response.headers.get("Content-Type", _EVENT_STREAM)
    return stated.partition(";")[0].strip().lower()


def _refused(
    response: aiohttp.ClientResponse, content_type: str, body: bytes, provider: Provider
) -> UpstreamError:
    status, said = response.status, parsed(body)
    failure = Failure(status=status, body=said, headers=response.headers)
    if status >= _FIRST_ERROR_STATUS or (status == _OK and _tells_of_failure(said)):
        return UpstreamError(classify(failure, provider), reached="refused", status=status)
    what = f"status {status}" if status != _OK else f"{content_type[:100] or 'an empty type'}"
    message = f"The provider answered with {what}, not with an event stream."
    malformed = make(ErrorCode.UPSTREAM_MALFORMED, message, provider=provider.name)
    reached: Reached = "taken" if status == _OK else "refused"
    return UpstreamError(malformed, reached=reached, status=status)


def _tells_of_failure(said: object) -> bool:
    """Whether a 200 holds an error: as a whole answer that failed does, also inside a list."""
    if isinstance(said, list):
        return any(_tells_of_failure(part) for part in said[:1])
    return isinstance(said, dict) and (bool(said.get("error")) or said.get("status") == "failed")


# --- What the lack of one means -------------------------------------------------------------

_Silence = tuple[type[Exception], ErrorCode, str]
_SILENCES: Final[tuple[_Silence, ...]] = (
    (
        aiohttp.ConnectionTimeoutError,
        ErrorCode.UPSTREAM_CONNECT,
        "The provider could not be reached in time.",
    ),
    (
        aiohttp.ClientConnectorDNSError,
        ErrorCode.UPSTREAM_CONNECT,
        "The provider's host name could not be resolved.",
    ),
    (
        aiohttp.ClientSSLError,
        ErrorCode.UPSTREAM_CONNECT,
        "No TLS connection to the provider could be made.",
    ),
    (
        aiohttp.ClientConnectorError,
        ErrorCode.UPSTREAM_CONNECT,
        "The provider could not be reached.",
    ),
    (
        aiohttp.ClientResponseError,
        ErrorCode.UPSTREAM_MALFORMED,
        "The provider's answer is not HTTP.",
    ),
)
"""The first that fits, holds."""
_CLOSED = "The provider closed the connection before it answered."


def _unanswered(silence: Exception, provider: Provider) -> UpstreamError:
    for kind, code, message in _SILENCES:
        if isinstance(silence, kind):
            reached: Reached = "unsent" if code is ErrorCode.UPSTREAM_CONNECT else "taken"
            return UpstreamError(make(code, message, provider=provider.name), reached=reached)
    # It broke after the request had gone out: nobody knows what the provider made of it.
    return UpstreamError(make(ErrorCode.UPSTREAM_CONNECT, _CLOSED, provider=provider.name))


def _unsent(provider: Provider) -> UpstreamError:
    message = "The provider's SDK refused to send the request."
    failure = make(ErrorCode.INTERNAL, message, provider=provider.name)
    return UpstreamError(failure, reached="unsent")
