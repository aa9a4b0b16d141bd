"""Which web pages may call this service, and the headers that tell their browser so.

There are no client keys yet, so whoever can send a request spends the provider keys, and a browser
sends requests for any page that asks it to. Two rules keep other people's pages out:

* An `Origin` named in `server.allowed_origins` passes, and so does the service's own, the `Host` it
  was reached at, where that is this machine or `server.insecure` is set. Any other is refused with
  403. Programs that are not browsers send no Origin, and pass.
* While the service listens on loopback only, a `Host` that is neither this machine nor that of an
  allowed origin is refused too: by DNS rebinding a page could make its own name point here, and
  would then be of the same origin.

A refused WebSocket handshake is passed on with the reason in `request[REFUSED]`, because a page
sees a close code (4403) and does not see a status. The headers are added once, when a response is
prepared, so a stream pays nothing for them. A preflight is answered here and goes no further.
"""

from urllib.parse import urlsplit

from aiohttp import web

from adapters.errors import RequestError, make
from adapters.events import Error, ErrorCode, Phase
from service.http import handshake
from service.http.problems import Handler
from service.settings import Server, is_loopback

REFUSED = web.RequestKey("REFUSED", Error)
"""Why a WebSocket handshake is refused; absent where it is not."""

SOCKETS = frozenset({"/v1/ws", "/v1/responses", "/api/chat/ws"})
"""The WebSockets' paths, whose handlers look at `REFUSED`."""

ANY = "*"

_METHODS = "GET, POST, PATCH"

_EXPOSED = (
    "Location, Retry-After, Tailrace-Model, Tailrace-Provider, Tailrace-Stream-Id, x-should-retry"
)

_MAX_AGE = "600"
"""Seconds a browser may remember a preflight: long enough for a chat, short enough that a changed
list takes hold soon."""


class Origins:
    """The rules, as a middleware and a signal handler of one application."""

    def __init__(self, server: Server) -> None:
        """`server` may be replaced when the configuration is read anew."""
        self.server = server

    def install(self, app: web.Application) -> None:
        """Put the rules before every route, and after what words their refusals."""
        app.middlewares.append(self.check)
        app.on_response_prepare.append(self.expose)

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse a foreign page's request; answer a preflight. Raises RequestError."""
        error = self.refusal(request)
        if error is not None and not _is_handshake(request):
            raise RequestError(error)
        if error is not None:
            request[REFUSED] = error
        elif request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return _preflight(request)
        return await handler(request)

    async def expose(self, request: web.Request, response: web.StreamResponse) -> None:
        """Let the page that asked read the response."""
        origin = request.headers.get("Origin")
        if origin is None or self.refusal(request) is not None:
            return
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        response.headers.add("Vary", "Origin")

    def refusal(self, request: web.Request) -> Error | None:
        """Why a request is refused for where it comes from; None: it is not."""
        server = self.server
        if ANY in server.allowed_origins:
            return None
        host = request.headers.get("Host", "").lower()
        if host and not server.insecure and not self._is_ours(host):
            return _denied(f"Host {host[:128]!r} is neither this machine nor an allowed origin's")
        origin = request.headers.get("Origin")
        if origin is None or origin in server.allowed_origins:
            return None
        if self._is_own(origin.lower(), host, request.scheme):
            return None
        return _denied(f"Origin {origin[:128]!r} is not in server.allowed_origins")

    def _is_ours(self, host: str) -> bool:
        name = _name(host)
        allowed = (_name(urlsplit(origin).netloc) for origin in self.server.allowed_origins)
        return is_loopback(name) or name in allowed

    def _is_own(self, origin: str, host: str, scheme: str) -> bool:
        """Whether a page came from here. Others may have put TLS before an insecure server."""
        if self.server.insecure:
            return origin in {f"{scheme}://{host}", f"https://{host}"}
        return origin == f"{scheme}://{host}" and is_loopback(_name(host))


def _is_handshake(request: web.Request) -> bool:
    """Whether a request gets to a handler that looks at `REFUSED`: others share the path."""
    is_socket = request.method == "GET" and request.path in SOCKETS
    return is_socket and handshake.is_asked_for(request)


def _preflight(request: web.Request) -> web.Response:
    """Allow a page that may call whatever headers it asks for.

    A list would keep SDKs out of browsers, which send a dozen of their own and new ones with each
    version, and protects nothing: who may be asked from where was decided before.
    """
    headers = {
        "Access-Control-Allow-Methods": _METHODS,
        "Access-Control-Allow-Headers": request.headers.get("Access-Control-Request-Headers", ""),
        "Access-Control-Max-Age": _MAX_AGE,
    }
    return web.Response(status=204, headers=headers)


def _name(authority: str) -> str:
    """The host of `host:port`; empty where it is neither a name nor an address."""
    try:
        return urlsplit(f"//{authority}").hostname or ""
    except ValueError:
        return ""


def _denied(message: str) -> Error:
    return make(ErrorCode.PERMISSION_DENIED, message, phase=Phase.BEFORE_STREAM)
