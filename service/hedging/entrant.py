"""An attempt in the race, and its record: what it used, cost and took, as it is told at its end.

The record is made once, when the attempt is over (`close`), and read from then on by all who tell
of it: `attempt.end`, the list in `stream.end`, the provider's limits, whoever counts. Decides and
remembers; the runner writes it down.
"""

import asyncio
from dataclasses import dataclass, field
from uuid import UUID

import msgspec

from adapters.catalog.prices import Prices
from adapters.events import (
    AttemptEnd,
    AttemptStart,
    AttemptSummary,
    Ending,
    Error,
    Outcome,
    Usage,
)
from adapters.tokens import UNKNOWN
from service.hedging import account, ledger
from service.hedging.attempt import Attempt
from service.hedging.continuation import Splice
from service.limits.provider_limits import Reservation
from service.limits.shared_limits import SharedLimits
from service.routing.plan import Choice, Plan
from service.telemetry.attempts import AttemptFacts
from service.usage import cost
from service.usage.cost import Cost, CostSource
from service.usage.meter import Metered
from service.usage.record import Progress, Reply, Sent


@dataclass(slots=True)
class Entrant:
    """An attempt in the race, and what its record needs."""

    entry: int
    """Its number in the race, which counts those that could not be sent, too."""
    attempt: Attempt
    choice: Choice
    start: AttemptStart
    sent_ns: int
    """Unix time: some prices change with the hour."""
    reservation: Reservation
    splice: Splice | None
    """Where it goes on with another one's answer."""
    before: int = 0
    """Bytes that the log had of the answer when this one began to write."""
    outcome: Outcome | None = None
    """What became of it, once its record is made."""
    usage: Usage = UNKNOWN
    cost: Cost = field(default=cost.UNKNOWN, init=False)
    finish_raw: str | None = field(default=None, init=False)
    metered: Metered = field(init=False)
    task: asyncio.Task[None] = field(init=False)
    """Runs the attempt, once it is started."""

    # --- While it runs ---

    def sent(self, event: UUID, parent: UUID | None) -> Sent:
        """What is known of it now; `event`: its usage event's id, `parent`: of what led to it."""
        return Sent(
            id=event,
            parent=parent,
            attempt=self.attempt.number,
            provider=self.start.provider,
            model=self.start.model,
            role=self.start.role,
            opened_ns=self.sent_ns,
            cancel_billing=self.choice.endpoint.provider.cancel_billing,
            substitute=self.choice.substitute is not None,
        )

    def progress(
        self, *, input_tokens: int, said: int, prices: Prices, committed: bool, hedged: bool
    ) -> Progress:
        """How far it has come; the arguments are those of `close` and `facts`."""
        usage = account.so_far(input_tokens=input_tokens, said=said)
        first = self.attempt.first_content
        return Progress(
            reply=self.reply(),
            usage=usage,
            cost=self._cost(usage, prices),
            first_token_ns=None if first is None else self._unix_ns(first),
            committed=committed,
            hedged=hedged,
        )

    def reply(self) -> Reply:
        """What came back of it."""
        attempt = self.attempt
        return Reply(
            response_model=attempt.decoder.model,
            response_id=attempt.decoder.upstream_id,
            http_status=attempt.status,
            finish_reasons=() if self.finish_raw is None else (self.finish_raw,),
            bytes_in=attempt.received,
            bytes_out=attempt.sent,
        )

    # --- Its end ---

    def close(self, ending: Ending, *, input_tokens: int, said: int, prices: Prices) -> AttemptEnd:
        """Make the record; call it once.

        Args:
            ending: How it ended.
            input_tokens: Of the prompt, estimated.
            said: Bytes of output that came.
            prices: What that costs where its provider does not say.
        """
        attempt = self.attempt
        used = account.usage_of(
            ending, reached=attempt.reached, input_tokens=input_tokens, said=said
        )
        self.cost = self._cost(used, prices)
        if self.cost.source is not CostSource.PROVIDER:
            used = msgspec.structs.replace(used, cost_usd=cost.usd(self.cost.nano_usd))
        self.usage, self.finish_raw = used, ending.finish_raw
        self.outcome = ledger.outcome_of(ending)
        return AttemptEnd(
            attempt=attempt.number,
            outcome=self.outcome,
            error=ending.error,
            usage=self.usage,
            finish_raw=ending.finish_raw,
        )

    def give_back(self, limits: SharedLimits, now: float) -> None:
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
        self,
        stream: str,
        plan: Plan,
        *,
        committed: bool,
        hedged: bool,
        saved: float | None,
        now: float,
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
            saved=saved,
            charged=attempt.reached == "taken",
        )

    def _cost(self, usage: Usage, prices: Prices) -> Cost:
        provider, model = self.attempt.call.provider, self.attempt.call.model
        return cost.cost_of(
            usage,
            prices.price(provider, model, self.sent_ns / 1e9),
            target=f"{provider.name}/{model.id}",
            searches=provider.searches,
        )

    def _unix_ns(self, at: float) -> int:
        """A moment in monotonic seconds."""
        return self.sent_ns + round((at - self.attempt.started) * 1e9)

    def _error(self) -> Error | None:
        ending = self.attempt.ending
        return ending.error if ending is not None else None
