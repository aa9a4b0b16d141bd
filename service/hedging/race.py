"""Who starts, who wins, who is cancelled: the decisions of one request, without I/O.

Facts go in (the request has begun, an attempt has content or is over, time has passed, the request
is stopped), commands come out, in the order in which they are to be carried out. The shell calls in
from one event loop, one fact at a time, so two attempts cannot both win. Time is an argument;
`next_timer` says when `timer` wants to be called, and one armed timer is enough.

Before an answer is committed:

- The first content wins, and so does a clean end without any. An error never wins, and as long as
  another attempt is alive an error has no consequence but its own.
- `normal` runs one attempt at a time: when it fails in a way that another provider may not, the
  next candidate starts at once. `hedge` also starts one more when the first is silent for longer
  than expected (the gate says how long, whom to ask, and whether at all), and one more each time
  everybody has been silent for `failover_after`. `race` starts several at once.
- A refused key or an empty account stops its provider for this request; the caller's own error
  ends the request, because nobody would answer otherwise.

After it, a break of the answering attempt may be recovered: further candidates, until one has
content; its commit says `failover`. They come one at a time, but that a hedged request adds one
here, too, for each long silence. `max_attempts` counts every start there is.

Left out: the attempts' own limits (`deadlines`), the hedge's permission and target (the gate),
what becomes of the broken answer's text (the shell).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from adapters.errors import RULES, Action, make
from adapters.events import Error, ErrorCode, Role
from adapters.request import AfterCommit, Strategy


@dataclass(frozen=True, slots=True)
class Start:
    """Send a request to the candidate of that index in the plan."""

    attempt: int
    candidate: int
    role: Role


Reason = Literal["first_content", "empty_end", "failover"]


@dataclass(frozen=True, slots=True)
class Commit:
    """This attempt answers: let its content out, now and from here on."""

    attempt: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Cancel:
    """Close this attempt's connection. `error` None: it has lost the race."""

    attempt: int
    error: Error | None


@dataclass(frozen=True, slots=True)
class Finish:
    """Write the end of the stream. `winner` None: nobody answered, `error` says why."""

    winner: int | None
    error: Error | None


Command = Start | Commit | Cancel | Finish


class Gate(Protocol):
    """Who knows what a hedge may cost and whom it would reach."""

    def delay(self, candidate: int, now: float) -> float | None:
        """Seconds this candidate may be silent before another is asked as well; None: for ever."""

    def hedge(self, unused: Sequence[int], now: float) -> int | None:
        """Which of the unused candidates to ask as well; None: nobody, for a reason it counts."""

    def failover(self, unused: Sequence[int], now: float) -> int | None:
        """Which to ask because everybody has been silent for too long; None: nobody yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the request and its plan allow."""

    providers: tuple[str, ...] = ("",)
    """The provider of each candidate, in the plan's order.

    Each is asked once, and again only where it had lost to an answer that broke.
    """
    rounds: int = 1
    """How often the candidates are listed one after the other in `providers`: one that was only
    silent may be asked again in the next round, one that has failed is not."""
    strategy: Strategy = Strategy.NORMAL
    width: int = 2
    """How many a race starts at once."""
    fallback: bool = True
    """Whether a failure may start the next candidate."""
    failover_after: float | None = None
    """Seconds of silence from everybody after which a hedged request starts one more."""
    most_waiting: int = 3
    """How many may be silent at once before nobody is added for the silence's sake."""
    max_attempts: int = 3
    after_commit: AfterCommit = AfterCommit.FAIL


POSTPONED = 1.0  # seconds
"""After how long the gate is asked again that let nobody start."""

_SINGLE = Options()

_STOPS_PROVIDER = frozenset({ErrorCode.AUTH_PROVIDER, ErrorCode.QUOTA_PROVIDER})

_RECOVERY = {AfterCommit.RESTART: Role.FALLBACK, AfterCommit.CONTINUE: Role.CONTINUATION}


