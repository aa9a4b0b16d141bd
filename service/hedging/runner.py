"""The shell of a race: it carries out what `race` decides and writes the stream log.

One `Runner` serves one request. Attempts tell it their facts from their own tasks; it asks the race
what follows and does it at once, synchronously, so that the log is always in the state the race
says. It has no task of its own: what runs are the attempts, each of which closes its connection on
its way out, and a moment after the end it looks whether they have. One timer is armed for what the
race wants to be called for: a hedge, or somebody to add because everybody is silent.

An answer that breaks after it was committed may be taken over by another attempt. Under `restart`
what was said is taken back as the next one begins; under `continue` the next one is asked to go on,
and its words are spliced onto the block that stayed open (`continuation`).

What every attempt used, cost and took is told to whoever counts (`shared`), once, at its end.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from typing import assert_never

import msgspec

from adapters.contract import Call, Client, dialect_for
from adapters.errors import RequestError, make
from adapters.events import (
    STATUS_OF_FINISH,
    AttemptCommit,
    AttemptEnd,
    AttemptEvent,
    AttemptStart,
    AttemptSummary,
    Ending,
    Error,
    ErrorCode,
    Event,
    Failover,
    Finish,
    Outcome,
    Phase,
    Role,
    StreamEnd,
    Timing,
    Usage,
)
from adapters.ratelimits import RateLimits
from adapters.request import AfterCommit, ChatRequest, Strategy
from adapters.tokens import UNKNOWN, total
from service import clock, tasks
from service.hedging import account, continuation
from service.hedging.attempt import Attempt
from service.hedging.caches import Prompt
from service.hedging.continuation import OVERLAP_CHARS, Splice
from service.hedging.deadlines import Deadlines
from service.hedging.delay import size_of
from service.hedging.race import Cancel, Command, Commit, Options, Race, Start
from service.hedging.race import Finish as FinishRace
from service.hedging.shared import Shared, target_of
from service.limits.provider_limits import Reservation
from service.routing import shown
from service.routing.plan import Choice, Plan
from service.streams.fold import Fold
from service.streams.stream import Stream
from service.telemetry.attempts import AttemptFacts

CLOSING = 1.0  # seconds
"""How long an attempt may take to close its connection; measured: 0.4 ms (bench/README.md)."""

_TIMEOUTS = frozenset(
    {
        ErrorCode.TIMEOUT_FIRST_TOKEN,
        ErrorCode.TIMEOUT_IDLE,
        ErrorCode.TIMEOUT_TOTAL,
        ErrorCode.TOO_SLOW,
    }
)
_CUT = frozenset({ErrorCode.STREAM_INTERRUPTED, ErrorCode.DRAINING})
_NOBODY = msgspec.structs.replace(UNKNOWN, requests=0)

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Entrant:
    """An attempt in the race, and what its record needs."""

    attempt: Attempt
    choice: Choice
    start: AttemptStart
    reservation: Reservation
    splice: Splice | None
    """Where it goes on with another one's answer."""
    task: asyncio.Task[None]
    before: int = 0
    """Characters that the answer had when this one took it over."""
    outcome: Outcome | None = None
    usage: Usage = UNKNOWN


@dataclass(slots=True)
class _Broken:
    """A committed answer that broke, while somebody is sought to take it over."""

    attempt: int
    mode: AfterCommit
    error: Error
    fold: Fold
    """What had been said."""
    kept: list[AttemptEvent]
    """Ends of blocks that stay open if the answer goes on."""


