"""The composition root: the only module that knows every room.

`Service` holds what lives as long as the process: the shared connections, the deployment (who can
be asked), the relay and the routes over it. `serve` runs one on a socket until SIGTERM or SIGINT,
drains, and leaves nothing behind; SIGHUP reads the configuration anew and swaps the deployment,
while running streams keep the clients they started with. As one of several workers, it does so when
its parent says so (`service.seat`).
"""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import uvloop
from aiohttp import web

from adapters.clients import factory
from adapters.clients.transport import Connections
from adapters.contract import Client, Endpoint
from adapters.errors import make
from adapters.events import ErrorCode
from adapters.registry import COMPATIBLE, PROVIDERS
from service import clock, discovery, endpoints, integrations, tasks
from service.description import asyncapi, openapi
from service.dialects.chat_completions import ChatCompletions
from service.dialects.messages import Messages
from service.endpoints import Inactive
from service.hedging.runner import LONGEST_CLOSE
from service.hedging.shared import Shared
from service.http.borrowed import Borrowed
from service.http.coordination import Coordination
from service.http.count_tokens import CountTokens
from service.http.described import Described
from service.http.metrics import Scrapes
from service.http.models import Models
from service.http.native import Native
from service.http.operations import Operations
from service.http.origins import Origins
from service.http.plan import Plans
from service.http.problems import typed_errors
from service.http.providers import Providers
from service.http.responses import ResponsesRoutes
from service.http.responses_ws import ResponsesSockets
from service.http.server import Runner
from service.http.turns import Turns
from service.http.ui_chat import UiChat
from service.http.ui_socket import UiSockets
from service.http.usage import Usage
from service.http.web import WebApp
from service.http.websocket import WebSockets
from service.overrides import Overrides
from service.relay import Deployment, Relay
from service.routing import table as routing_table
from service.seat import Orders, Seat, announce, cannot_listen, log_format
from service.settings import Server, Settings, SettingsError
from service.streams.shared import SharedStreams
from service.streams.store import Store
from service.telemetry.lag import LagWatch
from service.telemetry.metrics import Metrics, OfAllWorkers, Readings, Snapshot
from service.telemetry.spending import Spending
from service.telemetry.stats import Stats
from service.usage.client import Address, AddressError, connect
from service.usage.embedded import Embedded
from service.usage.live import Live
from service.usage.pipeline import Pipeline

SWEEP = 5.0  # seconds
"""How often expired streams are forgotten: often enough that memory follows the TTL closely."""

RESUME_URL = "RESUME_REDIS_URL"
"""Where streams are shared, if not where usage is counted: they take more memory than all else."""

RESUME_TIMEOUT = 2.0  # seconds
"""For an answer of that Redis: longer than a read there waits, shorter than a reader would."""

_log = logging.getLogger(__name__)


