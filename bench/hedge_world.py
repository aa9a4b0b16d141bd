"""The providers that the hedging policy is judged against, and who asks them: all random, seeded.

Two providers answer the same requests. A first token takes a lognormal body; a few attempts
straggle for seconds more; a few never answer. S1 is that and nothing else; S2 has prompts of three
sizes; in S3 providers also have slow episodes (each its own, and shared ones) and outages, in which
nothing started is ever answered. What a request would take at either provider is drawn once, before
any policy runs, so every policy meets the same luck. Providers do not feel the load.

The parameters are plausible, not fitted to a trace: docs/hedging.md says where they come from.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from math import exp, inf, log
from random import Random
from typing import NamedTuple

from bench.virtual_clock import VirtualClock

DEADLINE = 30.0  # seconds to the first token

STRAGGLE_MEDIAN = 3.0  # seconds on top of the body
STRAGGLE_SIGMA = 0.9
NEVER = 0.002

OUTPUT_TOKENS = 350


class Size(NamedTuple):
    """One kind of prompt."""

    share: float
    scale: float
    """Of the body."""
    input_tokens: int


ONE_SIZE = (Size(1.0, 1.0, 500),)
THREE_SIZES = (Size(0.70, 1.0, 500), Size(0.25, 1.8, 3_000), Size(0.05, 5.0, 20_000))


@dataclass(frozen=True)
class Model:
    """One provider's first tokens, and its prices."""

    name: str
    median: float  # seconds
    sigma: float
    stragglers: float
    price_in: float  # US dollars per token
    price_out: float
    slow_every: float  # seconds between its own slow episodes, on average
    out_every: float


A = Model("a", 0.45, 0.50, 0.030, 2.5e-6, 10e-6, slow_every=600.0, out_every=3_600.0)
B = Model("b", 0.60, 0.40, 0.025, 3.0e-6, 15e-6, slow_every=900.0, out_every=5_400.0)
PROVIDERS = (A, B)

SLOW_FOR, SLOW_BODY, SLOW_STRAGGLERS = 60.0, 3.0, 6.0
OUT_FOR = 30.0
SHARED_EVERY, SHARED_FOR, SHARED_BODY, SHARED_STRAGGLERS = 1_500.0, 45.0, 2.5, 8.0


@dataclass(eq=False, slots=True)
class Sent:
    """One attempt on its way."""

    request: int
    provider: int
    again: bool
    """Whether the request has asked this provider before."""


class Draw(NamedTuple):
    """One attempt's luck, whenever it is started."""

    body: float
    """Standard normal."""
    straggles: float
    """Uniform: straggles if below the share."""
    straggle: float  # seconds
    never: float
    """Uniform."""


class Weather(NamedTuple):
    """How a provider is doing."""

    body: float
    stragglers: float
    out: bool


_FINE = Weather(1.0, 1.0, out=False)


class Timeline:
    """A provider's weather over time: constant between the times at which it changes."""

    def __init__(self, episodes: list[tuple[float, float, Weather]]) -> None:
        """`episodes`: start, end, weather; those that overlap multiply."""
        self._times = sorted({edge for start, end, _ in episodes for edge in (start, end)})
        self._weather = [_FINE]
        for time in self._times:
            body, stragglers, out = _FINE
            for start, end, weather in episodes:
                if start <= time < end:
                    body *= weather.body
                    stragglers *= weather.stragglers
                    out = out or weather.out
            self._weather.append(Weather(body, stragglers, out))

    def at(self, time: float) -> Weather:
        """The weather of that moment."""
        return self._weather[bisect_right(self._times, time)]


