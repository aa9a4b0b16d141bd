"""Usage events by the dozen, and what they add up to by somebody else's reckoning."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from uuid import UUID

import msgspec
import orjson

from adapters.events import Role, UsageSource
from service.usage import tally
from service.usage.cost import UNKNOWN as UNKNOWN_COST
from service.usage.record import Progress, Verdict, encode, interrupted
from service.usage.rollups import Arrival
from tests.service.usage.events import OPENED_NS, ORIGIN, REPLY, SENT, USED, priced

MINUTE_NS = 60_000_000_000
MODELS = (("claude", "claude-sonnet-5"), ("groq", "llama-3.3-70b"), ("demo", "demo"))
VERDICTS = tuple(Verdict)
ROLES = tuple(Role)


def body(number: int, **over: object) -> bytes:
    """The event of attempt `number`; `over` its data. Every fifth cost is unknown."""
    provider, model = MODELS[number % 3]
    usage = msgspec.structs.replace(USED, output=number % 1_000, source=UsageSource.PROVIDER)
    event = interrupted(
        replace(ORIGIN, client_key=f"key_{number % 4}" if number % 4 else None),
        replace(
            SENT, id=UUID(int=number + 1), provider=provider, model=model, role=ROLES[number % 5]
        ),
        Progress(
            reply=REPLY,
            usage=usage,
            cost=UNKNOWN_COST if number % 5 == 0 else priced(usage),
        ),
        OPENED_NS + number % 400 * MINUTE_NS,
    )
    told: dict[str, Any] = orjson.loads(encode(event))
    told["data"] |= {"outcome": VERDICTS[number % 5], "estimated": number % 7 == 0} | over
    return orjson.dumps(told)


def arrivals(numbers: Iterable[int], producer: str = "p") -> list[Arrival]:
    """Attempts as they come from a producer that numbers them from 1."""
    return [Arrival(tally.read(body(number)), producer, number + 1) for number in numbers]


Oracle = dict[tuple[str, ...], list[int]]
"""Keys -> attempts, known costs, cost in nano-USD, output tokens."""


def oracle(bodies: Iterable[bytes], *names: str) -> Oracle:
    """Add up each id once, by those fields of `data`."""
    found: Oracle = defaultdict(lambda: [0, 0, 0, 0])
    seen = set()
    for one in bodies:
        event = orjson.loads(one)
        if event["id"] in seen:
            continue
        seen.add(event["id"])
        data = event["data"]
        row = found[tuple(str(data[name] or "") for name in names)]
        row[0] += 1
        row[1] += data["cost_nano_usd"] is not None
        row[2] += data["cost_nano_usd"] or 0
        row[3] += data["usage"]["output_tokens"]
    return dict(found)
