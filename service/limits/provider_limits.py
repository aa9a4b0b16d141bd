"""How much each provider may be asked: requests and tokens a minute, streams at once.

An attempt reserves before it is sent and settles when it is over. A reservation takes one request,
the estimated tokens and one stream, all of them or none; settling gives the stream back and puts
the true count in the estimate's place. What is not known is counted as reserved.

A minute is a sliding window, kept in slices of a quarter of a second. Within any 60 s no more than
the limit goes out, so it does not matter whether a provider counts by the clock's minute, by a
window of its own or with a bucket that fills steadily: what keeps to the sliding window keeps to
all three. A fixed window lets twice the limit through at its edge. So does GCRA (a bucket filled
steadily) that allows a burst as large as the limit; one that allows less refuses bursts which the
provider would take. A log of every request would be exact, too, but grows with the traffic; the
slices are at most 242 per window, and cost up to a quarter of a second of waiting.

A reservation that nobody settles is not held for ever: it has a lease, by default as long as the
longest total deadline that a request can ask for, because no attempt outlives its deadline.
Renewing shorter leases would cost a timer per attempt, and would free a stream earlier only where
something crashed without a chance to settle. A settlement after the lease changes nothing.

Providers tell their own figures in response headers (`observe`). They differ by model with most of
them, so they are kept by model. What a provider says comes on top of what is configured: none left
means to wait until its reset, and its share left bounds `headroom`.

What all processes together use is counted elsewhere where there is an engine to do so
(`shared_limits`), and told here (`told`): then answers are about all of them, and what this process
sends is only noted (`take`), for the day on which it must do without. `divide` says that it must,
and that it is one of so many: it is then held to its part of every limit, by its own count.

Deciding only: `now` in monotonic seconds is an argument. One `Limits` per process, everything in
memory: after a restart its own minute starts anew. docs/providers-admin.md, limits.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil, inf
from typing import Final, Protocol

from adapters.ratelimits import RateLimits, Window
from service.settings import ProviderSettings

MINUTE: Final = 60.0  # seconds

SLICE: Final = 0.25  # seconds; a power of two, so that a slice's bounds are exact
_SLICES: Final = int(MINUTE / SLICE)

LEASE: Final = 3_600.0
"""Seconds a reservation is held where nobody settles it: the longest total deadline there is."""

BUSY: Final = 1.0
"""Seconds to wait for a stream to end, where as many run as may: one may end at any moment."""

LONGEST_WORD: Final = 3_600.0
"""Seconds for which a provider's word counts, however far off its reset: an account of a day may
belong to one plan or model, and one refusal in an hour tells the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderLimits:
    """What a provider may be asked; None: no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    """Input and output together."""
    concurrent_streams: int | None = None

    def part(self, processes: int) -> "ProviderLimits":
        """That of one of so many: an equal part, but at least 1."""
        return ProviderLimits(
            requests_per_minute=_part(self.requests_per_minute, processes),
            tokens_per_minute=_part(self.tokens_per_minute, processes),
            concurrent_streams=_part(self.concurrent_streams, processes),
        )


def _part(limit: int | None, processes: int) -> int | None:
    return None if limit is None else max(1, limit // processes)


@dataclass(frozen=True, slots=True, eq=False)
class Reservation:
    """What was set aside for one attempt; to be settled or released once."""

    provider: str
    tokens: int
    slice: int
    """In which it is counted."""
    until: float
    """The end of its lease."""


@dataclass(frozen=True, slots=True)
class Together:
    """What all processes use of a provider's limits, as it was told."""

    requests: float
    """In a bucket that drains at the limit a minute; the same with tokens."""
    tokens: float
    streams: int
    at: float
    """When that was, monotonic seconds."""


