"""The shell of a race: it carries out what `race` decides and writes the stream log.

One `Runner` serves one request. Attempts tell it their facts from their own tasks; it asks the race
what follows and does it at once, synchronously, so that the log is always in the state the race
says. It has no task of its own: what runs are the attempts, each of which closes its connection on
its way out, and a moment after the end it looks whether they have. One timer is armed for what the
race wants to be called for: a hedge, or somebody to add because everybody is silent.

An answer that breaks after it was committed may be taken over by another attempt. Under `restart`
what was said is taken back as the next one begins; under `continue` the next one is asked to go on,
and its words are spliced onto the block that stayed open (`continuation`).

What every attempt used, cost and took is told to whoever counts (`shared`), once, at its end, and
written down (`usage.meter`). The stream's last event waits until that is safe.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import assert_never

import msgspec

from adapters.contract import Call, Client, dialect_for
from adapters.errors import RequestError, make
from adapters.events import (
    AttemptCommit,
    AttemptEvent,
    AttemptStart,
    Ending,
    Error,
    ErrorCode,
    Event,
    Failover,
    Role,
    WarningEvent,
)
from adapters.ratelimits import RateLimits
from adapters.request import AfterCommit, ChatRequest, Strategy
from service import clock, tasks
from service.hedging import continuation
from service.hedging.attempt import Attempt
from service.hedging.books import Books
from service.hedging.caches import Prompt
from service.hedging.continuation import OVERLAP_CHARS, Recovery, Splice
from service.hedging.deadlines import Deadlines, out_of_time
from service.hedging.delay import size_of
from service.hedging.entrant import Entrant
from service.hedging.race import Cancel, Command, Commit, Options, Race, Start
from service.hedging.race import Finish as FinishRace
from service.hedging.shared import Shared, target_of
from service.limits.provider_limits import Reservation
from service.routing import shown
from service.routing.plan import Choice, Plan
from service.streams.fold import Fold
from service.streams.stream import Stream

CLOSING = 1.0  # seconds
"""How long an attempt may take to close its connection; measured: 0.4 ms (bench/README.md)."""

LONGEST_CLOSE = 10.0  # seconds
"""How long a stream's end waits for its attempts' records: where even the space put by for a full
disk is used up, they wait in memory until there is space again, and nobody knows when."""

_AS_ASKED = Recovery(None)
_BY_ITSELF = frozenset({Role.PRIMARY, Role.RACE})
"""Roles of attempts that are started for no other one's sake."""


