"""Fixtures that any test may ask for: the provider double, started on a free port and closed."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from tests.double.server import Double

StartDouble = Callable[[str | None], Awaitable[Double]]


@pytest.fixture
async def double() -> AsyncIterator[Double]:
    """One double, which answers as any provider."""
    async with Double() as double:
        yield double


@pytest.fixture
async def start_double() -> AsyncIterator[StartDouble]:
    """Starts a further double; given a name, it speaks in that provider's manner."""
    async with AsyncExitStack() as doubles:

        async def start(speaks: str | None = None) -> Double:
            return await doubles.enter_async_context(Double(speaks=speaks))

        yield start
