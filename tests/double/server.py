"""The double itself: an aiohttp server, the choice of what to play, and the log of what it saw.

What a request gets is chosen in this order: the next script of the queue, the next script for its
provider, the next script for its model, what the chooser says, the default. Which manner it is
answered in: the script's, then the double's, then the one the path is best known for. A path no
provider has is answered 404 and takes nothing from the queue.

Everything is counted. `requests` is the log; `active`, `open_connections` and `unplayed` are 0
where nothing is left; and whatever a test wants to wait for has an awaitable that fails in words
instead of hanging. The double lives in the event loop that started it; `close()` resets every
connection and waits for its handlers.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Self

import orjson
from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from typing_extensions import override

from tests.double.exchange import Exchange
from tests.double.listing import listing, lists
from tests.double.paths import BASE_PATHS, Route, route_of
from tests.double.script import DEFAULT, Script, http_answer
from tests.double.seen import PATIENCE, Seen, as_sent
from tests.double.steps import Steps
from tests.double.wire.voices import voice_for

Chooser = Callable[[Seen], Script | None]

LOG_PATH = "/double/requests"
"""GET: the log as JSON, for a double that runs as a process of its own."""

_MAX_BODY = 64 * 1024 * 1024  # bytes
_BACKLOG = 4096  # thousands of streams open at once

_NO_SUCH_PATH = http_answer(404, {"error": {"message": "the double knows no such path"}})


class Double:
    """A server that answers as any of the providers.

    `speaks` names the provider whose manner is used where a script does not say: one name for all
    requests, or a function of the request. None: by path.
    """

    def __init__(self, *, speaks: str | Callable[[Seen], str] | None = None) -> None:
        """Know nothing yet: every request gets the default answer."""
        self.requests: list[Seen] = []
        """Every request, in the order of arrival."""
        self.models: list[str] = []
        """What a GET for the list of models names."""
        self.default = DEFAULT
        """What is played where nothing else was said."""
        self._speaks = speaks
        self._queue: deque[Script] = deque()
        self._of_provider: dict[str, deque[Script]] = {}
        self._of_model: dict[str, deque[Script]] = {}
        self._chooser: Chooser | None = None
        self._active = 0
        self._connections: _Connections | None = None
        self._listener: asyncio.Server | None = None
        self._waiting: list[asyncio.Future[None]] = []

    # --- Running ---

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one."""
        self._connections = _Connections(self._handle, self._changed)
        self._listener = await asyncio.get_running_loop().create_server(
            self._connections, host, port, backlog=_BACKLOG
        )

    async def close(self) -> None:
        """Stop listening, reset every connection, wait until nothing is left."""
        if self._listener is None or self._connections is None:
            return
        self._listener.close()
        self._connections.abort()
        await self.quiet()
        await self.deserted()
        await self._listener.wait_closed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def url(self) -> str:
        """Scheme, host and port, without a path."""
        assert self._listener is not None, "the double was not started"
        host, port = self._listener.sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    def base_url(self, provider: str) -> str:
        """The address that stands for the provider's own base URL."""
        return self.url + BASE_PATHS[provider]

    # --- What to play ---

    def script(self, *scripts: Script) -> None:
        """Play these for the next requests, one each."""
        self._queue.extend(scripts)

    def on_provider(self, provider: str, *scripts: Script) -> None:
        """Play these for the requests to that provider, one each; the last one stays.

        Whoever asks several at once does so in no order that a queue could follow.
        """
        self._of_provider[provider] = deque(scripts)

    def on_model(self, model: str, *scripts: Script) -> None:
        """Play these for the requests for that model, one each; the last one stays."""
        self._of_model[model] = deque(scripts)

    def choose(self, chooser: Chooser) -> None:
        """Ask this for every request that has no script; None: the default."""
        self._chooser = chooser

    @property
    def unplayed(self) -> int:
        """Scripts in the queue that no request has come for."""
        return len(self._queue)

    # --- What was seen ---

    def asked(self, provider: str) -> list[Seen]:
        """The requests to that provider, in the order of arrival."""
        return [seen for seen in self.requests if seen.provider == provider]

    @property
    def active(self) -> int:
        """Requests being answered now."""
        return self._active

    @property
    def open_connections(self) -> int:
        """Connections that are open now, idle ones included."""
        return 0 if self._connections is None else len(self._connections)

    @property
    def accepted(self) -> int:
        """Connections accepted so far."""
        return 0 if self._connections is None else self._connections.accepted

    async def seen(self, number: int) -> Seen:
        """Wait for the `number`-th request, counted from 1."""
        await self.until(
            lambda: len(self.requests) >= number,
            lambda: f"request {number} to arrive, there are {len(self.requests)}",
        )
        return self.requests[number - 1]

    async def quiet(self) -> None:
        """Wait until no request is being answered."""
        await self.until(lambda: self.active == 0, lambda: f"{self.active} requests to be over")

    async def deserted(self) -> None:
        """Wait until no connection is open."""
        await self.until(
            lambda: self.open_connections == 0,
            lambda: f"{self.open_connections} connections to be closed",
        )

    async def until(self, holds: Callable[[], bool], what: Callable[[], str]) -> None:
        """Wait until something holds; `what` says what did not come, in words."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not holds():
                    change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                    self._waiting.append(change)
                    await change
        except TimeoutError:
            message = f"waited {PATIENCE} s for {what()}"
            raise AssertionError(message) from None

    def _changed(self) -> None:
        waiting, self._waiting = self._waiting, []
        for change in waiting:
            if not change.done():
                change.set_result(None)

    # --- Answering ---

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == LOG_PATH:
            return web.Response(body=self._log(), content_type="application/json")
        seen = await self._note(request)
        loop = asyncio.get_running_loop()
        self._active += 1
        self._changed()
        try:
            return await Exchange(request, seen).play(self._steps(seen))
        except (asyncio.CancelledError, ConnectionResetError):
            seen.end("left", loop.time())
            raise
        finally:
            seen.end("cut", loop.time())  # only where the script itself failed
            self._active -= 1
            self._changed()

    async def _note(self, request: web.BaseRequest) -> Seen:
        """Read the request and put it into the log."""
        assert self._connections is not None, "a request without a server"
        arrived = asyncio.get_running_loop().time()
        connection, turn = self._connections.turn_of(request.protocol)
        is_post = request.method == "POST"
        seen = Seen(
            number=0,
            method=request.method,
            path=request.raw_path,
            headers=as_sent(request.raw_headers),
            body=_parsed(await request.read()),
            route=route_of(request.path, request.query) if is_post else None,
            connection=connection,
            turn=turn,
            arrived=arrived,
        )
        if seen.route is not None:
            seen.provider = self._manner(seen, seen.route)
        self.requests.append(seen)
        seen.number = len(self.requests)
        return seen

    def _steps(self, seen: Seen) -> Steps:
        route = seen.route
        if seen.method == "GET" and lists(seen.path):
            script = self._queue.popleft() if self._queue else listing(seen, self.models)
            return script.steps(voice_for("openai", "chat"), seen.ask)
        if route is None:
            return _NO_SUCH_PATH.steps(voice_for("openai", "chat"), seen.ask)
        script = self._chosen(seen)
        return script.steps(voice_for(script.provider or seen.provider, route.api), seen.ask)

    def _chosen(self, seen: Seen) -> Script:
        if self._queue:
            return self._queue.popleft()
        for scripts in (self._of_provider.get(seen.provider), self._of_model.get(seen.model)):
            if scripts:
                return scripts.popleft() if len(scripts) > 1 else scripts[0]
        chosen = self._chooser(seen) if self._chooser is not None else None
        return chosen or self.default

    def _manner(self, seen: Seen, route: Route) -> str:
        if self._speaks is None:
            return route.provider
        return self._speaks if isinstance(self._speaks, str) else self._speaks(seen)

    def _log(self) -> bytes:
        return orjson.dumps(
            [
                {
                    "number": seen.number,
                    "path": seen.path,
                    "provider": seen.provider,
                    "model": seen.model,
                    "arrived": seen.arrived,
                    "first_at": seen.first_at,
                    "last_at": seen.last_at,
                    "left_at": seen.left_at,
                    "ending": seen.ending,
                    "sent": seen.sent,
                }
                for seen in self.requests
            ]
        )


class _Connections(web.Server):
    """aiohttp's low-level server, which also counts its connections and their requests."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        changed: Callable[[], None],
    ) -> None:
        super().__init__(
            handler,
            request_factory=self._request,
            handler_cancellation=True,
            access_log=None,
        )
        self._changed = changed
        self._open: dict[web.RequestHandler, asyncio.Transport] = {}
        self._numbers: dict[web.RequestHandler, list[int]] = {}
        self.accepted = 0

    def __len__(self) -> int:
        return len(self._open)

    @override
    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self.accepted += 1
        self._open[handler] = transport
        self._numbers[handler] = [self.accepted, 0]
        self._changed()

    @override
    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        super().connection_lost(handler, exc)
        self._open.pop(handler, None)
        self._numbers.pop(handler, None)
        self._changed()

    def turn_of(self, handler: web.RequestHandler) -> tuple[int, int]:
        """The connection's number, and the number of this request on it, both from 1."""
        numbers = self._numbers[handler]
        numbers[1] += 1
        return numbers[0], numbers[1]

    def abort(self) -> None:
        """Close every connection at once."""
        for transport in list(self._open.values()):
            transport.abort()

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        loop = asyncio.get_running_loop()
        return web.BaseRequest(
            message, payload, protocol, writer, task, loop, client_max_size=_MAX_BODY
        )


def _parsed(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
