"""A latch lets everybody through once it is open, and keeps nobody who has given up."""

import asyncio

import pytest

from service.latch import Latch


async def test_who_waits_passes_when_it_opens_and_who_comes_later_at_once() -> None:
    latch = Latch()
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            _ = group.create_task(latch.passed())
        await asyncio.sleep(0)
        assert not latch.opened
        latch.open()
    await latch.passed()
    assert latch.opened


async def test_one_who_gives_up_is_forgotten_and_the_others_still_pass() -> None:
    latch = Latch()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(latch.passed(), 0.001)
    assert latch._waiting == []
    async with asyncio.TaskGroup() as group:
        _ = group.create_task(latch.passed())
        await asyncio.sleep(0)
        latch.open()
        latch.open()


async def test_one_cancelled_in_the_very_moment_it_opens_harms_nobody() -> None:
    latch = Latch()
    first, second = (asyncio.ensure_future(latch.passed()) for _ in range(2))  # noqa: TID251
    await asyncio.sleep(0)
    first.cancel()
    latch.open()
    await second
    assert first.cancelled() or first.done()
