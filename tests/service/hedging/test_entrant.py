"""An attempt's record: what it cost at which hour, and what it says of how it ended."""

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest

from adapters.catalog.prices import Prices
from adapters.contract import Call, Endpoint
from adapters.errors import make
from adapters.events import (
    AttemptStart,
    Ending,
    ErrorCode,
    Finish,
    Outcome,
    Role,
    UsageSource,
)
from adapters.registry import PROVIDERS
from adapters.request import ChatRequest
from adapters.tokens import UNKNOWN
from service.clock import monotonic
from service.hedging.attempt import Attempt
from service.hedging.deadlines import Deadlines
from service.hedging.entrant import Entrant
from service.limits.provider_limits import Limits
from service.routing.plan import Choice
from service.usage import cost
from tests.service.scripted import Scripted

MILLION = 1_000_000
TOLD = msgspec.structs.replace(
    UNKNOWN, input=MILLION, output=0, total=MILLION, source=UsageSource.PROVIDER
)


class Nobody:
    """A listener that hears nothing."""

    def content(self, attempt: Attempt) -> None:
        """Unheard."""

    def limits(self, attempt: Attempt, said: object) -> None:
        """Unheard."""

    def ended(self, attempt: Attempt, ending: Ending, closing: object) -> None:
        """Unheard."""


async def entrant(sent_ns: int = 0) -> Entrant:
    """An attempt at DeepSeek, which has run."""
    deepseek = PROVIDERS["deepseek"]
    model = deepseek.model("deepseek-flash")
    request = ChatRequest.model_validate({"messages": [{"role": "user", "content": "hi"}]})
    call = Call(provider=deepseek, model=model, request=request)
    now, limits = monotonic(), Limits()
    attempt = Attempt(
        call,
        deepseek.dialect.encode(call),
        deepseek.dialect.decoder(call),
        client=Scripted(),
        connect_timeout=1,
        deadlines=Deadlines(
            started=now, first_content=60, stall=30, until=now + 600, min_rate=None
        ),
        listener=Nobody(),
    )
    task = asyncio.ensure_future(attempt.run())  # noqa: TID251 - awaited below
    await asyncio.wait([task])
    reservation = limits.reserve("deepseek", 1, now, model=model.id, lease=1)
    assert reservation is not None
    return Entrant(
        1,
        attempt,
        Choice(Endpoint(provider=deepseek, base_url="https://deepseek.invalid", key=""), model),
        AttemptStart(attempt=1, provider="deepseek", model=model.id, role=Role.PRIMARY, after_ms=0),
        sent_ns,
        reservation,
        None,
    )


@pytest.mark.parametrize(("hour", "cost"), [("00:59:59", "0.15"), ("01:00:00", "0.3")])
async def test_an_attempt_costs_what_held_in_the_hour_in_which_it_was_sent(
    hour: str, cost: str
) -> None:
    sent = datetime.fromisoformat(f"2026-11-23T{hour}").replace(tzinfo=UTC).timestamp()
    record = await entrant(round(sent) * 1_000_000_000)
    end = record.close(
        Ending(finish=Finish.STOP, usage=TOLD), input_tokens=9, said=0, prices=Prices()
    )
    assert end.usage is not None
    assert end.usage.cost_usd == cost


async def test_the_record_is_the_same_for_all_who_are_told() -> None:
    failed = Ending(finish=Finish.ERROR, error=make(ErrorCode.TIMEOUT_IDLE, "silent"))
    record = await entrant()
    end = record.close(failed, input_tokens=9, said=400, prices=Prices())
    summary = record.summary()
    assert (end.outcome, end.error) == (Outcome.TIMEOUT, failed.error)
    assert (summary.outcome, summary.usage) == (end.outcome, end.usage)
    assert end.usage is not None
    assert end.usage.source is UsageSource.ESTIMATED
    assert end.usage.cost_usd == cost.usd(record.cost.nano_usd)
    assert record.cost.nano_usd == 9 * 150 + 100 * 600  # nano-USD a token, at that hour
