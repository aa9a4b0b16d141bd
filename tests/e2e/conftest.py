"""The service before a double, for the tests of all of it together."""

from collections.abc import AsyncIterator

import pytest

from tests.e2e.stack import Stack, stack


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