class Service:
    """Everything that lives as long as the process."""

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], seat: Seat | None = None
    ) -> None:
        """Nothing is opened yet; `start` does that, on the running loop.

        `seat`: its place among several workers on one port; None where it is alone. Raises
        SettingsError where what the admin API once changed cannot be read.
        """
        self.settings = settings
        """As the process started; what a reload changes is handed to whom it concerns."""
        self._environ = environ
        self._streams_elsewhere = _streams_at(environ)
        """The Redis that streams are shared on, where it is not the engine."""
        self._seat = seat
        self._configured = settings
        """As read last, without what the admin API changed."""
        self._reloading = asyncio.Lock()
        self._connections = Connections()
        self._sweeper: asyncio.TimerHandle | None = None
        self._overrides = Overrides.read(
            settings.server.data, tell=None if seat is None else seat.changed
        )
        self._stats = Stats()
        self._spending = Spending()
        self.pipeline = Pipeline(settings, environ, on_failure=self._usage_failed)
        self._usage_events = Live(self.pipeline.sources)
        self.on_fatal: Callable[[], None] = _nothing
        """Called where this process cannot go on, and a new one may."""
        self._metrics = Metrics(listed=self._lists, readings=self._readings())
        self._lag = LagWatch(self._lagged)
        self.shared = Shared.fresh(
            self._stats,
            self._metrics,
            self._spending,
            settings=settings.hedging,
            meter=self.pipeline.meter,
            look=self._lag.look,
        )
        self.relay = Relay(
            Store(ttl=settings.streams.ttl_s),
            Deployment({}, {}, routing_table.build(settings, {})),
            self.shared,
            max_bytes=settings.streams.max_bytes,
            max_events=settings.streams.max_events,
        )
        self._sockets = WebSockets(self.relay, settings.websocket, settings.streams)
        self._turns = Turns(self.relay)
        self._ui_sockets = UiSockets(self._turns, settings.websocket, settings.streams)
        self._responses = ResponsesRoutes(self.relay, settings.streams)
        self._response_sockets = ResponsesSockets(
            self.relay, self._responses.earlier, settings.websocket, settings.streams
        )
        self._origins = Origins(settings.server)

    async def start(self) -> None:
        """Open the shared connections and the journal, and build every SDK's client.

        Raises SettingsError for a key or an address that cannot stand, or a data folder, an engine
        or a database that cannot be used.
        """
        self._look_for_integrations()
        await self._connections.open()
        _ = await self._load_sdks(self._configured)
        self.relay.deployment = self._deploy()
        await self.pipeline.start()
        if self.pipeline.engine.address is not None:
            await self.shared.reservations.start(self.pipeline.connect)
        self.relay.processes = await self._share_streams()
        self._sweep()
        self._lag.start()

    async def reload(self, settings: Settings) -> None:
        """Swap the deployment; raises SettingsError and changes nothing where it cannot stand."""
        async with self._reloading:  # one after the other: the last one read is what holds
            if await self._load_sdks(settings):
                # As `spare_the_collector`, which would stop the tokens to collect first.
                gc.freeze()
            before = self._configured
            self._configured = settings
            try:
                self._redeploy()
            except SettingsError:
                self._configured = before
                raise
            self._origins.server = settings.server
            self._look_for_integrations()

    async def follow(self, provider: str, enabled: bool) -> None:  # noqa: FBT001 - as `Orders.follow`
        """Do as another worker did, which changed a provider, and switched it on or not."""
        try:
            await self._overrides.follow(self._redeploy)
        except SettingsError as refusal:
            _log.warning("%s was changed for others, and not here: %s", provider, refusal)
            return
        if enabled:
            self.shared.health.key_changed(provider)

    async def figures(self) -> bytes:
        """What is counted here, for another worker that is asked for the metrics."""
        return await asyncio.to_thread(self._metrics.snapshot().packed)

    def application(self) -> web.Application:
        """The routes, ready for a runner."""
        native = Native(self.relay, self.settings.streams)
        streams = self.settings.streams
        providers = Providers(
            self.relay,
            self._overrides,
            limits=self.shared.limits,
            health=self.shared.health,
            stats=self._stats,
            prices=self.shared.prices,
            heed=self._redeploy,
        )
        coordination = Coordination(
            self.relay, native, self._spending, self._overrides, self.pipeline.reading
        )
        shaped = (
            Borrowed(self.relay, streams, ChatCompletions(), "/v1/chat/completions"),
            Borrowed(self.relay, streams, Messages(), "/v1/messages"),
            self._responses,
            Models(self.relay),
            UiChat(self._turns, streams),
            coordination,
        )
        shapes = {path: shape for room in shaped for path, shape in room.shapes().items()}
        app = web.Application(
            middlewares=[typed_errors(shapes)],
            client_max_size=self.settings.server.max_body_bytes,
        )
        self._origins.install(app)
        for room in (
            *shaped,
            native,
            self._sockets,
            self._ui_sockets,
            self._response_sockets,
            Plans(self.relay),
            CountTokens(),
            providers,
            Scrapes(self._metrics, None if self._seat is None else self._joined(self._seat)),
            Usage(self.pipeline.reading, self._usage_events, streams),
            Operations(self.relay, lambda: self.pipeline.engine),
            Described({"/openapi.json": openapi.document, "/asyncapi.json": asyncapi.document}),
            WebApp(),
        ):
            app.add_routes(room.routes())
        return app

    async def drain(self) -> None:
        """Take no new streams, let running ones finish for a while, then end them."""
        self.relay.draining = True
        limit = self.settings.server.drain_s
        self._sockets.drain(limit)
        self._ui_sockets.drain()
        self._response_sockets.drain()
        running = [stream.over() for stream in self.relay.store.live]
        try:
            async with asyncio.timeout(limit):
                await asyncio.gather(*running)
        except TimeoutError:
            await self._end_streams()
        self._usage_events.close()

    async def _end_streams(self) -> None:
        """End what still runs, and wait until it has: an end comes when what was used is safe."""
        late = self.relay.store.live
        for stream in late:
            stream.stop(make(ErrorCode.DRAINING, "the service is shutting down"))
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_CLOSE):
                await asyncio.gather(*(stream.over() for stream in late))

    async def close(self) -> None:
        """Close every connection; nothing of the service is left after it."""
        self._lag.stop()
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self.relay.processes is not None:
            await self.relay.processes.close()
        await self.shared.reservations.stop()
        await self.pipeline.stop()
        await tasks.settle(patience=1)
        for client in self.relay.deployment.clients.values():
            await client.close()
        await self._connections.close()

    async def _share_streams(self) -> SharedStreams | None:
        """Let other processes serve our streams and us theirs, where there can be any.

        A server of our own with one process has nobody to share with, and what it is told of every
        answer would end on the disk.
        """
        streams, engine = self.settings.streams, self.pipeline.engine
        alone = isinstance(engine, Embedded) and self.settings.server.workers == 1
        address = self._streams_elsewhere or (None if alone else engine.address)
        if address is None or not streams.shared:
            return None
        processes = SharedStreams(
            self.relay.store,
            lambda most: connect(address, connections=most, timeout=RESUME_TIMEOUT),
            max_bytes=streams.max_bytes,
            max_events=streams.max_events,
        )
        await processes.start()
        return processes

    def _look_for_integrations(self) -> None:
        """Warn of each that is missing; of several workers the first one does."""
        if self._seat is not None and self._seat.number > 0:
            return
        for each in integrations.look(self._configured.integrations, self._environ):
            if each.warning is not None:
                _log.warning("%s", each.warning)

    def _usage_failed(self) -> None:
        self.on_fatal()

    async def _load_sdks(self, configured: Settings) -> bool:
        """Import what the providers need, those that are switched off included; whether any is new.

        An SDK takes up to 1.2 s: in a thread, so that tokens flow when it is wanted later. Raises
        SettingsError where one cannot be imported.
        """
        settings = self._overrides.apply(configured, PROVIDERS)
        known = endpoints.resolve(PROVIDERS, COMPATIBLE, settings, self._environ)
        wanted = {
            entry.provider.client
            for entry in known.values()
            if isinstance(entry, Endpoint) or entry.reason == "disabled"
        }
        try:
            return await asyncio.to_thread(factory.load, wanted)
        except ImportError as failure:
            raise SettingsError(
                f"providers: an SDK cannot be imported: {failure}: "
                "allowed is what is installed as requirements.lock has it"
            ) from failure

    def _deploy(self) -> Deployment:
        """Who can be asked, by the settings and what the admin API changed of them."""
        settings = self._overrides.apply(self._configured, PROVIDERS)
        known = self._told(endpoints.resolve(PROVIDERS, COMPATIBLE, settings, self._environ))
        table = routing_table.build(settings, known)
        clients = {
            name: self._client(name, entry)
            for name, entry in known.items()
            if isinstance(entry, Endpoint)
        }
        self.shared.limits.follow(settings.providers)
        return Deployment(known, clients, table)

    def _client(self, name: str, endpoint: Endpoint) -> Client:
        """The provider's client: the one there is, unless its endpoint has changed.

        To build one takes 1 to 20 ms, in which no token flows.
        """
        running = self.relay.deployment
        if running.known.get(name) == endpoint:
            return running.clients[name]
        return factory.build(endpoint, self._connections)

    def _told(self, known: dict[str, Endpoint | Inactive]) -> dict[str, Endpoint | Inactive]:
        """With what the providers' own lists said, if they were asked (`catalog refresh`)."""
        try:
            found = discovery.load(self.settings.server.data / discovery.FILE)
        except discovery.DiscoveryError as failure:
            _log.warning("%s", failure)
            return known
        return {
            name: replace(entry, provider=discovery.marked(entry.provider, found))
            for name, entry in known.items()
        }

    def _redeploy(self) -> None:
        """Put what is configured now into force; raises SettingsError and changes nothing."""
        replaced = self.relay.deployment
        self.relay.deployment = self._deploy()
        for name, entry in self.relay.deployment.known.items():
            if _key(entry) != _key(replaced.known.get(name)):
                self.shared.health.key_changed(name)
        kept = set(map(id, self.relay.deployment.clients.values()))
        old = [client for client in replaced.clients.values() if id(client) not in kept]
        if old:
            # Streams that started with the old clients finish with them.
            _ = tasks.spawn(self._retire(old), name="retire clients")

    async def _retire(self, clients: Iterable[Client]) -> None:
        for stream in self.relay.store.live:
            await stream.over()
        for client in clients:
            await client.close()

    def _lagged(self, seconds: float, now: float) -> None:
        """This process was late itself: nobody is to be called slow for it."""
        self.shared.hedger.lag(seconds, now)
        self._metrics.lag(seconds, now)

    def _joined(self, seat: Seat) -> Callable[[Snapshot], Awaitable[Snapshot]]:
        async def joined(own: Snapshot) -> Snapshot:
            of = await seat.gather()
            told = seat.number, own
            return OfAllWorkers(told, of.figures, missing=of.missing, restarts=of.restarts)

        return joined

    def _lists(self, provider: str, model: str) -> bool:
        entry = self.relay.deployment.known.get(provider)
        return entry is not None and any(model == listed.id for listed in entry.provider.models)

    def _readings(self) -> Readings:
        """What a scrape asks for; called later, when everything is there."""
        return Readings(
            streams=lambda: len(self.relay.store.live),
            breakers=self._breakers,
            denials=lambda: [(str(why), n) for why, n in self.shared.hedger.denials.items()],
            budgets=lambda: self.shared.hedger.saved().items(),
            limits=self._limits_left,
            extra=lambda: [
                (str(role), ratio)
                for role, ratio in self._stats.extra_ratios(clock.monotonic()).items()
            ],
            usage=self.pipeline.counts,
            usage_backlog=self.pipeline.backlog,
            usage_troubles=self.pipeline.troubles,
        )

    def _breakers(self) -> Iterator[tuple[str, str, str]]:
        health, now = self.shared.health, clock.monotonic()
        for target in health.targets():
            yield target.provider, target.model, health.standing(target, now).state.value

    def _limits_left(self) -> Iterator[tuple[str, str, float]]:
        now = clock.monotonic()
        for name in self.relay.deployment.known:
            standing = self.shared.limits.left(name, now)
            for limit, of in (
                ("requests", standing.requests),
                ("tokens", standing.tokens),
                ("streams", standing.streams),
            ):
                if of.left is not None:
                    yield name, limit, of.left

    def _sweep(self) -> None:
        self.relay.store.sweep(clock.monotonic())
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP, self._sweep)


