"""How each provider and model is doing: breakers, cool-downs, disabled keys, slowness.

Facts about attempts go in, two answers come out: a target's standing, and the order in which to ask
several targets. Four things speak against a target, the harder ones first:

- its key is disabled: refused, or out of quota. A refused key stays so until it is replaced; quota
  may come back by itself, so it is tried again after ten minutes;
- it is cooling down, because it said when to come back, or that nothing is left until then;
- its breaker is open: half of at least ten attempts within 30 s failed, or ten in a row were late
  and none was answered since. Three answers in a row close it, or the first one where there was
  only silence;
- it is slow: more than 60 % of its first tokens are late, which in good times a fifth are. It is
  well again below 40 %.

A token that does not come makes no event, so nobody would tell that it is late. Whoever sends a
request therefore leaves an expectation here, and those that are overdue are counted when the next
request asks for an order: no timer is needed, and an outage is noticed by the very requests it
would have hit, at 20 requests a second within half a second of the first late token.

Traffic leaves an open target at once, but for 3 % of it, and one request in 5 s where that is less,
which try it. It leaves a slow one by 5 % of itself per second, and returns as slowly, because a
provider may be slow under our own load: moved at once, the load slows the next one down and comes
back, and two providers at 80 % that were slow for half a minute did not calm down in minutes
(simulated: bench/hedge_overload.py).

What nobody has asked for ten minutes counts as well again. The trials go to the target that a
request prefers; without this, a second choice that once failed would be last for ever.

Deciding only: `now` in seconds is an argument. Lives as long as the process; nothing is stored.
docs/hedging.md, algorithm and defaults.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from heapq import heappop, heappush
from math import inf
from typing import NamedTuple

from adapters.errors import RULES, Action
from adapters.events import Error, ErrorCode
from adapters.ratelimits import RateLimits

MOST_TARGETS = 2_000
"""Targets remembered, the least recently used forgotten: clients may name any model."""


class Target(NamedTuple):
    """What has a health of its own."""

    provider: str
    model: str


class State(StrEnum):
    """What a target's health allows."""

    CLOSED = "closed"
    """All is well: the breaker is closed."""
    SLOW = "slow"
    """Late more often than not: others answer more and more of its requests."""
    OPEN = "open"
    """Failing, or silent: only tried."""
    COOLING = "cooling"
    """It said when to come back."""
    DISABLED = "disabled"
    """Its key is refused or its quota is spent."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A target's state, and until when it lasts if that is known."""

    state: State
    until: float | None = None
    cause: ErrorCode | None = None

    def lasts(self, now: float) -> bool:
        """Whether it is not over yet."""
        return self.until is None or now < self.until

    def usable(self, now: float) -> bool:
        """Whether a further attempt may go there: an open target is tried again after a while."""
        if self.state is State.OPEN:
            return not self.lasts(now)
        return self.state in {State.CLOSED, State.SLOW}


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """When a target counts as unwell, and what follows; times in seconds."""

    window: float = 30.0
    least_attempts: int = 10
    """A breaker opens on no fewer, and nobody is called slow on fewer."""
    error_share: float = 0.5
    closing_answers: int = 3
    late_step: float = 0.07
    """Weight of the newest attempt in the moving averages: with a fifth late, 60 % is five standard
    deviations off."""
    trial_step: float = 0.15
    """The same for a slow target, which few are sent to."""
    slow_from: float = 0.60
    slow_until: float = 0.40
    """Also how late another target may be to be better than a slow one."""
    very: float = 3.0
    """Times late is very late."""
    drag_margin: float = 0.25
    """How much oftener than another slow target one must be very late for the other to be better.
    Without it, of two slow ones the slower kept its requests (simulated: p99 8.7 s, not 5.9 s)."""
    lateness_counts_for: float = 30.0
    remembered_for: float = 600.0
    """How long a target that nobody asks is open or slow."""
    shift: float = 0.05
    """Share of its requests per second that leaves a slow target, and returns."""
    longest_step: float = 5.0
    """Seconds that may count as passed between two requests, where they are few."""
    trial_share: float = 0.03
    trial_every: float = 5.0
    cool_down: float = 2.0
    """For a rate limit that does not say how long."""
    most_cool_down: float = 3_600.0
    quota_pause: float = 600.0


