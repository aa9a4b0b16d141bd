"""aiohttp's server, but for what it says to a request that is not HTTP, and for unmasked frames.

Such a request (a wrong Content-Length, a header without a colon) never reaches a route: aiohttp
answers it itself, in plain text, with the bytes it stumbled over, and logs them with a traceback.
Those bytes may be a prompt or a credential. Here it gets the typed error, and the log gets the kind
of fault. aiohttp 3.14 has no option for it, so the server's class is changed after it is made.

A body is decompressed where it is read (`service.http.content_encoding`) and not here: one that
cannot be would be logged with a traceback when aiohttp reads what remains of it after the answer,
and anybody could fill the log so.

A WebSocket's frames go by `service.http.masked` on their way in.
"""

import logging
from collections.abc import Callable

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from typing_extensions import override

from adapters.errors import make
from adapters.events import ErrorCode, Phase
from service.http import problems
from service.http.masked import MaskedOnly, Parser

_log = logging.getLogger(__name__)

_OURS = 500


class Connection(RequestHandler):
    """One client's connection."""

    __slots__ = ()

    @override
    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = _OURS,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what no route can; the connection is closed after it."""
        if request.writer.output_size > 0:
            raise ConnectionError("a response is out already")
        if status >= _OURS:
            _log.error("a request failed in the server", exc_info=exc)
            error = make(ErrorCode.INTERNAL, "the router failed", phase=Phase.BEFORE_STREAM)
        else:
            _log.info("refused a request that is not HTTP: %s", type(exc).__name__)
            said = "the request is not HTTP as it should be: its head or its length is wrong"
            error = make(ErrorCode.INVALID_REQUEST, said, http=status, phase=Phase.BEFORE_STREAM)
        answer = problems.response(error)
        answer.force_close()
        return answer

    @override
    def set_parser(
        self, parser: Parser, data_received_cb: Callable[[], None] | None = None
    ) -> None:
        """From here on `parser` takes what comes; only WebSockets have one."""
        masked = MaskedOnly(parser)
        super().set_parser(masked, data_received_cb)  # type: ignore[arg-type] # it names one class and calls these two methods


class _Server(web.Server):
    @override
    def __call__(self) -> RequestHandler:
        """A connection has come."""
        return Connection(self, loop=self._loop, auto_decompress=False, **self._kwargs)


class Runner(web.AppRunner):
    """aiohttp's runner, with connections of ours."""

    @override
    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = _Server
        return server
