"""How each provider and model has done in the last quarter of an hour.

Every attempt that is over is counted once, in the minute in which it ended; a question adds up the
minutes of the window. So nothing has to be faded or swept, what is answered is exactly what
happened, and one bad hour is forgotten after a quarter of one. What the counts cannot hold exactly,
the times, goes into logarithmic buckets 5 % wide: a percentile is right to 2.5 %.

Times are taken per attempt, never per chunk: a call for each chunk would cost the path of a token
2 to 5 % (docs/hot-path.md). The time per output token is therefore the attempt's mean, (duration -
first token) / (output tokens - 1), and its percentiles say how attempts differ, not how single
tokens do: a stall within an answer shows as a slow attempt. It is left out where the count of
tokens is a guess. A model that thinks unseen looks faster than it is, because the tokens of its
thoughts are billed but never come.

Percentiles of the first token are of those that came. An attempt given up for another one would
have been slower than all that is known of it, so a hedged target's tail is worse than what is said
here; `Percentiles.count` beside `Figures.attempts` says how many are missing. What hedging waits
by does count them (`service.hedging.delay`); it answers another question, with fading and a
survival curve over dense buckets, and 2,000 of its records for each of 15 minutes would take
100 MB. The buckets here are sparse: a minute of a model has a handful of times.

Deciding only: time comes with the facts, or as `now` in monotonic seconds. Lives as long as the
process; nothing is stored. Measured with `python -m bench.telemetry`: `attempt_over` takes 3 us,
asking for a provider of 80 models 6 ms; 2 MB are kept for 80 models, 54 MB for as many as ever are.
"""

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from math import exp, log
from typing import Generic, TypeVar

from adapters.events import ErrorCode, Outcome, Role, Usage, UsageSource
from service.telemetry.attempts import AttemptFacts

MINUTES = 15
"""How far back is looked, the minute that is not over yet included."""

MOST_KEYS = 2_000
"""Models remembered, the least recently used forgotten: clients may name any model."""

_MINUTE = 60.0  # seconds
_SHORTEST = 1e-4  # seconds; less counts as this much
_LONGEST = 3_600.0  # seconds; more counts as this much
_LOG_GROWTH = log(1.05)

