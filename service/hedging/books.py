"""The books of one request: what each of its attempts used and cost, written down, told, summed up.

`open` has an attempt written down before it runs, `close` when it is over, once; `end` is what the
stream says of all of them. Beside the journal, which the stream's end waits for (`unsafe`), who
counts attempts is told, and the provider's limits get back what was not used. Which attempt won and
what follows is the race's business; the runner writes the log.
"""

from asyncio import Future

import msgspec

from adapters.events import (
    STATUS_OF_FINISH,
    AttemptEnd,
    Error,
    Phase,
    Role,
    StreamEnd,
)
from service import clock, ids
from service.hedging import ledger
from service.hedging.entrant import Entrant
from service.hedging.shared import Shared
from service.routing.plan import Plan
from service.streams.stream import Stream
from service.usage.record import Origin

_BESIDE = frozenset({Role.HEDGE, Role.RACE})
"""Roles of attempts that another one need not be waited for because of."""


class Books:
    """One request's attempts, as who pays for them sees them."""

    __slots__ = (
        "_arrived",
        "_closing",
        "_origin",
        "_plan",
        "_shared",
        "_stream",
        "committed",
        "entrants",
        "first_content",
    )

    def __init__(
        self, stream: Stream, plan: Plan, shared: Shared, *, request_id: str, arrived: float
    ) -> None:
        """`request_id`: what the records call the request; `arrived`: monotonic seconds."""
        self._stream = stream
        self._plan = plan
        self._shared = shared
        self._arrived = arrived
        self._origin = Origin(
            request_id=request_id,
            requested_model=stream.request.model,
            use_case=plan.use_case,
            tier=plan.tier,
            end_user=stream.request.user,
            tags=stream.request.metadata or {},
        )
        self._closing: list[Future[None]] = []
        self.entrants: dict[int, Entrant] = {}
        """By their number in the race."""
        self.committed: int | None = None
        """Whose content is in the log, by the race's number."""
        self.first_content: float | None = None
        """When the reader had the first content of anybody, monotonic seconds."""

    def open(self, entrant: Entrant, parent: Entrant | None) -> None:
        """Have it written down that an attempt is sent, and from then on how it goes.

        `parent`: the one that it is started because of.
        """
        sent = entrant.sent(
            ids.uuid7(clock.now_ms()), None if parent is None else parent.metered.id
        )
        entrant.metered = self._shared.meter.begin(
            self._origin,
            sent,
            lambda: entrant.progress(
                input_tokens=self._plan.input_tokens,
                said=self._said(entrant),
                prices=self._shared.prices,
                committed=self.committed == entrant.entry,
                hedged=self._hedged,
            ),
        )
        entrant.attempt.record(entrant.metered)

    def close(self, entrant: Entrant, *, saved: float | None) -> AttemptEnd | None:
        """Make an attempt's record, write it down and tell of it; None: that is done, or it runs.

        `saved`: seconds that the answer came sooner than the first attempt's would have.
        """
        ending, shared = entrant.attempt.ending, self._shared
        if entrant.outcome is not None or ending is None:
            return None
        told = ending.usage is not None and ending.usage.output is not None
        end = entrant.close(
            ending,
            input_tokens=self._plan.input_tokens,
            said=0 if told else self._said(entrant),
            prices=shared.prices,
        )
        now = clock.monotonic()
        entrant.give_back(shared.reservations, now)
        committed = self.committed == entrant.entry
        facts = entrant.facts(
            self._stream.id,
            self._plan,
            committed=committed,
            hedged=self._hedged,
            saved=saved if committed and entrant.start.role in _BESIDE else None,
            now=now,
        )
        closing = entrant.metered.close(facts, reply=entrant.reply(), cost=entrant.cost)
        if closing is not None:
            self._closing.append(closing)
        shared.tell(facts)
        return end

    def unsafe(self) -> list[Future[None]]:
        """Records of attempts that are over and not written down yet."""
        return [closing for closing in self._closing if not closing.done()]

    def end(self, winner: int | None, error: Error | None) -> StreamEnd:
        """What the stream says last; `winner`: who answered, by the race's number."""
        answered = self.entrants.get(winner) if winner is not None else None
        ending = answered.attempt.ending if answered is not None else None
        error = self._placed(error)
        finish = ledger.finish_of(ending, error)
        usage = ledger.plain(answered.usage) if answered is not None else ledger.NOBODY
        return StreamEnd(
            status=STATUS_OF_FINISH[finish],
            finish=finish,
            finish_raw=ending.finish_raw if ending is not None else None,
            stop_sequence=ending.stop_sequence if ending is not None else None,
            provider=answered.start.provider if answered is not None else None,
            model=answered.start.model if answered is not None else None,
            usage=usage,
            usage_total=ledger.total_of(
                (entrant.usage, entrant.attempt.reached)
                for entrant in self.entrants.values()
                if entrant.outcome is not None
            ),
            error=error,
            timing=ledger.timing(
                arrived=self._arrived,
                queued_ms=min((e.start.after_ms for e in self.entrants.values()), default=0),
                first_content=self.first_content,
                answering=answered.attempt.first_content if answered is not None else None,
                output=usage.output,
                now=clock.monotonic(),
            ),
            attempts=[entrant.summary() for entrant in self.entrants.values()],
        )

    @property
    def _hedged(self) -> bool:
        """Whether somebody was asked beside another one."""
        return any(entrant.start.role in _BESIDE for entrant in self.entrants.values())

    def _said(self, entrant: Entrant) -> int:
        """Bytes of output that came: none of one that was not committed, as content commits."""
        if self.committed != entrant.entry:
            return 0
        return self._stream.log.written() - entrant.before

    def _placed(self, error: Error | None) -> Error | None:
        """An error of the request itself, with how far the answer had come."""
        if error is None or error.attempt is not None:
            return error
        committed = self._stream.content_started
        return msgspec.structs.replace(
            error,
            phase=Phase.MID_STREAM if committed else Phase.BEFORE_COMMIT,
            bytes_out=committed,
        )
