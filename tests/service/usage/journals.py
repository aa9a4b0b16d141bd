"""A data folder's journal, for tests of what reads one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from service import tasks
from service.usage.journal import Journal
from service.usage.slot import Slot


def unheard(failure: Exception) -> None:
    """For a journal that must not fail."""
    raise AssertionError(failure)


@asynccontextmanager
async def journal(data: Path) -> AsyncIterator[Journal]:
    """Started and stopped; another epoch each time."""
    started = await Journal.start(
        Slot.claim(data, volatile=True), on_failure=unheard, ballast=4_096
    )
    try:
        yield started
    finally:
        await tasks.settle()
        await started.stop()
