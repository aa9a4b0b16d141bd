"""Time that passes only when nothing is left to do: a heap of calls.

No event loop and no sleeping, so a simulated hour takes as long as its decisions do. Calls due at
the same time run in the order in which they were made, so a run is the same every time.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any


class VirtualClock:
    """The simulated time and what is still to happen."""

    def __init__(self) -> None:
        """It is 0.0 s, and nothing will happen."""
        self.now = 0.0
        self._calls: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = count()

    def call_at(self, when: float, call: Callable[..., None], *args: object) -> None:
        """Call `call` with `args` once it is `when`; what is past is due now."""
        heappush(self._calls, (max(when, self.now), next(self._order), call, args))

    def run(self) -> None:
        """Let time pass until nothing is left."""
        while self._calls:
            self.now, _, call, args = heappop(self._calls)
            call(*args)
