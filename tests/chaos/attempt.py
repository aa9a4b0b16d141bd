"""An attempt of which everything follows from its id, so that an oracle needs nothing but ids.

What it cost, when it was over and whose it was are taken from the random bits of the id. The event
of an attempt that was cut costs the same as that of one that ended: which of the two a crash left
behind does not matter to the sums, only to how the attempt is said to have ended.
"""

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

import msgspec

from service import clock, ids
from service.usage.cost import UNKNOWN as UNKNOWN_COST
from service.usage.record import Progress, UsageEvent, Verdict, encode, interrupted
from service.usage.tally import DAY, HOUR, MINUTE
from tests.service.usage.events import OPENED_NS, ORIGIN, REPLY, SENT, USED

CLIENTS = 7
UNPRICED = 5
"""One attempt of so many has an unknown cost."""

_MINUTES = 3_000
"""Over which attempts are spread: three days of sums."""

_TEMPLATE: UsageEvent = interrupted(
    ORIGIN, SENT, Progress(reply=REPLY, usage=USED, cost=UNKNOWN_COST), OPENED_NS
)


def fresh() -> UUID:
    """Another attempt's id."""
    return ids.uuid7(clock.now_ms())


def nano_usd(attempt: UUID) -> int | None:
    """What it cost."""
    return None if attempt.int % UNPRICED == 0 else attempt.int % 1_000_000_007


def output_tokens(attempt: UUID) -> int:
    """What it said."""
    return (attempt.int >> 24) % 5_000


def client(attempt: UUID) -> str:
    """Whose it was; empty for nobody's."""
    number = (attempt.int >> 8) % CLIENTS
    return f"key_{number}" if number else ""


def minute(attempt: UUID) -> int:
    """When it was over, Unix seconds."""
    return OPENED_NS // 1_000_000_000 // MINUTE * MINUTE + (attempt.int >> 16) % _MINUTES * MINUTE


def body(attempt: UUID, verdict: Verdict) -> bytes:
    """Its event."""
    usage = msgspec.structs.replace(_TEMPLATE.data.usage, output_tokens=output_tokens(attempt))
    data = msgspec.structs.replace(
        _TEMPLATE.data,
        client_key=client(attempt) or None,
        outcome=verdict,
        estimated=verdict is Verdict.INTERRUPTED,
        usage=usage,
        cost_nano_usd=nano_usd(attempt),
        t_close_ns=minute(attempt) * 1_000_000_000,
    )
    return encode(msgspec.structs.replace(_TEMPLATE, id=attempt, data=data))


class Amounts(NamedTuple):
    """What attempts add up to."""

    attempts: int
    unpriced: int
    nano_usd: int
    output_tokens: int


Sums = dict[tuple[int, str], Amounts]
"""By the beginning of a period, Unix seconds, and client."""

PERIODS = (MINUTE, HOUR, DAY)


def sums(attempts: Iterable[UUID], period: int) -> Sums:
    """What these add up to, by somebody else's reckoning."""
    found: Sums = {}
    for attempt in attempts:
        key = minute(attempt) // period * period, client(attempt)
        nano = nano_usd(attempt)
        one = (1, int(nano is None), nano or 0, output_tokens(attempt))
        found[key] = Amounts._make(map(sum, zip(found.get(key, (0, 0, 0, 0)), one, strict=True)))
    return found
