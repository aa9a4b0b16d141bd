"""What all requests' hedging has in common, and one request's view of it.

The `Hedger` lives as long as the process: it holds the learned delays, the budgets, the signs of
overload, and knows the targets' health. For each request it opens a `Watch`, whatever the request's
strategy, because what every attempt took is what the next one's delay is learned from. The watch
does two things:

- it is the gate of its request's race: how long to wait for a first token, and at that time, whom
  to ask as well or why nobody;
- it hears what becomes of the attempts (started, content, ended) and tells those who learn from
  it. An attempt that lost is told as given up after the time it had; a measured time is left out
  while this process itself was late.

Whom a hedge goes to: of the candidates that nothing speaks against, those that are not slow right
now, then the one that would least often still be silent after the same delay, then the plan's
order. The denials are counted by reason, because "why was this not hedged" must have an answer.

Deciding only: `now` in seconds is an argument. Left out: whether a hedge won for the metrics'
sake, and what attempts really cost (the accounts).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from adapters.contract import CancelBilling
from adapters.events import Error, ErrorCode, Role
from service.hedging import exclusions
from service.hedging.budget import Budget, BudgetSettings
from service.hedging.delay import MOST_KEYS, SCALES, Delays, DelaySettings, Key
from service.hedging.exclusions import CandidateFacts, Denied, RequestFacts
from service.hedging.loser_cost import Price, attempt_cost, loser_cost
from service.hedging.overload import Overload, OverloadSettings
from service.routing.health import Expectation, Health, State, Target

_COST_SHARES: Mapping[CancelBilling, float] = MappingProxyType(
    {"stops": 0.05, "full": 0.06, "unknown": 0.06}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeSettings:
    """The policy of one process; times in seconds."""

    delay: DelaySettings = field(default_factory=DelaySettings)
    budget: BudgetSettings = field(default_factory=BudgetSettings)
    overload: OverloadSettings = field(default_factory=OverloadSettings)
    cost_shares: Mapping[CancelBilling, float] = field(default_factory=lambda: _COST_SHARES)
    """Extra cost, of what the first attempts cost, by what the first provider charges for a
    cancelled answer: where it charges all of it, 5 % of the requests cost 6 %."""
    most_input: float = exclusions.MOST_INPUT
    hopeless: float = 0.85
    """Lateness from which a slow target is no use as a hedge. In a bad episode about 60 % are
    late, in an outage all."""
    trial_share: float = 0.005
    """Of the hedged requests: how many go first to a candidate of whom too little is known, so that
    a hedge there is not sent in the dark. They are nobody's extra requests."""
    trial_candidates: int = 3
    """Behind the first, how many are got to know."""
    failover_share: float = 1 / 3
    """Of the limit for the first content: when all have been silent for so long, one more is asked,
    so that three attempts fit into it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A candidate of the plan, as hedging sees it."""

    target: Target
    key: Key
    domain: str
    """What fails together: the provider, and its region or deployment where there are several."""
    price: Price | None = None
    billing: CancelBilling = "unknown"
    cached: float = 0.0
    """Share of the input expected to be in its prompt cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What a request says about hedging."""

    route: str = ""
    """Whose budget: requests of one route share it."""
    hedged: bool = True
    """False: only listen."""
    facts: RequestFacts = field(default_factory=RequestFacts)
    expected_output: float = 0.0
    """Tokens."""
    ordered: bool = False
    """Whether the caller named the providers, so that the plan's order holds for hedges too."""
    delay: float | None = None
    """Seconds, instead of the learned ones: the caller's own word."""
    deadline: float = float("inf")
    """Monotonic time at which a first content is too late."""


