"""What an event adds to which sums.

Every attempt is one row of sums away from being forgotten: its minute and what reports may be
grouped by (`Key`), and the amounts that are added up there (`Amounts`). Amounts are integers, money
in nano-USD, so a sum is the same in whatever order events come and however they are split up.
Unknown is None and stays None where nothing known is added to it; it is never 0.

Only the fields that are summed are read, so that events of the same major version with more fields,
or with new words in the known ones, are counted as well. Numbers are bounded: what is beyond the
bounds is a fault, and would sooner or later overflow the sums of everybody else.

Deciding only.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Final, NamedTuple
from uuid import UUID

import msgspec
from msgspec import Meta

from service.usage.record import MAJOR

MINUTE: Final = 60
HOUR: Final = 3_600
DAY: Final = 86_400

TABLES: Final = {MINUTE: "usage_minute", HOUR: "usage_hour", DAY: "usage_day"}
"""Seconds of a period -> the table of sums by it."""

MOST_TOKENS: Final = 10**12
MOST_NANO: Final = 10**15
"""Of one attempt: a million US dollars."""

LONGEST: Final = 120
"""Characters of a key's word that tell it from others. The five that callers have a say in then fit
into a PostgreSQL index entry, of which 2,704 bytes is the most."""

_TYPE: Final = f"llm.attempt.v{MAJOR}"
_SECOND: Final = 1_000_000_000  # nanoseconds


class UnreadableError(ValueError):
    """Not an event that can be counted; the text says why."""


class UnknownSchemaError(UnreadableError):
    """An event of another kind, or of a major version that is not known here."""


class Key(NamedTuple):
    """What sums are kept apart by, beside the time."""

    provider: str
    model: str
    use_case: str
    tier: str
    client: str
    """The client key's id; empty where there was none."""
    outcome: str
    role: str


class Amounts(NamedTuple):
    """What is added up."""

    attempts: int
    unknown_cost_attempts: int
    """Those whose event names no cost, charged or not."""
    estimated_attempts: int
    input_tokens: int | None
    output_tokens: int | None
    cost_nano_usd: int | None
    saved_ms: int | None
    """By hedging, where an event says so."""
    priced_cost_nano_usd: int | None
    """These five: of the attempts whose cost and tokens are both known, so that the tokens can be
    priced at somebody else's rates and compared."""
    priced_input_tokens: int | None
    priced_cache_read_tokens: int | None
    priced_cache_write_tokens: int | None
    priced_output_tokens: int | None


class Event(NamedTuple):
    """One attempt, as far as it is summed."""

    id: bytes
    """Sixteen bytes, what duplicates are told by."""
    ended: int
    """The minute in which it was over, Unix seconds."""
    key: Key
    amounts: Amounts


Sums = Mapping[tuple[int, Key], Amounts]
"""By the beginning of a period, Unix seconds, and key."""


def read(body: bytes) -> Event:
    """An event's JSON; raises UnreadableError."""
    try:
        envelope = _ENVELOPE.decode(body)
    except _FAILURES as failure:
        raise _unreadable(body, failure) from None
    if envelope.type != _TYPE:
        raise _unknown(envelope.type)
    data = envelope.data
    return Event(
        id=envelope.id.bytes,
        ended=data.t_close_ns // _SECOND // MINUTE * MINUTE,
        key=_key(data),
        amounts=_amounts(data),
    )


def sums(events: Iterable[Event]) -> dict[tuple[int, Key], Amounts]:
    """By minute and key."""
    found: dict[tuple[int, Key], Amounts] = {}
    for event in events:
        _add(found, (event.ended, event.key), event.amounts)
    return found


def coarser(finer: Sums, period: int) -> dict[tuple[int, Key], Amounts]:
    """The same sums by periods of so many seconds, a multiple of theirs."""
    found: dict[tuple[int, Key], Amounts] = {}
    for (at, key), amounts in finer.items():
        _add(found, (at // period * period, key), amounts)
    return found


def plus(a: int | None, b: int | None) -> int | None:
    """The sum of what is known of two amounts."""
    if a is None:
        return b
    return a if b is None else a + b


def _add(found: dict[tuple[int, Key], Amounts], at: tuple[int, Key], amounts: Amounts) -> None:
    known = found.get(at)
    found[at] = amounts if known is None else Amounts._make(map(plus, known, amounts))


# --- Reading --------------------------------------------------------------------------------

_Tokens = Annotated[int, Meta(ge=0, le=MOST_TOKENS)]
_Nano = Annotated[int, Meta(ge=0, le=MOST_NANO)]
_Milliseconds = Annotated[int, Meta(ge=-MOST_TOKENS, le=MOST_TOKENS)]
_Nanoseconds = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class _Kind(msgspec.Struct, frozen=True):
    type: str


class _Usage(msgspec.Struct, frozen=True):
    input_tokens: _Tokens | None
    output_tokens: _Tokens | None
    cache_read_tokens: _Tokens | None = None
    cache_write_tokens: _Tokens | None = None


class _Data(msgspec.Struct, frozen=True):
    provider: str
    model: str
    use_case: str
    tier: str
    client_key: str | None
    outcome: str
    role: str
    estimated: bool
    usage: _Usage
    cost_nano_usd: _Nano | None
    t_close_ns: _Nanoseconds
    saved_ms: _Milliseconds | None = None


class _Envelope(msgspec.Struct, frozen=True):
    id: UUID
    type: str
    data: _Data


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
_KIND: Final = msgspec.json.Decoder(_Kind)
_FAILURES: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def _unreadable(body: bytes, failure: Exception) -> UnreadableError:
    """Why: an event of another kind need not look like ours."""
    try:
        kind = _KIND.decode(body)
    except _FAILURES:
        return UnreadableError(str(failure))
    return UnreadableError(str(failure)) if kind.type == _TYPE else _unknown(kind.type)


def _unknown(kind: str) -> UnknownSchemaError:
    return UnknownSchemaError(f"type {kind[:LONGEST]!r} is not known here, only {_TYPE!r} is")


def _key(data: _Data) -> Key:
    words = (
        data.provider,
        data.model,
        data.use_case,
        data.tier,
        data.client_key or "",
        data.outcome,
        data.role,
    )
    # PostgreSQL stores no NUL, and a model's name is the caller's word.
    return Key._make(word[:LONGEST].replace("\0", "\ufffd") for word in words)


def _amounts(data: _Data) -> Amounts:
    usage, cost = data.usage, data.cost_nano_usd
    priced = cost is not None and usage.input_tokens is not None and usage.output_tokens is not None
    return Amounts(
        attempts=1,
        unknown_cost_attempts=int(cost is None),
        estimated_attempts=int(data.estimated),
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_nano_usd=cost,
        saved_ms=data.saved_ms,
        priced_cost_nano_usd=cost if priced else None,
        priced_input_tokens=usage.input_tokens if priced else None,
        priced_cache_read_tokens=usage.cache_read_tokens if priced else None,
        priced_cache_write_tokens=usage.cache_write_tokens if priced else None,
        priced_output_tokens=usage.output_tokens if priced else None,
    )