class Race:
    """The attempts of one request."""

    __slots__ = (
        "_broken",
        "_causes",
        "_failover_at",
        "_gate",
        "_hedge_at",
        "_live",
        "_mode",
        "_options",
        "_over",
        "_started",
        "_stopped",
        "_unused",
        "_winner",
    )

    def __init__(self, options: Options = _SINGLE, gate: Gate | None = None) -> None:
        """Nobody has started; without a gate nobody is hedged."""
        self._options = options
        self._gate = gate
        self._unused = list(range(len(options.providers)))
        self._started: list[int] = []
        """The candidate of each attempt: attempt 1 is the first."""
        self._live: set[int] = set()
        self._winner: int | None = None
        self._broken: int | None = None
        """The attempt whose answer was committed and broke, while another one is sought."""
        self._mode = self._options.after_commit
        """How a broken answer is being recovered."""
        self._causes: list[Error] = []
        self._stopped: set[str] = set()
        self._hedge_at: float | None = None
        self._failover_at: float | None = None
        self._over = False

    def recovers(self, error: Error) -> bool:
        """Whether an answer that this error breaks is to be taken over, if it can be."""
        options = self._options
        # Where nobody else was ever to be asked the break is the whole story.
        alone = len(options.providers) == options.rounds or options.max_attempts == 1
        wanted = options.after_commit is not AfterCommit.FAIL and options.fallback
        return wanted and not alone and RULES[error.code].action is not Action.NONE

    @property
    def winner(self) -> int | None:
        """The attempt that answers, once one does."""
        return self._winner

    def next_timer(self) -> float | None:
        """When `timer` wants to be called; None: not before another fact has come."""
        hedge, failover = self._hedge_at, self._failover_at
        if hedge is None or failover is None:
            return failover if hedge is None else hedge
        return min(hedge, failover)

    # --- Facts ---

    def begin(self, now: float = 0.0) -> list[Command]:
        """The request has a plan with at least one candidate."""
        first = self._start(self._unused[0], Role.PRIMARY, now)
        if self._options.strategy is not Strategy.RACE:
            return [first]
        others = self._unused[: min(self._options.width, self._options.max_attempts) - 1]
        return [first, *(self._start(other, Role.RACE, now) for other in others)]

    def content(self, attempt: int) -> list[Command]:
        """An attempt has its first content."""
        if attempt not in self._live or self._winner is not None:
            return []
        return self._commit(attempt, "first_content")

    def ended(
        self,
        attempt: int,
        error: Error | None,
        now: float = 0.0,
        *,
        mode: AfterCommit | None = None,
        why: str = "what it had said can neither be taken back nor continued",
    ) -> list[Command]:
        """An attempt is over: cleanly, or with the error that broke it.

        `mode`: how this answer, begun and broken, may be recovered; None: as the request asked.
        FAIL where what it has already said can neither be taken back nor continued; `why` then says
        what is in the way.
        """
        if attempt not in self._live:
            return []
        self._live.discard(attempt)
        if error is None:
            committed = () if self._winner == attempt else self._commit(attempt, "empty_end")
            return [*committed, *self._finish(attempt, None)]
        if self._winner == attempt:
            return self._recover(attempt, error, now, mode, why)
        return self._failed(attempt, error, now)

    def timer(self, now: float) -> list[Command]:
        """Time has passed; what is due happens, earliest first."""
        gate = self._gate
        if gate is not None and self._hedge_at is not None and now >= self._hedge_at:
            self._hedge_at = None
            candidate = gate.hedge(self._unused, now)
            return [] if candidate is None else [self._start(candidate, Role.HEDGE, now)]
        if self._failover_at is not None and now >= self._failover_at:
            return self._fail_over(now)
        return []

    def stop(self, error: Error) -> list[Command]:
        """The request itself is over: cancelled, or out of time."""
        if self._over:
            return []
        winner = self._broken if self._winner is None else self._winner
        return self._finish(winner, error, stopped=error)

    # --- Starting ---

    def _start(self, candidate: int, role: Role, now: float) -> Start:
        self._unused.remove(candidate)
        self._started.append(candidate)
        attempt = len(self._started)
        self._live.add(attempt)
        if self._options.strategy is Strategy.HEDGE:
            self._arm(candidate, now)
        return Start(attempt, candidate, role)

    def _arm(self, candidate: int, now: float) -> None:
        """Expect the first content of whoever has just started; only one alone is hedged."""
        self._hedge_at = self._failover_at = None
        if not self._may_start():
            return
        if self._gate is not None and len(self._live) == 1 and self._broken is None:
            delay = self._gate.delay(candidate, now)
            self._hedge_at = None if delay is None else now + delay
        if self._options.failover_after is not None and self._options.fallback:
            self._failover_at = now + self._options.failover_after

    def _may_start(self) -> bool:
        return bool(self._unused) and len(self._started) < self._options.max_attempts

    def _fail_over(self, now: float) -> list[Command]:
        if not self._may_start() or len(self._live) >= self._options.most_waiting:
            self._failover_at = None
            return []
        candidate = self._unused[0]
        if self._gate is not None:
            chosen = self._gate.failover(self._unused, now)
            if chosen is None:
                self._failover_at = now + POSTPONED
                return []
            candidate = chosen
        return [self._start(candidate, self._role(), now)]

    def _next(self, now: float) -> list[Command]:
        """The next candidate, if there may be one."""
        return [self._start(self._unused[0], self._role(), now)] if self._may_start() else []

    def _role(self) -> Role:
        """Why an attempt is started that nobody wants as a hedge."""
        return Role.FALLBACK if self._broken is None else _RECOVERY[self._mode]

    # --- Failing ---

    def _failed(self, attempt: int, error: Error, now: float) -> list[Command]:
        """An attempt broke before its answer was committed."""
        self._note(attempt, error)
        if self._live:
            return []
        may_go_on = self._options.fallback and not self._callers_own()
        return (self._next(now) if may_go_on else []) or self._exhausted()

    def _note(self, attempt: int, error: Error) -> None:
        self._causes.append(error)
        providers, rounds = self._options.providers, self._options.rounds
        failed = self._started[attempt - 1]
        if error.code in _STOPS_PROVIDER:
            self._stopped.add(providers[failed])
        each = len(providers) // rounds
        self._unused = [
            candidate
            for candidate in self._unused
            if providers[candidate] not in self._stopped and candidate % each != failed % each
        ]

    def _callers_own(self) -> bool:
        return any(RULES[cause.code].action is Action.NONE for cause in self._causes)

    def _exhausted(self) -> list[Command]:
        """Nobody is left: the error that says it best."""
        own = (cause for cause in self._causes if RULES[cause.code].action is Action.NONE)
        if self._broken is not None:
            return self._finish(self._broken, _no_recovery(self._causes, self._nobody_left()))
        if len(self._causes) == 1:
            return self._finish(None, self._causes[0])
        return self._finish(None, next(own, None) or _nobody(self._causes))

    def _nobody_left(self) -> str:
        if self._callers_own():
            return "another one would refuse the request, too"
        if self._unused:
            return f"all {self._options.max_attempts} attempts of the request are spent"
        return "no candidate is left"

    def _recover(
        self, attempt: int, error: Error, now: float, mode: AfterCommit | None, why: str
    ) -> list[Command]:
        """The answering attempt broke: seek another, if the request and the answer allow it."""
        if not self.recovers(error):
            return self._finish(attempt, error)
        self._causes.clear()  # what others did before this answer began is no cause of its end
        self._note(attempt, error)
        self._mode = mode or self._options.after_commit
        if self._mode is AfterCommit.FAIL:
            return self._finish(attempt, _no_recovery(self._causes, why))
        if not self._may_start():
            return self._finish(attempt, _no_recovery(self._causes, self._nobody_left()))
        self._winner, self._broken = None, attempt
        return self._next(now)

    # --- Ending ---

    def _commit(self, attempt: int, reason: Reason) -> list[Command]:
        if self._broken is not None:
            reason, self._broken = "failover", None
        self._winner = attempt
        self._hedge_at = self._failover_at = None
        losers = sorted(self._live - {attempt})
        self._live &= {attempt}
        self._let_back(losers)
        return [Commit(attempt, reason), *(Cancel(loser, None) for loser in losers)]

    def _let_back(self, losers: Sequence[int]) -> None:
        """Who only lost is well: it may be asked again, should the answer break."""
        each = len(self._options.providers) // self._options.rounds
        for loser in losers:
            candidate = self._started[loser - 1]
            if not any(other % each == candidate % each for other in self._unused):
                self._unused.append(candidate)
        self._unused.sort()

    def _finish(
        self, winner: int | None, error: Error | None, *, stopped: Error | None = None
    ) -> list[Command]:
        self._over = True
        self._hedge_at = self._failover_at = None
        rest = sorted(self._live)
        self._live.clear()
        return [*(Cancel(attempt, stopped) for attempt in rest), Finish(winner, error)]


def _nobody(causes: list[Error]) -> Error:
    """Every attempt failed; each cause is named, and whether waiting would help."""
    waits = [cause.retry_after_ms for cause in causes if cause.retry_after_ms is not None]
    return make(
        ErrorCode.ALL_ATTEMPTS_FAILED,
        f"all {len(causes)} attempts failed: {_named(causes)}",
        retryable=any(cause.retryable for cause in causes),
        retry_after_ms=min(waits, default=None),
        causes=list(causes),
    )


def _no_recovery(causes: list[Error], why: str) -> Error:
    """A committed answer broke and nobody could take it over."""
    return make(
        ErrorCode.FAILOVER_IMPOSSIBLE,
        f"the answer broke ({_named(causes)}) and could not be taken over: {why}",
        causes=list(causes),
    )


def _named(causes: list[Error]) -> str:
    return "; ".join(f"{cause.provider or 'provider'}: {cause.code}" for cause in causes)