@dataclass(frozen=True, slots=True)
class Left:
    """One limit, what is left of it, and when it is full again."""

    limit: int | None
    """None: no limit."""
    used: int
    """Of the last minute; of streams, those that run."""
    full_in: float | None
    """Seconds until nothing of it is used any more; None where that cannot be known."""

    @property
    def left(self) -> int | None:
        """What may still be asked for now; None: no limit."""
        return None if self.limit is None else max(0, self.limit - self.used)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a provider's limits are used."""

    requests: Left
    tokens: Left
    streams: Left
    shared: bool
    """Whether that is about all processes. What has no limit is counted by each for itself."""
    said: Mapping[str, Mapping[str, Window]]
    """What the provider said last and still counts: by model, by account (`requests`, ...)."""


class Limits:
    """The limits of every provider, and what is used of them."""

    def __init__(self) -> None:
        """Nobody is limited, and nothing is used."""
        self._providers: dict[str, _Usage] = {}
        self._processes = 1

    # --- Configuration ---

    def configure(self, provider: str, limits: ProviderLimits) -> None:
        """Limit a provider from now on; what it used so far counts."""
        # One object for all that is unlimited, so that `wait` can tell it at a glance.
        limits = _UNLIMITED if limits == _UNLIMITED else limits
        self._of(provider).configure(limits, self._processes)

    def follow(self, configured: Mapping[str, ProviderSettings]) -> None:
        """Limit these providers as their settings say, and nobody else."""
        for provider in self._providers.keys() - configured.keys():
            self.configure(provider, _UNLIMITED)
        for provider, own in configured.items():
            limits = ProviderLimits(
                requests_per_minute=own.requests_per_minute,
                tokens_per_minute=own.tokens_per_minute,
                concurrent_streams=own.concurrent_streams,
            )
            self.configure(provider, limits)

    def limited(self, provider: str) -> ProviderLimits | None:
        """As it is configured; None: nothing of it is limited."""
        usage = self._providers.get(provider)
        return None if usage is None or usage.limits is _UNLIMITED else usage.limits

    def everybody_limited(self) -> list[str]:
        """The providers that have a limit."""
        return [name for name in self._providers if self.limited(name) is not None]

    # --- All processes ---

    def told(self, provider: str, together: Together) -> None:
        """What all processes use of a provider: answers are about that, until `divide`."""
        if self.limited(provider) is not None:
            self._of(provider).together = together

    def divide(self, processes: int) -> None:
        """Hold this process, by its own count, to the part of each limit that one of so many has.

        What was told of the others is forgotten.
        """
        self._processes = processes
        for usage in self._providers.values():
            usage.together = None
            usage.configure(usage.limits, processes)

    # --- One attempt ---

    def take(self, provider: str, tokens: int, now: float, *, lease: float = LEASE) -> Reservation:
        """Note what was granted elsewhere; otherwise as `reserve`."""
        return self._of(provider).reserve(provider, tokens, now, lease)

    def reserve(
        self,
        provider: str,
        tokens: int,
        now: float,
        *,
        model: str | None = None,
        lease: float = LEASE,
    ) -> Reservation | None:
        """Set aside a request of so many tokens; None: a limit is reached, as `wait` says.

        The caller must `settle` it when the attempt is over, or `release` it if it was never sent.
        `tokens`: estimated input and output. `lease`: seconds after which it counts as settled.
        """
        if self.wait(provider, tokens, now, model=model) > 0:
            return None
        return self._of(provider).reserve(provider, tokens, now, lease)

    def settle(self, reservation: Reservation, tokens: int | None, now: float) -> None:
        """The attempt is over, and was of so many tokens; None: nobody knows. Only once counts."""
        self._of(reservation.provider).settle(reservation, tokens, now)

    def release(self, reservation: Reservation, now: float) -> None:
        """The attempt was not sent: everything is given back. Only once counts."""
        self._of(reservation.provider).release(reservation, now)

    def observe(
        self, provider: str, said: RateLimits, now: float, *, model: str | None = None
    ) -> None:
        """Heed what a provider's response headers say of a model; None: of all its models.

        A Retry-After is not looked at: it is the health's to heed.
        """
        self._of(provider).hear(model or _ALL, said, now)

    # --- Answers ---

    def wait(self, provider: str, tokens: int, now: float, *, model: str | None = None) -> float:
        """Seconds until a request of so many tokens may be sent there; 0: now.

        `inf`: never, for it is of more tokens than a minute allows. Without a model, what the
        provider said of single models does not count: another one may be free.
        """
        usage = self._providers.get(provider)
        return 0.0 if usage is None else usage.wait(tokens, now, model)

    def wait_as_said(
        self, provider: str, tokens: int, now: float, *, model: str | None = None
    ) -> float:
        """The same, going only by what the provider said."""
        usage = self._providers.get(provider)
        return 0.0 if usage is None else usage.wait_as_said(tokens, now, model)

    def headroom(self, provider: str, now: float, *, model: str | None = None) -> float:
        """The least share left of any limit, 0 to 1; 1 where there is none."""
        usage = self._providers.get(provider)
        return 1.0 if usage is None else usage.headroom(now, model)

    def left(self, provider: str, now: float) -> Standing:
        """What is used and what is left, for people to read."""
        return self._of(provider).standing(now)

    def _of(self, provider: str) -> "_Usage":
        return self._providers.setdefault(provider, _Usage())


