"""What a double saw of one request: what came, when it was answered, when its client left.

Times are the event loop's, in seconds. Whoever waits for the end of an exchange waits on the
record itself.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from multidict import CIMultiDict, CIMultiDictProxy

from tests.double.paths import Route
from tests.double.wire.scribe import Ask

PATIENCE = 20.0
"""Seconds that anything a test waits for may take, before the wait fails in words."""

_KEY_HEADERS = ("x-api-key", "api-key", "x-goog-api-key")


@dataclass(slots=True, kw_only=True, eq=False)
class Seen:
    """One request and what became of it."""

    number: int
    """1 for the double's first."""
    method: str
    path: str
    """With its query, as it came."""
    headers: CIMultiDictProxy[str]
    """Names in the case they were sent in; looked up in any."""
    body: Any
    """Parsed where it was JSON, else bytes."""
    route: Route | None
    """None where no provider has such a path."""
    provider: str = ""
    """Whom it was meant for, as far as the double can tell: see `Double.speaks`."""
    connection: int
    """1 for the first connection the double accepted."""
    turn: int
    """1 for the first request on its connection; more: the connection was reused."""
    arrived: float
    head_at: float | None = None
    """When the response's headers were sent."""
    first_at: float | None = None
    """When the first byte of the body was sent."""
    last_at: float | None = None
    """When the latest byte of the body was sent."""
    sent: int = 0
    """Body bytes so far."""
    left_at: float | None = None
    """When its client left before the answer was over."""
    ending: Literal["finished", "cut", "left"] | None = None
    """How the exchange ended: answered to its end, cut by the script, or left by the client."""
    _over: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def finished(self) -> bool:
        """Whether the answer was sent to its end."""
        return self.ending == "finished"

    @property
    def model(self) -> str:
        """The model asked for."""
        if self.route is not None and self.route.model is not None:
            return self.route.model
        named = self._field("model") or self._field("preset")
        return named if isinstance(named, str) else "double"

    @property
    def key(self) -> str | None:
        """The credential, wherever it was sent; None where there was none."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return token
        return next((self.headers[name] for name in _KEY_HEADERS if name in self.headers), None)

    @property
    def ask(self) -> Ask:
        """What of the request shapes the answer."""
        options, include = self._field("stream_options"), self._field("include")
        return Ask(
            model=self.model,
            usage=isinstance(options, Mapping) and options.get("include_usage") is True,
            encrypted=isinstance(include, list) and "reasoning.encrypted_content" in include,
        )

    def end(self, ending: Literal["finished", "cut", "left"], now: float) -> None:
        """Say how it ended; only the first word counts."""
        if self.ending is not None:
            return
        self.ending = ending
        self.left_at = now if ending == "left" else None
        self._over.set()

    async def over(self) -> None:
        """Wait until the exchange has ended, one way or the other."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._over.wait()
        except TimeoutError:
            message = f"request {self.number} is still being answered after {PATIENCE} s"
            raise AssertionError(message) from None

    async def left(self) -> float:
        """Wait until the client has left before the answer was over; when that was."""
        await self.over()
        assert self.left_at is not None, f"the client did not leave: {self.ending}"
        return self.left_at

    def _field(self, name: str) -> object:
        return self.body.get(name) if isinstance(self.body, dict) else None


def as_sent(raw: tuple[tuple[bytes, bytes], ...]) -> CIMultiDictProxy[str]:
    """Headers with their names as they were sent; aiohttp's own mapping rewrites known ones."""
    pairs = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in raw)
    return CIMultiDictProxy(CIMultiDict(pairs))
