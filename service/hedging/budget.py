"""What hedging may spend: a share of the requests, a share of their cost, and never much at once.

Every request that might be hedged deposits a share of itself into two banks, one counted in
requests and one in dollars; a hedge withdraws a whole request and what its loser will cost. So the
long-run shares hold by construction and at any traffic. (A bucket filled per second needs the rate
to be known: at a lower one it allows everything.) The banks hold what 600 s of traffic deposit,
because trouble comes in stretches: with 30 s of it a bad minute finds them empty, and the quiet
time before it was saved for nothing (simulated: p99 6.6 s against 5.5 s). They open with 5 hedges,
so that the first requests of a fresh start are not the unlucky ones.

A full bank alone would let everything be sent twice at once, just when providers are slow because
they are loaded. So the extra requests within any 10 s, failovers included, stay below a quarter of
the requests of those 10 s. The window is exact: a moving average over 200 requests allows 46 % in
the first 200 of a bad stretch.

Deciding only: `now` in seconds is an argument. One `Budget` per route and process; nothing is
shared, because if each keeps its share, their sum does. docs/hedging.md, algorithm and defaults.
"""

from collections import deque
from dataclasses import dataclass
from math import exp

from service.hedging.exclusions import Denied

_ROUNDING = 1e-9
"""Twenty deposits of a twentieth are one request, whatever the floats say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSettings:
    """How much hedging may spend."""

    request_share: float = 0.05
    """Extra requests, of all that may be hedged."""
    bank: float = 600.0
    """Seconds' worth of deposits that may be saved up."""
    opening: float = 5.0
    """Hedges in the bank at the start; as many may always be saved."""
    burst_share: float = 0.24
    """Extra requests, of those within the window."""
    hedge_burst_share: float = 0.20
    """The same, beyond which nobody is hedged: the rest is for requests that have waited long."""
    burst_window: float = 10.0  # seconds
    burst_floor: int = 5
    """Extra requests that a window may have however few requests it has."""


class Bank:
    """Saved deposits, up to what the last while has brought in."""

    __slots__ = ("_at", "_balance", "_floor", "_recent", "_window")

    def __init__(self, *, opening: float, window: float) -> None:
        """`opening` is the balance at first and the least that may be saved; `window` seconds."""
        self._balance = self._floor = opening
        self._window = window
        self._recent = 0.0
        """Deposits, fading with the window: in steady traffic, what the window brings in."""
        self._at: float | None = None

    @property
    def balance(self) -> float:
        """What can be spent."""
        return self._balance

    def deposit(self, amount: float, now: float) -> None:
        """Save `amount`; what exceeds the bank is lost."""
        if self._at is not None:
            self._recent *= exp(-max(0.0, now - self._at) / self._window)
        self._at = now
        self._recent += amount
        self._balance = min(self._balance + amount, max(self._floor, self._recent))

    def holds(self, amount: float) -> bool:
        """Whether `amount` can be withdrawn."""
        return self._balance + _ROUNDING >= amount

    def withdraw(self, amount: float) -> None:
        """Take out `amount`; a negative one gives back. The balance may fall below 0: a debt."""
        self._balance -= amount


class Burst:
    """How many of the last seconds' requests were extra ones."""

    __slots__ = ("_extras", "_floor", "_requests", "_window")

    def __init__(self, *, window: float, floor: int) -> None:
        """`window` in seconds; `floor` extra requests are always allowed within it."""
        self._window = window
        self._floor = floor
        self._requests: deque[float] = deque()
        self._extras: deque[float] = deque()

    def request(self, now: float) -> None:
        """A request has come."""
        _slide(self._requests, now - self._window)
        self._requests.append(now)

    def repeat(self, now: float) -> None:
        """A further attempt was started for one of them."""
        _slide(self._extras, now - self._window)
        self._extras.append(now)

    def allows(self, now: float, share: float) -> bool:
        """Whether one more stays within `share` of the requests."""
        _slide(self._requests, now - self._window)
        _slide(self._extras, now - self._window)
        most = max(self._floor, share * len(self._requests))
        return len(self._extras) + 1 <= most


class Budget:
    """What one route's hedging may spend."""

    def __init__(self, settings: BudgetSettings | None = None) -> None:
        """Both banks open with what the settings allow."""
        self.settings = settings or BudgetSettings()
        own = self.settings
        self._requests = Bank(opening=own.opening, window=own.bank)
        self._cost: Bank | None = None
        """Opened by the first request of known cost, with as many of its kind."""
        self._burst = Burst(window=own.burst_window, floor=own.burst_floor)

    @property
    def hedges(self) -> float:
        """How many hedges are saved up, their cost apart."""
        return self._requests.balance

    def request(self, cost: float | None, cost_share: float, now: float) -> None:
        """A request that may be hedged has come.

        `cost`: what its first attempt is expected to cost, None if nobody knows. `cost_share`: the
        share of it that hedging may add.
        """
        self._burst.request(now)
        self._requests.deposit(self.settings.request_share, now)
        if cost is None:
            return
        if self._cost is None:
            self._cost = Bank(opening=self.settings.opening * cost, window=self.settings.bank)
        self._cost.deposit(cost_share * cost, now)

    def hedge(self, cost: float | None, now: float) -> Denied | None:
        """Spend a hedge whose loser will cost `cost`, or say why not.

        Where the cost is unknown the banks of requests alone decide: a model without a price is
        often one without a bill.
        """
        if not self._burst.allows(now, self.settings.hedge_burst_share):
            return Denied.BURST
        if not self._requests.holds(1.0):
            return Denied.REQUEST_BUDGET
        if cost is not None and self._cost is not None:
            if not self._cost.holds(cost):
                return Denied.COST_BUDGET
            self._cost.withdraw(cost)
        self._requests.withdraw(1.0)
        self._burst.repeat(now)
        return None

    def give_back(self, cost: float | None) -> None:
        """A hedge that was spent was not sent after all. `cost`: as it was withdrawn."""
        self._requests.withdraw(-1.0)
        if cost is not None and self._cost is not None:
            self._cost.withdraw(-cost)

    def settle(self, estimated: float, actual: float) -> None:
        """A hedge is over: correct what was withdrawn for its loser."""
        if self._cost is not None:
            self._cost.withdraw(actual - estimated)

    def failover(self, now: float) -> bool:
        """Whether an attempt may be started because all are silent; counts it if so.

        It is charged to no bank: there is nothing to save by letting a request fail. But many at
        once are a load like any other.
        """
        allowed = self._burst.allows(now, self.settings.burst_share)
        if allowed:
            self._burst.repeat(now)
        return allowed


def _slide(times: deque[float], start: float) -> None:
    """Forget what was at `start` or before."""
    while times and times[0] <= start:
        times.popleft()
