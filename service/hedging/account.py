"""What an attempt used, where its provider did not say, or not all of it.

A provider reports usage at the end of an answer. One that lost a race, was cancelled or broke never
comes to it, but was sent its input and may have generated: an account that leaves it out is a bill
that does not add up. So what is missing is estimated, and marked so: the input as routing estimated
it, the output by the text that came. An attempt that was refused (an error status, no
connection) is not charged by anybody: nothing is estimated for it.

Deciding only. What the tokens cost is the catalog's to say.
"""

import msgspec

from adapters.errors import Reached
from adapters.events import Ending, Usage, UsageSource
from adapters.tokens import UNKNOWN
from service.routing.estimate import BYTES_PER_TOKEN


def so_far(*, input_tokens: int, said: int) -> Usage:
    """What an attempt that is not over has used: all of it estimated, as in `usage_of`."""
    output = -(-said // BYTES_PER_TOKEN)
    return msgspec.structs.replace(
        UNKNOWN,
        input=input_tokens,
        output=output,
        total=input_tokens + output,
        source=UsageSource.ESTIMATED,
    )


def usage_of(ending: Ending, *, reached: Reached, input_tokens: int, said: int) -> Usage:
    """The attempt's usage: the provider's word where there is one, else an estimate.

    Args:
        ending: How it ended.
        reached: How far its request came.
        input_tokens: Of the prompt, estimated.
        said: Bytes of output that came.
    """
    known = ending.usage or UNKNOWN
    complete = known.input is not None and known.output is not None
    if complete or reached != "taken":
        return known
    input_ = input_tokens if known.input is None else known.input
    output = -(-said // BYTES_PER_TOKEN) if known.output is None else known.output
    return msgspec.structs.replace(
        known, input=input_, output=output, total=input_ + output, source=UsageSource.ESTIMATED
    )