_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Broken:
    """A committed answer that broke, while somebody is sought to take it over."""

    entrant: Entrant
    recovery: Recovery
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
        "_asking",
        "_books",
        "_broken",
        "_candidates",
        "_clients",
        "_entrants",
        "_entries",
        "_finishing",
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

    def __init__(  # noqa: PLR0913 - one keyword for each thing a request brings
        self,
        stream: Stream,
        plan: Plan,
        clients: Mapping[str, Client],
        shared: Shared,
        *,
        request_id: str,
        retracts: bool,
        arrived: float,
        on_end: Callable[[], None],
    ) -> None:
        """`retracts`: whether the stream's readers can be told to forget what they were shown.

        `request_id`: what the attempts' records call the request, which is not the stream's id: who
        has that may read the answer. `arrived`: monotonic seconds; `on_end` is called when the last
        event is in the log.
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
        self._books = Books(stream, plan, shared, request_id=request_id, arrived=arrived)
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
        self._asking: dict[int, tuple[Start, asyncio.Task[None]]] = {}
        """By their number in the race, those whose reservation others have a say in."""
        self._entrants = self._books.entrants
        self._entries: list[int] = []
        """The race's number of each attempt that was sent; the stream's are 1, 2, ..."""
        self._broken: _Broken | None = None
        self._pending: list[Event] = []
        """Ends of attempts, to be written together with what follows: one write, not two."""
        self._finishing = False
        """Whether the race is over, and its end is written next."""
        self._armed: asyncio.TimerHandle | None = None
        self._armed_for: float | None = None
        stream.on_stop(self._stopped)

    def begin(self) -> None:
        """Start the race; everything after this happens in the attempts' tasks."""
        self._guarded(lambda: self._execute(self._race.begin(clock.monotonic())))

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
        target, now = target_of(self._entrant(attempt).choice), clock.monotonic()
        self._shared.limits.observe(target.provider, said, now, model=target.model)
        self._shared.health.limits_said(target, said, now)

    def content(self, attempt: Attempt) -> None:
        """Listener: an attempt has its first content."""
        self._guarded(lambda: self._content(self._entrant(attempt)))

    def ended(self, attempt: Attempt, ending: Ending, closing: Sequence[AttemptEvent]) -> None:
        """Listener: an attempt is over by itself."""
        self._guarded(lambda: self._ended(self._entrant(attempt), ending, closing))

    def _entrant(self, attempt: Attempt) -> Entrant:
        return self._entrants[self._entries[attempt.number - 1]]

    def _content(self, entrant: Entrant) -> None:
        self._shared.look()
        commands = self._race.content(entrant.entry)
        if self._race.winner == entrant.entry:
            self._watch.content(entrant.entry, clock.monotonic())
        self._execute(commands)

    def _ended(self, entrant: Entrant, ending: Ending, closing: Sequence[AttemptEvent]) -> None:
        entry, now, error = entrant.entry, clock.monotonic(), ending.error
        self._watch.ended(entry, error, now)
        if error is not None and error.code is ErrorCode.AUTH_PROVIDER:
            provider = entrant.start.provider
            _log.error("%s refuses its key; it is not asked until the key changes", provider)
        recovery = _AS_ASKED
        if error is not None and self._race.winner == entry:
            recovery = self._break(entrant, error, closing)
        commands = self._race.ended(
            entry, self._blamed(entrant, error), now, mode=recovery.mode, why=recovery.why
        )
        # A clean end without content commits first, so that the record follows its commit.
        while commands and isinstance(commands[0], Commit):
            self._execute([commands.pop(0)])
        if error is None:
            self._close(entrant, complete=True)
        elif any(isinstance(command, FinishRace) for command in commands):
            self._leave_broken()
        self._record(entrant)
        self._execute(commands)

    def _blamed(self, entrant: Entrant, error: Error | None) -> Error | None:
        """The error as the race is to see it.

        A model that answers 400 to the beginning of its own answer, which was our idea and not the
        caller's, is asked by a user turn from then on; now the next candidate goes on.
        """
        prefilled = entrant.splice is not None and entrant.splice.way == "prefill"
        if error is None or error.code is not ErrorCode.INVALID_REQUEST or not prefilled:
            return error
        self._shared.unfilled.add(target_of(entrant.choice))
        return msgspec.structs.replace(error, code=ErrorCode.UNSUPPORTED_PARAMETER)

    # --- Facts from outside ---

    def _stopped(self, error: Error) -> None:
        self._guarded(lambda: self._stop(error))

    def _stop(self, error: Error) -> None:
        self._watch.stopped(clock.monotonic())
        self._execute(self._race.stop(error))

    def _due(self) -> None:
        self._armed = self._armed_for = None
        self._guarded(self._timer)

    def _timer(self) -> None:
        self._shared.look()
        self._execute(self._race.timer(clock.monotonic()))

    # --- A fault of ours ---

    def _guarded(self, step: Callable[[], None]) -> None:
        """Take a step; one that fails inside the router ends the stream, and ends it honestly."""
        try:
            step()
        except Exception:  # noqa: BLE001 - whatever it is, a stream must not be left without its end
            self._failed()

    def _failed(self) -> None:
        _log.exception("%s failed inside the router", self._stream.id)
        self._give_up(make(ErrorCode.INTERNAL, "the request failed inside the router"))

    def _give_up(self, error: Error) -> None:
        try:
            self._execute(self._race.stop(error))
        except Exception:  # noqa: BLE001 - as above: now without the race, whose state is unknown
            _log.exception("%s could not be stopped", self._stream.id)
        for _, asking in self._asking.values():
            asking.cancel()
        for entrant in self._entrants.values():
            entrant.attempt.abort(error)
        if not self._stream.ended:
            self._pending = []
            self._end(FinishRace(None, error))

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
        if not self._finishing:
            self._append(())
        self._arm()

    def _arm(self) -> None:
        """Keep one timer for what the race wants to be called for.

        Nobody is called silent who has not been sent yet.
        """
        due = None if self._asking else self._race.next_timer()
        if due == self._armed_for:
            return
        if self._armed is not None:
            self._armed.cancel()
        self._armed_for = due
        self._armed = None
        if due is not None:
            self._armed = asyncio.get_running_loop().call_at(due, self._due)

    def _start(self, command: Start) -> None:
        """Reserve, and send at once; where others have a say in it, as soon as they are asked."""
        choice = self._candidates[command.candidate]
        (provider, model), reservations = target_of(choice), self._shared.reservations
        if reservations.asks(provider):
            asks = self._ask(command, choice)
            name = f"{self._stream.id} asks for {provider}"
            self._asking[command.attempt] = command, tasks.spawn(asks, name=name)
            return
        now = clock.monotonic()
        reservation = reservations.reserve_here(
            provider, self._tokens, now, model=model, lease=self._lease
        )
        self._go(command, choice, reservation, now)

    async def _ask(self, command: Start, choice: Choice) -> None:
        """Reserve where all processes do. Cancelled, it has reserved nothing."""
        provider, model = target_of(choice)
        try:
            async with asyncio.timeout_at(self._arrived + self._lease):
                reservation = await self._shared.reservations.reserve(
                    provider, self._tokens, model=model, lease=self._lease
                )
        except TimeoutError:
            # Until an attempt is sent nobody else looks at the clock.
            self._stopped(out_of_time())
            return
        except Exception:  # noqa: BLE001 - as in `_guarded`
            del self._asking[command.attempt]
            self._failed()
            return
        del self._asking[command.attempt]
        self._guarded(lambda: self._answered(command, choice, reservation))

    def _answered(self, command: Start, choice: Choice, reservation: Reservation | None) -> None:
        self._go(command, choice, reservation, clock.monotonic())
        self._execute(())

    def _ask_no_more(self, entry: int) -> None:
        command, asking = self._asking.pop(entry)
        asking.cancel()
        self._watch.refused(command.role)

    def _go(
        self, command: Start, choice: Choice, reservation: Reservation | None, now: float
    ) -> None:
        """Send what has a reservation; where it has none, another one is asked."""
        if reservation is None:
            self._refused(command, choice, self._over_limit(choice, now), now)
            return
        try:
            self._send(command, choice, reservation, now)
        except Exception as failure:
            self._shared.reservations.release(reservation, now)
            if not isinstance(failure, RequestError):
                raise
            self._refused(command, choice, failure.error, now)

    @property
    def _tokens(self) -> int:
        """Of an attempt, estimated."""
        return self._plan.input_tokens + self._plan.output_tokens

    @property
    def _lease(self) -> float:
        """Seconds that an attempt takes at most."""
        return self._stream.request.deadlines.total_ms / 1000

    def _send(self, command: Start, choice: Choice, reservation: Reservation, now: float) -> None:
        """Raise RequestError where the request cannot be said in the provider's words."""
        provider = choice.endpoint.provider
        request, splice = self._asked(command, choice)
        number = len(self._entries) + 1
        call = Call(provider=provider, model=choice.model, request=request, attempt=number)
        dialect = dialect_for(provider, choice.model, request)
        encoded = dialect.encode(call)
        start = AttemptStart(
            attempt=number,
            provider=provider.name,
            model=choice.model.id,
            role=command.role,
            after_ms=round((now - self._arrived) * 1000),
            replaces=self._broken.entrant.attempt.number if self._broken is not None else None,
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
            secret=choice.endpoint.key,
        )
        entrant = Entrant(
            command.attempt, attempt, choice, start, clock.now_ns(), reservation, splice
        )
        # Known before it runs: what goes out is written down, and can be stopped.
        self._books.open(entrant, self._led_to(command))
        self._entries.append(command.attempt)
        self._entrants[command.attempt] = entrant
        self._append([start])
        self._watch.started(command.attempt, command.candidate, command.role, now)
        self._shared.caches.sent(target_of(choice), self._prompt, now)
        entrant.task = tasks.spawn(attempt.run(), name=f"{self._stream.id} attempt {number}")
        attempt.own(entrant.task)

    def _led_to(self, command: Start) -> Entrant | None:
        """The attempt that this one is started because of: the last one before it."""
        if command.role in _BY_ITSELF:
            return None
        others = [self._broken.entrant] if self._broken else list(self._entrants.values())
        return others[-1] if others else None

    def _refused(self, command: Start, choice: Choice, error: Error, now: float) -> None:
        """A candidate could not even be asked: no attempt, but the reader is told."""
        self._watch.refused(command.role)
        name = "/".join(target_of(choice))
        message = f"{name} was not asked: {error.message}"
        self._append([WarningEvent(code="candidate_refused", message=message, field=error.param)])
        self._execute(self._race.ended(command.attempt, error, now))

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

    def _over_limit(self, choice: Choice, now: float) -> Error:
        provider, model = target_of(choice)
        wait = self._shared.limits.wait(provider, self._tokens, now, model=model)
        return make(
            ErrorCode.RATE_LIMIT_PROVIDER,
            f"the limit of {provider} is reached",
            provider=provider,
            retry_after_ms=round(wait * 1000) if isfinite(wait) else None,
        )

    def _commit(self, command: Commit) -> None:
        entrant = self._entrants[command.attempt]
        attempt = entrant.attempt
        now = clock.monotonic()
        if attempt.first_content is not None and self._books.first_content is None:
            self._books.first_content = now
        commit = AttemptCommit(
            attempt=attempt.number,
            reason=command.reason,
            ttft_ms=round((now - attempt.started) * 1000),
            upstream_id=attempt.decoder.upstream_id,
            model_actual=attempt.decoder.model,
        )
        self._stream.mark_committed()
        self._books.committed = entrant.entry
        # One append, so that the first token is one write.
        self._append([*self._take_over(entrant), commit, *self._released(entrant)])

    def _released(self, entrant: Entrant) -> Sequence[AttemptEvent]:
        """What the winner held back; from here on it writes by itself."""
        append, splice = self._stream.log.append, entrant.splice
        if splice is None:
            return entrant.attempt.commit(append)

        def spliced(events: Sequence[AttemptEvent], ts: int) -> None:
            translated = splice.translate(events)
            if translated:
                append(translated, ts)

        return splice.translate(entrant.attempt.commit(spliced))

    def _abort(self, entry: int, error: Error | None) -> None:
        if entry in self._asking:
            self._ask_no_more(entry)
        entrant = self._entrants.get(entry)
        if entrant is None:
            return  # it was never sent
        events = entrant.attempt.abort(error)
        if self._books.committed == entry and self._broken is None:
            self._append(entrant.splice.translate(events) if entrant.splice else events)
            self._close(entrant, complete=False)
        self._record(entrant)

    def _close(self, entrant: Entrant, *, complete: bool) -> None:
        """End the block that this attempt went on with, where it has not done so itself."""
        if entrant.splice is not None and self._books.committed == entrant.entry:
            self._append(entrant.splice.close(complete=complete))

    def _finish(self, command: FinishRace) -> None:
        """The race is over: end the stream, once what it took is safe."""
        self._leave_broken()
        waiting = self._books.unsafe()
        if not waiting:
            self._end(command)
            return
        self._finishing = True
        _ = tasks.spawn(self._end_when_safe(command, waiting), name=f"{self._stream.id} end")

    async def _end_when_safe(
        self, command: FinishRace, waiting: Sequence["asyncio.Future[None]"]
    ) -> None:
        _, late = await asyncio.wait(waiting, timeout=LONGEST_CLOSE)
        if late:
            _log.error("%s ends although its usage is not written down yet", self._stream.id)
        if not self._stream.ended:
            self._guarded(lambda: self._end(command))

    def _end(self, command: FinishRace) -> None:
        self._finishing = False
        self._append([self._books.end(command.winner, command.error)])
        self._stream.mark_ended()
        self._on_end()
        asyncio.get_running_loop().call_later(CLOSING, self._look_after_late_ones)

    # --- An answer that broke ---

    def _break(self, entrant: Entrant, error: Error, closing: Sequence[AttemptEvent]) -> Recovery:
        """The committed answer broke: how it may be recovered, and what that leaves open."""
        if entrant.splice is not None:
            closing = entrant.splice.translate(closing)
        if not self._race.recovers(error):
            self._append(closing)
            self._close(entrant, complete=False)
            return _AS_ASKED
        fold = self._stream.log.fold()  # once: 2 us per token that was said
        recovery = self._recovery(fold)
        kept: Sequence[AttemptEvent] = ()
        if recovery.mode is AfterCommit.CONTINUE:
            kept, closing = continuation.held_back(closing, fold)
        self._append(closing)
        for event in closing:
            fold.add(event)
        self._broken = _Broken(entrant, recovery, error, fold, list(kept))
        return recovery

    def _recovery(self, fold: Fold) -> Recovery:
        request, wanted = self._stream.request, self._after_commit
        return continuation.recovery(fold, request, wanted, retracts=self._retracts)

    def _leave_broken(self) -> None:
        """Nobody goes on with the answer that broke: end what was kept open for them."""
        if self._broken is not None:
            kept, self._broken.kept = self._broken.kept, []
            self._append(kept)
            self._close(self._broken.entrant, complete=False)

    def _take_over(self, entrant: Entrant) -> list[Event]:
        """What is said before an attempt that takes a broken answer over."""
        broken = self._broken
        if broken is None:
            return []
        self._broken = None
        entrant.before = self._stream.log.written()
        restart = broken.recovery.mode is AfterCommit.RESTART
        return [
            Failover(
                from_attempt=broken.entrant.attempt.number,
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

    def _record(self, entrant: Entrant) -> None:
        """Note an attempt's end, once: it is written with what follows from it."""
        end = self._books.close(entrant, saved=self._watch.saved)
        if end is not None:
            self._pending.append(end)

    def _look_after_late_ones(self) -> None:
        """An attempt closes its connection on its way out; one that hangs there is cut down."""
        for entrant in self._entrants.values():
            if not entrant.task.done():
                _log.warning("%s did not close in %g s", entrant.task.get_name(), CLOSING)
                entrant.task.cancel()
        # The attempts know this runner. Left to the garbage collector, what a request leaves is
        # found thousands of requests later, all at once: 200 ms at 200 requests a second.
        self._entrants.clear()
