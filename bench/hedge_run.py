"""One scenario under the product's own policy, on a virtual clock.

The classes that decide are the service's: `Race`, `Hedger` with its delays, budgets and signs of
overload, and `Health`. This module is the shell around them, as thin as the one that serves: it
carries out what the race decides, tells the facts, and keeps the account. What the attempts take is
the scenario's to say.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from adapters.contract import CancelBilling
from adapters.errors import make
from adapters.events import ErrorCode
from adapters.request import Strategy
from bench.hedge_world import DEADLINE, OUTPUT_TOKENS, PROVIDERS, Sent, Size
from bench.virtual_clock import VirtualClock
from service.hedging.delay import Delays, Key, size_of
from service.hedging.exclusions import RequestFacts
from service.hedging.hedger import Contender, Hedger, Watched
from service.hedging.loser_cost import Price
from service.hedging.race import Cancel, Command, Commit, Finish, Options, Race, Start
from service.routing.health import Health, Target

LATE = make(ErrorCode.TIMEOUT_FIRST_TOKEN, f"no content within {DEADLINE:g} s")
MAX_ATTEMPTS = 3

TARGETS = tuple(Target(model.name, "m") for model in PROVIDERS)


class Uncensored(Delays):
    """The control: what is given up is forgotten, so the tail vanishes from the record."""

    def given_up(self, key: Key, seconds: float, now: float) -> None:
        """Learn nothing."""


@dataclass
class Account:
    """What came of a run."""

    first_tokens: list[float] = field(default_factory=list)
    """Seconds, by request; the deadline where none came."""
    arrivals: list[float] = field(default_factory=list)
    extras: list[float] = field(default_factory=list)
    """When each attempt beyond a request's first was started."""
    lost_spend: float = 0.0
    """US dollars for attempts that did not answer."""
    spend: float = 0.0
    """US dollars for what the first attempts would have cost alone."""
    abandoned: int = 0
    """Requests at their deadline although some provider was up all the while they waited."""
    denials: dict[str, int] = field(default_factory=dict)

    @property
    def extra(self) -> float:
        """Extra requests, of all."""
        return len(self.extras) / len(self.first_tokens)

    @property
    def extra_cost(self) -> float:
        """Extra cost, of what the first attempts cost."""
        return self.lost_spend / self.spend

    def burst(self, window: float = 10.0) -> float:
        """The largest share of extra requests, of the requests, within any `window` seconds."""
        arrived: deque[float] = deque()
        extras: deque[float] = deque()
        worst = 0.0
        arrivals = iter(self.arrivals)
        upcoming = next(arrivals, inf)
        for extra in sorted(self.extras):
            while upcoming <= extra:
                arrived.append(upcoming)
                upcoming = next(arrivals, inf)
            extras.append(extra)
            for times in (arrived, extras):
                while times and times[0] <= extra - window:
                    times.popleft()
            if extra > window and arrived:
                worst = max(worst, len(extras) / len(arrived))
        return worst


class Upstreams(Protocol):
    """The providers of a run."""

    arrivals: list[float]
    sizes: list[Size]

    def preferred(self, request: int) -> tuple[int, int]:
        """Which provider the plan puts first for a request, which second."""

    def send(self, clock: VirtualClock, attempt: Sent, heard: Callable[[], None]) -> None:
        """An attempt is sent; call `heard` once it has its first token."""

    def cancel(self, clock: VirtualClock, attempt: Sent) -> None:
        """Its connection is closed."""

    def cost(self, request: int, provider: int, *, full: bool) -> float:
        """US dollars of an attempt: with its whole answer, or with its input only."""

    def up(self, since: float, until: float) -> bool:
        """Whether any provider was up within that time."""


