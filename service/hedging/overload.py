"""When hedging would feed the trouble: the signs of overload that switch it off.

Hedging assumes that slowness is an attempt's own bad luck. Where everybody is slow at once, where
providers turn requests away, or where this process is itself late, more requests make it worse, and
an amplified load can outlive what caused it. Four signs, each from facts that are told:

- several providers of a request are late at once,
- more than 1 % of the attempts of the last 10 s were turned away for their rate,
- this process's event loop has lagged (then late timers are its own, and no measured time counts),
- fewer than 20 % of the hedges of the last 10 min won: their cause is not what hedging cures. They
  are suspended for as long again.

Deciding only: `now` in seconds is an argument. docs/hedging.md, algorithm and replicas.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from service.hedging.exclusions import Denied


@dataclass(frozen=True, slots=True, kw_only=True)
class OverloadSettings:
    """Where trouble begins; times in seconds."""

    late: float = 0.60
    """Share of late attempts from which a provider counts as slow."""
    slow_providers: int = 2
    limited_share: float = 0.01
    limited_least: int = 2
    """Refusals below which a share says nothing."""
    limited_window: float = 10.0
    lag: float = 0.050
    lag_counts_for: float = 1.0
    win_share: float = 0.20
    win_window: float = 600.0
    win_least: int = 20
    """Hedges below which their luck says nothing."""


class Overload:
    """What is known of the last minutes' trouble."""

    def __init__(self, settings: OverloadSettings | None = None) -> None:
        """All is well."""
        self.settings = settings or OverloadSettings()
        self._attempts = Tally(self.settings.limited_window)
        self._hedges = Tally(self.settings.win_window)
        self._lagged: float | None = None
        self._suspended: float | None = None

    def attempt(self, now: float, *, limited: bool) -> None:
        """An attempt was answered, or turned away for its rate."""
        self._attempts.add(now, hit=limited)

    def lag(self, seconds: float, now: float) -> None:
        """The event loop ran something this much later than it was due."""
        if seconds > self.settings.lag:
            self._lagged = now

    def hedge(self, now: float, *, won: bool) -> None:
        """A hedged request was answered, by the hedge or by another attempt."""
        own, hedges = self.settings, self._hedges
        hedges.add(now, hit=won)
        if hedges.count >= own.win_least and hedges.hits < own.win_share * hedges.count:
            self._suspended = now + own.win_window
            hedges.clear()

    def lagging(self, now: float) -> bool:
        """Whether times measured now are this process's own."""
        return self._lagged is not None and now < self._lagged + self.settings.lag_counts_for

    def reason(self, lateness: Iterable[float], now: float) -> Denied | None:
        """Why nobody should be hedged now; `lateness` of each provider the request could ask."""
        own = self.settings
        if self.lagging(now):
            return Denied.LOOP_LAG
        if self._suspended is not None and now < self._suspended:
            return Denied.HEDGES_LOSE
        attempts = self._attempts
        attempts.slide(now)
        limited = attempts.hits > own.limited_share * attempts.count
        if limited and attempts.hits >= own.limited_least:
            return Denied.RATE_LIMITED
        slow = sum(share > own.late for share in lateness)
        return Denied.CORRELATED if slow >= own.slow_providers else None


class Tally:
    """How many of the things within a window were hits."""

    __slots__ = ("_times", "_window", "hits")

    def __init__(self, window: float) -> None:
        """`window` in seconds."""
        self._window = window
        self._times: deque[tuple[float, bool]] = deque()
        self.hits = 0

    @property
    def count(self) -> int:
        """All of them."""
        return len(self._times)

    def add(self, now: float, *, hit: bool) -> None:
        """One more."""
        self.slide(now)
        self._times.append((now, hit))
        self.hits += hit

    def slide(self, now: float) -> None:
        """Forget what has left the window."""
        start = now - self._window
        while self._times and self._times[0][0] <= start:
            self.hits -= self._times.popleft()[1]

    def clear(self) -> None:
        """Forget all."""
        self._times.clear()
        self.hits = 0
