"""Providers that feel the load: whether hedging keeps an overload alive that has lost its cause.

Both providers are queues with a fixed number of places; half of the requests prefer each, so both
run at 80 %. For 30 s each loses 40 % of its places, and a backlog builds up. An answer holds its
place until it is over; a cancelled attempt gives its place back at once, or, in the harder run,
generates on to its end as where cancelling does not stop the bill. A policy passes if the upstream
load never exceeds 1.25 times the offered one in any 10 s, and if first tokens are as fast as before
not much later than without hedging. Racing is the control: at this load it cannot recover.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import exp, inf

from adapters.request import Strategy
from bench.hedge_run import Account, Run
from bench.hedge_world import ONE_SIZE, Sent, Size, draw_of, seeded
from bench.virtual_clock import VirtualClock

RATE = 40.0  # requests per second, both providers together
PLACES = 25
REDUCED = 15
TRIGGER, TRIGGER_FOR = 300.0, 30.0
END = 600.0

_FIRST = (-0.9, 0.5)  # ln seconds from place to first token: median 0.41 s
_REST = 0.54  # seconds of answer after it: together 1 s on average
_STRAGGLERS = 0.03
"""Answers that are long on their way; they hold no place."""


@dataclass(eq=False, slots=True)
class _Job:
    """An attempt in a provider's queue or at a place."""

    sent: Sent
    heard: Callable[[], None]
    running: bool = False
    gone: bool = False


@dataclass
class _Provider:
    places: int = PLACES
    busy: int = 0
    queue: deque[_Job] = field(default_factory=deque)


class Queues:
    """The two providers, as a run's upstreams."""

    def __init__(self, seed: int, *, frees: bool) -> None:
        """`frees`: whether a cancelled attempt gives its place back."""
        self._frees = frees
        self._luck = seeded(seed)
        arrivals = seeded(seed + 1_000)
        now = 0.0
        self.arrivals: list[float] = []
        while now < END:
            now += arrivals.expovariate(RATE)
            self.arrivals.append(now)
        self.sizes: list[Size] = [ONE_SIZE[0]] * len(self.arrivals)
        self._providers = (_Provider(), _Provider())
        self._jobs: dict[Sent, _Job] = {}
        self._triggered = False

    def preferred(self, request: int) -> tuple[int, int]:
        """Each half of the requests."""
        return (0, 1) if request % 2 else (1, 0)

    def send(self, clock: VirtualClock, attempt: Sent, heard: Callable[[], None]) -> None:
        """Wait for a place."""
        if not self._triggered:
            self._triggered = True
            clock.call_at(TRIGGER, self._resize, clock, REDUCED)
            clock.call_at(TRIGGER + TRIGGER_FOR, self._resize, clock, PLACES)
        job = self._jobs[attempt] = _Job(attempt, heard)
        self._providers[attempt.provider].queue.append(job)
        self._fill(clock, attempt.provider)

    def cancel(self, clock: VirtualClock, attempt: Sent) -> None:
        """Leave the queue, or the place."""
        job = self._jobs.pop(attempt, None)
        if job is None:
            return
        if not job.running:
            job.gone = True
        elif self._frees:
            job.gone = True
            self._free(clock, attempt.provider)

    def cost(self, _request: int, _provider: int, *, full: bool) -> float:
        """Every attempt counts as one."""
        return 1.0 if full else 0.5

    def up(self, _since: float, _until: float) -> bool:
        """Both always are."""
        return True

    def _resize(self, clock: VirtualClock, places: int) -> None:
        for number, provider in enumerate(self._providers):
            provider.places = places
            self._fill(clock, number)

    def _fill(self, clock: VirtualClock, number: int) -> None:
        provider = self._providers[number]
        while provider.queue and provider.busy < provider.places:
            job = provider.queue.popleft()
            if not job.gone:
                provider.busy += 1
                job.running = True
                draw = draw_of(self._luck)
                first = clock.now + exp(_FIRST[0] + _FIRST[1] * draw.body)
                clock.call_at(first + _REST, self._done, clock, job)
                straggles = draw.straggle if draw.straggles < _STRAGGLERS else 0.0
                clock.call_at(first + straggles, self._first, job)

    def _first(self, job: _Job) -> None:
        if not job.gone:
            job.heard()

    def _done(self, clock: VirtualClock, job: _Job) -> None:
        if not job.gone:
            self._jobs.pop(job.sent, None)
            self._free(clock, job.sent.provider)

    def _free(self, clock: VirtualClock, number: int) -> None:
        self._providers[number].busy -= 1
        self._fill(clock, number)


@dataclass(frozen=True)
class Recovery:
    """How one policy came through."""

    load: float
    """The largest ratio of attempts to requests in any 10 s."""
    seconds: float
    """From the trigger's end until first tokens were as fast as before; inf if never."""


def recovery(seed: int, strategy: Strategy, *, frees: bool) -> Recovery:
    """Play the overload under one strategy."""
    account = Run(Queues(seed, frees=frees), strategy=strategy).run()
    return Recovery(1 + account.burst(), _recovered(account))


def _recovered(account: Account) -> float:
    """When the median of 10 s of requests was within a quarter of the one before, and stayed so."""
    before = _median(account, TRIGGER - 100, TRIGGER)
    end = TRIGGER + TRIGGER_FOR
    starts = [end + step for step in range(int(END - end) - 10)]
    slow = [start for start in starts if _median(account, start, start + 10) > 1.25 * before]
    last = max(slow, default=end - 1) + 1
    return inf if last > starts[-1] else last - end


def _median(account: Account, start: float, end: float) -> float:
    times = sorted(
        seconds
        for arrived, seconds in zip(account.arrivals, account.first_tokens, strict=True)
        if start <= arrived < end
    )
    return times[len(times) // 2]
