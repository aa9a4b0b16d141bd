"""What this process has spent since it started, as far as anybody knows.

Every attempt counts once, when it is over: the answers, and what was spent beside them on attempts
that lost or broke. An attempt whose cost is not known adds nothing, so the sum is at least what was
spent. Decimals, because a sum of a million floats is no longer what the single costs add up to.
"""

from decimal import Decimal

from service.telemetry.attempts import AttemptFacts


class Spending:
    """A running total, US dollars; a `Witness`."""

    def __init__(self) -> None:
        """Nothing is spent yet."""
        self.total_usd = Decimal()

    def attempt_over(self, facts: AttemptFacts) -> None:
        """Add what an attempt cost, where that is known."""
        if facts.usage.cost_usd is not None:
            self.total_usd += Decimal(facts.usage.cost_usd)
