"""How long to wait for a first token before somebody else is asked as well.

The delay is a quantile of the time to the first token, learned per provider, model, prompt size and
reasoning: with a budget of 5 % it is the time after which 5 % are still silent. Two things make it
hold under its own effects:

- It counts what it cannot see. An attempt that is cancelled because another one won would have
  taken longer than it was given. Leaving it out makes the tail vanish from the record, the delay
  shrink and the hedges grow (simulated: 7.6 % for a target of 5 %). Each record therefore keeps two
  counts per bucket, answered and given up, and reads them as a survival curve (Kaplan and Meier,
  1958): the share still silent falls at each answer by the share of those still waiting.
- It is slow on purpose. What was seen fades with 900 s, or with 500 samples where they come less
  often; a faster estimate follows a bad minute and spends on it (simulated: worse at every tail
  quantile). Fading costs nothing per bucket: new samples weigh more instead (Cormode et al., 2009).

206 buckets from 20 ms to 64 s, each 4 % wider than the one before, so a delay is right to 4 %, on
the late side. Counts add up, so replicas could share them; today each learns for itself.

Where a key has too few samples, all sizes of the same model count, scaled; where those are too few
too, a fixed delay. The result is always clamped: a record that is mostly of the given up may never
come down to the budget's share at all.

Left out: reissuing with a probability below one (SingleR), which protects one quantile by leaving a
share of the stalls alone. docs/hedging.md, the estimator.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from math import exp, log
from operator import neg
from typing import NamedTuple, TypeVar

BUCKETS = 206
SHORTEST = 0.020  # seconds, upper edge of what counts as the shortest
GROWTH = 1.04

SIZES = (1_000, 4_000, 16_000)
"""Input tokens at which the next prompt size begins."""
SCALES = (1.0, 1.5, 2.5, 4.0)
"""What the first token takes at each prompt size, relative to the smallest."""

MOST_KEYS = 2_000
"""Records kept, the least recently used forgotten: clients may name any model. 3.3 kB each."""

_LOG_GROWTH = log(GROWTH)
_EDGES = tuple(SHORTEST * GROWTH ** (bucket + 1) for bucket in range(BUCKETS))
"""Upper edge of each bucket, seconds."""
_HEAVY = 40.0
"""ln of the weight at which a record is scaled back: far from overflow, seldom."""


class Key(NamedTuple):
    """What is learned apart from what."""

    provider: str
    model: str
    size: int
    """Index into `SCALES`."""
    reasoning: bool


def size_of(input_tokens: float) -> int:
    """The prompt size of so many input tokens: below 1 k, 4 k, 16 k, or more."""
    return bisect_right(SIZES, input_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class DelaySettings:
    """How the delay is learned; times in seconds."""

    share: float = 0.05
    """How many may still be silent when the delay is over: the budget's share of requests."""
    late_share: float = 0.20
    """How many first tokens count as late in good times."""
    least: float = 0.15
    most: float = 8.0
    """Times the prompt size's scale, like `cold`."""
    cold: float = 2.0
    """The delay while too little is known."""
    min_samples: int = 50
    least_age: float = 4.0
    """How old a record must be, times the prompt size's scale, before it is believed: what is still
    waited for is in none, so the first samples are the fast ones. At 200 requests a second fifty of
    them came within 0.4 s, the delay was learned too short, and the hedges it sent lost (simulated:
    p99 5.2 s, with this 1.9 to 2.1 s)."""
    memory: float = 900.0
    memory_samples: int = 500
    tick: float = 1.0
    """How long an estimate is used before it is made anew."""


def bucket_of(seconds: float) -> int:
    """The bucket of a time; what lies outside counts as the nearest."""
    if seconds <= SHORTEST:
        return 0
    return min(int(log(seconds / SHORTEST) / _LOG_GROWTH), BUCKETS - 1)


class Waits:
    """One record: how long answers took, and how long was waited in vain."""

    __slots__ = (
        "_age",
        "_answered",
        "_given_up",
        "_last",
        "_memory",
        "_samples",
        "_total",
        "since",
    )

    def __init__(self, *, memory: float, memory_samples: int) -> None:
        """What was seen fades with `memory` seconds or samples, whichever is longer."""
        self._memory = memory
        self._samples = memory_samples
        self._answered = [0.0] * BUCKETS
        self._given_up = [0.0] * BUCKETS
        self._total = 0.0
        self._last: float | None = None
        self.since: float | None = None
        """When its first sample came; None: it has none."""
        self._age = 0.0
        """ln of a new sample's weight."""

    @property
    def count(self) -> float:
        """How many samples it is worth, the faded ones less."""
        return self._total * exp(-self._age)

    def answered(self, seconds: float, now: float) -> None:
        """A first token came after `seconds`."""
        self._add(self._answered, bucket_of(seconds), now)

    def given_up(self, seconds: float, now: float) -> None:
        """None had come after `seconds`, and nobody waited on."""
        self._add(self._given_up, bucket_of(seconds), now)

    def survival(self) -> list[float]:
        """For each bucket, the share still silent at its upper edge."""
        waiting = self._total
        share = 1.0
        curve: list[float] = []
        for answered, given_up in zip(self._answered, self._given_up, strict=True):
            if answered and waiting > 0:
                share *= max(0.0, 1.0 - answered / waiting)
            waiting -= answered + given_up
            curve.append(share)
        return curve

    def _add(self, counts: list[float], bucket: int, now: float) -> None:
        weight = self._advance(now)
        counts[bucket] += weight
        self._total += weight

    def _advance(self, now: float) -> float:
        """Let time pass; the weight of a sample of now."""
        if self._last is not None:
            faded = max(0.0, now - self._last) / self._memory
            self._age += min(faded, 1.0 / self._samples)
        else:
            self.since = now
        self._last = now
        if self._age > _HEAVY:
            self._scale_back()
        return exp(self._age)

    def _scale_back(self) -> None:
        factor = exp(-self._age)
        self._answered = [count * factor for count in self._answered]
        self._given_up = [count * factor for count in self._given_up]
        self._total *= factor
        self._age = 0.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is believed of one key for the next second."""

    until: float
    delay: float
    """Seconds to wait for the first token before another provider is asked as well."""
    late: float
    """Seconds after which a first token counts as late: most come earlier."""
    learned: bool
    """False: too little is known, and all this is the fixed assumption."""
    scale: float
    survival: list[float] = field(repr=False)
    """The share still silent at each bucket's upper edge, in units of `scale`."""

    def silent(self, seconds: float) -> float:
        """The share expected to be silent after `seconds`."""
        return self.survival[bucket_of(seconds / self.scale)]

    def quantile(self, share: float) -> float | None:
        """When only `share` are still silent, seconds; None where the record does not say."""
        reached = _falls_to(self.survival, share)
        return None if reached is None else reached * self.scale


