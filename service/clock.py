"""The one place that reads a clock; everything that decides takes `now` as an argument."""

import time

monotonic = time.monotonic
"""Seconds, for measuring and for deadlines; the event loop's own clock. Called per token, so it is
the C function itself."""


def now_ms() -> int:
    """Unix time in milliseconds, for labels only."""
    return time.time_ns() // 1_000_000


now_ns = time.time_ns
"""The same in nanoseconds, for the records of usage."""
