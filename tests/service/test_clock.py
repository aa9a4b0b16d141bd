"""The two clocks agree with the clocks they stand for."""

import asyncio
import time

from service import clock


def test_the_wall_clock_is_unix_time_in_milliseconds() -> None:
    before = time.time_ns() // 1_000_000
    assert before <= clock.now_ms() <= time.time_ns() // 1_000_000


async def test_the_monotonic_clock_is_the_event_loops() -> None:
    loop = asyncio.get_running_loop()
    before = loop.time()
    assert before <= clock.monotonic() <= loop.time()