_UNLIMITED: Final = ProviderLimits()

_ALL: Final = ""
"""In a model's place: what is said of all of them."""


class _Usage:
    """What is used of one provider's limits."""

    __slots__ = ("_held", "_lapse", "_part", "_requests", "_said", "_tokens", "limits", "together")

    def __init__(self) -> None:
        self.limits = _UNLIMITED
        """As configured."""
        self._part = _UNLIMITED
        """What this process is held to while nobody counts for all."""
        self.together: Together | None = None
        self._requests = _Minute()
        self._tokens = _Minute()
        self._held: set[Reservation] = set()
        """Neither settled nor lapsed."""
        self._lapse = inf
        """No lease ends before."""
        self._said: dict[str, tuple[_Figure, ...]] = {}
        """The provider's last word on each model."""

    def configure(self, limits: ProviderLimits, processes: int) -> None:
        """Limit it, and this process as one of so many."""
        if limits is _UNLIMITED:
            self.together = None
        self.limits = limits
        self._part = limits if processes == 1 else limits.part(processes)

    # --- One attempt ---

    def reserve(self, provider: str, tokens: int, now: float, lease: float) -> Reservation:
        """Count it; whether there is room has been asked."""
        reservation = Reservation(provider, tokens, self._requests.add(1, now), now + lease)
        self._tokens.add(tokens, now)
        self._held.add(reservation)
        self._lapse = min(self._lapse, reservation.until)
        return reservation

    def settle(self, reservation: Reservation, tokens: int | None, now: float) -> None:
        """Put the true count in the estimate's place.

        What is over it counts from now on: it was generated since, and its slice may be gone.
        """
        if not self._drop(reservation, now) or tokens is None:
            return
        if tokens > reservation.tokens:
            self._tokens.add(tokens - reservation.tokens, now)
        else:
            self._tokens.give_back(reservation.tokens - tokens, reservation.slice)

    def release(self, reservation: Reservation, now: float) -> None:
        """As if it had not been."""
        if self._drop(reservation, now):
            self._requests.give_back(1, reservation.slice)
            self._tokens.give_back(reservation.tokens, reservation.slice)

    def hear(self, model: str, said: RateLimits, now: float) -> None:
        """Keep a provider's word, and none that is out of date: clients may name any model."""
        figures = tuple(_figures(said, now))
        if figures:
            current = {name: old for name, old in self._said.items() if _current(old, now)}
            self._said = current | {model: figures}

    def _drop(self, reservation: Reservation, now: float) -> bool:
        """Give its stream back; False where that was done before."""
        self._forget_lapsed(now)
        held = reservation in self._held
        self._held.discard(reservation)
        return held

    def _forget_lapsed(self, now: float) -> None:
        if now < self._lapse:
            return
        self._held = {held for held in self._held if now < held.until}
        self._lapse = min((held.until for held in self._held), default=inf)

    # --- Answers ---

    def wait(self, tokens: int, now: float, model: str | None) -> float:
        """Seconds until every limit has room for it.

        Routing asks for each of its candidates, so what does not apply is not looked at: 0.4 us
        where nothing limits, 2 to 3 us where something does.
        """
        own = 0.0 if self.limits is _UNLIMITED else self._own_wait(tokens, now)
        return max(own, self.wait_as_said(tokens, now, model)) if self._said else own

    def wait_as_said(self, tokens: int, now: float, model: str | None) -> float:
        """Seconds until the provider says that it has room for it."""
        return max((figure.wait(tokens, now) for figure in self._said_of(model)), default=0.0)

    def _own_wait(self, tokens: int, now: float) -> float:
        self._forget_lapsed(now)
        requests, of_tokens = self._counters()
        return max(
            requests.wait(1, self._bounds.requests_per_minute, now),
            of_tokens.wait(tokens, self._bounds.tokens_per_minute, now),
            self._wait_for_stream(now),
        )

    def _wait_for_stream(self, now: float) -> float:
        most, together = self._bounds.concurrent_streams, self.together
        # That one of another process has ended is not told at once.
        if most is None or (together is not None and now >= together.at + BUSY):
            return 0.0
        return BUSY if self._running() >= most else 0.0

    def headroom(self, now: float, model: str | None) -> float:
        """The least share left."""
        standing = self.standing(now)
        own = (_share(left) for left in (standing.requests, standing.tokens, standing.streams))
        return min(*own, *(figure.share(now) for figure in self._said_of(model)))

    def standing(self, now: float) -> Standing:
        """Every limit."""
        self._forget_lapsed(now)
        requests, tokens = self._counters()
        limits, running = self._bounds, self._running()
        return Standing(
            requests=requests.left(limits.requests_per_minute, now),
            tokens=tokens.left(limits.tokens_per_minute, now),
            streams=Left(limits.concurrent_streams, running, None if running else 0.0),
            shared=self.together is not None,
            said={
                name: {figure.account: figure.window(now) for figure in current}
                for name, figures in self._said.items()
                if (current := _current(figures, now))
            },
        )

    @property
    def _bounds(self) -> ProviderLimits:
        return self._part if self.together is None else self.limits

    def _counters(self) -> "tuple[_Counter, _Counter]":
        """Of requests and tokens: everybody's where it was told, else this process' own."""
        together, limits = self.together, self.limits
        requests: _Counter = self._requests
        tokens: _Counter = self._tokens
        if together is not None and limits.requests_per_minute is not None:
            requests = _Bucket(together.requests, together.at, limits.requests_per_minute)
        if together is not None and limits.tokens_per_minute is not None:
            tokens = _Bucket(together.tokens, together.at, limits.tokens_per_minute)
        return requests, tokens

    def _running(self) -> int:
        if self.together is None or self.limits.concurrent_streams is None:
            return len(self._held)
        return self.together.streams

    def _said_of(self, model: str | None) -> tuple["_Figure", ...]:
        """What was said of all models, and of this one."""
        of_all = self._said.get(_ALL, ())
        return of_all if model is None else of_all + self._said.get(model, ())


