"""What a process has spent, exactly."""

from decimal import Decimal

import msgspec

from service.telemetry.spending import Spending
from tests.service.telemetry.facts import USAGE, completed, failed, overtaken


def test_every_known_cost_counts_the_losers_too_and_an_unknown_one_adds_nothing() -> None:
    spending = Spending()
    assert spending.total_usd == 0
    tenth = msgspec.structs.replace(USAGE, cost_usd="0.1")
    for facts in (completed(usage=tenth), overtaken(usage=tenth), failed(usage=tenth), failed()):
        spending.attempt_over(facts)
    assert spending.total_usd == Decimal("0.3")