class Runner:
    """One request's attempts."""

    __slots__ = (
        "_after_commit",
        "_armed",
        "_armed_for",
        "_arrived",
        "_broken",
        "_candidates",
        "_clients",
        "_committed",
        "_entrants",
        "_first_content",
        "_on_end",
        "_pending",
        "_plan",
        "_prompt",
        "_race",
        "_retracts",
        "_shared",
        "_stream",
        "_watch",
    )

    def __init__(
        self,
        stream: Stream,
        plan: Plan,
        clients: Mapping[str, Client],
        shared: Shared,
        *,
        retracts: bool,
        arrived: float,
        on_end: Callable[[], None],
    ) -> None:
        """`retracts`: whether the stream's readers can be told to forget what they were shown.

        `arrived`: monotonic seconds; `on_end` is called when the last event is in the log.
        """
        self._stream = stream
        self._plan = plan
        self._clients = clients
        self._shared = shared
        self._arrived = arrived
        self._on_end = on_end
        self._retracts = retracts
        default = AfterCommit.RESTART if retracts else AfterCommit.FAIL
        self._after_commit = stream.request.after_commit or default
        rounds = 2 if plan.latency.strategy is Strategy.HEDGE else 1
        self._candidates = plan.choices * rounds
        self._prompt = Prompt(stream.request)
        now = clock.monotonic()
        self._watch = shared.watch(
            plan,
            self._candidates,
            stream.request,
            self._prompt,
            arrived=arrived,
            at=clock.now_ms() / 1000,
            now=now,
        )
        self._race = Race(self._options(rounds), self._watch)
        self._entrants: dict[int, _Entrant] = {}
        self._broken: _Broken | None = None
        self._committed: int | None = None
        """The attempt whose content is in the log."""
        self._pending: list[Event] = []
        """Ends of attempts, to be written together with what follows: one write, not two."""
        self._first_content: float | None = None
        self._armed: asyncio.TimerHandle | None = None
        self._armed_for: float | None = None
        stream.on_stop(self._stopped)

    def begin(self) -> None:
        """Start the race; everything after this happens in the attempts' tasks."""
        self._execute(self._race.begin(clock.monotonic()))

    def _options(self, rounds: int) -> Options:
        plan, request = self._plan, self._stream.request
        failover_after = None
        if plan.latency.strategy is Strategy.HEDGE:
            limit = request.first_content_ms / 1000
            size = size_of(plan.input_tokens)
            failover_after = self._shared.hedger.failover_after(size, limit)
        return Options(
            providers=tuple(choice.endpoint.provider.name for choice in self._candidates),
            rounds=rounds,
            strategy=plan.latency.strategy,
            width=plan.width,
            fallback=request.fallback,
            failover_after=failover_after,
            max_attempts=plan.max_attempts,
            after_commit=self._after_commit,
        )

    # --- Facts from the attempts ---

    def limits(self, attempt: Attempt, said: RateLimits) -> None:
        """Listener: a provider has said what is left of its rate limits."""
        target, now = target_of(self._entrants[attempt.number].choice), clock.monotonic()
        self._shared.limits.observe(target.provider, said, now, model=target.model)
        self._shared.health.limits_said(target, said, now)

    def content(self, attempt: Attempt) -> None:
        """Listener: an attempt has its first content."""
        self._shared.look()
        commands = self._race.content(attempt.number)
        if self._race.winner == attempt.number:
            self._watch.content(attempt.number, clock.monotonic())
        self._execute(commands)

    def ended(self, attempt: Attempt, ending: Ending, closing: Sequence[AttemptEvent]) -> None:
        """Listener: an attempt is over by itself."""
        number, now = attempt.number, clock.monotonic()
        self._watch.ended(number, ending.error, now)
        if ending.error is not None and ending.error.code is ErrorCode.AUTH_PROVIDER:
            _log.error(
                "%s refuses its key; it is not asked until the key changes", attempt.provider
            )
        mode = None
        if ending.error is not None and self._race.winner == number:
            mode = self._break(number, ending.error, closing)
        error = self._blamed(number, ending.error)
        commands = self._race.ended(number, error, now, mode=mode)
        # A clean end without content commits first, so that the record follows its commit.
        while commands and isinstance(commands[0], Commit):
            self._execute([commands.pop(0)])
        if ending.error is None:
            self._close(self._entrants[number], complete=True)
        elif any(isinstance(command, FinishRace) for command in commands):
            self._leave_broken()
        self._record(number)
        self._execute(commands)

    def _blamed(self, number: int, error: Error | None) -> Error | None:
        """The error as the race is to see it.

        A model that answers 400 to the beginning of its own answer, which was our idea and not the
        caller's, is asked by a user turn from then on; now the next candidate goes on.
        """
        entrant = self._entrants[number]
        prefilled = entrant.splice is not None and entrant.splice.way == "prefill"
        if error is None or error.code is not ErrorCode.INVALID_REQUEST or not prefilled:
            return error
        self._shared.unfilled.add(target_of(entrant.choice))
        return msgspec.structs.replace(error, code=ErrorCode.UNSUPPORTED_PARAMETER)

    # --- Facts from outside ---

    def _stopped(self, error: Error) -> None:
        self._watch.stopped(clock.monotonic())
        self._execute(self._race.stop(error))

    def _due(self) -> None:
        self._armed = self._armed_for = None
        self._shared.look()
        self._execute(self._race.timer(clock.monotonic()))

    # --- Commands ---

    def _execute(self, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case Start():
                    self._start(command)
                case Commit():
                    self._commit(command)
                case Cancel():
                    self._abort(command.attempt, command.error)
                case FinishRace():
                    self._finish(command)
                case _:
                    assert_never(command)
        self._append(())
        self._arm()

    def _arm(self) -> None:
        """Keep one timer for what the race wants to be called for."""
        due = self._race.next_timer()
        if due == self._armed_for:
            return
        if self._armed is not None:
            self._armed.cancel()
        self._armed_for = due
        self._armed = None
        if due is not None:
            self._armed = asyncio.get_running_loop().call_at(due, self._due)

    def _start(self, command: Start) -> None:
        choice = self._candidates[command.candidate]
        provider = choice.endpoint.provider
        request, splice = self._asked(command, choice)
        call = Call(provider=provider, model=choice.model, request=request, attempt=command.attempt)
        dialect = dialect_for(provider, choice.model, request)
        now = clock.monotonic()
        try:
            encoded = dialect.encode(call)
            reservation = self._reserve(choice, now)
        except RequestError as refusal:
            # Nothing was sent, so there is no attempt to speak of.
            self._execute(self._race.ended(command.attempt, refusal.error, now))
            return
        start = AttemptStart(
            attempt=command.attempt,
            provider=provider.name,
            model=choice.model.id,
            role=command.role,
            after_ms=round((now - self._arrived) * 1000),
            replaces=self._broken.attempt if self._broken is not None else None,
            substitutes=shown.substitution(choice),
        )
        limits = request.deadlines
        attempt = Attempt(
            call,
            encoded,
            dialect.decoder(call),
            client=self._clients[provider.name],
            connect_timeout=limits.connect_ms / 1000,
            deadlines=Deadlines(
                started=now,
                first_content=request.first_content_ms / 1000,
                stall=limits.stall_ms / 1000,
                until=self._arrived + limits.total_ms / 1000,
                min_rate=limits.min_tokens_per_s,
            ),
            listener=self,
        )
        self._append([start])
        self._watch.started(command.attempt, command.candidate, command.role, now)
        self._shared.caches.sent(target_of(choice), self._prompt, now)
        task = tasks.spawn(attempt.run(), name=f"{self._stream.id} attempt {attempt.number}")
        attempt.own(task)
        self._entrants[attempt.number] = _Entrant(attempt, choice, start, reservation, splice, task)

    def _asked(self, command: Start, choice: Choice) -> tuple[ChatRequest, Splice | None]:
        """What this attempt is asked: the request, or to go on with what another one began."""
        request, broken = self._stream.request, self._broken
        if broken is None or command.role is not Role.CONTINUATION:
            return request, None
        model = self._shared.filled(choice)
        way = continuation.way(request, model)
        prompt = self._shared.continue_prompt
        return (
            continuation.request_for(request, broken.fold, model, prompt),
            Splice(broken.fold, way),
        )

    def _reserve(self, choice: Choice, now: float) -> Reservation:
        """Raise RequestError where the provider's limit is reached: another one is asked."""
        provider, model = target_of(choice)
        limits, tokens = self._shared.limits, self._plan.input_tokens + self._plan.output_tokens
        lease = self._stream.request.deadlines.total_ms / 1000
        reservation = limits.reserve(provider, tokens, now, model=model, lease=lease)
        if reservation is None:
            wait = limits.wait(provider, tokens, now, model=model)
            raise RequestError(
                make(
                    ErrorCode.RATE_LIMIT_PROVIDER,
                    f"the limit of {provider} is reached",
                    provider=provider,
                    retry_after_ms=round(wait * 1000) if isfinite(wait) else None,
                )
            )
        return reservation

    def _commit(self, command: Commit) -> None:
        entrant = self._entrants[command.attempt]
        attempt = entrant.attempt
        now = clock.monotonic()
        if attempt.first_content is not None and self._first_content is None:
            self._first_content = now
        commit = AttemptCommit(
            attempt=attempt.number,
            reason=command.reason,
            ttft_ms=round((now - attempt.started) * 1000),
            upstream_id=attempt.decoder.upstream_id,
            model_actual=attempt.decoder.model,
        )
        self._stream.mark_committed()
        self._committed = attempt.number
        # One append, so that the first token is one write.
        self._append([*self._take_over(entrant), commit, *self._released(entrant)])

    def _released(self, entrant: _Entrant) -> Sequence[AttemptEvent]:
        """What the winner held back; from here on it writes by itself."""
        append, splice = self._stream.log.append, entrant.splice
        if splice is None:
            return entrant.attempt.commit(append)

        def spliced(events: Sequence[AttemptEvent], ts: int) -> None:
            translated = splice.translate(events)
            if translated:
                append(translated, ts)

        return splice.translate(entrant.attempt.commit(spliced))

    def _abort(self, number: int, error: Error | None) -> None:
        entrant = self._entrants.get(number)
        if entrant is None:
            return  # it was never sent
        events = entrant.attempt.abort(error)
        if self._committed == number and self._broken is None:
            self._append(entrant.splice.translate(events) if entrant.splice else events)
            self._close(entrant, complete=False)
        self._record(number)

    def _close(self, entrant: _Entrant, *, complete: bool) -> None:
        """End the block that this attempt went on with, where it has not done so itself."""
        if entrant.splice is not None and self._committed == entrant.attempt.number:
            self._append(entrant.splice.close(complete=complete))

    def _finish(self, command: FinishRace) -> None:
        self._leave_broken()
        self._append([self._stream_end(command)])
        self._stream.mark_ended()
        self._on_end()
        asyncio.get_running_loop().call_later(CLOSING, self._look_after_late_ones)

    # --- An answer that broke ---

    def _break(self, number: int, error: Error, closing: Sequence[AttemptEvent]) -> AfterCommit:
        """The committed answer broke: how it may be recovered, and what that leaves open."""
        entrant = self._entrants[number]
        if entrant.splice is not None:
            closing = entrant.splice.translate(closing)
        fold = self._stream.log.fold()
        mode = self._recovery(fold)
        kept: Sequence[AttemptEvent] = ()
        if mode is AfterCommit.CONTINUE:
            kept, closing = continuation.held_back(closing, fold)
        if closing:
            self._append(closing)
            fold = self._stream.log.fold()  # a decoder's last word may hold more than ends
        self._broken = _Broken(number, mode, error, fold, list(kept))
        return mode

    def _recovery(self, fold: Fold) -> AfterCommit:
        """How an answer that came so far may be recovered; FAIL: not at all."""
        mode = self._after_commit
        if mode is AfterCommit.CONTINUE:
            mode = continuation.possible(fold, self._stream.request)
        if mode is AfterCommit.RESTART and not (self._retracts and continuation.retractable(fold)):
            return AfterCommit.FAIL
        return mode

    def _leave_broken(self) -> None:
        """Nobody goes on with the answer that broke: end what was kept open for them."""
        if self._broken is not None:
            kept, self._broken.kept = self._broken.kept, []
            self._append(kept)
            self._close(self._entrants[self._broken.attempt], complete=False)

    def _take_over(self, entrant: _Entrant) -> list[Event]:
        """What is said before an attempt that takes a broken answer over."""
        broken = self._broken
        if broken is None:
            return []
        self._broken = None
        restart = broken.mode is AfterCommit.RESTART
        if not restart:
            entrant.before = _characters(broken.fold)
        return [
            Failover(
                from_attempt=broken.attempt,
                to=entrant.attempt.number,
                mode="restart" if restart else "continue",
                drop=list(broken.fold.blocks) if restart else None,
                overlap_chars=None if restart else OVERLAP_CHARS,
                error=broken.error,
                must_understand=restart,
            )
        ]

    # --- The log ---

    def _append(self, events: Sequence[Event]) -> None:
        """Write events at once, behind the ends that are noted."""
        if self._pending:
            events, self._pending = [*self._pending, *events], []
        if events:
            self._stream.log.append(events, clock.now_ms())

    def _record(self, number: int) -> None:
        """Note an attempt's end, once: it is written with what follows from it."""
        entrant = self._entrants[number]
        ending = entrant.attempt.ending
        if entrant.outcome is not None or ending is None:
            return
        entrant.outcome = _outcome(ending)
        entrant.usage = usage = self._used(entrant, ending)
        now = clock.monotonic()
        self._shared.limits.settle(entrant.reservation, usage.total, now)
        self._pending.append(
            AttemptEnd(
                attempt=number,
                outcome=entrant.outcome,
                error=ending.error,
                usage=usage,
                finish_raw=ending.finish_raw,
            )
        )
        self._shared.tell(self._facts(entrant, now))

    def _used(self, entrant: _Entrant, ending: Ending) -> Usage:
        """What the attempt used and cost: told, or estimated and marked so."""
        attempt = entrant.attempt
        told = ending.usage is not None and ending.usage.output is not None
        usage = account.usage_of(
            ending,
            accepted=attempt.accepted,
            input_tokens=self._plan.input_tokens,
            said=0 if told else self._said(entrant),
        )
        if usage.cost_usd is not None:
            return usage
        provider, model = attempt.call.provider, attempt.call.model
        cost = self._shared.prices.cost(provider, model, usage, clock.now_ms() / 1000)
        return usage if cost is None else msgspec.structs.replace(usage, cost_usd=_decimal(cost))

    def _said(self, entrant: _Entrant) -> int:
        """Characters of output that came, shown or held back."""
        if self._committed != entrant.attempt.number:
            return entrant.attempt.held
        return _characters(self._stream.log.fold()) - entrant.before

    def _facts(self, entrant: _Entrant, now: float) -> AttemptFacts:
        attempt, plan = entrant.attempt, self._plan
        first, ending = attempt.first_content, attempt.ending
        roles = {other.start.role for other in self._entrants.values()}
        return AttemptFacts(
            stream=self._stream.id,
            attempt=attempt.number,
            provider=entrant.start.provider,
            model=entrant.start.model,
            role=entrant.start.role,
            outcome=entrant.outcome or Outcome.CANCELLED,
            error=ending.error if ending is not None else None,
            usage=_plain(entrant.usage),
            committed=self._committed == attempt.number,
            hedged=bool(roles & {Role.HEDGE, Role.RACE}),
            started=attempt.started,
            ttft=None if first is None else first - attempt.started,
            duration=now - attempt.started,
            use_case=plan.use_case,
            tier=plan.tier,
            substitute=entrant.choice.substitute is not None,
            charged=_charged(entrant),
        )

    def _stream_end(self, command: FinishRace) -> StreamEnd:
        winner = self._entrants.get(command.winner) if command.winner is not None else None
        ending = winner.attempt.ending if winner is not None else None
        error = self._placed(command.error)
        finish = _finish_of(ending, error)
        usage = _plain(winner.usage) if winner is not None else _NOBODY
        now = clock.monotonic()
        return StreamEnd(
            status=STATUS_OF_FINISH[finish],
            finish=finish,
            finish_raw=ending.finish_raw if ending is not None else None,
            stop_sequence=ending.stop_sequence if ending is not None else None,
            provider=winner.start.provider if winner is not None else None,
            model=winner.start.model if winner is not None else None,
            usage=usage,
            usage_total=self._total(),
            error=error,
            timing=self._timing(now, usage),
            attempts=[_summary(entrant) for entrant in self._entrants.values()],
        )

    def _total(self) -> Usage:
        """What all attempts used; its cost only where each one's is known."""
        over = [entrant for entrant in self._entrants.values() if entrant.outcome is not None]
        summed = total(_plain(entrant.usage) for entrant in over)
        costs = [entrant.usage.cost_usd for entrant in over if _charged(entrant)]
        known = [Decimal(cost) for cost in costs if cost is not None]
        if not known or len(known) < len(costs):
            return summed
        return msgspec.structs.replace(summed, cost_usd=_decimal(sum(known, Decimal())))

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

    def _timing(self, now: float, usage: Usage) -> Timing:
        first = self._first_content
        queued = min((entrant.start.after_ms for entrant in self._entrants.values()), default=0)
        speed = None
        if first is not None and usage.output and now > first:
            speed = round(usage.output / (now - first), 1)
        return Timing(
            queued_ms=queued,
            ttft_ms=None if first is None else round((first - self._arrived) * 1000),
            total_ms=round((now - self._arrived) * 1000),
            tokens_per_s=speed,
        )

    def _look_after_late_ones(self) -> None:
        """An attempt closes its connection on its way out; one that hangs there is cut down."""
        for entrant in self._entrants.values():
            if not entrant.task.done():
                _log.warning("%s did not close in %g s", entrant.task.get_name(), CLOSING)
                entrant.task.cancel()


def _outcome(ending: Ending) -> Outcome:
    if ending.error is None:
        lost = ending.finish is Finish.CANCELLED
        return Outcome.LOST_RACE if lost else Outcome.COMPLETED
    if ending.error.code is ErrorCode.CANCELLED:
        return Outcome.CANCELLED
    return Outcome.TIMEOUT if ending.error.code in _TIMEOUTS else Outcome.FAILED


def _finish_of(ending: Ending | None, error: Error | None) -> Finish:
    """The stream's finish: the request's own end outranks the attempt's."""
    if error is None:
        return ending.finish if ending is not None else Finish.OTHER
    if error.code is ErrorCode.CANCELLED:
        return Finish.CANCELLED
    if error.code is ErrorCode.FAILOVER_IMPOSSIBLE and ending is not None:
        return ending.finish
    if error.code in _CUT:
        return Finish.INTERRUPTED
    return Finish.ERROR


def _plain(usage: Usage) -> Usage:
    """An attempt's usage without the provider's own object, which its attempt.end has."""
    return msgspec.structs.replace(usage, raw=None)


def _charged(entrant: _Entrant) -> bool:
    ending = entrant.attempt.ending
    return ending is None or account.charged(ending, accepted=entrant.attempt.accepted)


def _decimal(amount: Decimal) -> str:
    """A decimal string without an exponent."""
    return f"{amount:f}"


def _characters(fold: Fold) -> int:
    """Of all the output that stands."""
    return sum(len(part) for block in fold.blocks.values() for part in block.parts)


def _summary(entrant: _Entrant) -> AttemptSummary:
    ending = entrant.attempt.ending
    return AttemptSummary(
        attempt=entrant.attempt.number,
        provider=entrant.start.provider,
        model=entrant.start.model,
        outcome=entrant.outcome or Outcome.CANCELLED,
        usage=_plain(entrant.usage),
        error=ending.error if ending is not None else None,
    )