_EXTRA = (Role.HEDGE, Role.RACE, Role.FALLBACK, Role.CONTINUATION)
_REPORTED = frozenset({UsageSource.PROVIDER, UsageSource.COUNTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """How some times were distributed, seconds."""

    p50: float
    p90: float
    p99: float
    count: int
    """How many times these are of: below a hundred, `p99` is about the longest one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contests:
    """How attempts did against others for the same request."""

    won: int
    lost: int
    """Overtaken. Those that failed or were cancelled did neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What is known of some attempts; None is unknown, which is never 0."""

    attempts: int
    outcomes: Mapping[Outcome, int]
    errors: Mapping[ErrorCode, int]
    first_token: Percentiles | None
    per_output_token: Percentiles | None
    """After the first one; the means of single attempts."""
    hedges: Contests
    """As the one that was asked because another was silent."""
    races: Contests
    """As one of several asked at once, the first one apart."""
    challenged: Contests
    """As the one that was there before it was hedged, or the first one of a race."""
    input_tokens: int | None
    """The known ones: at least this many."""
    output_tokens: int | None
    cost_usd: float | None
    """The known ones: at least this much."""
    unknown_cost: int
    """Attempts that may have been charged, of which nobody said what they cost."""
    estimated_share: float | None
    """Of the attempts whose usage is known at all, how many had it estimated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStats:
    """One model at one provider."""

    model: str
    figures: Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderStats:
    """One provider; a provider nobody has asked has no attempts and no models."""

    provider: str
    window_s: float
    """Seconds that the figures reach back, at most."""
    total: Figures
    models: tuple[ModelStats, ...]
    """Those that were asked, by name."""


class Stats:
    """Counts every attempt, and says how they went."""

    def __init__(self) -> None:
        """Nobody has been asked yet."""
        self._records: dict[tuple[str, str], _Window[_Tally]] = {}
        self._roles: _Window[Counter[Role]] = _Window(Counter)
        """Attempts by role, of all providers together."""

    def attempt_over(self, facts: AttemptFacts) -> None:
        """Witness: count it."""
        minute = int((facts.started + facts.duration) // _MINUTE)
        self._record(facts.provider, facts.model).at(minute).count(facts)
        self._roles.at(minute)[facts.role] += 1

    def of(self, provider: str, now: float) -> ProviderStats:
        """How a provider and its models have done; `now` in monotonic seconds."""
        first = _first_minute(now)
        total = _Tally()
        models = []
        for (name, model), window in sorted(self._records.items()):
            tally = _sum(window.since(first)) if name == provider else _Tally()
            if tally.outcomes:
                models.append(ModelStats(model=model, figures=tally.figures()))
                total.add(tally)
        return ProviderStats(
            provider=provider,
            window_s=MINUTES * _MINUTE,
            total=total.figures(),
            models=tuple(models),
        )

    def extra_ratios(self, now: float) -> dict[Role, float]:
        """Further attempts per request, by their role; empty where there was no request.

        A request is known by its first attempt.
        """
        roles: Counter[Role] = Counter()
        for counts in self._roles.since(_first_minute(now)):
            roles.update(counts)
        requests = roles[Role.PRIMARY]
        return {role: roles[role] / requests for role in _EXTRA} if requests else {}

    def _record(self, provider: str, model: str) -> "_Window[_Tally]":
        """The record of a model, made if need be, as the most recently used."""
        records, key = self._records, (provider, model)
        record = records.pop(key, None)
        if record is None:
            record = _Window(_Tally)
            if len(records) >= MOST_KEYS:
                del records[next(iter(records))]
        records[key] = record
        return record


# --- Counting -------------------------------------------------------------------------------


class _Times:
    """Times by bucket; only the buckets that have any."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}

    def count(self, seconds: float) -> None:
        within = min(max(seconds, _SHORTEST), _LONGEST)
        bucket = int(log(within / _SHORTEST) / _LOG_GROWTH)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1

    def add(self, other: "_Times") -> None:
        _add(self.counts, other.counts)

    def percentiles(self) -> Percentiles | None:
        """None where there are no times."""
        if not self.counts:
            return None
        buckets = sorted(self.counts)
        up_to = list(accumulate(self.counts[bucket] for bucket in buckets))
        p50, p90, p99 = (
            _middle(buckets[bisect_left(up_to, share * up_to[-1])]) for share in (0.5, 0.9, 0.99)
        )
        return Percentiles(p50=p50, p90=p90, p99=p99, count=up_to[-1])


class _Contest:
    """Who won against others and who was overtaken."""

    __slots__ = ("lost", "won")

    def __init__(self) -> None:
        self.won = 0
        self.lost = 0

    def count(self, facts: AttemptFacts) -> None:
        if facts.committed:
            self.won += 1
        elif facts.outcome is Outcome.LOST_RACE:
            self.lost += 1

    def add(self, other: "_Contest") -> None:
        self.won += other.won
        self.lost += other.lost

    def figures(self) -> Contests:
        return Contests(won=self.won, lost=self.lost)


class _Tally:
    """What some attempts came to: of one minute, or of several added up."""

    __slots__ = (
        "challenged",
        "cost",
        "errors",
        "first_token",
        "hedges",
        "outcomes",
        "per_output_token",
        "priced",
        "races",
        "sources",
        "tokens",
        "unpriced",
    )

    def __init__(self) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self.errors: Counter[ErrorCode] = Counter()
        self.sources: Counter[UsageSource] = Counter()
        self.first_token = _Times()
        self.per_output_token = _Times()
        self.hedges = _Contest()
        self.races = _Contest()
        self.challenged = _Contest()
        self.tokens: Counter[str] = Counter()
        self.cost = 0.0
        self.priced = 0
        """How many said what they cost."""
        self.unpriced = 0

    def count(self, facts: AttemptFacts) -> None:
        """One more attempt."""
        self.outcomes[facts.outcome] += 1
        if facts.error is not None:
            self.errors[facts.error.code] += 1
        if facts.ttft is not None:
            self.first_token.count(facts.ttft)
        pace = _per_output_token(facts)
        if pace is not None:
            self.per_output_token.count(pace)
        if facts.hedged:
            self._contest(facts.role).count(facts)
        self._spend(facts.usage, charged=facts.charged)

    def _contest(self, role: Role) -> _Contest:
        match role:
            case Role.HEDGE:
                return self.hedges
            case Role.RACE:
                return self.races
            case _:
                return self.challenged

    def _spend(self, usage: Usage, *, charged: bool) -> None:
        self.sources[usage.source] += 1
        if usage.input is not None:
            self.tokens["input"] += usage.input
        if usage.output is not None:
            self.tokens["output"] += usage.output
        if usage.cost_usd is not None:
            self.cost += float(usage.cost_usd)
            self.priced += 1
        elif charged:
            self.unpriced += 1

    def add(self, other: "_Tally") -> None:
        """All of another tally as well."""
        _add(self.outcomes, other.outcomes)
        _add(self.errors, other.errors)
        _add(self.sources, other.sources)
        _add(self.tokens, other.tokens)
        self.first_token.add(other.first_token)
        self.per_output_token.add(other.per_output_token)
        self.hedges.add(other.hedges)
        self.races.add(other.races)
        self.challenged.add(other.challenged)
        self.cost += other.cost
        self.priced += other.priced
        self.unpriced += other.unpriced

    def figures(self) -> Figures:
        """The same, for others to read."""
        attempts = self.outcomes.total()
        spoken = attempts - self.sources[UsageSource.NONE]
        estimated = self.sources[UsageSource.ESTIMATED]
        return Figures(
            attempts=attempts,
            outcomes=dict(self.outcomes),
            errors=dict(self.errors),
            first_token=self.first_token.percentiles(),
            per_output_token=self.per_output_token.percentiles(),
            hedges=self.hedges.figures(),
            races=self.races.figures(),
            challenged=self.challenged.figures(),
            input_tokens=self.tokens.get("input"),
            output_tokens=self.tokens.get("output"),
            cost_usd=self.cost if self.priced else None,
            unknown_cost=self.unpriced,
            estimated_share=estimated / spoken if spoken else None,
        )


_Counts = TypeVar("_Counts")


class _Window(Generic[_Counts]):
    """Counts by minute, as many minutes as are looked back."""

    __slots__ = ("_make", "_minutes")

    def __init__(self, make: Callable[[], _Counts]) -> None:
        self._make = make
        self._minutes: deque[tuple[int, _Counts]] = deque(maxlen=MINUTES)

    def at(self, minute: int) -> _Counts:
        """The counts of that minute; of the latest one where that is past already."""
        minutes = self._minutes
        if not minutes or minutes[-1][0] < minute:
            minutes.append((minute, self._make()))
        return minutes[-1][1]

    def since(self, first: int) -> Iterator[_Counts]:
        """The counts of every minute from that one."""
        return (counts for minute, counts in self._minutes if minute >= first)


def _sum(tallies: Iterable[_Tally]) -> _Tally:
    total = _Tally()
    for tally in tallies:
        total.add(tally)
    return total


_Thing = TypeVar("_Thing")


def _add(counts: dict[_Thing, int], others: Mapping[_Thing, int]) -> None:
    """Add counts to counts; `Counter.update` takes three times as long where there are few."""
    for thing, count in others.items():
        counts[thing] = counts.get(thing, 0) + count


def _first_minute(now: float) -> int:
    """The first minute of the window that ends now."""
    return int(now // _MINUTE) - MINUTES + 1


def _middle(bucket: int) -> float:
    return _SHORTEST * exp((bucket + 0.5) * _LOG_GROWTH)


def _per_output_token(facts: AttemptFacts) -> float | None:
    """Mean time from one output token to the next, seconds; None where it cannot be known."""
    output = facts.usage.output
    if facts.ttft is None or output is None or facts.usage.source not in _REPORTED:
        return None
    return (facts.duration - facts.ttft) / (output - 1) if output > 1 else None
