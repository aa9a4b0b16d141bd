"""The shell of a race: it carries out what `race` decides and writes the stream log.

One `Runner` serves one request. Attempts tell it their facts from their own tasks; it asks the race
what follows and does it at once, synchronously, so that the log is always in the state the race
says. It has no task of its own: what runs are the attempts, each of which closes its connection on
its way out, and a moment after the end it looks whether they have.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

import msgspec

from adapters.contract import Call, Client, dialect_for
from adapters.errors import RequestError
from adapters.events import (
    STATUS_OF_FINISH,
    AttemptCommit,
    AttemptEnd,
    AttemptStart,
    AttemptSummary,
    Ending,
    Error,
    ErrorCode,
    Event,
    Finish,
    Outcome,
    Phase,
    StreamEnd,
    Timing,
    Usage,
)
from adapters.tokens import UNKNOWN, total
from service import clock, tasks
from service.hedging.attempt import Attempt
from service.hedging.deadlines import Deadlines
from service.hedging.race import Cancel, Command, Commit, Race, Start
from service.hedging.race import Finish as FinishRace
from service.routing.plan import Choice, Plan
from service.streams.stream import Stream

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
    task: asyncio.Task[None]
    outcome: Outcome | None = None


class Runner:
    """One request's attempts."""

    __slots__ = (
        "_arrived",
        "_clients",
        "_entrants",
        "_first_content",
        "_on_end",
        "_pending",
        "_plan",
        "_race",
        "_stream",
    )

    def __init__(
        self,
        stream: Stream,
        plan: Plan,
        clients: Mapping[str, Client],
        *,
        arrived: float,
        on_end: Callable[[], None],
    ) -> None:
        """`arrived`: monotonic seconds; `on_end` is called when the last event is in the log."""
        self._stream = stream
        self._plan = plan
        self._clients = clients
        self._arrived = arrived
        self._on_end = on_end
        self._race = Race()
        self._entrants: dict[int, _Entrant] = {}
        self._pending: list[Event] = []
        """Ends of attempts, to be written together with what follows: one write, not two."""
        self._first_content: float | None = None
        stream.on_stop(self._stopped)

    def begin(self) -> None:
        """Start the race; everything after this happens in the attempts' tasks."""
        self._execute(self._race.begin())

    # --- Facts from the attempts ---

    def content(self, attempt: Attempt) -> None:
        """Listener: an attempt has its first content."""
        self._execute(self._race.content(attempt.number))

    def ended(self, attempt: Attempt, ending: Ending) -> None:
        """Listener: an attempt is over by itself."""
        commands = self._race.ended(attempt.number, ending.error)
        # A clean end without content commits first, so that the record follows its commit.
        while commands and isinstance(commands[0], Commit):
            self._execute([commands.pop(0)])
        self._record(attempt.number)
        self._execute(commands)

    # --- Facts from outside ---

    def _stopped(self, error: Error) -> None:
        self._execute(self._race.stop(error))

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
        self._flush()

    def _start(self, command: Start) -> None:
        choice = self._plan.choices[command.candidate]
        provider, request = choice.endpoint.provider, self._stream.request
        call = Call(provider=provider, model=choice.model, request=request, attempt=command.attempt)
        dialect = dialect_for(provider, choice.model, request)
        try:
            encoded = dialect.encode(call)
        except RequestError as refusal:
            # Nothing was sent, so there is no attempt to speak of.
            self._execute(self._race.ended(command.attempt, refusal.error))
            return
        now = clock.monotonic()
        start = AttemptStart(
            attempt=command.attempt,
            provider=provider.name,
            model=choice.model.id,
            role=command.role,
            after_ms=round((now - self._arrived) * 1000),
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
        task = tasks.spawn(attempt.run(), name=f"{self._stream.id} attempt {attempt.number}")
        attempt.own(task)
        self._entrants[attempt.number] = _Entrant(attempt, choice, start, task)

    def _commit(self, command: Commit) -> None:
        attempt = self._entrants[command.attempt].attempt
        now = clock.monotonic()
        if attempt.first_content is not None:
            self._first_content = now
        commit = AttemptCommit(
            attempt=attempt.number,
            reason=command.reason,
            ttft_ms=round((now - attempt.started) * 1000),
            upstream_id=attempt.decoder.upstream_id,
            model_actual=attempt.decoder.model,
        )
        self._stream.mark_committed()
        # One append, so that the first token is one write.
        self._append([commit, *attempt.commit(self._stream.log.append)])

    def _abort(self, number: int, error: Error | None) -> None:
        attempt = self._entrants[number].attempt
        events = attempt.abort(error)
        if events and self._race.winner == number:
            self._append(events)
        self._record(number)

    def _finish(self, command: FinishRace) -> None:
        self._pending.append(self._stream_end(command))
        self._flush()
        self._stream.mark_ended()
        self._on_end()
        asyncio.get_running_loop().call_later(CLOSING, self._look_after_late_ones)

    # --- The log ---

    def _append(self, events: Sequence[Event]) -> None:
        """Write events at once: what an attempt emits, and what its reader waits for."""
        self._stream.log.append(events, clock.now_ms())

    def _flush(self) -> None:
        """Write the ends that are noted."""
        if self._pending:
            pending, self._pending = self._pending, []
            self._append(pending)

    def _record(self, number: int) -> None:
        """Note an attempt's end, once: it is written with what follows from it."""
        entrant = self._entrants[number]
        ending = entrant.attempt.ending
        if entrant.outcome is not None or ending is None:
            return
        entrant.outcome = _outcome(ending)
        self._pending.append(
            AttemptEnd(
                attempt=number,
                outcome=entrant.outcome,
                error=ending.error,
                usage=ending.usage,
                finish_raw=ending.finish_raw,
            )
        )

    def _stream_end(self, command: FinishRace) -> StreamEnd:
        winner = self._entrants.get(command.winner) if command.winner is not None else None
        ending = winner.attempt.ending if winner is not None else None
        error = self._placed(command.error)
        finish = _finish_of(ending, error)
        usage = _plain(ending.usage) if ending is not None else _NOBODY
        now = clock.monotonic()
        return StreamEnd(
            status=STATUS_OF_FINISH[finish],
            finish=finish,
            finish_raw=ending.finish_raw if ending is not None else None,
            stop_sequence=ending.stop_sequence if ending is not None else None,
            provider=winner.start.provider if winner is not None else None,
            model=winner.start.model if winner is not None else None,
            usage=usage,
            usage_total=total(
                _plain(entrant.attempt.ending.usage)
                for entrant in self._entrants.values()
                if entrant.attempt.ending is not None
            ),
            error=error,
            timing=self._timing(now, usage),
            attempts=[_summary(entrant) for entrant in self._entrants.values()],
        )

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
    if error.code in _CUT:
        return Finish.INTERRUPTED
    return Finish.ERROR


def _plain(usage: Usage | None) -> Usage:
    """An attempt's usage without the provider's own object, which its attempt.end has."""
    return UNKNOWN if usage is None else msgspec.structs.replace(usage, raw=None)


def _summary(entrant: _Entrant) -> AttemptSummary:
    ending = entrant.attempt.ending
    return AttemptSummary(
        attempt=entrant.attempt.number,
        provider=entrant.start.provider,
        model=entrant.start.model,
        outcome=entrant.outcome or Outcome.CANCELLED,
        usage=_plain(ending.usage) if ending is not None and ending.usage is not None else None,
        error=ending.error if ending is not None else None,
    )
