"""What Prometheus scrapes: counts of the attempts, and the state of the moment.

Two kinds of figures. Counters and histograms are fed by every attempt that is over (`attempt_over`)
and by the watcher of the event loop (`lag`). Everything that somebody else keeps anyway (streams,
breakers, budgets, limits) is asked for at the scrape through `Readings`, so it cannot be out of
date and costs nothing in between.

The counts are plain dicts, and the library's families are made of them at each scrape. Its own
`Counter` and `Histogram` would do for one process with one service: but they take a lock and build
a label set for each count, write a `_created` series beside each figure, and turn into files shared
by all instances where PROMETHEUS_MULTIPROC_DIR is set. Each `Metrics` has a registry of its own, so
two services in one process do not add up.

The number of series is bounded by the configuration: providers come from it, and a model that the
deployment does not list is labelled `unlisted`, whatever a client called it. Nothing that a client
or a provider wrote is a label or a text: codes, roles and outcomes are enums.

Left out: the seconds that hedging saved. The one who lost was cancelled, so that is an estimate,
and nothing where little was learned of it. Usage has it event by event, beside how many hedges
there were; a counter would add up the known ones and look like a measurement. docs/metrics.md says
what to look at instead.

Several workers on one port are joined at the scrape (`OfAllWorkers`): each says its families as
they stand, packed, and every series gets the worker's number as a label. Not their sums: when one
worker is replaced, a sum falls by its share, which Prometheus takes for a restart of everything and
counts what is left a second time. The library's own mode for several processes wants its own
counters in files that outlive their processes, and knows nothing of what is only read.

Lives as long as the process and starts at 0, as Prometheus expects. docs/metrics.md explains each
figure. Measured with `python -m bench.telemetry`: `attempt_over` takes 3 us; with 80 models in use
a scrape is 2,200 lines, which take 5 ms to collect and 35 ms to write.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from types import MappingProxyType

import msgspec
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from typing_extensions import override

from adapters.events import Outcome, Role
from service.telemetry.attempts import AttemptFacts

UNLISTED = "unlisted"
"""The label of every model that the deployment does not list."""

FIRST_TOKEN_BUCKETS = (
    0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 15.0, 30.0, 60.0,
)  # fmt: skip
"""Seconds. Densest from 0.1 to 3 s, where hosted models' first tokens are."""

DURATION_BUCKETS = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Seconds: from a short answer of a fast model to ten minutes of reasoning."""

LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Seconds. From 0.05 on, hedging neither learns nor hedges."""

BREAKER_STATES: Mapping[str, int] = MappingProxyType(
    {"closed": 0, "slow": 1, "open": 2, "cooling": 3, "disabled": 4}
)
"""The figure of each state, the harder one higher."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What is asked for at each scrape; what is None is not told."""

    streams: Callable[[], int] | None = None
    """Streams that have not ended."""
    breakers: Callable[[], Iterable[tuple[str, str, str]]] | None = None
    """Provider, model and state: one of `BREAKER_STATES`."""
    denials: Callable[[], Iterable[tuple[str, int]]] | None = None
    """Reason, and how often nobody was hedged for it since the start."""
    budgets: Callable[[], Iterable[tuple[str, float]]] | None = None
    """Route, and how many hedges its bank holds."""
    limits: Callable[[], Iterable[tuple[str, str, float]]] | None = None
    """Provider, limit, and how much of it is left, in its own unit."""
    extra: Callable[[], Iterable[tuple[str, float]]] | None = None
    """Role, and attempts of that role per request, lately."""
    usage: Callable[[], Iterable[tuple[str, float]]] | None = None
    """What happened to usage events, and to how many since the start."""
    usage_backlog: Callable[[], int | None] | None = None
    """Usage events that are written down and not in the stream yet; None: there is no stream."""
    usage_troubles: Callable[[], Iterable[tuple[str, float]]] | None = None
    """What may keep usage from the sums, and 1 where it does."""


