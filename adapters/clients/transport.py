"""The connections that all SDKs share, and the two HTTP libraries' transports over them.

openai, anthropic, mistralai and google-genai are written for httpx2, groq for httpx 0.28; under
both stands one aiohttp session, `Connections`, opened once and closed by its owner. A request comes
down through the library as the SDK built it, goes out by aiohttp, and the library gets to see a
status: the response stays in the `exchange`, where the client takes it from.

Connections are kept alive for 55 s, just under the 60 s after which many load balancers drop an
idle one. They still lose that race now and then, and a request that goes out on a connection the
other side has just closed dies without an answer. Such a request, and only such a one, is sent once
more: on a connection that had served before, no byte of an answer seen. It goes over a second
session that never reuses, for the next pooled connection may be as dead as the first. On a fresh
connection, or after one byte, the provider may have begun to work (and to bill): that is an error.

Left out on purpose: proxies, netrc and cookies (`trust_env=False`, no jar), redirects (they would
take the key elsewhere), read timeouts (aiohttp re-arms one on every read, 0.7 us; deadlines are the
caller's), a pool limit (waiting for a slot would look like a slow provider), HTTP/2, compression
(asked for by none of our requests: `identity` saves its latency and CPU; an answer that is
compressed all the same is decompressed).
"""

import io
from collections.abc import Mapping
from functools import lru_cache, partial

import aiohttp
import httpx
import httpx2
from typing_extensions import override
from yarl import URL

from adapters.clients import exchange
from adapters.clients.line import Connector, StaleConnectionError

KEEPALIVE = 55.0  # seconds
DNS_TTL = 60  # seconds

_LARGE = 1024 * 1024  # bytes; from there on aiohttp warns of one piece


class Connections:
    """Owns every connection to a provider. Opened on the running loop, once."""

    def __init__(self) -> None:
        """Nothing is opened yet."""
        self._session: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Get ready to send; no connection is made before the first request."""
        self._session = _session(Connector(keepalive_timeout=KEEPALIVE, ttl_dns_cache=DNS_TTL))
        self._fresh = _session(Connector(force_close=True, ttl_dns_cache=DNS_TTL))

    async def close(self) -> None:
        """Close every connection, at once."""
        for session in (self._session, self._fresh):
            if session is not None:
                await session.close()
        self._session = self._fresh = None

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, connect_timeout: float
    ) -> aiohttp.ClientResponse:
        """Send a request, and once more where a reused connection was dead; wait for the headers.

        Args:
            url: As the SDK built it: not escaped again.
            headers: As the SDK built them; the framing is aiohttp's own.
            body: What is sent.
            connect_timeout: Seconds for name, TCP and TLS together.

        Raises:
            aiohttp.ClientError: No connection, none in time, or no answer in HTTP.
            OSError: As above, from below.
            RuntimeError: Before `open` or after `close`.
        """
        if self._session is None or self._fresh is None:
            raise RuntimeError("the connections are not open")
        send = partial(
            _send, URL(url, encoded=True), _sent(headers), body, _timeout(connect_timeout)
        )
        try:
            return await send(self._session)
        except StaleConnectionError:
            return await send(self._fresh)


async def _send(
    url: URL,
    headers: Mapping[str, str],
    body: bytes,
    limits: aiohttp.ClientTimeout,
    session: aiohttp.ClientSession,
) -> aiohttp.ClientResponse:
    # What is large goes out in pieces, so that it does not hold up the loop.
    data = body if len(body) <= _LARGE else io.BytesIO(body)
    return await session.post(
        url, headers=headers, data=data, timeout=limits, allow_redirects=False
    )


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
    )


_FRAMING = frozenset(
    {"accept-encoding", "connection", "content-length", "host", "transfer-encoding"}
)


def _sent(headers: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in headers.items() if name.lower() not in _FRAMING}
    return {**kept, "Accept-Encoding": "identity"}


@lru_cache(maxsize=64)
def _timeout(connect: float) -> aiohttp.ClientTimeout:
    # `connect` and not `sock_connect`, which leaves the resolver out and starts anew for every
    # address of a host; without a pool limit there is no wait for a slot in it. The threshold
    # keeps aiohttp from rounding up to whole seconds.
    return aiohttp.ClientTimeout(total=None, connect=connect, ceil_threshold=connect)


# --- The two HTTP libraries -----------------------------------------------------------------


def httpx2_client(connections: Connections) -> httpx2.AsyncClient:
    """A client for SDKs on httpx2; closing it closes no connection."""
    return httpx2.AsyncClient(transport=_Httpx2Transport(connections), trust_env=False)


def httpx_client(connections: Connections) -> httpx.AsyncClient:
    """A client for SDKs on httpx 0.28; closing it closes no connection."""
    return httpx.AsyncClient(transport=_HttpxTransport(connections), trust_env=False)


class _Httpx2Transport(httpx2.AsyncBaseTransport):
    def __init__(self, connections: Connections) -> None:
        self._post = connections.post

    @override
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            status = await exchange.current().perform(self._post, str(request.url), request.headers)
        except (aiohttp.ClientError, OSError) as silence:
            raise httpx2.NetworkError("no answer", request=request) from silence
        return httpx2.Response(status, json={})


class _HttpxTransport(httpx.AsyncBaseTransport):
    def __init__(self, connections: Connections) -> None:
        self._post = connections.post

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            status = await exchange.current().perform(self._post, str(request.url), request.headers)
        except (aiohttp.ClientError, OSError) as silence:
            raise httpx.NetworkError("no answer", request=request) from silence
        response = httpx.Response(status, json={})
        exchange.current().untie(response)
        return response
