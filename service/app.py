"""The composition root: the only module that knows every room.

`Service` holds what lives as long as the process: the shared connections, the deployment (who can
be asked), the relay and the routes over it. `serve` runs one on a socket until SIGTERM or SIGINT,
drains, and leaves nothing behind; SIGHUP reads the configuration anew and swaps the deployment,
while running streams keep the clients they started with.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import uvloop
from aiohttp import web

from adapters.clients import factory
from adapters.clients.transport import Connections
from adapters.contract import Client, Endpoint
from adapters.errors import make
from adapters.events import ErrorCode
from adapters.registry import COMPATIBLE, PROVIDERS
from service import clock, endpoints, tasks
from service.hedging.shared import Shared
from service.http.coordination import Coordination
from service.http.native import Native
from service.http.operations import Operations
from service.http.origins import Origins
from service.http.plan import Plans
from service.http.problems import typed_errors
from service.http.server import Runner
from service.http.websocket import WebSockets
from service.relay import Deployment, Relay
from service.settings import Settings, SettingsError
from service.streams.store import Store
from service.telemetry.spending import Spending

SWEEP = 5.0  # seconds
"""How often expired streams are forgotten: often enough that memory follows the TTL closely."""

_log = logging.getLogger(__name__)


class Service:
    """Everything that lives as long as the process."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        """Nothing is opened yet; `start` does that, on the running loop."""
        self.settings = settings
        """As the process started; what a reload changes is handed to whom it concerns."""
        self._environ = environ
        self._connections = Connections()
        self._sweeper: asyncio.TimerHandle | None = None
        self._spending = Spending()
        self.relay = Relay(
            Store(ttl=settings.streams.ttl_s),
            Deployment({}, {}),
            Shared.fresh(self._spending),
            max_bytes=settings.streams.max_bytes,
            max_events=settings.streams.max_events,
        )
        self._sockets = WebSockets(self.relay, settings.websocket, settings.streams)
        self._origins = Origins(settings.server)

    async def start(self) -> None:
        """Open the shared connections and build every SDK's client.

        Raises SettingsError for a key or an address that cannot stand.
        """
        await self._connections.open()
        self.relay.deployment = self._deploy(self.settings)
        self._sweep()

    def reload(self, settings: Settings) -> None:
        """Swap the deployment; raises SettingsError and changes nothing where it cannot stand."""
        replaced = self.relay.deployment
        self.relay.deployment = self._deploy(settings)
        self._origins.server = settings.server
        # Streams that started with the old clients finish with them.
        _ = tasks.spawn(self._retire(replaced), name="retire clients")

    def application(self) -> web.Application:
        """The routes, ready for a runner."""
        app = web.Application(
            middlewares=[typed_errors], client_max_size=self.settings.server.max_body_bytes
        )
        self._origins.install(app)
        native = Native(self.relay, self.settings.streams)
        app.add_routes(native.routes())
        app.add_routes(self._sockets.routes())
        app.add_routes(Plans(self.relay).routes())
        app.add_routes(Coordination(self.relay, native, self._spending).routes())
        app.add_routes(Operations(self.relay).routes())
        return app

    async def drain(self) -> None:
        """Take no new streams, let running ones finish for a while, then end them."""
        self.relay.draining = True
        limit = self.settings.server.drain_s
        self._sockets.drain(limit)
        running = [stream.over() for stream in self.relay.store.live]
        try:
            async with asyncio.timeout(limit):
                await asyncio.gather(*running)
        except TimeoutError:
            for stream in self.relay.store.live:
                stream.stop(make(ErrorCode.DRAINING, "the service is shutting down"))

    async def close(self) -> None:
        """Close every connection; nothing of the service is left after it."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        await tasks.settle(patience=1)
        for client in self.relay.deployment.clients.values():
            await client.close()
        await self._connections.close()

    def _deploy(self, settings: Settings) -> Deployment:
        known = endpoints.resolve(PROVIDERS, COMPATIBLE, settings, self._environ)
        clients: dict[str, Client] = {
            name: factory.build(entry, self._connections)
            for name, entry in known.items()
            if isinstance(entry, Endpoint)
        }
        return Deployment(known, clients)

    async def _retire(self, deployment: Deployment) -> None:
        for stream in self.relay.store.live:
            await stream.over()
        for client in deployment.clients.values():
            await client.close()

    def _sweep(self) -> None:
        self.relay.store.sweep(clock.monotonic())
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP, self._sweep)


def serve(settings: Settings, *, reload: Callable[[], Settings]) -> int:
    """Run the service until it is told to stop; the process's exit code.

    `reload` reads the configuration anew, for SIGHUP; it raises SettingsError.
    """
    if settings.server.workers > 1:
        raise SettingsError(
            f"server.workers: {settings.server.workers}: only 1 is allowed: "
            "streams live in the process that started them"
        )
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings, reload))


async def _serve(settings: Settings, reload: Callable[[], Settings]) -> int:
    _make_folder(settings.server.data)
    service = Service(settings, os.environ)
    await service.start()
    runner = Runner(
        service.application(),
        handler_cancellation=True,  # a client that leaves ends its handler, and so detaches
        access_log=None,
        shutdown_timeout=1,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.server.host, settings.server.port)
        try:
            await site.start()
        except OSError as failure:
            address = f"{settings.server.host}:{settings.server.port}"
            raise SettingsError(
                f"server.port: cannot listen on {address}: {failure.strerror}"
            ) from None
        print(f"Tailrace is at {_url(runner)}", flush=True)  # noqa: T201 - the start-up line
        await _until_stopped(service, reload)
        await service.drain()
    finally:
        await runner.cleanup()
        await service.close()
    return 0


def _make_folder(data: Path) -> None:
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise SettingsError(
            f"server.data: {data}: cannot be made: {failure.strerror}: allowed is a folder, or "
            "where one can be made"
        ) from None


async def _until_stopped(service: Service, reload: Callable[[], Settings]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, _reload, service, reload)
    await stop.wait()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)  # a second one ends the process at once


def _reload(service: Service, reload: Callable[[], Settings]) -> None:
    try:
        service.reload(reload())
    except SettingsError as refusal:
        _log.warning("configuration not changed: %s", refusal)
    else:
        _log.info("configuration read again")


def _url(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