class Run:
    """All requests of a scenario, one after the other and many at a time."""

    def __init__(
        self,
        upstreams: Upstreams,
        *,
        strategy: Strategy = Strategy.HEDGE,
        billing: CancelBilling = "stops",
        censoring: bool = True,
    ) -> None:
        """`billing`: what both providers charge for a cancelled attempt."""
        self.upstreams = upstreams
        self.strategy = strategy
        self.billing = billing
        self.clock = VirtualClock()
        self.health = Health()
        self.hedger = Hedger(self.health)
        if not censoring:
            self.hedger.delays = Uncensored()
        self.account = Account(
            first_tokens=[DEADLINE] * len(upstreams.arrivals), arrivals=upstreams.arrivals
        )
        self.contenders = {
            size: tuple(self._contender(p, size_of(size.input_tokens)) for p in (0, 1))
            for size in set(upstreams.sizes)
        }

    def run(self) -> Account:
        """Run it to its end."""
        self._arrive(0)
        self.clock.run()
        self.account.denials = {str(why): n for why, n in self.hedger.denials.items()}
        return self.account

    def _contender(self, provider: int, size: int) -> Contender:
        model = PROVIDERS[provider]
        return Contender(
            target=TARGETS[provider],
            key=Key(model.name, "m", size, reasoning=False),
            domain=model.name,
            price=Price(model.price_in, model.price_out),
            billing=self.billing,
        )

    def _arrive(self, number: int) -> None:
        """One request at a time is on the clock: the next one's arrival."""
        arrivals = self.upstreams.arrivals
        self.clock.call_at(arrivals[number], Request, self, number)
        if number + 1 < len(arrivals):
            self.clock.call_at(arrivals[number], self._arrive, number + 1)


class Request:
    """One request: the shell around its race."""

    __slots__ = (
        "_armed",
        "_arrived",
        "_number",
        "_order",
        "_over",
        "_race",
        "_run",
        "_sent",
        "_watch",
    )

    def __init__(self, run: Run, number: int) -> None:
        """It arrives now."""
        now = run.clock.now
        size = run.upstreams.sizes[number]
        self._run = run
        self._number = number
        self._arrived = now
        self._over = False
        self._armed: float | None = None
        self._sent: list[Sent] = []
        preferred = run.upstreams.preferred(number)
        order = [preferred[i] for i in run.health.order([TARGETS[p] for p in preferred], now)]
        # A second try at each: a provider that was only silent may be asked again.
        self._order = [*order, *order]
        kinds = run.contenders[size]
        hedged = run.strategy is Strategy.HEDGE
        facts = RequestFacts(input_tokens=size.input_tokens, max_attempts=MAX_ATTEMPTS)
        self._watch = run.hedger.watch(
            Watched(
                hedged=hedged,
                facts=facts,
                expected_output=OUTPUT_TOKENS,
                deadline=now + DEADLINE,
            ),
            [kinds[provider] for provider in self._order],
            now,
        )
        self._race = Race(
            Options(
                providers=tuple(PROVIDERS[provider].name for provider in self._order),
                rounds=2,
                strategy=run.strategy,
                failover_after=run.hedger.failover_after(size_of(size.input_tokens), DEADLINE),
                max_attempts=MAX_ATTEMPTS,
            ),
            self._watch,
        )
        run.account.spend += run.upstreams.cost(number, order[0], full=True)
        self._execute(self._race.begin(now))
        run.clock.call_at(now + DEADLINE, self._out_of_time)

    # --- Facts ---

    def _content(self, attempt: int) -> None:
        if self._over:
            return
        run, now = self._run, self._run.clock.now
        self._over = True  # nothing after the first content matters here: the answer ends
        run.account.first_tokens[self._number] = now - self._arrived
        commands = self._race.content(attempt)
        self._watch.content(attempt, now)
        self._watch.ended(attempt, None, now)
        self._execute(commands)

    def _timer(self, armed: float) -> None:
        if armed == self._armed:
            self._armed = None
            self._execute(self._race.timer(self._run.clock.now))

    def _out_of_time(self) -> None:
        if self._over:
            return
        run, now = self._run, self._run.clock.now
        self._over = True
        self._watch.stopped(now)
        self._execute(self._race.stop(LATE))
        run.account.abandoned += run.upstreams.up(self._arrived, now)

    # --- Commands ---

    def _execute(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Start():
                    self._start(command)
                case Cancel():
                    self._lost(command.attempt)
                case Commit() | Finish():
                    pass
        timer = self._race.next_timer()
        if timer is not None and timer != self._armed:
            self._armed = timer
            self._run.clock.call_at(timer, self._timer, timer)

    def _start(self, command: Start) -> None:
        run, now, attempt = self._run, self._run.clock.now, command.attempt
        provider = self._order[command.candidate]
        again = any(sent.provider == provider for sent in self._sent)
        sent = Sent(self._number, provider, again)
        self._sent.append(sent)
        self._watch.started(attempt, command.candidate, command.role, now)
        if attempt > 1:
            run.account.extras.append(now)
        run.upstreams.send(run.clock, sent, lambda: self._content(attempt))

    def _lost(self, attempt: int) -> None:
        run, sent = self._run, self._sent[attempt - 1]
        run.upstreams.cancel(run.clock, sent)
        full = run.billing != "stops"
        run.account.lost_spend += run.upstreams.cost(self._number, sent.provider, full=full)