_Coarse = tuple[str, str, bool]
_Name = TypeVar("_Name", Key, _Coarse)


class Delays:
    """The records of all keys, and the delays read from them."""

    def __init__(self, settings: DelaySettings | None = None) -> None:
        """Nothing is known."""
        self.settings = settings or DelaySettings()
        self._waits: dict[Key, Waits] = {}
        self._all_sizes: dict[_Coarse, Waits] = {}
        """All prompt sizes of a model together, each time divided by its size's scale."""
        self._estimates: dict[Key, Estimate] = {}
        self._assumed = _assumption(self.settings)

    def answered(self, key: Key, seconds: float, now: float) -> None:
        """An attempt had its first token `seconds` after its own start."""
        self._own(key).answered(seconds, now)
        self._coarse(key).answered(seconds / SCALES[key.size], now)

    def given_up(self, key: Key, seconds: float, now: float) -> None:
        """An attempt lost, failed or was cancelled without a token, `seconds` after its start."""
        self._own(key).given_up(seconds, now)
        self._coarse(key).given_up(seconds / SCALES[key.size], now)

    def estimate(self, key: Key, now: float) -> Estimate:
        """What is believed of `key`; made anew once a second."""
        known = self._estimates.get(key)
        if known is None or now >= known.until:
            if len(self._estimates) >= MOST_KEYS:
                self._estimates.clear()  # a second's work at most
            known = self._estimates[key] = self._make(key, now)
        return known

    def _make(self, key: Key, now: float) -> Estimate:
        settings = self.settings
        scale = SCALES[key.size]
        until = now + settings.tick
        own = self._waits.get(key)
        coarse = self._all_sizes.get((key.provider, key.model, key.reasoning))
        for waits, unit in ((own, 1.0), (coarse, scale)):
            if waits is not None and self._believed(waits, scale, now):
                curve = waits.survival()
                delay = self._clamped(_falls_to(curve, settings.share), unit, scale)
                late = self._clamped(_falls_to(curve, settings.late_share), unit, scale)
                return Estimate(until, delay, late, learned=True, scale=unit, survival=curve)
        delay = self._clamped(settings.cold, scale, scale)
        # Nobody is called late by a guess.
        late = settings.most * scale
        return Estimate(until, delay, late, learned=False, scale=scale, survival=self._assumed)

    def _believed(self, waits: Waits, scale: float, now: float) -> bool:
        old = waits.since is not None and now >= waits.since + self.settings.least_age * scale
        return old and waits.count >= self.settings.min_samples

    def _clamped(self, seconds: float | None, unit: float, scale: float) -> float:
        most = self.settings.most * scale
        return most if seconds is None else min(max(seconds * unit, self.settings.least), most)

    def _own(self, key: Key) -> Waits:
        return self._record(self._waits, key)

    def _coarse(self, key: Key) -> Waits:
        return self._record(self._all_sizes, (key.provider, key.model, key.reasoning))

    def _record(self, records: dict[_Name, Waits], name: _Name) -> Waits:
        """The record of that name, made if need be, as the most recently used."""
        waits = records.pop(name, None)
        if waits is None:
            settings = self.settings
            waits = Waits(memory=settings.memory, memory_samples=settings.memory_samples)
            if len(records) >= MOST_KEYS:
                del records[next(iter(records))]
        records[name] = waits
        return waits


def _falls_to(curve: list[float], share: float) -> float | None:
    """The first edge at which at most `share` are still silent; a curve only falls."""
    bucket = bisect_left(curve, -share, key=neg)
    return _EDGES[bucket] if bucket < len(curve) else None


def _assumption(settings: DelaySettings) -> list[float]:
    """The curve of a model nobody knows: exponential, so that `cold` is where `share` are left."""
    rate = -log(settings.share) / settings.cold
    return [exp(-rate * edge) for edge in _EDGES]
