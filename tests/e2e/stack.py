"""The whole service in this process, on a real socket, before a double that plays all providers.

`stack` starts `service.app.Service` as `serve` does, with an invented key and the double's address
for each provider it is told of: the SDKs, the connections, the relay, the log and the HTTP room are
the real ones, and so are the sockets on both sides. Only the providers' bytes are made up. The
double speaks in the manner of the provider whose key a request carries.

`Stack.ask` sends one request and reads its answer to the end as a client would (`Told`), held to
the grammar. And every test that starts a stack is held to this: when it is over, however it went
for its streams, no task, timer, connection, socket, reader or live stream is there that was not
there before it began.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import aiohttp
import orjson
from aiohttp import web

from adapters.registry import FIFTEEN
from service import tasks
from service.app import Service
from service.http.server import Runner
from service.http.sse import Pulse
from service.settings import Settings
from service.streams.stream import Stream
from tests.double.paths import BASE_PATHS
from tests.double.script import Script
from tests.double.seen import Seen
from tests.double.server import Double
from tests.e2e import grammar
from tests.service.http.serving import parsed

PATIENCE = 10.0
"""Seconds that what must go away may take before a test says what is left."""

SOON = 2.0  # seconds
"""A timer that is due by then is no leak."""

RHYTHMS = (Service, Pulse)
"""Whose timers belong to the process and not to a request."""

NAMES = tuple(FIFTEEN)

ONE_OF_EACH = ("claude", "openai", "perplexity", "groq", "mistral", "gemini")
"""A provider for each SDK and each dialect; perplexity's is the Responses API."""


def key_of(provider: str) -> str:
    """The invented key of a provider; it names its owner, so a stray one shows where it is from."""
    return f"test-key-{provider}"


def variables(address: str, providers: Iterable[str] = NAMES) -> dict[str, str]:
    """The environment in which these providers have a key and live at that scheme and host."""
    environ: dict[str, str] = {}
    for name in providers:
        provider = FIFTEEN[name]
        environ[provider.key_vars[0]] = key_of(name)
        environ[provider.address_var] = address + BASE_PATHS[name]
    return environ


def speaks(seen: Seen) -> str:
    """Whose manner the double answers in: the key's owner's, else the path's."""
    owner = (seen.key or "").removeprefix("test-key-")
    assert seen.route is not None, f"no provider has the path {seen.path}"
    return owner if owner in FIFTEEN else seen.route.provider


def question(model: str, **fields: object) -> dict[str, object]:
    """The body of a request."""
    return {"messages": [{"role": "user", "content": "Say hello."}], "model": model, **fields}


# --- What a client was told -----------------------------------------------------------------