@dataclass
class World:
    """One scenario, drawn."""

    arrivals: list[float]
    sizes: list[Size]
    """Of each request."""
    draws: tuple[list[Draw], list[Draw]]
    """Of each request, at each provider."""
    timelines: tuple[Timeline, Timeline]
    seed: int

    def first_token(self, request: int, provider: int, start: float) -> float:
        """Seconds the request's attempt there takes if started then; inf if it never answers."""
        draw = self.draws[provider][request]
        return self._takes(request, provider, start, draw)

    def another(self, request: int, provider: int, start: float) -> float:
        """The same for a second attempt at the same provider: fresh luck."""
        fresh = draw_of(seeded(self.seed * 10**7 + request))
        return self._takes(request, provider, start, fresh)

    def _takes(self, request: int, provider: int, start: float, draw: Draw) -> float:
        model = PROVIDERS[provider]
        weather = self.timelines[provider].at(start)
        if weather.out or draw.never < NEVER:
            return inf
        body = model.median * exp(model.sigma * draw.body)
        seconds = body * self.sizes[request].scale * weather.body
        if draw.straggles < model.stragglers * weather.stragglers:
            seconds += draw.straggle
        return seconds

    # --- As a run's upstreams ---

    def preferred(self, _request: int) -> tuple[int, int]:
        """A first, for everybody."""
        return 0, 1

    def send(self, clock: VirtualClock, attempt: Sent, heard: Callable[[], None]) -> None:
        """Its first token comes when it was drawn to, if it comes before any deadline."""
        takes = self.another if attempt.again else self.first_token
        seconds = takes(attempt.request, attempt.provider, clock.now)
        if seconds < DEADLINE:
            clock.call_at(clock.now + seconds, heard)

    def cancel(self, clock: VirtualClock, attempt: Sent) -> None:
        """Nobody here feels it."""

    def up(self, since: float, until: float) -> bool:
        """Whether any provider was up within that time, at any of some moments of it."""
        steps = 20
        moments = [since + (until - since) * step / steps for step in range(steps + 1)]
        return any(not line.at(moment).out for line in self.timelines for moment in moments)

    def cost(self, request: int, provider: int, *, full: bool) -> float:
        """US dollars of an attempt: with its whole answer, or with its input only."""
        model = PROVIDERS[provider]
        output = OUTPUT_TOKENS if full else 0
        return self.sizes[request].input_tokens * model.price_in + output * model.price_out


def seeded(seed: int) -> Random:
    """The same luck every time."""
    return Random(seed)  # noqa: S311 - a simulation's luck, nobody's secret


def draw_of(random: Random) -> Draw:
    """One attempt's luck."""
    return Draw(
        random.gauss(0.0, 1.0),
        random.random(),
        random.lognormvariate(log(STRAGGLE_MEDIAN), STRAGGLE_SIGMA),
        random.random(),
    )


def draw_world(
    *, seed: int, requests: int, rate: float, sizes: tuple[Size, ...], episodes: bool
) -> World:
    """Draw a scenario: `rate` requests a second, on average."""
    random = seeded(seed)
    now = 0.0
    arrivals = []
    for _ in range(requests):
        now += random.expovariate(rate)
        arrivals.append(now)
    kinds = random.choices(sizes, [size.share for size in sizes], k=requests)
    draws = [draw_of(random) for _ in range(2 * requests)]
    return World(
        arrivals=arrivals,
        sizes=kinds,
        draws=(draws[0::2], draws[1::2]),
        timelines=_timelines(random, now) if episodes else (Timeline([]), Timeline([])),
        seed=seed,
    )


def _timelines(random: Random, end: float) -> tuple[Timeline, Timeline]:
    shared = Weather(SHARED_BODY, SHARED_STRAGGLERS, out=False)
    together = _episodes(random, SHARED_EVERY, SHARED_FOR, end, shared)
    lines = []
    for model in PROVIDERS:
        slow = Weather(SLOW_BODY, SLOW_STRAGGLERS, out=False)
        out = Weather(1.0, 1.0, out=True)
        own = _episodes(random, model.slow_every, SLOW_FOR, end, slow)
        outages = _episodes(random, model.out_every, OUT_FOR, end, out)
        lines.append(Timeline([*together, *own, *outages]))
    return lines[0], lines[1]


def _episodes(
    random: Random, every: float, lasts: float, end: float, weather: Weather
) -> list[tuple[float, float, Weather]]:
    episodes = []
    start = random.expovariate(1 / every)
    while start < end:
        episodes.append((start, start + lasts, weather))
        start += lasts + random.expovariate(1 / every)
    return episodes
