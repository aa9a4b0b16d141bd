"""A line between a client's WebSockets and the service's, which writes down what both sides say.

Each message is passed on as it came; what one side's close says reaches the other.
"""

import asyncio
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

import aiohttp
import orjson
from aiohttp import WSMsgType, web

Side = Literal["client", "server"]
Ws: TypeAlias = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


@dataclass(slots=True)
class Overheard:
    """What was said, by path and side, in its order."""

    service: str
    """Its scheme, host and port."""
    url: str = ""
    """What the client is told to be the service."""
    said: list[tuple[str, Side, dict[str, Any]]] = field(default_factory=list)
    _runner: web.AppRunner | None = None
    _session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        application = web.Application()
        application.router.add_get("/{path:.*}", self._pass)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        assert self._runner is not None
        assert self._session is not None
        await self._runner.cleanup()
        await self._session.close()

    def of(self, path: str, side: Side) -> list[dict[str, Any]]:
        """What one side said on the sockets of a path."""
        return [said for where, who, said in self.said if (where, who) == (path, side)]

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        assert self._session is not None
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        names = [name.strip() for name in offered.split(",") if name.strip()]
        near = web.WebSocketResponse(protocols=names, max_msg_size=0, compress=False)
        await near.prepare(request)
        address = self.service + request.path_qs
        async with (
            self._session.ws_connect(address, protocols=names, max_msg_size=0) as far,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(self._carry(request.path, "client", near, far))
            group.create_task(self._carry(request.path, "server", far, near))
        return near

    async def _carry(self, path: str, side: Side, speaker: Ws, listener: Ws) -> None:
        async for message in speaker:
            assert message.type is WSMsgType.TEXT
            self.said.append((path, side, orjson.loads(message.data)))
            await listener.send_str(message.data)
        await listener.close(code=speaker.close_code or 1000)
