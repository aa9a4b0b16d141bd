"""The best that a fixed policy could have done, computed from the same draws with hindsight.

A fixed policy hedges a request of each prompt size after that size's delay d with that size's
probability q; the budget is a share of the requests of each size, because a share over all sizes
would be spent on the long prompts, which look slow and cost most (17 % extra cost for 5 % extra
requests). With q = 1 the delay follows from the budget (SingleD); with q < 1 it may come earlier
(SingleR: Kaler, He, Elnikety, SPAA 2017). For one quantile the best fixed policy is the one that
reaches it soonest; it is searched for each quantile by itself, on the very draws it is then judged
by, and the hedge's luck is known together with the first attempt's. No online policy can count on
reaching it; one that adapts to bad episodes may even so.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.hedge_world import DEADLINE, World

_GRID = 24
"""Delays tried per prompt size between the budget's own quantile and four times its share."""
_STEPS = 24
"""Halvings of the interval in which the quantile lies."""


@dataclass
class _Group:
    """The requests of one prompt size."""

    alone: list[float]
    """What each takes without a hedge, sorted."""
    delays: list[float]
    probabilities: list[float]
    pairs: list[list[tuple[float, float]]]
    """For each delay tried: (first attempt's time, hedge's end), of the requests slower than it,
    sorted by the former."""
    firsts: list[list[float]]

    def missing(self, choice: int, time: float) -> float:
        """How many requests are expected to be silent at `time`."""
        if time <= self.delays[choice]:
            return len(self.alone) - bisect_right(self.alone, time)
        pairs = self.pairs[choice]
        probability = self.probabilities[choice]
        beyond = bisect_right(self.firsts[choice], time)
        late = sum(hedged > time for _, hedged in pairs[beyond:])
        return late + (1 - probability) * (len(pairs) - beyond - late)


def optimum(world: World, share: float, quantile: float, *, singled: bool = False) -> float:
    """Seconds at `quantile` under the best fixed policy that hedges `share` of the requests.

    `singled`: only among those that always hedge.
    """
    groups = _groups(world, share, singled=singled)
    allowed = (1 - quantile) * len(world.arrivals)

    def reached(time: float) -> bool:
        best = (
            min(group.missing(choice, time) for choice in range(len(group.delays)))
            for group in groups
        )
        return sum(best) <= allowed

    return _smallest(reached, 0.0, DEADLINE)


def _smallest(reached: Callable[[float], bool], low: float, high: float) -> float:
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def _groups(world: World, share: float, *, singled: bool) -> list[_Group]:
    by_size: dict[object, list[int]] = {}
    for request, size in enumerate(world.sizes):
        by_size.setdefault(size, []).append(request)
    return [_group(world, requests, share, singled=singled) for requests in by_size.values()]


def _group(world: World, requests: Sequence[int], share: float, *, singled: bool) -> _Group:
    arrivals = world.arrivals
    firsts = {r: min(DEADLINE, world.first_token(r, 0, arrivals[r])) for r in requests}
    slowest = sorted(requests, key=firsts.__getitem__, reverse=True)
    budget = max(1, int(share * len(requests)))
    widest = budget if singled else min(4 * budget, len(slowest) - 1)
    group = _Group(sorted(firsts.values()), [], [], [], [])
    for step in range(1 if singled else _GRID + 1):
        hedged = budget + (widest - budget) * step // _GRID
        delay = firsts[slowest[hedged]]
        pairs = sorted((firsts[r], _hedge_ends(world, r, delay)) for r in slowest[:hedged])
        group.delays.append(delay)
        group.probabilities.append(budget / hedged)
        group.pairs.append(pairs)
        group.firsts.append([first for first, _ in pairs])
    return group


def _hedge_ends(world: World, request: int, delay: float) -> float:
    """Seconds from the request's arrival to its hedge's first token."""
    start = world.arrivals[request] + delay
    return min(DEADLINE, delay + world.first_token(request, 1, start))
