"""An attempt in the race, and its record: what it used, cost and took, as it is told at its end.

The record is made once, when the attempt is over (`close`), and read from then on by all who tell
of it: `attempt.end`, the list in `stream.end`, the provider's limits, whoever counts. Decides and
remembers; the runner writes it down.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from adapters.catalog.price import usd
from adapters.contract import Model, Provider
from adapters.events import AttemptEnd, AttemptStart, AttemptSummary, Ending, Error, Outcome, Usage
from adapters.tokens import UNKNOWN
from service.hedging import account, ledger
from service.hedging.attempt import Attempt
from service.hedging.continuation import Splice
from service.limits.provider_limits import Limits, Reservation
from service.routing.plan import Choice, Plan
from service.telemetry.attempts import AttemptFacts

Costs = Callable[[Provider, Model, Usage, float], Decimal | None]
"""US dollars for a usage, of an attempt that was sent at that Unix time, as its provider states it
or the catalog has it; None: nobody knows."""


@dataclass(slots=True)
class Entrant:
    """An attempt in the race, and what its record needs."""

    entry: int
    """Its number in the race, which counts those that could not be sent, too."""
    attempt: Attempt
    choice: Choice
    start: AttemptStart
    sent_at: float
    """Unix seconds: some prices change with the hour."""
    reservation: Reservation
    splice: Splice | None
    """Where it goes on with another one's answer."""
    task: asyncio.Task[None]
    before: int = 0
    """Bytes that the log had of the answer when this one began to write."""
    outcome: Outcome | None = None
    """What became of it, once its record is made."""
    usage: Usage = UNKNOWN

    def close(self, ending: Ending, *, input_tokens: int, said: int, costs: Costs) -> AttemptEnd:
        """Make the record; call it once.

        Args:
            ending: How it ended.
            input_tokens: Of the prompt, estimated.
            said: Bytes of output that came.
            costs: What that costs.
        """
        attempt = self.attempt
        used = account.usage_of(
            ending, reached=attempt.reached, input_tokens=input_tokens, said=said
        )
        cost = costs(attempt.call.provider, attempt.call.model, used, self.sent_at)
        self.usage = msgspec.structs.replace(used, cost_usd=usd(cost))
        self.outcome = ledger.outcome_of(ending)
        return AttemptEnd(
            attempt=attempt.number,
            outcome=self.outcome,
            error=ending.error,
            usage=self.usage,
            finish_raw=ending.finish_raw,
        )

    def give_back(self, limits: Limits, now: float) -> None:
        """Return what it did not take of its provider's limits; `now`: monotonic seconds."""
        match self.attempt.reached:
            case "unsent":
                limits.release(self.reservation, now)
            case "refused":
                limits.settle(self.reservation, 0, now)
            case "taken":
                limits.settle(self.reservation, self.usage.total, now)

    def summary(self) -> AttemptSummary:
        """For `stream.end`."""
        return AttemptSummary(
            attempt=self.attempt.number,
            provider=self.start.provider,
            model=self.start.model,
            outcome=self.outcome or Outcome.CANCELLED,
            usage=ledger.plain(self.usage),
            error=self._error(),
        )

    def facts(
        self, stream: str, plan: Plan, *, committed: bool, hedged: bool, now: float
    ) -> AttemptFacts:
        """For whoever counts; `now`, its end, in monotonic seconds."""
        attempt = self.attempt
        first = attempt.first_content
        return AttemptFacts(
            stream=stream,
            attempt=attempt.number,
            provider=self.start.provider,
            model=self.start.model,
            role=self.start.role,
            outcome=self.outcome or Outcome.CANCELLED,
            error=self._error(),
            usage=ledger.plain(self.usage),
            committed=committed,
            hedged=hedged,
            started=attempt.started,
            ttft=None if first is None else first - attempt.started,
            duration=now - attempt.started,
            use_case=plan.use_case,
            tier=plan.tier,
            substitute=self.choice.substitute is not None,
            charged=attempt.reached == "taken",
        )

    def _error(self) -> Error | None:
        ending = self.attempt.ending
        return ending.error if ending is not None else None