@dataclass(slots=True)
class Told:
    """An answer as its client got it: events, or one HTTP error."""

    status: int
    headers: Mapping[str, str]
    events: list[dict[str, Any]] = field(default_factory=list)
    error: dict[str, Any] = field(default_factory=dict)
    """The body's `error`; empty where events came."""

    @property
    def stream(self) -> str:
        """The stream's id."""
        return self.headers["Tailrace-Stream-Id"]

    @property
    def end(self) -> dict[str, Any]:
        """The last event."""
        assert self.events, f"HTTP {self.status} instead of a stream: {self.error}"
        assert self.events[-1]["type"] == "stream.end", "a stream without its end"
        return self.events[-1]

    @property
    def text(self) -> str:
        return self._joined("text.delta")

    @property
    def reasoning(self) -> str:
        return self._joined("reasoning.delta")

    @property
    def calls(self) -> list[tuple[str, str]]:
        """Name and arguments of every tool call that came whole."""
        names = {e["block"]: e["name"] for e in self.of("block.start") if e["kind"] == "tool_call"}
        ended = [e for e in self.of("block.end") if e["block"] in names]
        return [(names[e["block"]], e["args"]) for e in ended if e["status"] == "complete"]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of one type."""
        return [event for event in self.events if event["type"] == kind]

    def _joined(self, kind: str) -> str:
        return "".join(event["delta"] for event in self.of(kind))


async def read(response: aiohttp.ClientResponse) -> Told:
    """Read an answer to its end; a stream is held to the grammar."""
    body = await response.read()
    if response.content_type != "text/event-stream":
        error = (await response.json())["error"] if body else {}
        return Told(response.status, response.headers, error=error)
    events = [seen.data for seen in parsed(body)]
    if events and events[0].get("seq") == 0:
        grammar.check(events)
    return Told(response.status, response.headers, events)


async def heard(ws: aiohttp.ClientWebSocketResponse) -> AsyncIterator[dict[str, Any]]:
    """The events of the one stream on a socket, until the server says that it is over."""
    async for message in ws:
        said = message.json()
        match said["t"]:
            case "ev":
                yield said["e"]
            case "evs":
                for event in said["e"]:
                    yield event
            case "end":
                assert said["reason"] == "stream_end"
                return
            case other:
                assert other in {"ready", "started"}, said


# --- The service before the double ----------------------------------------------------------


@dataclass(slots=True)
class Stack:
    """A running service, its providers' double and a client of it."""

    service: Service
    double: Double
    url: str
    client: aiohttp.ClientSession

    def post(self, body: Mapping[str, object]) -> "aiohttp.client._RequestContextManager":
        """Start a stream."""
        return self.client.post(f"{self.url}/v1/streams", json=body)

    async def ask(self, model: str, *scripts: Script, **fields: object) -> Told:
        """Have the double play the scripts, ask, and read the answer to its end."""
        self.double.script(*scripts)
        async with self.post(question(model, **fields)) as response:
            return await read(response)

    async def ask_by_websocket(self, model: str, *scripts: Script, **fields: object) -> Told:
        """The same over a WebSocket of its own."""
        self.double.script(*scripts)
        async with self.client.ws_connect(f"{self.url}/v1/ws") as ws:
            await ws.send_json({"t": "init"})
            await ws.send_json({"t": "start", "id": "a", "request": question(model, **fields)})
            told = Told(101, {}, [event async for event in heard(ws)])
        grammar.check(told.events)
        return told

    def sent(self, number: int = -1) -> bytes:
        """What a provider was sent: the last request's body unless another is named."""
        return orjson.dumps(self.double.requests[number].body)

    async def fetch(self, stream: str, after: int = -1) -> Told:
        """Attach to a stream and read it to its end."""
        address = f"{self.url}/v1/streams/{stream}"
        async with self.client.get(address, params={"after": after}) as response:
            return await read(response)

    @property
    def streams(self) -> list[Stream]:
        """Every stream the service knows."""
        return [kept.stream for kept in self.service.relay.store._kept.values()]


@asynccontextmanager
async def stack(
    *providers: str,
    settings: Settings | None = None,
    environ: Mapping[str, str] | None = None,
    elsewhere: str | None = None,
    engine: Literal["auto", "in-process"] = "in-process",
    folder: Path | None = None,
) -> AsyncIterator[Stack]:
    """Start the service with these providers, all fifteen if none is named, and stop it again.

    `environ` is added to the variables that give them their keys and addresses; `elsewhere` is the
    scheme and host at which they live instead of the double; `folder` is its data folder, where it
    is not to be a new one. Before it is stopped, nothing of what was asked of it may be left but
    connections that wait for the next request.
    """
    with TemporaryDirectory() as new:
        data, given = folder or Path(new), settings or Settings()
        async with _in(data, given, providers, environ, elsewhere, engine) as made:
            yield made


