"""What the engine that counts for all processes is to be told of one provider, in which order.

Three things go there: requests that ask for admission, attempts that were admitted here while the
engine was away, and what became of attempts. One call at a time takes as many of them as wait, and
any call may be lost, or its reply, or have happened nevertheless; so each entry is one that can be
made again, and nothing is crossed off before a reply says so. Two rules make that hold:

- Everything goes by the reservation's name, which the engine counts once (`limit_scripts`).
- An end is told only when the engine is known to have counted its beginning. Both in one call
  would be counted twice, were its reply lost and the call made again.

What was admitted here is told with all it took while it is younger than a minute, as the limits
are a minute's; later only that it runs, and when it is over nothing. What runs is told once more
when the engine comes back, which may have forgotten it. What is not told when its lease is over
need not be: the engine has dropped it by itself.

Deciding only: `now` in monotonic seconds is an argument. One `Account` per provider and process.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final, Literal

from service.limits.provider_limits import MINUTE, Together

BATCH: Final = 128
"""Entries in one call: half a millisecond in which the engine serves nobody else."""

MOST_ENDS: Final = 10_000
"""Ends that wait; beyond them the oldest are left to their leases."""

UNIT: Final = 60_000_000
"""How a request or a token is counted in a bucket, see `limit_scripts`."""

_ALWAYS: Final = 1 << 53
"""As the time of counting: whatever has drained since, it is given back."""

Verb = Literal["ask", "own", "end"]
"""Ask for admission, tell of one's own admission, end a reservation."""


@dataclass(slots=True, eq=False)
class Hold:
    """What an attempt sets aside, and as what the engine knows it."""

    name: str
    """Nobody else's."""
    tokens: int
    """Estimated."""
    made: float
    """Monotonic seconds, as `until`."""
    until: float
    """The end of its lease."""
    counted: int | None = None
    """When the engine counted it, by its clock, Unix microseconds; None: it has not, as yet."""
    refused: bool = False
    """The engine does not know it, nor will it."""
    past: bool = False
    """It counts there as a stream that runs, and as nothing more."""


@dataclass(frozen=True, slots=True, eq=False)
class End:
    """What became of an attempt."""

    hold: Hold
    tokens: int | None = None
    """What it took; None: nobody knows."""
    unsent: bool = False
    """It took nothing at all."""

    def corrections(self) -> tuple[int, int]:
        """Requests and tokens by which it took more than it had set aside."""
        hold = self.hold
        if self.unsent:
            return (0, 0) if hold.past else (-1, -hold.tokens)
        over = 0 if self.tokens is None else self.tokens - hold.tokens
        return 0, max(0, over) if hold.past else over


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a call."""

    verb: Verb
    of: Hold | End
    words: tuple[str | int, ...]
    """As the script wants it."""
    past: bool = False
    """Told too late to be counted as more than a stream that runs."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What the engine answers."""

    now: int
    """Its clock, Unix microseconds."""
    requests: float
    """Of the minute; 0 without a limit, as for `tokens`."""
    tokens: float
    streams: int
    done: tuple[bool, ...]
    """Of each entry: whether it was admitted (`ask`), or new (`own`, `end`)."""

    @classmethod
    def of(cls, reply: Sequence[Any]) -> "Counted":
        """Read it."""
        now, requests, tokens, streams, *done = map(int, reply)
        return cls(now, requests / UNIT, tokens / UNIT, streams, tuple(map(bool, done)))

    def together(self, now: float) -> Together:
        """As the limits want it; `now`: monotonic seconds."""
        return Together(self.requests, self.tokens, self.streams, now)


