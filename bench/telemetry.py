"""What counting an attempt costs, what the counts keep, and what a scrape holds up.

Run: `python -m bench.telemetry`, half a minute. Microseconds per `attempt_over`, best of 30 passes
over 1,000 attempts at 80 models; memory of as many models as are ever remembered; milliseconds that
a scrape keeps the event loop from a timer of 1 ms, median of 10; and what the watch of the event
loop costs a process that does nothing else.
"""

import asyncio
import tracemalloc
from dataclasses import replace
from time import perf_counter, process_time

import msgspec
import uvloop

from adapters.events import Outcome, Role, UsageSource
from adapters.tokens import UNKNOWN
from service import tasks
from service.telemetry.attempts import AttemptFacts, Witness
from service.telemetry.lag import LagWatch
from service.telemetry.metrics import Metrics
from service.telemetry.stats import MINUTES, MOST_KEYS, Stats

PASSES = 30
ATTEMPTS = 1_000
MODELS = 80
SCRAPES = 10
WATCHED = 3.0  # seconds
OPENMETRICS = "application/openmetrics-text;version=1.0.0"

_FACTS = AttemptFacts(
    stream="str_1",
    attempt=1,
    provider="openai",
    model="",
    role=Role.PRIMARY,
    outcome=Outcome.COMPLETED,
    error=None,
    usage=msgspec.structs.replace(
        UNKNOWN, input=900, output=200, cost_usd="0.00123", source=UsageSource.PROVIDER
    ),
    committed=True,
    hedged=True,
    started=1_000.0,
    ttft=0.5,
    duration=4.0,
    use_case="conversation",
    tier="standard",
    substitute=False,
)


def per_attempt(witness: Witness) -> float:
    """Microseconds, the best of all passes."""
    told = [
        replace(_FACTS, model=f"m{number % MODELS}", ttft=0.3 + number / ATTEMPTS)
        for number in range(ATTEMPTS)
    ]
    best = float("inf")
    for _ in range(PASSES):
        started = perf_counter()
        for facts in told:
            witness.attempt_over(facts)
        best = min(best, perf_counter() - started)
    return best / ATTEMPTS * 1e6


def memory(models: int) -> float:
    """Megabytes of statistics of so many models, five attempts in each minute of the window."""
    tracemalloc.start()
    stats = Stats()
    for minute in range(MINUTES):
        for number in range(models):
            for attempt in range(5):
                ttft = 0.3 + attempt / 10
                facts = replace(_FACTS, model=f"m{number}", started=minute * 60.0, ttft=ttft)
                stats.attempt_over(facts)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used / 1e6


def asking() -> float:
    """Milliseconds for the figures of one provider with 80 models."""
    stats = Stats()
    for number in range(MODELS * MINUTES):
        stats.attempt_over(
            replace(_FACTS, model=f"m{number % MODELS}", started=60.0 * (number // MODELS))
        )
    best = float("inf")
    for _ in range(PASSES):
        started = perf_counter()
        stats.of("openai", 60.0 * MINUTES - 1)
        best = min(best, perf_counter() - started)
    return best * 1e3


def used() -> Metrics:
    """The metrics of a process that has had answers, failures and losers from 80 models."""
    listed = {f"m{number}" for number in range(MODELS)}
    metrics = Metrics(listed=lambda _, model: model in listed)
    for model in listed:
        for outcome in (Outcome.COMPLETED, Outcome.FAILED, Outcome.LOST_RACE):
            metrics.attempt_over(replace(_FACTS, model=model, outcome=outcome))
    return metrics


async def scrape(metrics: Metrics, *, threaded: bool) -> tuple[float, int]:
    """Milliseconds that a scrape holds the event loop up at worst, and its lines."""
    gaps: list[float] = []
    ticking = tasks.spawn(_tick(gaps), name="tick")
    body = b""
    for _ in range(SCRAPES):
        await asyncio.sleep(0.02)  # so that each finds the loop at rest
        snapshot = metrics.snapshot()
        if threaded:
            body, _type = await asyncio.to_thread(snapshot.exposition, OPENMETRICS)
        else:
            body, _type = snapshot.exposition(OPENMETRICS)
    await asyncio.sleep(0.02)
    ticking.cancel()
    worst = sorted(gaps)[-SCRAPES:]
    return worst[SCRAPES // 2] * 1e3, body.count(b"\n")


async def _tick(gaps: list[float]) -> None:
    last = perf_counter()
    while True:
        await asyncio.sleep(0.001)
        gaps.append(perf_counter() - last)
        last = perf_counter()


async def watching(interval: float) -> float:
    """Percent of a core that watching the event loop takes, with nothing else to do."""
    watch = LagWatch(interval=interval)
    cpu, started = process_time(), perf_counter()
    watch.start()
    await asyncio.sleep(WATCHED)
    watch.stop()
    return (process_time() - cpu) / (perf_counter() - started) * 100


def main() -> None:
    """Print the table."""
    print(f"statistics: {per_attempt(Stats()):6.2f} us per attempt (goal: below 10)")
    print(f"            {memory(MOST_KEYS):6.1f} MB for {MOST_KEYS} models")
    print(f"            {memory(MODELS):6.1f} MB for {MODELS} models")
    print(f"            {asking():6.2f} ms to ask for a provider of {MODELS} models")
    metrics = used()
    print(f"metrics:    {per_attempt(metrics):6.2f} us per attempt")
    for threaded, where in ((False, "on the loop"), (True, "in a thread")):
        held, lines = uvloop.run(scrape(metrics, threaded=threaded))
        print(f"            {held:6.1f} ms the loop is held up by {lines} lines written {where}")
    for interval in (0.05, 0.02):
        share = uvloop.run(watching(interval))
        print(f"lag watch:  {share:6.2f} % of a core, every {interval * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
