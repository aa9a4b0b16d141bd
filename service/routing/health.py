"""How each provider and model is doing: breakers, cool-downs, disabled keys.

Facts about attempts go in, two answers come out: a target's standing, and the order in which to ask
several targets. Four things speak against a target, the harder ones first:

- its key is disabled: refused, or out of quota. A refused key stays so until it is replaced; quota
  may come back by itself, so it is tried again after ten minutes;
- it is cooling down, because it said when to come back;
- its breaker is open: half of at least ten attempts within 30 s failed;
- it is slow: its first tokens are late (beyond the delay learned for it) more often than not. That
  ranks it behind others that are not, and never excludes it: late is better than nobody.

An open or slow target is probed with 3 % of the requests that would have gone to it, and with one
in 5 s where these are few. Three answers in a row close a breaker; a slow one counts as well again
once its lateness has fallen under 40 %. Lateness is a moving average over attempts, not over time:
at 20 requests a second a slow minute is noticed within half a second of its first late token.

Deciding only: `now` in seconds is an argument. Lives as long as the process; nothing is stored.
docs/hedging.md, algorithm and defaults.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from adapters.errors import RULES, Action
from adapters.events import Error, ErrorCode

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
    """Asked after those that are not, and probed."""
    OPEN = "open"
    """Failing: probed only."""
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

    @property
    def usable(self) -> bool:
        """Whether a request may be sent that is not a probe."""
        return self.state in {State.CLOSED, State.SLOW}


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """When a target counts as unwell; times in seconds."""

    window: float = 30.0
    least_attempts: int = 10
    """A breaker opens on no fewer."""
    error_share: float = 0.5
    closing_answers: int = 3
    """Probes that must succeed in a row."""
    lateness_step: float = 0.15
    """Weight of the newest attempt in the moving average."""
    slow_from: float = 0.55
    slow_until: float = 0.40
    """Also how late another target may be to be asked instead of a slow one."""
    lateness_counts_for: float = 30.0
    probe_share: float = 0.03
    probe_every: float = 5.0
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

    def succeeded(self, target: Target, now: float) -> None:
        """An attempt was answered."""
        self._record(target).attempt(now, self.settings, failed=False)

    def failed(self, target: Target, error: Error, now: float) -> None:
        """An attempt broke. An error that is not the provider's changes nothing."""
        if error.code in _DISABLING:
            pause = _DISABLING[error.code](self.settings)
            until = None if pause is None else now + pause
            self._disabled[target.provider] = Standing(State.DISABLED, until, error.code)
        elif error.code is ErrorCode.RATE_LIMIT_PROVIDER or error.retry_after_ms is not None:
            wait = error.retry_after_ms
            seconds = self.settings.cool_down if wait is None else wait / 1000
            self.cool(target, seconds, now, cause=error.code)
        elif RULES[error.code].action is Action.FAILOVER:
            self._record(target).attempt(now, self.settings, failed=True)

    def cool(
        self, target: Target, seconds: float, now: float, *, cause: ErrorCode | None = None
    ) -> None:
        """A target is to be left alone for so long, by its own word."""
        until = now + min(seconds, self.settings.most_cool_down)
        record = self._record(target)
        if record.cooling is None or record.cooling.until is None or until > record.cooling.until:
            record.cooling = Standing(State.COOLING, until, cause)

    def waited(self, target: Target, now: float, *, late: bool) -> None:
        """A first token was late, or came in time: told once per attempt, as soon as known."""
        self._record(target).waited(now, self.settings, late=late)

    def key_changed(self, provider: str) -> None:
        """A provider's key was replaced or switched on again: what was held against it is void."""
        self._disabled.pop(provider, None)

    # --- Answers ---

    def standing(self, target: Target, now: float) -> Standing:
        """What speaks hardest against a target."""
        disabled = self._disabled.get(target.provider)
        if disabled is not None and (disabled.until is None or now < disabled.until):
            return disabled
        record = self._records.get(target)
        return _WELL if record is None else record.standing(now)

    def lateness(self, target: Target, now: float) -> float:
        """The share of its recent attempts that were late; 0 where nothing recent is known."""
        record = self._records.get(target)
        if record is None or now >= record.heard + self.settings.lateness_counts_for:
            return 0.0
        return record.lateness

    def order(self, targets: Sequence[Target], now: float) -> list[int]:
        """In which order to ask: indices of `targets`, which come in the order of preference.

        The well ones first, then the slow, then what can only be probed; the disabled and the
        cooling are left out. If the preferred one is due for a probe, it stays in front: to be
        called once per request, because that spends the probe.
        """
        states = [self.standing(target, now).state for target in targets]
        fast = any(
            state is State.CLOSED and self.lateness(target, now) < self.settings.slow_until
            for state, target in zip(states, targets, strict=True)
        )
        ranks = {State.CLOSED: 0, State.SLOW: 1 if fast else 0, State.OPEN: 2}
        ranked = [index for index, state in enumerate(states) if state in ranks]
        if not ranked:
            return []
        first = ranked[0]
        ranked.sort(key=lambda index: ranks[states[index]])
        if ranked[0] != first and self._record(targets[first]).probe(now, self.settings):
            ranked.remove(first)
            ranked.insert(0, first)
        return ranked

    def _record(self, target: Target) -> "_Record":
        """The record of a target, made if need be, as the most recently used."""
        record = self._records.pop(target, None)
        if record is None:
            record = _Record()
            if len(self._records) >= MOST_TARGETS:
                del self._records[next(iter(self._records))]
        self._records[target] = record
        return record


_WELL = Standing(State.CLOSED)
_SLOW = Standing(State.SLOW)

_DISABLING = {
    ErrorCode.AUTH_PROVIDER: lambda _settings: None,
    ErrorCode.QUOTA_PROVIDER: lambda settings: settings.quota_pause,
}
"""What disables a provider's key, and for how long; None: until it is replaced."""


class _Record:
    """What is known of one target."""

    __slots__ = (
        "_attempts",
        "_failures",
        "_good",
        "_judged",
        "_opened",
        "_probed",
        "_share",
        "_slow",
        "cooling",
        "heard",
        "lateness",
    )

    def __init__(self) -> None:
        self.cooling: Standing | None = None
        self.lateness = 0.0
        self.heard = float("-inf")
        """When lateness was last told."""
        self._attempts: deque[tuple[float, bool]] = deque()
        self._failures = 0
        self._opened: ErrorCode | None | bool = None
        self._good = 0
        """Successful probes in a row."""
        self._judged = 0
        """Attempts whose lateness is known, up to as many as are needed to judge."""
        self._slow = False
        self._probed = float("-inf")
        self._share = 0.0
        """Of a probe, saved up by the requests that went elsewhere."""