class Account:
    """What waits to be told of one provider."""

    def __init__(self) -> None:
        """Nothing."""
        self._asking: deque[Hold] = deque()
        # Dictionaries, of which the order counts and from which anything may go.
        self._running: dict[Hold, None] = {}
        """Admitted here; the engine does not know of it, or may have forgotten."""
        self._over: dict[Hold, End] = {}
        """The same, and over."""
        self._ends: dict[End, None] = {}
        """Of what the engine knows, or is about to."""
        self.left_to_leases = 0
        """Ends that were given up because too many waited."""

    # --- What happens ---

    def ask(self, hold: Hold) -> None:
        """A request wants to be admitted."""
        self._asking.append(hold)

    def withdraw(self, hold: Hold) -> None:
        """It does not any more, whether or not it has been admitted meanwhile."""
        if hold in self._asking:
            self._asking.remove(hold)
        else:
            self.end(End(hold, unsent=True))

    def owe(self, hold: Hold) -> None:
        """Have the next calls tell of an attempt that was admitted without the engine.

        `end` is to follow when the attempt is over, as for every other one.
        """
        hold.counted, hold.refused = None, False
        self._running[hold] = None

    def remind(self, hold: Hold) -> None:
        """Have the next calls tell once more of an attempt that runs.

        To be called of each of them before the first call to an engine that is back: it may have
        forgotten them.
        """
        self._running[hold] = None

    def end(self, end: End) -> None:
        """An attempt is over."""
        hold = end.hold
        if hold in self._running and hold.counted is None:
            self._over[hold] = end
            self._bound(self._over)
        else:
            self._ends[end] = None
            self._bound(self._ends)
        self._running.pop(hold, None)

    def strand(self) -> list[Hold]:
        """Take out those who ask and are in no call yet; the engine will not hear of them.

        The caller decides on each by itself, owes those that it admits and withdraws the others.
        """
        stranded = list(self._asking)
        self._asking.clear()
        for hold in stranded:
            hold.refused = True
        return stranded

    def _bound(self, waiting: dict[Any, Any]) -> None:
        if len(waiting) > MOST_ENDS:
            del waiting[next(iter(waiting))]
            self.left_to_leases += 1

    # --- Calls ---

    @property
    def waiting(self) -> int:
        """Attempts of which something is to be told."""
        return len(self._asking) + len(self._running) + len(self._over) + len(self._ends)

    def batch(self, now: float) -> list[Entry]:
        """The next call; `took` or `lost` must follow before another one is asked for."""
        self._forget(now)
        owed = islice(chain(self._over, self._running), BATCH)
        told = [_own(hold, now) for hold in owed]
        told += islice(self._told_ends(now), BATCH - len(told))
        while self._asking and len(told) < BATCH:
            told.append(_ask(self._asking.popleft(), now))
        return told

    def took(self, batch: Sequence[Entry], counted: Counted) -> list[tuple[Hold, bool]]:
        """The call was answered; who asked, and whether they are admitted.

        Raises ValueError and changes nothing where the answer is not one for each entry.
        """
        if len(counted.done) != len(batch):
            raise ValueError(f"{len(counted.done)} answers to {len(batch)} entries")
        verdicts = []
        for entry, done in zip(batch, counted.done, strict=True):
            if isinstance(entry.of, End):
                self._ends.pop(entry.of, None)
                continue
            hold = entry.of
            if entry.verb == "own":
                if done or hold.counted is None:
                    hold.counted, hold.past = counted.now, entry.past
                self._owned(hold)
            else:
                hold.counted, hold.refused = counted.now, not done
                verdicts.append((hold, done))
        return verdicts

    def lost(self, batch: Sequence[Entry]) -> list[Hold]:
        """The call was not answered, and nobody knows whether it was heard; who asked in it."""
        asking = [e.of for e in batch if e.verb == "ask" and isinstance(e.of, Hold)]
        for hold in asking:
            hold.counted = _ALWAYS
        return asking

    def _owned(self, hold: Hold) -> None:
        """The engine knows of one that was admitted here."""
        if hold in self._running:
            del self._running[hold]
        else:
            # One that is nowhere is over, and was dropped while the call was under way.
            self.end(self._over.pop(hold, End(hold)))

    def _told_ends(self, now: float) -> Iterator[Entry]:
        """Those of what the engine is known to have counted; of what it never did, none."""
        for end in tuple(self._ends):
            hold = end.hold
            if hold.refused or now >= hold.until:
                del self._ends[end]
            elif hold.counted is not None:
                requests, tokens = end.corrections()
                yield Entry("end", end, ("end", hold.name, tokens, hold.counted, requests))

    def _forget(self, now: float) -> None:
        """Drop what was admitted here and counts no more: not for the minute, nor as running."""
        while self._over and _is_past(next(iter(self._over)), now):
            del self._over[next(iter(self._over))]
        for hold in [hold for hold in self._running if now >= hold.until]:
            del self._running[hold]


def _is_past(hold: Hold, now: float) -> bool:
    return now >= hold.made + MINUTE


def _ask(hold: Hold, now: float) -> Entry:
    return Entry("ask", hold, ("ask", hold.name, hold.tokens, _lease(hold, now), 1))


def _own(hold: Hold, now: float) -> Entry:
    past = _is_past(hold, now)
    requests, tokens = (0, 0) if past else (1, hold.tokens)
    return Entry("own", hold, ("own", hold.name, tokens, _lease(hold, now), requests), past)


def _lease(hold: Hold, now: float) -> int:
    """Microseconds that are left of it; of one that is over but still to be counted, one."""
    return max(1, round((hold.until - now) * 1_000_000))
