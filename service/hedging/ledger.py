"""How a request's attempts are summed up: outcomes, finish, usage of all, times.

What `attempt.end` and `stream.end` say, as functions of what the attempts came to. Deciding only;
the runner writes it down. docs/streams.md has the fields.
"""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from adapters.catalog.price import usd
from adapters.errors import Reached
from adapters.events import Ending, Error, ErrorCode, Finish, Outcome, Timing, Usage
from adapters.tokens import UNKNOWN, total

_TIMEOUTS = frozenset(
    {
        ErrorCode.TIMEOUT_FIRST_TOKEN,
        ErrorCode.TIMEOUT_IDLE,
        ErrorCode.TIMEOUT_TOTAL,
        ErrorCode.TOO_SLOW,
    }
)
_OURS = frozenset({ErrorCode.CANCELLED, ErrorCode.DRAINING})
"""Ends that are no fault of the provider's."""

_CUT = frozenset({ErrorCode.STREAM_INTERRUPTED, ErrorCode.DRAINING})

NOBODY = msgspec.structs.replace(UNKNOWN, requests=0)
"""The usage of an answer that nobody gave."""


def outcome_of(ending: Ending) -> Outcome:
    """What became of an attempt."""
    if ending.error is None:
        lost = ending.finish is Finish.CANCELLED
        return Outcome.LOST_RACE if lost else Outcome.COMPLETED
    if ending.error.code in _OURS:
        return Outcome.CANCELLED
    return Outcome.TIMEOUT if ending.error.code in _TIMEOUTS else Outcome.FAILED


def finish_of(ending: Ending | None, error: Error | None) -> Finish:
    """The stream's finish: the request's own end outranks that of the attempt that answered."""
    if error is None:
        return ending.finish if ending is not None else Finish.OTHER
    if error.code is ErrorCode.CANCELLED:
        return Finish.CANCELLED
    if error.code is ErrorCode.FAILOVER_IMPOSSIBLE and ending is not None:
        return ending.finish
    return Finish.INTERRUPTED if error.code in _CUT else Finish.ERROR


def plain(usage: Usage) -> Usage:
    """An attempt's usage without the provider's own object, which its attempt.end has."""
    return msgspec.structs.replace(usage, raw=None)


def total_of(attempts: Iterable[tuple[Usage, Reached]]) -> Usage:
    """What all attempts used; its cost only where that of each one that may cost is known."""
    attempts = list(attempts)
    summed = total(plain(usage) for usage, _ in attempts)
    costs = [usage.cost_usd for usage, reached in attempts if reached == "taken"]
    known = [Decimal(cost) for cost in costs if cost is not None]
    if not known or len(known) < len(costs):
        return summed
    return msgspec.structs.replace(summed, cost_usd=usd(sum(known, Decimal())))


def timing(
    *,
    arrived: float,
    queued_ms: int,
    first_content: float | None,
    answering: float | None,
    output: int | None,
    now: float,
) -> Timing:
    """The times of a request; all but `queued_ms` in monotonic seconds.

    Args:
        arrived: When the request came.
        queued_ms: From then to its first attempt.
        first_content: When the reader had the first content of anybody.
        answering: When the attempt that ended the answer had its own first content.
        output: The tokens of that attempt.
        now: The end.
    """
    speed = None
    if answering is not None and output and now > answering:
        speed = round(output / (now - answering), 1)
    return Timing(
        queued_ms=queued_ms,
        ttft_ms=None if first_content is None else round((first_content - arrived) * 1000),
        total_ms=round((now - arrived) * 1000),
        tokens_per_s=speed,
    )