def _nothing() -> None:
    """Nobody is to be told."""


def _streams_at(environ: Mapping[str, str]) -> Address | None:
    """What RESUME_REDIS_URL names; raises SettingsError."""
    url = environ.get(RESUME_URL, "").strip()
    try:
        return Address.parse(url) if url else None
    except AddressError as failure:
        raise SettingsError(f"{RESUME_URL}: {failure}") from None


def _key(entry: Endpoint | Inactive | None) -> str | None:
    return entry.key if isinstance(entry, Endpoint) else None


def serve(settings: Settings, *, reload: Callable[[], Settings], seat: Seat | None = None) -> int:
    """Run the service until it is told to stop; the process's exit code.

    `reload` reads the configuration anew, for SIGHUP; it raises SettingsError. `seat`: this
    process' place among several workers on one port.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=log_format(seat))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings, reload, seat))


async def _serve(settings: Settings, reload: Callable[[], Settings], seat: Seat | None) -> int:
    _make_folder(settings.server.data)
    service = Service(settings, os.environ, seat)
    try:
        await service.start()
        spare_the_collector()
        return await _served(service, reload, seat)
    finally:
        await service.close()


async def _served(service: Service, reload: Callable[[], Settings], seat: Seat | None) -> int:
    """Listen until the end; the process's exit code."""
    runner = Runner(
        service.application(),
        handler_cancellation=True,  # a client that leaves ends its handler, and so detaches
        access_log=None,
        shutdown_timeout=1,
    )
    await runner.setup()
    try:
        server = service.settings.server
        for site in _sites(runner, server, seat):
            try:
                await site.start()
            except OSError as failure:
                raise cannot_listen(server, failure) from None
        if seat is None:
            announce(runner.addresses[0])
        failed = await _until_stopped(service, reload, seat)
        await service.drain()
    finally:
        if seat is not None:
            await seat.leave()
        await runner.cleanup()
    return 1 if failed else 0