class Hedger:
    """What all requests' hedging has in common."""

    def __init__(
        self,
        health: Health,
        settings: HedgeSettings | None = None,
        *,
        headroom: Callable[[Target, float], float] | None = None,
    ) -> None:
        """`headroom`: the share of a target's rate limit that is left at a time."""
        self.settings = settings or HedgeSettings()
        self.health = health
        self.delays = Delays(self.settings.delay)
        self.overload = Overload(self.settings.overload)
        self.denials: Counter[Denied] = Counter()
        self.headroom = headroom or _ample
        self._budgets: dict[str, Budget] = {}
        self._trials: dict[Key, float] = {}
        """Of a request, saved up by those that did not go to this candidate."""

    def watch(self, request: Watched, contenders: Sequence[Contender], now: float) -> "Watch":
        """Open the view of one request; the contenders in the plan's order."""
        return Watch(self, request, contenders, now)

    def budget(self, route: str) -> Budget:
        """The budget of a route: routes are configuration, so they are few."""
        budget = self._budgets.get(route)
        if budget is None:
            budget = self._budgets[route] = Budget(self.settings.budget)
        return budget

    def first(self, keys: Sequence[Key], now: float) -> int:
        """Which candidate a hedged request asks first: the plan's first, or seldom an unknown one.

        `keys`: of the candidates, in the plan's order.
        """
        for index, key in enumerate(keys[1 : 1 + self.settings.trial_candidates], start=1):
            if self.delays.estimate(key, now).learned:
                continue
            saved = self._trials.pop(key, 0.0) + self.settings.trial_share
            if len(self._trials) >= MOST_KEYS:
                del self._trials[next(iter(self._trials))]
            self._trials[key] = saved % 1.0
            if saved >= 1.0:
                return index
        return 0

    def saved(self) -> dict[str, float]:
        """How many hedges each route has saved up."""
        return {route: budget.hedges for route, budget in self._budgets.items()}

    def lag(self, seconds: float, now: float) -> None:
        """The event loop ran something this much later than it was due."""
        self.overload.lag(seconds, now)
        if self.overload.lagging(now):
            self.health.unsure()

    def failover_after(self, size: int, limit: float) -> float:
        """Seconds of silence after which a hedged request asks one more.

        `size`: its prompt size. `limit`: seconds it may take to its first content.
        """
        most = self.settings.delay.most * SCALES[size]
        return min(most, limit * self.settings.failover_share)


def _ample(_target: Target, _now: float) -> float:
    return 1.0


@dataclass(slots=True)
class _Attempt:
    """One that was started."""

    contender: Contender
    started: float
    expectation: Expectation
    waiting: bool = True
    """Whether neither content nor an end has come."""
    answering: bool = False
    """Whether content has come and no end."""


