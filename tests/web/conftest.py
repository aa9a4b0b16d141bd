"""One browser for all tests of a process, and for each test a service and a page of its own.

The browser lives as long as the process, and so on the loop that does, too: every test here runs
on it.
"""

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser

from service.http.web import BUILT
from tests.clients.programs import missing
from tests.e2e.stack import Stack, stack
from tests.web.browsers import launched
from tests.web.visits import Visit, visiting

PROVIDERS = ("openai", "claude", "groq", "perplexity")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A running browser; where the app was not built the tests end here."""
    if not (BUILT / "index.html").is_file():
        missing("the web app was not built: make setup")
    async with launched() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def running() -> AsyncIterator[Stack]:
    """The service before the double."""
    async with stack(*PROVIDERS) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, running: Stack) -> AsyncIterator[Visit]:
    """The playground of that service, as somebody finds it who comes for the first time."""
    async with visiting(browser, running.url, "playground") as visit:
        yield visit
