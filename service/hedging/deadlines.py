"""One attempt's time limits, as a table of facts that is asked what is due.

The five limits of a request: connect (the client's to keep), the first content, the pause between
two contents, a least speed, and the whole. Only content counts: a keep-alive proves that a
connection lives, not that a provider answers, so a provider that only sends comments runs into
`timeout_first_token` or `timeout_idle`. The shell arms one timer for `due()`; when it fires,
`check` says what has expired, or nothing, and the timer is armed again. So a token costs one
assignment, not a timer.
"""

from adapters.errors import make
from adapters.events import Error, ErrorCode

RATE_WINDOW = 10  # seconds; the public interface fixes it
CHARS_PER_TOKEN = 4
"""What a least speed counts with: characters come with every delta, token counts with none."""

FINISH_GRACE = 5.0  # seconds
"""How long usage and the trailer may follow the finish signal. An answer that is whole must not
wait for `stall` because a provider forgot to close: 5 s is a hundred times what usage takes."""


class Deadlines:
    """The limits of one attempt; all times are monotonic seconds."""

    __slots__ = (
        "_counts",
        "_finished",
        "_first",
        "_min_rate",
        "_stall",
        "_started",
        "_until",
        "counting",
        "last",
    )

    def __init__(
        self,
        *,
        started: float,
        first_content: float,
        stall: float,
        until: float,
        min_rate: float | None,
    ) -> None:
        """`first_content` and `stall` in seconds, `min_rate` in tokens per second or None.

        `until` is when the whole request is out of time, whichever attempt it has come to.
        """
        self._until = until
        self._started = started
        self._first = started + first_content
        self._stall = stall
        self._min_rate = min_rate
        self.last: float | None = None
        """When content came last. May be set directly, per token, where nothing is counted."""
        self.counting = min_rate is not None
        """Whether `content` must be told how much came."""
        self._finished: float | None = None
        self._counts: dict[int, int] = {}
        """Characters per second of the window; only kept where a least speed is asked for."""

    def content(self, now: float, chars: int = 0) -> None:
        """Content has come."""
        if self.last is None and self._min_rate is not None:
            self._started = now
        self.last = now
        if self._min_rate is not None:
            second = int(now)
            self._counts[second] = self._counts.get(second, 0) + chars

    def finished(self, now: float) -> None:
        """The provider has said that the answer is over; only a trailer may follow."""
        if self._finished is None:
            self._finished = now

    def due(self, now: float) -> float:
        """When, after `now`, something may be due next."""
        return min(self._due(now), self._until)

    def _due(self, now: float) -> float:
        if self._finished is not None:
            return self._finished + FINISH_GRACE
        if self.last is None:
            return self._first
        stalled = self.last + self._stall
        if self._min_rate is None:
            return stalled
        return min(stalled, max(self._started + RATE_WINDOW, now + 1))

    def check(self, now: float) -> Error | None:
        """What has expired at `now`, if anything."""
        if now >= self._until:
            return out_of_time()
        if self._finished is not None:
            return _trailer() if now >= self._finished + FINISH_GRACE else None
        if self.last is None:
            return _first_token(self._first - self._started) if now >= self._first else None
        if now >= self.last + self._stall:
            return make(
                ErrorCode.TIMEOUT_IDLE,
                f"the provider sent no content for {self._stall:g} s",
            )
        return self._too_slow(now)

    def _too_slow(self, now: float) -> Error | None:
        if self._min_rate is None or now < self._started + RATE_WINDOW:
            return None
        oldest = int(now) - RATE_WINDOW
        self._counts = {s: count for s, count in self._counts.items() if s > oldest}
        rate = sum(self._counts.values()) / CHARS_PER_TOKEN / RATE_WINDOW
        if rate >= self._min_rate:
            return None
        return make(
            ErrorCode.TOO_SLOW,
            f"{rate:.1f} tokens/s over {RATE_WINDOW} s, asked for at least {self._min_rate:g}",
        )


def out_of_time() -> Error:
    """What a request ends with that has used up its time as a whole."""
    return make(ErrorCode.TIMEOUT_TOTAL, "the answer took longer than its time limit")


def _first_token(limit: float) -> Error:
    return make(
        ErrorCode.TIMEOUT_FIRST_TOKEN, f"no content came from the provider within {limit:g} s"
    )


def _trailer() -> Error:
    return make(ErrorCode.STREAM_INTERRUPTED, "the provider finished but did not end its stream")