class Watch:
    """One request's view: the gate of its race, the witness of its attempts."""

    __slots__ = (
        "_attempts",
        "_budget",
        "_contenders",
        "_estimated",
        "_excluded",
        "_hedge",
        "_hedger",
        "_request",
        "saved",
    )

    def __init__(
        self, hedger: Hedger, request: Watched, contenders: Sequence[Contender], now: float
    ) -> None:
        """A request that may be hedged deposits its share."""
        self._hedger = hedger
        self._request = request
        self._contenders = contenders
        self._attempts: dict[int, _Attempt] = {}
        self._budget = hedger.budget(request.route)
        self._hedge: int | None = None
        """The attempt that is a hedge, once one is."""
        self._estimated: float | None = None
        """What its loser is expected to cost, in US dollars."""
        self.saved: float | None = None
        """Seconds for which the first attempt would still have been silent, by what is known of it,
        when another one answered; None where it was not so."""
        self._excluded = not request.hedged or self._exclusion()
        if not self._excluded:
            share = hedger.settings.cost_shares[contenders[0].billing]
            self._budget.request(self._first_cost(), share, now)

    # --- The race's gate ---

    def delay(self, candidate: int, now: float) -> float | None:
        """Gate: seconds this candidate may be silent before another is asked as well."""
        if self._excluded:
            return None
        if self._request.delay is not None:
            return self._request.delay
        return self._hedger.delays.estimate(self._contenders[candidate].key, now).delay

    def hedge(self, unused: Sequence[int], now: float) -> int | None:
        """Gate: which of the unused candidates to ask as well, now that the delay is over."""
        found = self._choose(unused, now)
        if isinstance(found, Denied):
            self._hedger.denials[found] += 1
            return None
        return found

    def failover(self, unused: Sequence[int], now: float) -> int | None:
        """Gate: which to ask because all have been silent for too long; None: nobody yet."""
        if not self._budget.failover(now):
            return None
        return min(unused, key=lambda candidate: self._despair(candidate, now))

    def _exclusion(self) -> bool:
        settings = self._hedger.settings
        reason = exclusions.of_request(self._request.facts, most_input=settings.most_input)
        if reason is not None:
            self._hedger.denials[reason] += 1
        return reason is not None

    def _choose(self, unused: Sequence[int], now: float) -> int | Denied:
        hedger = self._hedger
        targets = {contender.target for contender in self._contenders}
        lateness = (hedger.health.lateness(target, now) for target in targets)
        overloaded = hedger.overload.reason(lateness, now)
        if overloaded is not None:
            return overloaded
        judged = [(candidate, self._against(candidate, now)) for candidate in unused]
        fit = [candidate for candidate, against in judged if against is None]
        if not fit:
            return next((against for _, against in judged if against), Denied.NO_CANDIDATE)
        best = min(fit, key=lambda candidate: self._rank(candidate, now))
        cost = self._hedge_cost(best)
        denied = self._budget.hedge(cost, now)
        if denied is not None:
            return denied
        self._estimated = cost
        return best

    def _against(self, candidate: int, now: float) -> Denied | None:
        """What speaks against this candidate as a hedge."""
        hedger, contender = self._hedger, self._contenders[candidate]
        running = self._running()
        standing = hedger.health.standing(contender.target, now)
        drag = hedger.health.drag(contender.target, now)
        return exclusions.of_candidate(
            CandidateFacts(
                same_domain=any(other.domain == contender.domain for other in running),
                healthy=standing.usable(now) and drag < hedger.settings.hopeless,
                headroom=hedger.headroom(contender.target, now),
                cached_there=max((other.cached for other in running), default=0.0),
                cached_here=contender.cached,
                time_left=self._request.deadline - now,
                usual=hedger.delays.estimate(contender.key, now).quantile(0.5) or 0.0,
            )
        )

    def _rank(self, candidate: int, now: float) -> tuple[bool, float]:
        """Whom to hedge with: least is best; equals stay in the plan's order."""
        if self._request.ordered:
            return False, candidate
        hedger, contender = self._hedger, self._contenders[candidate]
        slow = hedger.health.standing(contender.target, now).state is State.SLOW
        waited = now - min(attempt.started for attempt in self._attempts.values())
        return slow, hedger.delays.estimate(contender.key, now).silent(waited)

    def _despair(self, candidate: int, now: float) -> tuple[bool, bool, bool]:
        """Whom to fail over to: anybody, but rather who answers, and rather somebody else."""
        if self._request.ordered:
            return False, False, False
        health, contender = self._hedger.health, self._contenders[candidate]
        hopeless = health.drag(contender.target, now) >= self._hedger.settings.hopeless
        silent = any(other.domain == contender.domain for other in self._running())
        return not health.standing(contender.target, now).usable(now), hopeless, silent

    def _running(self) -> list[Contender]:
        return [attempt.contender for attempt in self._attempts.values() if attempt.waiting]

    # --- What becomes of the attempts ---

    def started(self, attempt: int, candidate: int, role: Role, now: float) -> None:
        """An attempt's request is being sent."""
        contender = self._contenders[candidate]
        hedger = self._hedger
        late = hedger.delays.estimate(contender.key, now).late
        expectation = hedger.health.expect(contender.target, now, late)
        self._attempts[attempt] = _Attempt(contender, now, expectation)
        if role is Role.HEDGE:
            self._hedge = attempt

    def refused(self, role: Role) -> None:
        """An attempt that was to be started was not sent."""
        if role is Role.HEDGE:
            self._budget.give_back(self._estimated)
            self._estimated = None

    def content(self, attempt: int, now: float) -> None:
        """An attempt has its first content: it wins, and the others are given up."""
        hedger, winner = self._hedger, self._attempts[attempt]
        winner.waiting, winner.answering = False, True
        self.saved = self._still_silent(now)
        winner.expectation.heard = now
        self._settle()
        self._give_up_waiting(now)
        hedger.overload.attempt(now, limited=False)
        hedger.health.answered(winner.contender.target, now)
        if not hedger.overload.lagging(now):
            hedger.delays.answered(winner.contender.key, now - winner.started, now)
        if self._hedge is not None:
            hedger.overload.hedge(now, won=attempt == self._hedge)
            self._hedge = None

    def _still_silent(self, now: float) -> float | None:
        """The median of how long the first attempt would still take, given how long it has."""
        first = next(iter(self._attempts.values()))
        if not first.waiting:
            return None
        estimate = self._hedger.delays.estimate(first.contender.key, now)
        if not estimate.learned:
            return None
        waited = now - first.started
        median = estimate.quantile(estimate.silent(waited) / 2)
        return None if median is None else max(0.0, median - waited)

    def ended(self, attempt: int, error: Error | None, now: float) -> None:
        """An attempt is over by itself, before its first content or after it."""
        hedger, over = self._hedger, self._attempts[attempt]
        if over.waiting and error is None:
            self.content(attempt, now)  # an answer without any content is one, too
        elif over.waiting:
            self._give_up(over, now)
        over.answering = False
        if error is None:
            hedger.health.succeeded(over.contender.target, now)
        else:
            hedger.health.failed(over.contender.target, error, now)
            if error.code is ErrorCode.RATE_LIMIT_PROVIDER:
                hedger.overload.attempt(now, limited=True)

    def stopped(self, now: float) -> None:
        """Nobody is waited for any more: what has not answered is given up."""
        self._give_up_waiting(now)
        for attempt in self._attempts.values():
            if attempt.answering:  # as far as it was let
                attempt.answering = False
                self._hedger.health.succeeded(attempt.contender.target, now)

    def _give_up_waiting(self, now: float) -> None:
        for attempt in self._attempts.values():
            if attempt.waiting:
                self._give_up(attempt, now)

    def _give_up(self, attempt: _Attempt, now: float) -> None:
        attempt.waiting = False
        attempt.expectation.dropped = now
        if not self._hedger.overload.lagging(now):
            self._hedger.delays.given_up(attempt.contender.key, now - attempt.started, now)

    # --- What it costs ---

    def _first_cost(self) -> float | None:
        return attempt_cost(
            self._contenders[0].price,
            input_tokens=self._request.facts.input_tokens,
            output_tokens=self._request.expected_output,
        )

    def _loser_cost(self, contender: Contender) -> float | None:
        return loser_cost(
            contender.price,
            contender.billing,
            input_tokens=self._request.facts.input_tokens,
            expected_output=self._request.expected_output,
        )

    def _hedge_cost(self, candidate: int) -> float | None:
        """The dearer of those who might lose; None where a price is unknown."""
        costs = [self._loser_cost(c) for c in (*self._running(), self._contenders[candidate])]
        known = [cost for cost in costs if cost is not None]
        return max(known) if len(known) == len(costs) else None

    def _settle(self) -> None:
        """The winner is known, so the losers are: correct what was withdrawn for them."""
        if self._estimated is not None:
            losers = [self._loser_cost(contender) for contender in self._running()]
            self._budget.settle(self._estimated, sum(cost or 0.0 for cost in losers))
            self._estimated = None
