"""The usage event: one CloudEvents 1.0 JSON per attempt, whoever answered.

An attempt is told of twice. When it is sent, the journal keeps the event that will be true if this
process dies in the middle (`interrupted`), renewed every few seconds while the answer runs; when it
is over, the event of how it ended (`finished`) takes its place, under the same id. So recovering
after a crash needs no knowledge of events: what was kept is what is published.

Token counts are of the adapters' form: input includes cache reads and writes, output includes
reasoning. None is unknown and is written as null, never as 0. What was counted, who counted,
whether it may be charged and what it costs are told apart, because what to do about them (bill a
loser? bill an estimate?) is up to who reads the events.

The form is `data` of `llm.attempt.v1`. Within this major version fields are only added, so readers
ignore what they do not know. Nothing of what was asked or answered is in it. An event never
changes; a correction is an event of its own. CloudEvents in JSON, because that is what meters and
gateways ingest as it is: cloudevents.io, spec 1.0.2, and its JSON format.

Deciding only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal
from uuid import UUID

import msgspec

from adapters.contract import CancelBilling
from adapters.events import ErrorCode, Outcome, Role, Usage, UsageSource
from service.telemetry.attempts import AttemptFacts
from service.usage.cost import Cost, CostParts, CostSource

MAJOR: Final = 1
"""Of the schema; `v` of a stream entry. What `llm.attempt.v1` ends in."""

_NANO: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Verdict(StrEnum):
    """How an attempt ended, to who pays for it."""

    WINNER = "winner"
    LOSER = "loser"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


VERDICT_OF_OUTCOME: Final[Mapping[Outcome, Verdict]] = MappingProxyType(
    {
        Outcome.COMPLETED: Verdict.WINNER,
        Outcome.LOST_RACE: Verdict.LOSER,
        Outcome.FAILED: Verdict.FAILED,
        Outcome.TIMEOUT: Verdict.FAILED,
        Outcome.SUPERSEDED: Verdict.FAILED,
        Outcome.CANCELLED: Verdict.CANCELLED,
    }
)
"""A stream's word for an attempt's end -> the usage event's. `interrupted` is no stream's word:
nobody was left to say it."""


class Billable(StrEnum):
    """Whether the provider charges for an attempt."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


# --- What an event is made of ---------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What all attempts of one request share: who asked, and for what."""

    request_id: str
    requested_model: str
    """In the caller's words: `auto`, `groq/llama-3.3-70b`, ..."""
    use_case: str
    tier: str
    client_key: str | None = None
    """Its id, never the secret; None where no client keys are configured."""
    tenant: str | None = None
    end_user: str | None = None
    """`user` of the request."""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One attempt, as it is known when it is sent."""

    id: UUID
    """Version 7: the event's id, and the journal's key."""
    attempt: int
    provider: str
    model: str
    """As it went on the wire."""
    role: Role
    opened_ns: int
    """Unix time, nanoseconds."""
    parent: UUID | None = None
    """The attempt that this one was started because of."""
    deployment: str | None = None
    region: str | None = None
    service_tier: str | None = None
    cancel_billing: CancelBilling = "unknown"
    substitute: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back so far."""

    response_model: str | None = None
    """Who answered, in the provider's words."""
    response_id: str | None = None
    http_status: int | None = None
    finish_reasons: tuple[str, ...] = ()
    """In the provider's words."""
    bytes_in: int = 0
    """Of the response's body."""
    bytes_out: int = 0
    """Of the request's body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an attempt has come that is not over."""

    reply: Reply
    usage: Usage
    """So far: the input's estimate, and the output that has come."""
    cost: Cost
    """Of that."""
    first_token_ns: int | None = None
    """When the first content came; Unix time."""
    committed: bool = False
    """Whether it has begun to answer."""
    hedged: bool = False
    """Whether its request is hedged or raced."""


# --- The event ------------------------------------------------------------------------------


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What was used; null is unknown."""

    input_tokens: int | None
    """Cache reads and writes included."""
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    output_tokens: int | None
    """Reasoning included."""
    reasoning_tokens: int | None
    audio_in: int | None
    audio_out: int | None
    images: int | None = None
    """No provider here counts them apart from the input's tokens."""
    requests: int


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of an attempt."""

    request_id: str
    attempt: int
    role: Role
    outcome: Verdict
    parent_attempt: UUID | None
    committed: bool
    """Whether it answered, or began to."""
    hedged: bool
    """Whether its request was hedged or raced."""
    substitute: bool
    """Whether it stood in for somebody else."""
    client_key: str | None
    tenant: str | None
    end_user: str | None
    tags: dict[str, str]
    use_case: str
    tier: str
    operation: Literal["chat"] = "chat"
    provider: str
    deployment: str | None
    requested_model: str
    model: str
    response_model: str | None
    response_id: str | None
    region: str | None
    service_tier: str | None
    http_status: int | None
    error_type: ErrorCode | None
    finish_reasons: tuple[str, ...]
    usage: Tokens
    usage_source: UsageSource
    estimated: bool
    billable: Billable
    cost_nano_usd: int | None
    cost_parts: CostParts | None
    cost_source: CostSource
    price_ref: str | None
    t_open_ns: int
    """These three: Unix time, nanoseconds."""
    t_first_token_ns: int | None
    t_close_ns: int
    bytes_in: int
    bytes_out: int
    saved_ms: int | None = None
    """What hedging saved, estimated: how much longer the request's first attempt would have been
    silent, by what is known of it, when this one answered."""
    retention_class: Literal["billing"] = "billing"


class UsageEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope, with CloudEvents' names."""

    specversion: Literal["1.0"] = "1.0"
    id: UUID
    source: str
    """`tailrace/<deployment>`; with `id` what others tell duplicates by."""
    type: Literal["llm.attempt.v1"] = "llm.attempt.v1"
    subject: str | None
    """The client key's id."""
    time: str
    """RFC 3339, when the attempt was over."""
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: Literal["urn:tailrace:llm.attempt:v1"] = "urn:tailrace:llm.attempt:v1"
    data: Data


