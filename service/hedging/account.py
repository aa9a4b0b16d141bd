"""What an attempt used, where its provider did not say, or not all of it.

A provider reports usage at the end of an answer. One that lost a race, was cancelled or broke never
comes to it, but was sent its input and may have generated: an account that leaves it out is a bill
that does not add up. So what is missing is estimated, and marked so: the input as routing estimated
it, the output by the characters that came. An attempt that was refused (an error status, no
connection) is not charged by anybody: nothing is estimated for it.

Deciding only. What the tokens cost is the catalog's to say.
"""

import msgspec

from adapters.events import Ending, ErrorCode, Usage, UsageSource
from adapters.tokens import UNKNOWN

CHARS_PER_TOKEN = 4
"""Of output, in Latin script; `service.routing.estimate` says where the figure comes from."""

_SENT_ANYWAY = frozenset(
    {
        ErrorCode.CANCELLED,
        ErrorCode.DRAINING,
        ErrorCode.TIMEOUT_FIRST_TOKEN,
        ErrorCode.TIMEOUT_TOTAL,
        ErrorCode.INTERNAL,
    }
)
"""Ends that are ours: the provider had the request and may be at work on it."""


def charged(ending: Ending, *, accepted: bool) -> bool:
    """Whether the provider may charge for it. `accepted`: it had answered with status 200."""
    if accepted or ending.error is None:
        return True
    return ending.error.code in _SENT_ANYWAY


def usage_of(ending: Ending, *, accepted: bool, input_tokens: int, said: int) -> Usage:
    """The attempt's usage: the provider's word where there is one, else an estimate.

    Args:
        ending: How it ended.
        accepted: Whether the provider had answered with status 200.
        input_tokens: Of the prompt, estimated.
        said: Characters of output that came.
    """
    known = ending.usage or UNKNOWN
    complete = known.input is not None and known.output is not None
    if complete or not charged(ending, accepted=accepted):
        return known
    input_ = input_tokens if known.input is None else known.input
    output = -(-said // CHARS_PER_TOKEN) if known.output is None else known.output
    return msgspec.structs.replace(
        known, input=input_, output=output, total=input_ + output, source=UsageSource.ESTIMATED
    )
