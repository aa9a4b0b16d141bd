"""The service with one route more, which repeats what it is sent.

Everything below it is what the service's own WebSockets stand on: its application with its
middlewares, its server and connections, and its handshake with the arguments of theirs.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import WSMsgType, web

from service.app import Service
from service.http import handshake
from service.http.server import Runner
from service.settings import Server, Settings, Usage

PATH = "/echo"


async def echo(request: web.Request) -> web.StreamResponse:
    """Repeat every message as what it was, text or binary."""
    settings = Settings()
    ws, _ = await handshake.shaken(request, settings.websocket, settings.streams)
    async for message in ws:
        if message.type is WSMsgType.TEXT:
            await ws.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await ws.send_bytes(message.data)
    return ws


@asynccontextmanager
async def served(data: Path) -> AsyncIterator[str]:
    """Run it on a free port, without a provider's key; the route's URL. `data`: its folder."""
    usage = Usage(engine="in-process", durability="process", ballast_bytes=0)
    service = Service(Settings(server=Server(data=data), usage=usage), {})
    await service.start()
    application = service.application()
    application.router.add_get(PATH, echo)
    runner = Runner(application, handler_cancellation=True, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}{PATH}"
    finally:
        await runner.cleanup()
        await service.close()
