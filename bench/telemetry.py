"""What counting an attempt costs, and what the counts keep.

Run: `python -m bench.telemetry`. Microseconds per `attempt_over`, best of 30 passes over 1,000
attempts at 80 models, and the memory of as many models as are ever remembered.
"""

import tracemalloc
from dataclasses import replace
from time import perf_counter

import msgspec

from adapters.events import Outcome, Role, UsageSource
from adapters.tokens import UNKNOWN
from service.telemetry.attempts import AttemptFacts, Witness
from service.telemetry.stats import MINUTES, MOST_KEYS, Stats

PASSES = 30
ATTEMPTS = 1_000
MODELS = 80

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
    started = perf_counter()
    stats.of("openai", 60.0 * MINUTES - 1)
    return (perf_counter() - started) * 1e3


def main() -> None:
    """Print the table."""
    print(f"statistics: {per_attempt(Stats()):6.2f} us per attempt (goal: below 10)")
    print(f"            {memory(MOST_KEYS):6.1f} MB for {MOST_KEYS} models")
    print(f"            {memory(MODELS):6.1f} MB for {MODELS} models")
    print(f"            {asking():6.2f} ms to ask for a provider of {MODELS} models")


if __name__ == "__main__":
    main()
