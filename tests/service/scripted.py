"""Providers in memory: a client that plays given bytes, for tests of everything behind it.

`Scripted` is a `contract.Client`. It plays the same pieces for every request, remembers what was
sent and knows how many of its responses are still open. A piece is bytes, a `Gate` that holds the
answer where a test wants it, or an `UpstreamError` to break with; before the first bytes it breaks
the request, later the body. `chat` writes an answer in chat-completions chunks, and `deployment`
makes such clients the service's providers, with real provider data around the name.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import orjson

from adapters.contract import Client, Encoded, Endpoint, Model, Provider
from adapters.dialects.openai_chat import OpenAIChat
from adapters.errors import UpstreamError
from service.endpoints import Inactive
from service.relay import Deployment
from service.routing import table
from service.routing.roster import Known
from service.settings import Settings
from tests.double.steps import Gate

Piece = bytes | Gate | UpstreamError

DONE = b"data: [DONE]\n\n"


def delta(text: str) -> bytes:
    """One chunk with a piece of the answer."""
    return _chunk({"content": text}, None)


def chat(*said: str | Gate, finish: str = "stop") -> list[Piece]:
    """A whole answer: its texts, one chunk each, held at the gates between them."""
    pieces: list[Piece] = [delta(part) if isinstance(part, str) else part for part in said]
    usage = {"prompt_tokens": 3, "completion_tokens": len(said), "total_tokens": 3 + len(said)}
    return [*pieces, _chunk({}, finish), _event({"choices": [], "usage": usage}), DONE]


def _chunk(change: dict[str, object], finish: str | None) -> bytes:
    return _event({"choices": [{"index": 0, "delta": change, "finish_reason": finish}]})


def _event(fields: dict[str, object]) -> bytes:
    return b"data: " + orjson.dumps({"id": "chatcmpl-1", "model": "m-1"} | fields) + b"\n\n"


class Scripted:
    """A provider that says what it was told to."""

    def __init__(self, *pieces: Piece) -> None:
        """`pieces` are played for every request, from the beginning."""
        self.pieces: Sequence[Piece] = pieces
        self.sent: list[Encoded] = []
        """The requests, in the order they came."""
        self.open = 0
        """Responses that have not been closed."""
        self.headers: dict[str, str] = {"content-type": "text/event-stream"}
        """What its responses come with."""
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def send(self, encoded: Encoded, *, connect_timeout: float) -> "Playback":
        """Answer with the pieces."""
        del connect_timeout  # nothing is connected to
        self.sent.append(encoded)
        pieces = list(self.pieces)
        while pieces and not isinstance(pieces[0], bytes):
            await _play(pieces.pop(0))
        self.open += 1
        self._quiet.clear()
        return Playback(self, pieces)

    async def close(self) -> None:
        """Nothing is held."""

    async def quiet(self) -> None:
        """Wait until no response is open."""
        await self._quiet.wait()

    def left(self) -> None:
        """A response was closed."""
        self.open -= 1
        if self.open == 0:
            self._quiet.set()


class Playback:
    """One response of a scripted provider."""

    def __init__(self, client: Scripted, pieces: list[Piece]) -> None:
        """`pieces` from the first bytes on."""
        self.headers: Mapping[str, str] = client.headers
        self.sent = 0
        self._client = client
        self._pieces = pieces
        self._closed = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes, each piece as one read."""
        for piece in self._pieces:
            if isinstance(piece, bytes):
                # A turn of the loop between reads, as a socket has.
                await asyncio.sleep(0)
                yield piece
            else:
                await _play(piece)

    async def pour(self, sink: Callable[[bytes], None]) -> None:
        """See `contract.Upstream`."""
        async for data in self.chunks():
            sink(data)

    def close(self) -> None:
        """The reader has left."""
        if not self._closed:
            self._closed = True
            self._client.left()


async def _play(piece: Piece) -> None:
    if isinstance(piece, UpstreamError):
        raise piece
    if isinstance(piece, Gate):
        await piece.passed()


def provider(name: str, *aliases: str) -> Provider:
    """A provider with models `<name>-<alias>`, the first one unnamed; their ids are made up."""
    return Provider(
        name=name,
        title=name.title(),
        key_vars=(f"{name.upper()}_API_KEY",),
        address_var=f"{name.upper()}_BASE_URL",
        base_url=f"https://{name}.invalid/v1",
        client="openai",
        dialect=OpenAIChat(),
        models=tuple(
            Model(id=f"{name}-{alias}", alias=alias, images=True, context=1_000_000)
            for alias in aliases or ("one",)
        ),
    )


def deployed(known: Known, clients: Mapping[str, Client]) -> Deployment:
    """Providers with their clients, routed by the packaged table."""
    return Deployment(known, clients, table.build(Settings(), known))


def deployment(
    clients: Mapping[str, Scripted], *inactive: Inactive, aliases: Mapping[str, str] | None = None
) -> Deployment:
    """These clients as providers, in this order, and those that cannot be asked after them."""
    named = aliases or {}
    known: dict[str, Endpoint | Inactive] = {
        name: Endpoint(
            provider=provider(name, *named.get(name, "one").split()),
            base_url=f"https://{name}.invalid/v1",
            key=f"test-key-{name}",
        )
        for name in clients
    }
    known |= {entry.provider.name: entry for entry in inactive}
    return deployed(known, dict(clients))