class _Counter(Protocol):
    """What counts requests or tokens."""

    def wait(self, amount: int, limit: int | None, now: float) -> float:
        """Seconds until so much more stays within the limit."""

    def left(self, limit: int | None, now: float) -> Left:
        """What is used and what is left."""


class _Minute:
    """How much was used in the last minute, by slices, the oldest first."""

    __slots__ = ("_slices", "_used")

    def __init__(self) -> None:
        self._slices: dict[int, int] = {}
        self._used = 0

    def add(self, amount: int, now: float) -> int:
        """Count it; the slice it is counted in."""
        self._slide(now)
        index = int(now // SLICE)
        self._slices[index] = self._slices.get(index, 0) + amount
        self._used += amount
        return index

    def give_back(self, amount: int, index: int) -> None:
        """Count it no more, if it still was."""
        if index in self._slices:
            self._slices[index] -= amount
            self._used -= amount

    def wait(self, amount: int, limit: int | None, now: float) -> float:
        """Seconds until so much more stays within the limit."""
        if limit is None:
            return 0.0
        if amount > limit:
            return inf
        self._slide(now)
        over = self._used + amount - limit
        until = now
        for index, used in self._slices.items():
            if over <= 0:
                break
            over -= used
            until = _end(index)
        return until - now

    def left(self, limit: int | None, now: float) -> Left:
        """What is used and what is left."""
        self._slide(now)
        last = max((index for index, used in self._slices.items() if used), default=None)
        return Left(limit, self._used, 0.0 if last is None else _end(last) - now)

    def _slide(self, now: float) -> None:
        """Forget the slices that have left the minute."""
        oldest = int(now // SLICE) - _SLICES
        while self._slices and (index := next(iter(self._slices))) < oldest:
            self._used -= self._slices.pop(index)


@dataclass(frozen=True, slots=True)
class _Bucket:
    """What drains steadily, by its limit in a minute, and how much was in it when."""

    inside: float
    at: float
    most: int

    def wait(self, amount: int, limit: int | None, now: float) -> float:
        """Seconds until it has room for so much more."""
        del limit  # its own
        over = self._now(now) + amount - self.most
        return inf if amount > self.most else max(0.0, over) * MINUTE / self.most

    def left(self, limit: int | None, now: float) -> Left:
        """What is in it and what fits."""
        inside = self._now(now)
        # A whisper above a whole number is how such a number is written.
        return Left(limit, ceil(inside - 1e-6), inside * MINUTE / self.most)

    def _now(self, now: float) -> float:
        return max(0.0, self.inside - (now - self.at) * self.most / MINUTE)


def _end(index: int) -> float:
    """When a slice counts no more: a minute after the last moment it holds."""
    return (index + _SLICES + 1) * SLICE


def _share(left: Left) -> float:
    return 1.0 if left.limit is None else max(0.0, 1 - left.used / left.limit)


@dataclass(frozen=True, slots=True)
class _Figure:
    """What a provider said of one account, and when."""

    account: str
    """`requests`, `tokens`, `input_tokens` or `output_tokens`."""
    limit: int | None
    remaining: int
    reset: float | None
    """When it is full again, by its own word."""
    until: float
    """Out of date from then on: its reset, or a minute where none was named."""

    def wait(self, tokens: int, now: float) -> float:
        """Seconds until the provider says it takes such a request.

        Where it does not say when, it is not waited for: its refusal would say so.
        """
        # Of input and output apart, `tokens` tells nothing: it is both.
        need = max(1, tokens) if self.account == "tokens" else 1
        enough = self.remaining >= need or self.reset is None
        return 0.0 if enough else max(0.0, self.until - now)

    def share(self, now: float) -> float:
        """The share left; 1 where it is out of date, or of an unknown limit."""
        if now >= self.until:
            return 1.0
        if not self.remaining:
            return 0.0
        return min(1.0, self.remaining / self.limit) if self.limit else 1.0

    def window(self, now: float) -> Window:
        """The same, its reset counted from now."""
        reset = None if self.reset is None else self.reset - now
        return Window(limit=self.limit, remaining=self.remaining, reset=reset)


def _current(figures: tuple[_Figure, ...], now: float) -> tuple[_Figure, ...]:
    """Those that are not out of date."""
    return tuple(figure for figure in figures if now < figure.until)


def _figures(said: RateLimits, now: float) -> Iterator[_Figure]:
    """What is said of any account; without a count of what remains nothing is."""
    for account in ("requests", "tokens", "input_tokens", "output_tokens"):
        window: Window = getattr(said, account)
        if window.remaining is not None:
            lasts = MINUTE if window.reset is None else min(window.reset, LONGEST_WORD)
            reset = None if window.reset is None else now + window.reset
            yield _Figure(account, window.limit, window.remaining, reset, now + lasts)
