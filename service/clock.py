"""The one place that reads a clock; everything that decides takes `now` as an argument."""

import time


def monotonic() -> float:
    """Seconds, for measuring and for deadlines; the event loop's own clock."""
    return time.monotonic()


def now_ms() -> int:
    """Unix time in milliseconds, for labels only."""
    return time.time_ns() // 1_000_000
