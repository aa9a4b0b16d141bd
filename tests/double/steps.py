"""What a double does on one connection, as a list of steps played in order.

A step is a value without behaviour; `server` plays it. The body's framing (chunked, or by a
`content-length` header) is the server's business: steps hold body bytes. Where the steps end
without an `End` or a `Cut`, the body is ended properly.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


class Gate:
    """Holds scripts until a test opens it, and tells the test who is waiting.

    Belongs to the event loop it is first waited on in. Stays open once opened.
    """

    def __init__(self) -> None:
        """Start closed."""
        self._opened = asyncio.Event()
        self._arrivals = asyncio.Condition()
        self._count = 0

    def open(self) -> None:
        """Let everybody through, now and later."""
        self._opened.set()

    async def passed(self) -> None:
        """Wait here: what a script does."""
        async with self._arrivals:
            self._count += 1
            self._arrivals.notify_all()
        await self._opened.wait()

    async def reached(self, count: int = 1) -> None:
        """Wait until `count` scripts have come to the gate since it was made."""
        async with self._arrivals:
            await self._arrivals.wait_for(lambda: self._count >= count)


@dataclass(frozen=True, slots=True)
class Head:
    """Send the status line and the headers. Without one, nothing was answered."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Send:
    """Write these body bytes at once."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Paced:
    """One write each `every` seconds, the first at once; 0: one each turn of the loop."""

    writes: tuple[bytes, ...]
    every: float


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same bytes each `every` seconds, until the client leaves."""

    data: bytes
    every: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Go on when the gate is open."""

    gate: Gate


@dataclass(frozen=True, slots=True)
class Delay:
    """Go on after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Stall:
    """Keep the connection open and do nothing more, until the client leaves."""


@dataclass(frozen=True, slots=True)
class End:
    """End the body properly; what follows happens on the kept-alive connection."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Close the connection: `fin` politely, `rst` with a reset.

    Everything written before has left this process first. A reset may overtake what its reader
    has not read yet, so a test that cares waits for the bytes, then opens a gate before the cut.
    """

    how: Literal["fin", "rst"] = "fin"


Step = Head | Send | Paced | Repeat | Wait | Delay | Stall | End | Cut
Steps = tuple[Step, ...]


def writes_of(steps: Steps) -> Iterator[bytes]:
    """Every body write in order, the endless ones left out."""
    for step in steps:
        if isinstance(step, Send):
            yield step.data
        elif isinstance(step, Paced):
            yield from step.writes


def body_of(steps: Steps) -> bytes:
    """The whole body as the steps send it, the endless repeats left out."""
    return b"".join(writes_of(steps))
