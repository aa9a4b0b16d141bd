"""The service before a double, for the tests of all of it together, on the loop it runs on.

That is uvloop. What is about the ends of connections runs on asyncio's own loop as well: the two
close sockets in ways of their own, and only asyncio's shows its timers to be counted.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from tests.e2e.stack import Stack, stack

ON_BOTH_LOOPS = frozenset({"test_faults.py", "test_leaks.py", "test_reuse.py"})


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    del config
    if item.path.name in ON_BOTH_LOOPS:
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def all_fifteen() -> AsyncIterator[Stack]:
    """The service with every provider."""
    async with stack() as running:
        yield running


@pytest.fixture
async def alone(name: str) -> AsyncIterator[Stack]:
    """The service with one provider, the one that the test is parametrised with."""
    async with stack(name) as running:
        yield running
