"""How long a routing decision takes: every provider, every model, everybody with a key.

The product's own parts and figures: the registry, the packaged table and prices, live health, first
tokens learned for every model, limits on every provider. Requests go round use cases, tiers and
model forms; each decision is timed on its own, in CPU time, as one that is carried out (`shift`).
The clock of the decisions goes on by 5 ms between them, so that prices and estimates are made anew
as often as in service. Two situations: all is well, and some is not (an open breaker, a refused
key, a model that cools down).

    python -m bench.routing [--decisions 20000]
"""

import argparse
import sys
from collections.abc import Iterator
from itertools import cycle, islice
from statistics import quantiles
from time import thread_time_ns

from adapters.contract import Endpoint
from adapters.errors import make
from adapters.events import ErrorCode
from adapters.registry import FIFTEEN
from adapters.request import ChatRequest, Tier, UseCase
from service.hedging.delay import Key
from service.hedging.shared import Learned, Shared
from service.limits.provider_limits import ProviderLimits
from service.routing import policy
from service.routing.health import Target
from service.routing.table import build
from service.routing.view import View
from service.settings import Settings

GOAL_US = 200.0
STEP = 0.005  # seconds between decisions
EPOCH = 1_790_000_000.0

PROMPT = "Which rivers flow through Lyon, and where do they meet? " * 8
KNOWN = {
    name: Endpoint(provider=provider, base_url=f"https://{name}.invalid", key="test-key")
    for name, provider in FIFTEEN.items()
}
TARGETS = [
    Target(name, model.id) for name, provider in FIFTEEN.items() for model in provider.models
]


def requests() -> Iterator[ChatRequest]:
    """One of each use case in two tiers, and of each form of `model`."""
    messages = [
        {"role": "system", "content": "Answer briefly."},
        {"role": "user", "content": PROMPT},
    ]
    for use_case in UseCase:
        for tier in (Tier.STANDARD, Tier.PREMIUM):
            fields = {"use_case": use_case.value, "budget_tier": tier.value}
            yield ChatRequest.model_validate({"messages": messages, **fields})
    for model in ("preset:tester", "claude/auto", "kimi-k3", "groq/qwen/qwen3.8-27b"):
        yield ChatRequest.model_validate({"messages": messages, "model": model})


def learned() -> Shared:
    """A process that has seen a hundred answers of every model and keeps everybody's limits."""
    shared = Shared.fresh()
    for number, target in enumerate(TARGETS):
        for reasoning in (False, True):
            for sample in range(100):
                seconds = 0.2 + (number * 37 + sample * 11) % 100 / 50
                shared.hedger.delays.answered(Key(*target, 0, reasoning), seconds, sample / 50)
        for at in range(20):
            shared.health.succeeded(target, at / 10)
    for name in FIFTEEN:
        limits = ProviderLimits(requests_per_minute=10_000, tokens_per_minute=100_000_000)
        shared.limits.configure(name, limits)
    return shared


def trouble(shared: Shared, now: float) -> None:
    """What is wrong on a bad day; who cools down does so for all of it."""
    for _ in range(30):
        failure = make(ErrorCode.UPSTREAM_5XX, "down")
        shared.health.failed(Target("groq", "openai/gpt-oss-120b"), failure, now)
    refused = make(ErrorCode.AUTH_PROVIDER, "no")
    shared.health.failed(Target("mistral", "mistral-large-4"), refused, now)
    shared.health.cool(Target("gemini", "gemini-3.8-flash"), 3_600, now)


def measure(shared: Shared, decisions: int) -> list[float]:
    """Microseconds of each decision."""
    table = build(Settings(), KNOWN)
    view = View(
        prices=shared.prices,
        health=shared.health,
        speeds=Learned(shared.hedger),
        limits=shared.limits,
    )
    took: list[float] = []
    for number, request in enumerate(islice(cycle(list(requests())), decisions + 100)):
        now = 3.0 + number * STEP
        began = thread_time_ns()
        policy.plan(request, table, KNOWN, view, now, EPOCH + now, shift=True)
        if number >= 100:  # prices are resolved, the roster is sorted
            took.append((thread_time_ns() - began) / 1000)
    return took


def report(name: str, took: list[float]) -> float:
    """Print one situation; its median."""
    cuts = quantiles(took, n=100, method="inclusive")
    print(f"{name:12} p50 {cuts[49]:6.1f} us, p99 {cuts[98]:6.1f} us")
    return cuts[49]


def main(arguments: list[str] | None = None) -> int:
    """Measure both situations; 1 where a median misses the goal."""
    parser = argparse.ArgumentParser(description="How long a routing decision takes.")
    parser.add_argument("--decisions", type=int, default=20_000, metavar="N")
    decisions = parser.parse_args(arguments).decisions
    shared = learned()
    print(f"{len(FIFTEEN)} providers, {len(TARGETS)} models, {decisions:,} decisions each")
    well = report("all is well", measure(shared, decisions))
    trouble(shared, 3.0)
    unwell = report("some is not", measure(shared, decisions))
    missed = max(well, unwell) > GOAL_US
    print(f"goal: p50 at most {GOAL_US:.0f} us: {'missed' if missed else 'met'}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