@asynccontextmanager
async def _in(
    folder: Path,
    settings: Settings,
    providers: Sequence[str],
    environ: Mapping[str, str] | None,
    elsewhere: str | None,
    engine: str,
) -> AsyncIterator[Stack]:
    """With that data folder."""
    own = settings.model_copy(
        update={
            "server": settings.server.model_copy(update={"data": folder}),
            "usage": settings.usage.model_copy(
                update={"engine": engine, "durability": "process", "ballast_bytes": 0}
            ),
        }
    )
    async with Double(speaks=speaks) as double:
        given = variables(elsewhere or double.url, providers or NAMES) | dict(environ or {})
        service = Service(own, given)
        await service.start()
        runner = Runner(
            service.application(), handler_cancellation=True, access_log=None, shutdown_timeout=1
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        # A connection of its own for each request: none idles while connections are counted.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        try:
            async with aiohttp.ClientSession(connector=connector) as client:
                address = f"http://127.0.0.1:{runner.addresses[0][1]}"
                running = Stack(service, double, address, client)
                async with nothing_left(running):
                    yield running
        finally:
            await runner.cleanup()
            await service.close()


# --- What may be left -----------------------------------------------------------------------


@asynccontextmanager
async def nothing_left(stack: Stack) -> AsyncIterator[None]:
    """What happens inside leaves nothing behind but idle connections to the providers."""
    before = _census(stack)
    yield
    left = before
    try:
        async with asyncio.timeout(PATIENCE):
            # What goes away last tells nobody when it does.
            while left := _census(stack) - before:  # noqa: ASYNC110
                await asyncio.sleep(0)
    except TimeoutError:
        message = f"left after {PATIENCE} s: {dict(left)}"
        raise AssertionError(message) from None


def _census(stack: Stack) -> Counter[str]:
    """How many there are of everything that must not be left, idle connections taken out."""
    idle = _idle(stack)
    count = Counter(_tasks())
    count.update(_timers())
    count["tasks of the service"] = tasks.running()
    count["handlers of a request"] -= idle  # the double's side of each one
    count["connections of the double"] = stack.double.open_connections - idle
    count["requests the double answers"] = stack.double.active
    count["file descriptors"] = _descriptors(stack.service.settings.server.data) - 2 * idle
    count["connections in use"] = sum(len(c._acquired) for c in _connectors(stack))
    count["streams live"] = len(stack.service.relay.store.live)
    count["readers of a log"] = sum(stream.log.readers for stream in stack.streams)
    count["holders of a stream"] = sum(len(stream._attached) for stream in stack.streams)
    return +count


def _descriptors(data: Path) -> int:
    """All but those of databases, which are opened when they are first asked."""
    return sum(not opened.is_relative_to(data) for opened in _opened())


def _opened() -> Iterable[Path]:
    """What each descriptor stands for; a thread may close one between listing and asking."""
    for descriptor in Path("/dev/fd").iterdir():
        with suppress(OSError):  # FileNotFoundError; where they are no links, EINVAL
            yield descriptor.readlink()


def _tasks() -> Iterable[str]:
    """Every task but this one, which counts: a fixture begins in one and ends in another."""
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        name = getattr(task.get_coro(), "__qualname__", "?")
        yield "handlers of a request" if name == "RequestHandler.start" else f"task {name}"


def _timers() -> Iterable[str]:
    """Deadlines and graces that nobody cancelled; what is due soon goes by itself.

    Only asyncio's own loop shows them.
    """
    loop = asyncio.get_running_loop()
    for handle in getattr(loop, "_scheduled", ()):
        owner = getattr(handle._callback, "__self__", None)
        ours = type(owner).__module__.partition(".")[0] in {"service", "adapters"}
        late = not handle.cancelled() and handle.when() > loop.time() + SOON
        if ours and late and type(owner) not in RHYTHMS:
            yield f"timer {handle._callback.__qualname__}"


def _connectors(stack: Stack) -> list[aiohttp.BaseConnector]:
    connections = stack.service._connections
    sessions = (connections._session, connections._fresh)
    return [session.connector for session in sessions if session and session.connector]


def _idle(stack: Stack) -> int:
    """Connections to the double that wait for the next request."""
    return sum(
        line.is_connected()
        for connector in _connectors(stack)
        for waiting in connector._conns.values()
        for line, _ in waiting
    )
