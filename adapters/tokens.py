"""Usage arithmetic: inclusive totals, and never adding two reports of the same thing.

Providers report usage once, twice, three times or cumulatively on every chunk. So two reports of
one attempt are merged (the last non-null value of each field wins) and only different attempts are
added. `input` includes cache reads and writes, `output` includes reasoning; each dialect brings
its provider's figures into that form before they leave it. None is unknown and stays unknown.
"""

from collections.abc import Iterable

import msgspec

from adapters.events import Usage, UsageSource

UNKNOWN = Usage(
    input=None,
    input_cached=None,
    input_cache_write=None,
    output=None,
    output_reasoning=None,
    total=None,
    requests=1,
    source=UsageSource.NONE,
)
"""One request of which nothing is known."""

_COUNTS = (
    "input",
    "input_cached",
    "input_cache_write",
    "input_audio",
    "output",
    "output_reasoning",
    "output_audio",
    "total",
)
_WEAKEST_LAST = (
    UsageSource.PROVIDER,
    UsageSource.COUNTED,
    UsageSource.ESTIMATED,
    UsageSource.NONE,
)


def merge(earlier: Usage | None, later: Usage) -> Usage:
    """Two reports of one attempt: the later one's fields where it has them."""
    if earlier is None:
        return later
    changes = {
        name: getattr(earlier, name)
        for name in (*_COUNTS, "cost_usd")
        if getattr(later, name) is None
    }
    return msgspec.structs.replace(later, **changes)


def total(usages: Iterable[Usage]) -> Usage:
    """The sum over different attempts: at least this much.

    A count nobody knows stays None; one that only some know is the sum of those. `source` is the
    weakest of all. `cost_usd` is left out: money is added where its parts are known.
    """
    known: dict[str, int | None] = dict.fromkeys(_COUNTS)
    requests = 0
    source = UsageSource.PROVIDER
    for usage in usages:
        requests += usage.requests
        if _WEAKEST_LAST.index(usage.source) > _WEAKEST_LAST.index(source):
            source = usage.source
        for name in _COUNTS:
            count = getattr(usage, name)
            if count is not None:
                known[name] = (known[name] or 0) + count
    return msgspec.structs.replace(
        UNKNOWN,
        **known,
        requests=requests,
        source=source if requests else UsageSource.NONE,
    )
