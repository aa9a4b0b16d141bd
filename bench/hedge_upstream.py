"""Two providers on one port whose first tokens come when the scenario drew them to.

Which request is asked stands in its prompt (`request 123`), which provider in its path. Headers and
the role chunk come at once, as they do from providers that stream early, the answer's only word
when it is due. A lean protocol on bare asyncio: what it does beside the load must not be measured.

Runs as a process: `python -m bench.hedge_upstream SEED REQUESTS RATE`. `GET /facts` gives, as JSON
lines of numbers, what became of every attempt since the last time it was asked (see `Fact`). Times
are CLOCK_MONOTONIC, which all processes of a machine share.
"""

import asyncio
import re
import sys
from math import isfinite
from time import monotonic
from typing import NamedTuple, cast

import orjson
import uvloop

from bench.hedge_world import DEADLINE, ONE_SIZE, World, draw_world
from bench.upstream import HEAD, LAST, TOKEN, chunk

ROLE = chunk({"role": "assistant", "content": ""})

_FACTS = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"
_NUMBER = re.compile(rb"request (\d+)")
_LENGTH = re.compile(rb"(?i)content-length: *(\d+)")
_SECOND = b"POST /chat/completions"
"""The path of the second provider; the first one's begins with /v1."""


class Fact(NamedTuple):
    """One attempt as its provider saw it; times in seconds."""

    request: int
    provider: int
    again: bool
    """Whether the request had asked this provider before."""
    arrived: float
    answered: float | None
    """When the first token was written; None where it was not."""
    left: float | None
    """When the connection was closed, for an attempt that was not answered to its end."""


class Log:
    """All attempts since the facts were last asked for."""

    def __init__(self, world: World) -> None:
        """`world` says how long each takes."""
        self.world = world
        self.facts: list[Fact] = []
        self.open = 0
        """Connections."""
        self.busy = 0
        """Those with a request."""
        self._asked: set[tuple[int, int]] = set()

    def first(self, request: int, provider: int) -> bool:
        """Whether this is the request's first attempt there."""
        known = (request, provider) in self._asked
        self._asked.add((request, provider))
        return not known

    def take(self) -> bytes:
        """Everything, once."""
        facts, self.facts = [list(fact) for fact in self.facts], []
        self._asked.clear()
        return orjson.dumps({"open": self.open, "busy": self.busy, "facts": facts})


class Provider(asyncio.Protocol):
    """One connection; requests one after the other."""

    def __init__(self, log: Log) -> None:
        """Nothing was read yet."""
        self._log = log
        self._read = b""
        self._timer: asyncio.TimerHandle | None = None
        self._fact: Fact | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class
        self._log.open += 1

    def data_received(self, data: bytes) -> None:
        """Answer a request as soon as its body is whole."""
        self._read += data
        head, end, body = self._read.partition(b"\r\n\r\n")
        if not end:
            return
        length = _LENGTH.search(head)
        if length is not None and len(body) < int(length[1]):
            return
        self._read = b""
        if head.startswith(b"GET"):
            facts = self._log.take()
            size = len(facts)
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (size, facts)
            )
            return
        self._ask(int(head.startswith(_SECOND)), body)

    def _ask(self, provider: int, body: bytes) -> None:
        number = _NUMBER.search(body)
        assert number is not None, "a request without its number"
        request, now = int(number[1]), monotonic()
        first = self._log.first(request, provider)
        world = self._log.world
        takes = (world.first_token if first else world.another)(request, provider, now)
        self._log.busy += 1
        self._fact = Fact(request, provider, not first, now, None, None)
        self._transport.write(HEAD + ROLE)
        if isfinite(takes) and takes < DEADLINE:
            self._timer = asyncio.get_running_loop().call_later(takes, self._answer, self._fact)

    def _answer(self, fact: Fact) -> None:
        self._timer = None
        self._over(fact._replace(answered=monotonic()))
        self._transport.write(TOKEN + LAST)

    def _over(self, fact: Fact) -> None:
        self._fact = None
        self._log.busy -= 1
        self._log.facts.append(fact)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note who left before the answer."""
        del exc
        self._log.open -= 1
        if self._timer is not None:
            self._timer.cancel()
        if self._fact is not None:
            self._over(self._fact._replace(left=monotonic()))


async def _serve(seed: int, requests: int, rate: float) -> None:
    world = draw_world(seed=seed, requests=requests, rate=rate, sizes=ONE_SIZE, episodes=False)
    log = Log(world)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Provider(log), "127.0.0.1", 0, backlog=4096)
    print(f"ready {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