_FATES: Mapping[Outcome, str] = MappingProxyType(
    {Outcome.LOST_RACE: "lost", Outcome.CANCELLED: "cancelled"}
)
"""What became of a hedge that never answered; any other outcome is a failure."""


class Metrics(Collector):
    """Every figure there is."""

    def __init__(
        self, *, listed: Callable[[str, str], bool], readings: Readings | None = None
    ) -> None:
        """`listed`: whether the deployment lists this model of this provider."""
        self._listed = listed
        self._readings = readings or Readings()
        self._attempts = _Sums(
            "tailrace_attempts",
            "Attempts that were sent and are over.",
            ("provider", "model", "role", "outcome"),
        )
        self._errors = _Sums(
            "tailrace_errors", "Attempts that broke, by error code.", ("provider", "code")
        )
        self._first_token = _Distributions(
            "tailrace_attempt_first_token_seconds",
            "From an attempt's start to its first content, of those that had any.",
            ("provider", "model"),
            FIRST_TOKEN_BUCKETS,
        )
        self._duration = _Distributions(
            "tailrace_attempt_duration_seconds",
            "From an attempt's start to its end, whatever that was.",
            ("provider",),  # what a model's answers take is mostly how long they are
            DURATION_BUCKETS,
        )
        self._tokens = _Sums(
            "tailrace_tokens",
            "Tokens that are known, by who says so.",
            ("provider", "model", "direction", "source"),
        )
        self._cost = _Sums(
            "tailrace_cost_usd", "Known cost of all attempts, US dollars.", ("provider", "model")
        )
        self._overtaken_cost = _Sums(
            "tailrace_overtaken_cost_usd",
            "The part of the known cost that went to attempts another one was faster than.",
            ("provider", "model"),
        )
        self._unknown_cost = _Sums(
            "tailrace_unknown_cost_attempts",
            "Attempts that may have been charged, of which nobody said what they cost.",
            ("provider", "model"),
        )
        self._hedges = _Sums(
            "tailrace_hedges", "Attempts started as hedges, by what became of them.", ("outcome",)
        )
        for fate in ("won", "lost", "failed", "cancelled"):
            self._hedges.add((fate,), 0)  # a ratio needs both its sides from the first scrape on
        self._lag = _Distributions(
            "tailrace_event_loop_lag_seconds",
            "How late a timer ran that only measures this.",
            (),
            LAG_BUCKETS,
        )
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    # --- Facts ---

    def attempt_over(self, facts: AttemptFacts) -> None:
        """Witness: count it."""
        target = facts.provider, self._label(facts.provider, facts.model)
        outcome = facts.outcome
        self._attempts.add((*target, facts.role.value, outcome.value))
        self._duration.observe((facts.provider,), facts.duration)
        if facts.ttft is not None:
            self._first_token.observe(target, facts.ttft)
        if facts.error is not None:
            self._errors.add((facts.provider, facts.error.code.value))
        if facts.role is Role.HEDGE:
            fate = "won" if facts.committed else _FATES.get(outcome, "failed")
            self._hedges.add((fate,))
        self._spend(target, facts)

    def lag(self, seconds: float, _now: float) -> None:
        """The event loop ran something this much later than it was due."""
        self._lag.observe((), seconds)

    # --- The scrape ---

    def snapshot(self) -> "Snapshot":
        """All figures as they stand now; to be called on the event loop."""
        return Snapshot(list(self._registry.collect()))

    @override
    def collect(self) -> Iterator[Metric]:
        """Collector: every family, as it stands now."""
        for counted in (
            self._attempts,
            self._errors,
            self._first_token,
            self._duration,
            self._tokens,
            self._cost,
            self._overtaken_cost,
            self._unknown_cost,
            self._hedges,
            self._lag,
        ):
            yield counted.family()
        yield from self._read()

    def _read(self) -> Iterator[Metric]:
        readings = self._readings
        if readings.streams is not None:
            text = "Streams that have not ended."
            yield GaugeMetricFamily("tailrace_streams", text, value=readings.streams())
        if readings.breakers is not None:
            yield self._breakers(readings.breakers())
        if readings.denials is not None:
            text = "Hedges that were due and not sent, by reason."
            denials = CounterMetricFamily("tailrace_hedge_denials", text, labels=["reason"])
            yield _filled(denials, (((reason,), n) for reason, n in readings.denials()))
        if readings.budgets is not None:
            text = "Hedges that a route's budget holds."
            budgets = GaugeMetricFamily("tailrace_hedge_budget_requests", text, labels=["route"])
            yield _filled(budgets, (((route,), left) for route, left in readings.budgets()))
        if readings.limits is not None:
            text = "What is left of a provider's limit, in the limit's own unit."
            limits = GaugeMetricFamily("tailrace_limit_left", text, labels=["provider", "limit"])
            yield _filled(limits, (((name, of), left) for name, of, left in readings.limits()))
        if readings.extra is not None:
            text = "Further attempts per request, by role, over the last quarter of an hour."
            extra = GaugeMetricFamily("tailrace_extra_request_ratio", text, labels=["role"])
            yield _filled(extra, (((role,), ratio) for role, ratio in readings.extra()))
        if readings.usage is not None:
            text = "Usage events, by what happened to them."
            usage = CounterMetricFamily("tailrace_usage_events", text, labels=["step"])
            yield _filled(usage, (((step,), n) for step, n in readings.usage()))
        backlog = None if readings.usage_backlog is None else readings.usage_backlog()
        if backlog is not None:
            text = "Usage events that are written down here and not in the stream yet."
            yield GaugeMetricFamily("tailrace_usage_backlog_events", text, value=backlog)
        if readings.usage_troubles is not None:
            text = "1 where something keeps usage from the sums."
            troubles = GaugeMetricFamily("tailrace_usage_trouble", text, labels=["part"])
            yield _filled(troubles, (((part,), n) for part, n in readings.usage_troubles()))

    def _breakers(self, standings: Iterable[tuple[str, str, str]]) -> Metric:
        """Of several unlisted models of a provider, the one that is worst off counts."""
        worst: dict[tuple[str, str], int] = {}
        for provider, model, state in standings:
            target = provider, self._label(provider, model)
            worst[target] = max(worst.get(target, 0), BREAKER_STATES[state])
        meaning = ", ".join(f"{figure} {state}" for state, figure in BREAKER_STATES.items())
        text = f"What speaks against a target: {meaning}."
        family = GaugeMetricFamily("tailrace_breaker_state", text, labels=["provider", "model"])
        return _filled(family, worst.items())

    def _label(self, provider: str, model: str) -> str:
        return model if self._listed(provider, model) else UNLISTED

    def _spend(self, target: tuple[str, str], facts: AttemptFacts) -> None:
        usage = facts.usage
        for direction, count in (("input", usage.input), ("output", usage.output)):
            if count is not None:
                self._tokens.add((*target, direction, usage.source.value), count)
        if usage.cost_usd is not None:
            cost = float(usage.cost_usd)
            self._cost.add(target, cost)
            if facts.outcome is Outcome.LOST_RACE:
                self._overtaken_cost.add(target, cost)
        elif facts.charged:
            self._unknown_cost.add(target)


