"""What the files about an SDK share: a service for each test, and an SDK for Node pointed at it.

A file about one for Node has a fixture `node`, its one program. The service is each test's own,
because health and refused keys would go on into the next; its loop is the file's, as the program's
is. Other files have fixtures of the same names.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.clients.programs import Program
from tests.e2e.stack import Stack, stack

pytest.register_assert_rewrite("tests.clients.frameworks")  # its scenes are tests, too


@pytest_asyncio.fixture(loop_scope="module")
async def service() -> AsyncIterator[Stack]:
    """Before a double that plays four providers, each with a dialect of its own."""
    async with stack("openai", "groq", "claude", "gemini") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def sdk(node: Program, service: Stack) -> AsyncIterator[Program]:
    """The file's program, whose SDK asks the service."""
    await node.do("connect", url=service.url)
    yield node
    await node.do("leave")