class Health:
    """What is known of every target."""

    def __init__(self, settings: HealthSettings | None = None) -> None:
        """Nobody has been asked yet, so all are well."""
        self.settings = settings or HealthSettings()
        self._records: dict[Target, _Record] = {}
        self._disabled: dict[str, Standing] = {}

    # --- Facts ---

    def answered(self, target: Target, now: float) -> None:
        """An attempt has its first content: whatever becomes of it, its target is not mute."""
        self._record(target).hear(now)

    def succeeded(self, target: Target, now: float) -> None:
        """An attempt is over, and was answered as far as anybody listened."""
        self._record(target).attempt(now, self.settings, failed=False)

    def failed(self, target: Target, error: Error, now: float) -> None:
        """An attempt broke. An error that is not the provider's own changes nothing."""
        settings, wait = self.settings, error.retry_after_ms
        if RULES[error.code].action is not Action.FAILOVER:
            return
        if error.code in _DISABLING:
            self._disable(target.provider, error.code, now)
            return
        limited = error.code is ErrorCode.RATE_LIMIT_PROVIDER
        if limited or wait is not None:
            seconds = settings.cool_down if wait is None else wait / 1000
            self.cool(target, seconds, now, cause=error.code)
        if not limited:
            self._record(target).attempt(now, settings, failed=True)

    def limits_said(self, target: Target, limits: RateLimits, now: float) -> None:
        """A response came with the provider's word about its limits.

        Retry-After outranks the resets: those tell when an account is full again, and a request
        fits in before.
        """
        seconds = limits.retry_after
        if seconds is None:
            accounts = (limits.requests, limits.tokens, limits.input_tokens, limits.output_tokens)
            resets = (account.reset or 0.0 for account in accounts if account.remaining == 0)
            seconds = max(resets, default=0.0)
        if seconds > 0:
            self.cool(target, seconds, now, cause=ErrorCode.RATE_LIMIT_PROVIDER)

    def cool(
        self, target: Target, seconds: float, now: float, *, cause: ErrorCode | None = None
    ) -> None:
        """A target is to be left alone for so many seconds, by its own word; an hour at most."""
        until = now + min(seconds, self.settings.most_cool_down)
        record = self._record(target)
        if record.cooling is None or not record.cooling.lasts(until):
            record.cooling = Standing(State.COOLING, until, cause)

    def expect(self, target: Target, now: float, seconds: float) -> "Expectation":
        """An attempt was started: after so many seconds without its first token it is late.

        Set `heard` of what is returned when the token comes, `dropped` when nobody waits any more.
        """
        expectation = Expectation(now, now + seconds)
        record = self._record(target)
        record.look(now, self.settings)  # or the heap of a target nobody asks about would grow
        heappush(record.expected, expectation)
        return expectation

    def unsure(self) -> None:
        """This process was late itself: who is late now may not be."""
        for record in self._records.values():
            record.expected.clear()

    def key_changed(self, provider: str) -> None:
        """A provider's key was replaced or switched on again: what was held against it is void."""
        self._disabled.pop(provider, None)

    # --- Answers ---

    def standing(self, target: Target, now: float) -> Standing:
        """What speaks hardest against a target. Asking moves no traffic, however often."""
        disabled = self._disabled.get(target.provider)
        if disabled is not None and disabled.lasts(now):
            return disabled
        record = self._records.get(target)
        return _WELL if record is None else record.standing(now, self.settings)

    def targets(self) -> list[Target]:
        """All of which anything is known but a disabled key, the least recently told first."""
        return list(self._records)

    def lateness(self, target: Target, now: float) -> float:
        """The share of its recent attempts that were late; 0 where nothing recent is known."""
        record = self._records.get(target)
        if record is None:
            return 0.0
        record.look(now, self.settings)
        return record.lateness if now < record.heard + self.settings.lateness_counts_for else 0.0

    def drag(self, target: Target, now: float) -> float:
        """The share of its recent attempts that were very late; 0 where nothing recent is known."""
        return self._records[target].drag if self.lateness(target, now) else 0.0

    def order(self, targets: Sequence[Target], now: float) -> list[int]:
        """In which order to ask: indices of `targets`, which come in the order of preference.

        The disabled and the cooling are left out, the open come last. If another one would do
        better than the preferred one, it is put in front for a part of the requests, and for the
        others the preferred one is tried. So asking counts: once per request that is sent, never
        for a plan that is only shown.
        """
        standings = [self.standing(target, now) for target in targets]
        ranked = [index for index, standing in enumerate(standings) if standing.state in _RANKS]
        if not ranked:
            return []
        first = ranked[0]
        ranked.sort(key=lambda index: self._rank(standings[index], targets[index], now))
        record = self._record(targets[first])
        away = self._better(targets[ranked[0]], targets[first], standings[first], now)
        record.steer(now, self.settings, away=away, at_once=standings[first].state is State.OPEN)
        if record.keeps(now, self.settings):
            ranked.remove(first)
            ranked.insert(0, first)
        elif ranked[0] == first and ranked[1:] and standings[ranked[1]].state is not State.OPEN:
            # It is well again, and gets its requests back step by step.
            ranked[:2] = ranked[1], first
        return ranked

    def _disable(self, provider: str, cause: ErrorCode, now: float) -> None:
        """A key is refused, until it is replaced, or its quota is spent, for a while."""
        spent = cause is ErrorCode.QUOTA_PROVIDER
        known = self._disabled.get(provider)
        if spent and known is not None and known.until is None:
            return
        until = now + self.settings.quota_pause if spent else None
        self._disabled[provider] = Standing(State.DISABLED, until, cause)

    def _rank(self, standing: Standing, target: Target, now: float) -> tuple[int, float]:
        """Least is best; what is equal keeps its order."""
        rank = _RANKS[standing.state]
        return rank, self.drag(target, now) if standing.state is State.SLOW else 0.0

    def _better(self, best: Target, first: Target, standing: Standing, now: float) -> bool:
        """Whether `best` would do clearly better than the preferred one."""
        if best == first:
            return False
        if standing.state is State.OPEN or self.lateness(best, now) < self.settings.slow_until:
            return True
        return self.drag(first, now) > self.drag(best, now) + self.settings.drag_margin

    def _record(self, target: Target) -> "_Record":
        """The record of a target, made if need be, as the most recently used."""
        record = self._records.pop(target, None)
        if record is None:
            record = _Record()
            if len(self._records) >= MOST_TARGETS:
                del self._records[next(iter(self._records))]
        self._records[target] = record
        return record