class Snapshot(Collector):
    """All figures of one moment, which nobody changes any more."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    @override
    def collect(self) -> Iterable[Metric]:
        """Collector: the families."""
        return self._families

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """The figures in the format that an Accept header asks for, and its content type.

        Takes as long as many tokens do, so it belongs into a thread of its own.
        """
        try:
            encode, content_type = choose_encoder(accept)
        except TypeError:  # the library compares a version that is no number
            encode, content_type = generate_latest, CONTENT_TYPE_PLAIN_0_0_4
        return encode(self), content_type

    def packed(self) -> bytes:
        """The figures for another process; takes a thread of its own, as `exposition` does."""
        return _pack(
            [
                (family.name, family.type, family.documentation, _values_of(family))
                for family in self._families
            ]
        )


class OfAllWorkers(Snapshot):
    """The figures of several processes; unpacked where they are written down, in the thread."""

    def __init__(
        self,
        own: tuple[int, Snapshot],
        others: Mapping[int, bytes],
        *,
        missing: int,
        restarts: Mapping[int, int],
    ) -> None:
        """`own`: the worker that was asked; `missing`: how many others did not answer."""
        super().__init__([])
        self._own = own
        self._others = others
        self._missing = missing
        self._restarts = restarts

    @override
    def collect(self) -> Iterable[Metric]:
        """Collector: every family once, with the series of all workers."""
        number, snapshot = self._own
        told = {**self._others, number: snapshot.packed()}
        families: dict[str, Metric] = {}
        for worker in sorted(told):
            for name, kind, text, values in _unpack(told[worker]):
                family = families.setdefault(name, Metric(name, text, kind))
                for sample, labels, value in values:
                    family.add_sample(sample, {**labels, "worker": str(worker)}, value)
        return [*families.values(), *self._of_the_workers()]

    def _of_the_workers(self) -> Iterator[Metric]:
        text = "Workers whose figures are not in this scrape."
        yield GaugeMetricFamily("tailrace_workers_missing", text, value=self._missing)
        text = "How often another process took a worker's place."
        restarts = CounterMetricFamily("tailrace_worker_restarts", text, labels=["worker"])
        yield _filled(restarts, (((str(worker),), n) for worker, n in self._restarts.items()))


_Values = list[tuple[str, dict[str, str], float]]
"""Each sample's name, labels and value."""

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[tuple[str, str, str, _Values]]).decode


