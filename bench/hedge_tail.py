"""Hedging where its effect is published: 100 leaves, each hedged after 10 ms.

Dean and Barroso (The Tail at Scale, CACM 56(2), 2013) read 1,000 keys from 100 servers: the 99.9th
percentile of the whole read fell from 1,800 to 74 ms for 2 % more requests. A leaf's time here is a
mixture of two lognormals whose three free parameters are solved from those three figures, so what
is tested is not the paper but the race, the clock and the account that drive it.
"""

from collections.abc import Sequence
from random import Random

from adapters.request import Strategy
from bench.hedge_world import seeded
from bench.virtual_clock import VirtualClock
from service.hedging.race import Options, Race, Start

SEED = 20130201
LEAVES = 100
DELAY = 0.010  # seconds

_FAST = (-5.809_143, 0.35)  # ln of 3 ms, sigma
_SLOW = (-5.298_317, 1.65)  # ln of 5 ms, sigma
_SLOW_SHARE = 0.0575

_OPTIONS = Options(providers=("first", "second"), strategy=Strategy.HEDGE, max_attempts=2)


class _After10:
    """The gate of the paper: always after the same delay, always the other one."""

    def delay(self, _candidate: int, _now: float) -> float:
        return DELAY

    def hedge(self, unused: Sequence[int], _now: float) -> int:
        return unused[0]

    def failover(self, unused: Sequence[int], _now: float) -> int:
        return unused[0]


_GATE = _After10()


class Read:
    """One read: all its leaves, and when the last one has answered."""

    def __init__(self, clock: VirtualClock, random: Random) -> None:
        """It starts now; `hedged` and `alone` are seconds once the clock has run."""
        self.alone = 0.0
        self.hedged = 0.0
        self.hedges = 0
        self._began = clock.now
        self._clock = clock
        self._random = random
        for _ in range(LEAVES):
            self._leaf()

    def _leaf(self) -> None:
        first = leaf_time(self._random)
        self.alone = max(self.alone, first)
        race = Race(_OPTIONS, _GATE)
        race.begin(self._began)
        self._clock.call_at(self._began + first, self._content, race, 1)
        timer = race.next_timer()
        if timer is not None:
            self._clock.call_at(timer, self._timer, race)

    def _timer(self, race: Race) -> None:
        if race.winner is not None:
            return
        for command in race.timer(self._clock.now):
            if isinstance(command, Start):
                self.hedges += 1
                when = self._clock.now + leaf_time(self._random)
                self._clock.call_at(when, self._content, race, command.attempt)

    def _content(self, race: Race, attempt: int) -> None:
        if race.content(attempt):
            self.hedged = max(self.hedged, self._clock.now - self._began)


def leaf_time(random: Random) -> float:
    """Seconds one leaf takes."""
    mu, sigma = _SLOW if random.random() < _SLOW_SHARE else _FAST
    return random.lognormvariate(mu, sigma)


def reads(count: int, seed: int) -> tuple[list[float], list[float], float]:
    """Seconds of `count` reads without hedging and with it, and the share of extra requests."""
    clock, random = VirtualClock(), seeded(seed)
    alone: list[float] = []
    hedged: list[float] = []
    hedges = 0
    for _ in range(count):
        read = Read(clock, random)
        clock.run()
        alone.append(read.alone)
        hedged.append(read.hedged)
        hedges += read.hedges
    return alone, hedged, hedges / (count * LEAVES)