def _sites(runner: Runner, server: Server, seat: Seat | None) -> Sequence[web.BaseSite]:
    if seat is None:
        return [web.TCPSite(runner, server.host, server.port)]
    return [web.SockSite(runner, listening) for listening in seat.listening]


def spare_the_collector() -> None:
    """Take what lives as long as the process out of the garbage collector's sight.

    The modules with all five SDKs are 310,000 objects. To look through all of them took 200 ms, in
    which no token flowed, and it happened whenever as many as a quarter of them had come anew.
    """
    gc.collect()
    gc.freeze()


def _make_folder(data: Path) -> None:
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise SettingsError(
            f"server.data: {data}: cannot be made: {failure.strerror}: allowed is a folder, or "
            "where one can be made"
        ) from None


async def _until_stopped(
    service: Service, reload: Callable[[], Settings], seat: Seat | None
) -> bool:
    """Wait for a signal, or for what this process cannot go on after; whether it was that.

    A worker waits for its parent's word, too, whose business a second signal and SIGHUP are.
    """
    stop, fatal = asyncio.Event(), asyncio.Event()

    def end() -> None:
        fatal.set()
        stop.set()

    service.on_fatal = end
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if seat is not None:
        await seat.attend(
            Orders(
                drain=stop.set,
                reload=lambda: service.reload(reload()),
                follow=service.follow,
                figures=service.figures,
            )
        )
        await stop.wait()
        return fatal.is_set()
    loop.add_signal_handler(signal.SIGHUP, _told_to_reload, service, reload)
    await stop.wait()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)  # a second one ends the process at once
    return fatal.is_set()


def _told_to_reload(service: Service, reload: Callable[[], Settings]) -> None:
    _ = tasks.spawn(_reload(service, reload), name="read the configuration again")


async def _reload(service: Service, reload: Callable[[], Settings]) -> None:
    try:
        await service.reload(reload())
    except SettingsError as refusal:
        _log.warning("configuration not changed: %s", refusal)
    else:
        _log.info("configuration read again")
