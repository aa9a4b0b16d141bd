"""A client of docs/examples at the other end of a line that can be cut, and what it must see."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from service.settings import Settings
from tests.clients.lines import Line
from tests.clients.nodes import program
from tests.clients.programs import Program
from tests.e2e.stack import Stack, stack


@asynccontextmanager
async def reading(
    name: str, *providers: str, settings: Settings | None = None
) -> AsyncIterator[tuple[Stack, Line, Program]]:
    """The service, the line to it, and the program of that name; Claude alone unless named."""
    async with (
        stack(*(providers or ("claude",)), settings=settings) as running,
        Line(running.url) as line,
        program(name, line.url) as client,
    ):
        yield running, line, client


def without_a_gap(seen: dict[str, Any]) -> bool:
    """Whether each event came once; one may stand for several."""
    expected = 0
    for first, last in seen["seqs"]:
        if first != expected:
            return False
        expected = last + 1
    return seen["status"] is not None
