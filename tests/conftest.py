"""What holds for every test, and the fixtures that any may ask for.

The fixtures are the provider double, started on a free port and closed.
"""

import gc
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web_app
from hypothesis import settings

from tests.double.server import Double
from tests.unmeasured import unmeasured

# No deadline per example: a loaded machine would fail tests that are right, and no property is
# about time. No database: a failure that was found is written down as a test of its own.
settings.register_profile("tailrace", deadline=None, database=None)
settings.load_profile("tailrace")

# A shell has what it runs in the background ignore interrupts, and programs inherit that: those
# that a test interrupts would go on for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


_TESTS = Path(__file__).parent

MEASURED = frozenset({"adapters", "service"})
"""Folders of tests that coverage is measured of: those of the rooms."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """See `tests.unmeasured`."""
    if item.path.relative_to(_TESTS).parts[0] in MEASURED:
        return (yield)
    with unmeasured():
        return (yield)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Let nothing of a file's services stay, and what stays be looked through no more.

    aiohttp keeps the last thousand handlers that it wrapped, and so the services that they belong
    to: a gigabyte by the end, through which every full collection went, 1 s each.
    """
    if nextitem is None or nextitem.path != item.path:
        web_app._cached_build_middleware.cache_clear()
        gc.collect()
        gc.freeze()


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