_RANKS = {State.CLOSED: 0, State.SLOW: 1, State.OPEN: 2}

_WELL = Standing(State.CLOSED)
_SLOW = Standing(State.SLOW)

_DISABLING = frozenset({ErrorCode.AUTH_PROVIDER, ErrorCode.QUOTA_PROVIDER})


class Expectation:
    """A first token that is awaited."""

    __slots__ = ("dropped", "due", "heard", "late", "started")

    def __init__(self, started: float, due: float) -> None:
        """Nothing is heard of it yet."""
        self.started = started
        self.due = due
        self.late = False
        """Whether `due` is the second time: it was late already, and may be very late."""
        self.heard = inf
        """When it came."""
        self.dropped = inf
        """When it was no longer waited for."""

    def __lt__(self, other: "Expectation") -> bool:
        """Earlier due first."""
        return self.due < other.due

    def again(self, times: float) -> "Expectation":
        """The same one, late: due for the second time after `times` the wait."""
        self.late = True
        self.due = self.started + times * (self.due - self.started)
        return self


class _Record:
    """What is known of one target."""

    __slots__ = (
        "_answers",
        "_attempts",
        "_bad",
        "_failures",
        "_heard_of",
        "_kept",
        "_mute",
        "_open",
        "_saved",
        "_share",
        "_slow",
        "_steered",
        "_told",
        "cooling",
        "drag",
        "expected",
        "heard",
        "lateness",
    )

    def __init__(self) -> None:
        self.cooling: Standing | None = None
        self.expected: list[Expectation] = []
        """A heap, the earliest due first."""
        self.lateness = 0.0
        """Share of late attempts."""
        self.drag = 0.0
        """Share of very late ones."""
        self.heard = -inf
        """When lateness was last told."""
        self._heard_of = 0
        """How many attempts lateness rests on."""
        self._slow = False
        self._mute = 0
        """How many were late since the last one that was answered at all."""
        self._attempts: deque[tuple[float, bool]] = deque()
        """When each attempt of the window ended, and whether it failed."""
        self._failures = 0
        self._open = False
        self._answers = 0
        """In a row, since the breaker opened."""
        self._bad = -inf
        """When something last went wrong."""
        self._told = -inf
        """When anything was last told."""
        self._share = 1.0
        """How many of the requests that prefer this target go to it."""
        self._steered = -inf
        self._saved = 0.0
        """Of a request, saved up by those that went elsewhere."""
        self._kept = -inf
        """When a request that prefers this target last went to it."""

    def standing(self, now: float, settings: HealthSettings) -> Standing:
        """What speaks hardest against the target."""
        self.look(now, settings)
        if self.cooling is not None and self.cooling.lasts(now):
            return self.cooling
        if self._open:
            return Standing(State.OPEN, self._bad + settings.trial_every)
        if self._mute >= settings.least_attempts:
            until = self._bad + settings.trial_every
            return Standing(State.OPEN, until, ErrorCode.TIMEOUT_FIRST_TOKEN)
        return _SLOW if self._slow else _WELL

    # --- Failures ---

    def hear(self, now: float) -> None:
        """There is content: it is not mute."""
        self._told = now
        self._mute = 0

    def attempt(self, now: float, settings: HealthSettings, *, failed: bool) -> None:
        """An attempt was answered or failed."""
        self._told = now
        if failed:
            self._bad = now
        else:
            self._mute = 0
        if self._open:
            self._answers = 0 if failed else self._answers + 1
            self._open = self._answers < settings.closing_answers
            return
        self._slide(now - settings.window)
        self._attempts.append((now, failed))
        self._failures += failed
        enough = len(self._attempts) >= settings.least_attempts
        if enough and self._failures >= settings.error_share * len(self._attempts):
            self._trip()

    def _trip(self) -> None:
        """Open the breaker; once closed again, it takes ten new attempts to open it."""
        self._open = True
        self._answers = 0
        self._attempts.clear()
        self._failures = 0

    def _slide(self, start: float) -> None:
        while self._attempts and self._attempts[0][0] <= start:
            self._failures -= self._attempts.popleft()[1]

    # --- Lateness ---

    def look(self, now: float, settings: HealthSettings) -> None:
        """Count the expectations that are due by now, and forget what is too old to count."""
        while self.expected and self.expected[0].due <= now:
            expectation = heappop(self.expected)
            if expectation.dropped < expectation.due:
                continue  # nobody knows whether it would have been late
            step = settings.trial_step if self._slow else settings.late_step
            missed = expectation.heard > expectation.due
            if expectation.late:
                self.drag += step * (missed - self.drag)
                continue
            self._judge(expectation, step, settings, late=missed)
            if missed:
                heappush(self.expected, expectation.again(settings.very))
            else:
                self.drag -= step * self.drag
        if -inf < self._told <= now - settings.remembered_for:
            self._forget()

    def _forget(self) -> None:
        self._open = self._slow = False
        self._mute = self._heard_of = 0
        self.lateness = self.drag = 0.0
        self._told = -inf

    def _judge(
        self, expectation: "Expectation", step: float, settings: HealthSettings, *, late: bool
    ) -> None:
        self.heard = expectation.due
        self._told = max(self._told, expectation.due)
        self._heard_of += 1
        self.lateness += step * (late - self.lateness)
        if late:
            # By now it may have come after all: then the target was slow, not mute.
            self._mute = self._mute + 1 if expectation.heard == inf else 0
            self._bad = expectation.due
        if self._slow:
            self._slow = self.lateness >= settings.slow_until
        elif self._heard_of >= settings.least_attempts:
            self._slow = self.lateness > settings.slow_from

    # --- Traffic ---

    def steer(self, now: float, settings: HealthSettings, *, away: bool, at_once: bool) -> None:
        """Let more of the requests that prefer this target go elsewhere, or fewer."""
        step = settings.shift * min(settings.longest_step, now - self._steered)
        self._steered = now
        if not away:
            self._share = min(1.0, self._share + step)
        elif at_once:
            self._share = settings.trial_share
        else:
            self._share = max(settings.trial_share, self._share - step)

    def keeps(self, now: float, settings: HealthSettings) -> bool:
        """Whether the request at hand goes here."""
        self._saved += self._share
        if self._saved < 1.0 and now < self._kept + settings.trial_every:
            return False
        self._kept, self._saved = now, max(0.0, self._saved - 1.0)
        return True
