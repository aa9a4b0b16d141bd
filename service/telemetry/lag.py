"""How late this process runs what is due: its own pauses, which no provider is to blame for.

A garbage collection, a long encoding or a machine without a core to spare stops the event loop, and
everything that was due meanwhile comes late: tokens seem slow that were there in time, and delays
run out that nobody overstepped. Hedging must neither learn from that nor act on it. So a timer that
does nothing else asks to be run every 50 ms and tells how much later it was run.

The timer alone would often tell too late. After a pause the loop hands out what has piled up, and a
token or a hedge's delay may come before the timer's turn. Whoever is about to use a measured time
therefore calls `look` first: where the timer is overdue, it is told at once instead of in its turn.

A pause shows less the part of it that fell before the timer was due, at most one interval: one of
100 ms is always seen as the 50 ms that count (`service.hedging.overload`), one of 75 ms every other
time. A shorter interval would see more, at a price that an idle process pays, too: every 50 ms
takes 0.2 to 0.4 % of a core, every 20 ms 0.5 to 1.0 % (uvloop with nothing else to do, on a virtual
machine where waking up is dear; `python -m bench.telemetry`). `look` takes 0.2 us.

A shell: it has one timer of the loop between `start` and `stop`, and no task.
"""

import asyncio
from collections.abc import Callable

from service.clock import monotonic

INTERVAL = 0.050  # seconds


class LagWatch:
    """Tells its listeners, many times a second, how late the event loop is."""

    __slots__ = ("_due", "_interval", "_listeners", "_timer")

    def __init__(
        self, *listeners: Callable[[float, float], None], interval: float = INTERVAL
    ) -> None:
        """Each is called with the seconds of lag, 0 or more, and the monotonic time of now.

        They are called on the event loop, every `interval` seconds, and must not raise.
        """
        self._listeners = listeners
        self._interval = interval
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to watch the running loop."""
        self._arm(monotonic())

    def look(self) -> None:
        """Tell at once where the loop is late now; before a measured time is used."""
        timer = self._timer
        if timer is not None and monotonic() > self._due:
            timer.cancel()
            self._tell()

    def stop(self) -> None:
        """Watch no longer; nothing is left of it in the loop."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, now: float) -> None:
        self._due = now + self._interval
        self._timer = asyncio.get_running_loop().call_at(self._due, self._tell)

    def _tell(self) -> None:
        now = monotonic()
        # The loop's clock ticks in milliseconds on uvloop, so it may be a little early, too.
        late = max(0.0, now - self._due)
        self._arm(now)
        for listener in self._listeners:
            listener(late, now)
