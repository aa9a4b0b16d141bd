"""Who starts, who wins, who is cancelled: the decisions of one request, without I/O.

Facts go in (an attempt has content, ended, failed), commands come out, in the order in which they
are to be carried out. The first attempt with content wins; an attempt's end without content wins
too, if it was clean; an error never wins. The shell calls in from one event loop, one fact at a
time, so two attempts cannot both win.

One attempt is started today. What would start more of them (a hedge's delay, a fallback after a
failure) is a further fact that yields a further `Start`; nothing else here counts on there being
one.
"""

from dataclasses import dataclass
from typing import Literal

from adapters.events import Error, Role


@dataclass(frozen=True, slots=True)
class Start:
    """Send a request to the candidate of that index in the plan."""

    attempt: int
    candidate: int
    role: Role


@dataclass(frozen=True, slots=True)
class Commit:
    """This attempt answers: let its content out, now and from here on."""

    attempt: int
    reason: Literal["first_content", "empty_end"]


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


class Race:
    """The attempts of one request."""

    def __init__(self) -> None:
        """Nobody has started."""
        self._live: set[int] = set()
        self._winner: int | None = None
        self._over = False

    @property
    def winner(self) -> int | None:
        """The attempt that answers, once one does."""
        return self._winner

    def begin(self) -> list[Command]:
        """The request has a plan with at least one candidate."""
        self._live.add(1)
        return [Start(1, 0, Role.PRIMARY)]

    def content(self, attempt: int) -> list[Command]:
        """An attempt has its first content."""
        if self._over or self._winner is not None:
            return []
        return self._commit(attempt, "first_content")

    def ended(self, attempt: int, error: Error | None) -> list[Command]:
        """An attempt is over: cleanly, or with the error that broke it."""
        if self._over or attempt not in self._live:
            return []
        self._live.discard(attempt)
        if self._winner == attempt:
            return self._finish(attempt, error)
        if error is None:
            return [*self._commit(attempt, "empty_end"), *self._finish(attempt, None)]
        return [] if self._live else self._finish(None, error)

    def stop(self, error: Error) -> list[Command]:
        """The request itself is over: cancelled, or out of time."""
        if self._over:
            return []
        return self._finish(self._winner, error, stopped=error)

    def _commit(self, attempt: int, reason: Literal["first_content", "empty_end"]) -> list[Command]:
        self._winner = attempt
        losers = sorted(self._live - {attempt})
        self._live &= {attempt}
        return [Commit(attempt, reason), *(Cancel(loser, None) for loser in losers)]

    def _finish(
        self, winner: int | None, error: Error | None, *, stopped: Error | None = None
    ) -> list[Command]:
        self._over = True
        rest = sorted(self._live)
        self._live.clear()
        return [*(Cancel(attempt, stopped) for attempt in rest), Finish(winner, error)]