def _values_of(family: Metric) -> _Values:
    return [(sample.name, sample.labels, sample.value) for sample in family.samples]


class _Sums:
    """A counter for each combination of label values."""

    def __init__(self, name: str, text: str, labels: tuple[str, ...]) -> None:
        self._name = name
        self._text = text
        self._labels = labels
        self._values: dict[tuple[str, ...], float] = {}

    def add(self, labels: tuple[str, ...], amount: float = 1) -> None:
        self._values[labels] = self._values.get(labels, 0) + amount

    def family(self) -> Metric:
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        return _filled(family, self._values.items())


class _Distributions:
    """A histogram for each combination of label values."""

    def __init__(
        self, name: str, text: str, labels: tuple[str, ...], bounds: tuple[float, ...]
    ) -> None:
        """`bounds`: the upper edge of each bucket; an endless one is added."""
        self._name = name
        self._text = text
        self._labels = labels
        self._bounds = bounds
        self._edges = [*map(str, bounds), "+Inf"]
        self._values: dict[tuple[str, ...], _Distribution] = {}

    def observe(self, labels: tuple[str, ...], value: float) -> None:
        known = self._values.get(labels)
        if known is None:
            known = self._values[labels] = _Distribution([0] * len(self._edges))
        known.counts[bisect_left(self._bounds, value)] += 1
        known.total += value

    def family(self) -> Metric:
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for labels, known in self._values.items():
            up_to = zip(self._edges, accumulate(known.counts), strict=True)
            family.add_metric(labels, list(up_to), known.total)
        return family


@dataclass(slots=True)
class _Distribution:
    """One histogram."""

    counts: list[int]
    """For each bucket, the smaller ones not included."""
    total: float = 0.0


def _filled(
    family: CounterMetricFamily | GaugeMetricFamily,
    values: Iterable[tuple[tuple[str, ...], float]],
) -> Metric:
    for labels, value in values:
        family.add_metric(labels, value)
    return family
