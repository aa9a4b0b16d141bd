"""An attempt for the tests of usage events: who asked, what was sent, what came back."""

from decimal import Decimal
from uuid import UUID

import msgspec

from adapters.catalog.price import Price, Rates
from adapters.events import Role, Usage, UsageSource
from adapters.tokens import UNKNOWN
from service.usage.cost import Cost, cost_of
from service.usage.record import Origin, Reply, Sent

OPENED_NS = 1_795_392_906_123_000_000
"""2026-11-23T00:15:06.123Z."""

USED = msgspec.structs.replace(
    UNKNOWN,
    input=4_740,
    input_cached=0,
    input_cache_write=4_735,
    output=255,
    output_reasoning=0,
    total=4_995,
    source=UsageSource.PROVIDER,
)

PRICE = Price(
    base=Rates(
        input=Decimal(3), output=Decimal(15), cached=Decimal("0.3"), cache_write=Decimal("3.75")
    ),
    source="genai-prices 0.2.3",
)

ORIGIN = Origin(
    request_id="req_01",
    requested_model="auto:analysis@premium",
    use_case="analysis",
    tier="premium",
    client_key="key_7",
    tenant="acme",
    end_user="user-1",
    tags={"team": "search"},
)

SENT = Sent(
    id=UUID("01a02b3c-4d5e-7f60-8123-456789abcdef"),
    attempt=2,
    provider="claude",
    model="claude-sonnet-5",
    role=Role.HEDGE,
    opened_ns=OPENED_NS,
    parent=UUID("01a02b3c-4d5e-7f60-8123-456789abcdee"),
    region="eu",
    service_tier="standard",
    cancel_billing="stops",
)

REPLY = Reply(
    response_model="claude-sonnet-5-20261001",
    response_id="msg_1",
    http_status=200,
    finish_reasons=("end_turn",),
    bytes_in=9_001,
    bytes_out=20_480,
)


def priced(usage: Usage = USED) -> Cost:
    """What that usage costs by the price above."""
    return cost_of(usage, PRICE, target="claude/claude-sonnet-5")