def encode(event: UsageEvent) -> bytes:
    """The event as JSON."""
    return _ENCODER.encode(event)


_ENCODER: Final = msgspec.json.Encoder()


# --- Building one ---------------------------------------------------------------------------


def finished(
    origin: Origin, sent: Sent, facts: AttemptFacts, *, reply: Reply, cost: Cost
) -> UsageEvent:
    """The event of an attempt that is over.

    `cost` is told apart from the facts, whose `usage.cost_usd` no longer says whose word it is.
    """
    first = None if facts.ttft is None else sent.opened_ns + _ns(facts.ttft)
    end = _End(
        outcome=VERDICT_OF_OUTCOME[facts.outcome],
        committed=facts.committed,
        hedged=facts.hedged,
        error=None if facts.error is None else facts.error.code,
        usage=facts.usage,
        estimated=facts.usage.source is UsageSource.ESTIMATED,
        billable=_billable(facts, sent.cancel_billing),
        cost=cost,
        first_token_ns=first,
        close_ns=sent.opened_ns + _ns(facts.duration),
        saved_ms=None if facts.saved is None else round(facts.saved * 1_000),
    )
    return _event(origin, sent, reply, end)


def interrupted(origin: Origin, sent: Sent, progress: Progress, now_ns: int) -> UsageEvent:
    """The event that is true of an attempt if this process dies before it tells more.

    `now_ns`: until when that is so; Unix time, nanoseconds.
    """
    end = _End(
        outcome=Verdict.INTERRUPTED,
        committed=progress.committed,
        hedged=progress.hedged,
        error=None,
        usage=progress.usage,
        # Whoever counted: the provider may have gone on after the last that was heard of it.
        estimated=True,
        billable=Billable.UNKNOWN,
        cost=progress.cost,
        first_token_ns=progress.first_token_ns,
        close_ns=now_ns,
    )
    return _event(origin, sent, progress.reply, end)


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """Where an attempt's story stops: at its end, or at the last that was written down of it."""

    outcome: Verdict
    committed: bool
    hedged: bool
    error: ErrorCode | None
    usage: Usage
    estimated: bool
    billable: Billable
    cost: Cost
    first_token_ns: int | None
    close_ns: int
    saved_ms: int | None = None


def _event(origin: Origin, sent: Sent, reply: Reply, end: _End) -> UsageEvent:
    return UsageEvent(
        id=sent.id,
        source=f"tailrace/{sent.deployment or sent.provider}",
        subject=origin.client_key,
        time=_rfc3339(end.close_ns),
        data=_data(origin, sent, reply, end),
    )


def _data(origin: Origin, sent: Sent, reply: Reply, end: _End) -> Data:
    return Data(
        request_id=origin.request_id,
        attempt=sent.attempt,
        role=sent.role,
        outcome=end.outcome,
        parent_attempt=sent.parent,
        committed=end.committed,
        hedged=end.hedged,
        substitute=sent.substitute,
        client_key=origin.client_key,
        tenant=origin.tenant,
        end_user=origin.end_user,
        tags=dict(origin.tags),
        use_case=origin.use_case,
        tier=origin.tier,
        provider=sent.provider,
        deployment=sent.deployment,
        requested_model=origin.requested_model,
        model=sent.model,
        response_model=reply.response_model,
        response_id=reply.response_id,
        region=sent.region,
        service_tier=sent.service_tier,
        http_status=reply.http_status,
        error_type=end.error,
        finish_reasons=reply.finish_reasons,
        usage=_tokens(end.usage),
        usage_source=end.usage.source,
        estimated=end.estimated,
        billable=end.billable,
        cost_nano_usd=end.cost.nano_usd,
        cost_parts=end.cost.parts,
        cost_source=end.cost.source,
        price_ref=end.cost.price_ref,
        t_open_ns=sent.opened_ns,
        t_first_token_ns=end.first_token_ns,
        t_close_ns=end.close_ns,
        bytes_in=reply.bytes_in,
        bytes_out=reply.bytes_out,
        saved_ms=end.saved_ms,
    )


def _tokens(usage: Usage) -> Tokens:
    return Tokens(
        input_tokens=usage.input,
        cache_read_tokens=usage.input_cached,
        cache_write_tokens=usage.input_cache_write,
        output_tokens=usage.output,
        reasoning_tokens=usage.output_reasoning,
        audio_in=usage.input_audio,
        audio_out=usage.output_audio,
        requests=usage.requests,
    )


def _billable(facts: AttemptFacts, billing: CancelBilling) -> Billable:
    if not facts.charged:
        return Billable.NO
    if facts.outcome is Outcome.COMPLETED or facts.usage.source is UsageSource.PROVIDER:
        return Billable.YES
    given_up = facts.outcome in (Outcome.CANCELLED, Outcome.LOST_RACE)
    return Billable.YES if given_up and billing != "unknown" else Billable.UNKNOWN


def _ns(seconds: float) -> int:
    return round(seconds * _NANO)


def _rfc3339(at_ns: int) -> str:
    """To the microsecond, which is as fine as a datetime goes."""
    at = _EPOCH + timedelta(microseconds=at_ns // 1_000)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
