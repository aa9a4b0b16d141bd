"""Event schema v1: everything a stream can hold, as frozen structs.

A struct carries an event's own fields. The envelope (`v`, `stream`, `seq`, `ts`) is added once,
by the stream log, when the event gets its sequence number; `type` is the struct's tag. Optional
fields are left out of the JSON while they hold their default; a field that is nullable but
required (the token counts of `Usage`) has no default and is always written.

Names are a noun and an action; whatever has a lifetime has `start`, `delta` and `end`. A reader
ignores unknown fields and unknown types, except where `must_understand` is true.

What cannot be part of a cycle is out of the garbage collector's sight (`gc=False`): thousands of
ended streams are kept, and every full collection would look through them.

Structs rather than dataclasses: a frozen msgspec.Struct costs 63 ns to build, a frozen slotted
dataclass 421 ns (docs/hot-path.md), and one is built per token.
"""

from enum import StrEnum
from typing import Any, Literal

import msgspec

SCHEMA_VERSION = 1


# --- Vocabularies ---------------------------------------------------------------------------


class Finish(StrEnum):
    """Why the answer stopped."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    PAUSE = "pause"
    CONTEXT_LENGTH = "context_length"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    ERROR = "error"
    OTHER = "other"


class Status(StrEnum):
    """How the stream ended, for a caller who does not care why."""

    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    CANCELLED = "cancelled"


STATUS_OF_FINISH: dict[Finish, Status] = {
    Finish.STOP: Status.COMPLETED,
    Finish.TOOL_CALLS: Status.COMPLETED,
    Finish.REFUSAL: Status.COMPLETED,
    Finish.PAUSE: Status.COMPLETED,
    Finish.OTHER: Status.COMPLETED,
    Finish.LENGTH: Status.INCOMPLETE,
    Finish.CONTEXT_LENGTH: Status.INCOMPLETE,
    Finish.CONTENT_FILTER: Status.INCOMPLETE,
    Finish.INTERRUPTED: Status.FAILED,
    Finish.ERROR: Status.FAILED,
    Finish.CANCELLED: Status.CANCELLED,
}


class ErrorCode(StrEnum):
    """What went wrong; `errors.RULES` says what each one means for the caller and the router."""

    INVALID_REQUEST = "invalid_request"
    INVALID_MESSAGE = "invalid_message"
    UNSUPPORTED_PARAMETER = "unsupported_parameter"
    AUTH_CLIENT = "auth_client"
    PERMISSION_DENIED = "permission_denied"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    STREAM_EXPIRED = "stream_expired"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    CONTEXT_LENGTH = "context_length"
    CONTENT_BLOCKED_INPUT = "content_blocked_input"
    CONTENT_BLOCKED_OUTPUT = "content_blocked_output"
    RATE_LIMIT_CLIENT = "rate_limit_client"
    RATE_LIMIT_PROVIDER = "rate_limit_provider"
    QUOTA_PROVIDER = "quota_provider"
    AUTH_PROVIDER = "auth_provider"
    MODEL_UNAVAILABLE = "model_unavailable"
    UPSTREAM_5XX = "upstream_5xx"
    OVERLOADED = "overloaded"
    UPSTREAM_MALFORMED = "upstream_malformed"
    UPSTREAM_CONNECT = "upstream_connect"
    STREAM_INTERRUPTED = "stream_interrupted"
    TIMEOUT_FIRST_TOKEN = "timeout_first_token"  # noqa: S105 - an error code, not a password
    TIMEOUT_IDLE = "timeout_idle"
    TIMEOUT_TOTAL = "timeout_total"
    TOO_SLOW = "too_slow"
    NO_CANDIDATES = "no_candidates"
    OVER_BUDGET = "over_budget"
    ALL_ATTEMPTS_FAILED = "all_attempts_failed"
    FAILOVER_IMPOSSIBLE = "failover_impossible"
    SLOW_CONSUMER = "slow_consumer"
    DRAINING = "draining"
    CANCELLED = "cancelled"
    INTERNAL = "internal"


class Scope(StrEnum):
    """Whose fault an error is."""

    CLIENT = "client"
    ROUTER = "router"
    PROVIDER = "provider"
    NETWORK = "network"


class Phase(StrEnum):
    """How far the answer had come when an error struck."""

    BEFORE_STREAM = "before_stream"
    BEFORE_COMMIT = "before_commit"
    MID_STREAM = "mid_stream"


class Role(StrEnum):
    """Why an attempt was started."""

    PRIMARY = "primary"
    HEDGE = "hedge"
    RACE = "race"
    FALLBACK = "fallback"
    CONTINUATION = "continuation"


class Outcome(StrEnum):
    """How an attempt ended."""

    COMPLETED = "completed"
    LOST_RACE = "lost_race"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    TIMEOUT = "timeout"


class BlockKind(StrEnum):
    """What a block of the answer holds."""

    TEXT = "text"
    REASONING = "reasoning"
    REFUSAL = "refusal"
    TOOL_CALL = "tool_call"
    FILE = "file"
    SERVER_TOOL = "server_tool"
    RAW = "raw"


class UsageSource(StrEnum):
    """Where token counts come from: the provider's word, our count, a guess, or nowhere."""

    PROVIDER = "provider"
    COUNTED = "counted"
    ESTIMATED = "estimated"
    NONE = "none"


# --- Facts shared by several events ---------------------------------------------------------


class Usage(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """Token counts of one attempt, or the sum over a request's attempts.

    `input` includes cached and cache-written tokens, `output` includes reasoning. None is unknown
    and is written as null: an unknown count is never 0.
    """

    input: int | None
    input_cached: int | None
    input_cache_write: int | None
    input_audio: int | None = None
    output: int | None
    output_reasoning: int | None
    output_audio: int | None = None
    total: int | None
    requests: int
    cost_usd: str | None = None
    """Decimal string, US dollars; only what a provider or a price says, never a guess of 0."""
    source: UsageSource
    raw: dict[str, Any] | None = None
    """The provider's own usage object, as it was last sent."""


class Error(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """A typed failure. `errors.make` builds one; its rules fill http, retryable and scope."""

    code: ErrorCode
    message: str
    retryable: bool
    """Whether the caller may resend the same request, our own retries being spent."""
    scope: Scope
    http: int
    phase: Phase
    bytes_out: bool
    """Whether any content had reached the stream."""
    retry_after_ms: int | None = None
    param: str | None = None
    """The request field at fault, as a path like `messages[3].content`."""
    provider: str | None = None
    provider_code: str | None = None
    attempt: int | None = None
    causes: list["Error"] | None = None


class Caps(msgspec.Struct, frozen=True):
    """What the reader of a stream may rely on."""

    resume: bool
    retract: bool
    ttl_s: int
    """Seconds the stream stays readable after its end."""


class Substitution(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Whom a candidate or an attempt stands in for."""

    provider: str
    model: str
    kinship: Literal["same_weights", "same_name", "same_family", "same_class", "other"]
    """What the two models have in common; `same_name` may differ in quantisation and context."""


class Candidate(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One provider and model that could answer, in the order of preference."""

    provider: str
    model: str
    weight: float | None = None
    cost_usd: str | None = None
    """Estimated cost of the request there; left out where no price is known."""
    ttft_ms: int | None = None
    """Usual time to the first token there; left out where too little is known."""
    substitutes: Substitution | None = None


class Passed(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """A provider, or one of its models, that was passed over, and why."""

    provider: str
    model: str | None = None
    reason: str
    """`no_key`, `over_cap`, `breaker_open`, ...: docs/routing.md lists them."""
    detail: str | None = None
    """The same in words, with its figures."""
    retry_after_ms: int | None = None


class Citation(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A source the answer names. `start` and `end` are character offsets into the block."""

    id: str
    kind: Literal["url", "document", "char", "page", "search_result"]
    url: str | None = None
    title: str | None = None
    start: int | None = None
    end: int | None = None
    quote: str | None = None
    raw: dict[str, Any] | None = None


class Timing(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """Milliseconds from the request's arrival; `queued_ms` until the first attempt was sent."""

    queued_ms: int
    ttft_ms: int | None
    """Until the first content event; null where none came."""
    total_ms: int
    tokens_per_s: float | None = None


class AttemptSummary(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One line of `stream.end.attempts`."""

    attempt: int
    provider: str
    model: str
    outcome: Outcome
    usage: Usage | None = None
    error: Error | None = None


# --- Sequenced events -----------------------------------------------------------------------


class Event(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, tag_field="type"):
    """Base of every event: frozen, tagged by `type`, optional fields left out."""


class StreamStart(Event, frozen=True, tag="stream.start", kw_only=True):
    """First event of every stream."""

    request_id: str
    created_at: int
    """Unix time in milliseconds."""
    model_requested: str
    dialect: str
    """The client's dialect: `native`, or the borrowed one the stream was asked over."""
    caps: Caps
    metadata: dict[str, str] | None = None


class RoutePlan(Event, frozen=True, tag="route.plan", kw_only=True):
    """The routing decision."""

    strategy: Literal["single", "fallback", "hedge", "race"]
    policy: str
    candidates: list[Candidate]
    hedge_after_ms: int | None = None
    max_attempts: int
    skipped: list[Passed] | None = None
    use_case: str | None = None
    budget_tier: str | None = None
    cap_usd: str | None = None
    """What the request may be estimated to cost."""
    preset: str | None = None


class AttemptStart(Event, frozen=True, tag="attempt.start", kw_only=True):
    """A request goes out to a provider."""

    attempt: int
    provider: str
    model: str
    role: Role
    after_ms: int
    """Milliseconds since the request arrived."""
    replaces: int | None = None
    substitutes: Substitution | None = None


class AttemptCommit(Event, frozen=True, tag="attempt.commit", kw_only=True):
    """This attempt answers from here on."""

    attempt: int
    reason: Literal["first_content", "empty_end", "failover"]
    ttft_ms: int
    """Milliseconds from this attempt's own start."""
    upstream_id: str | None = None
    model_actual: str | None = None


class AttemptEnd(Event, frozen=True, tag="attempt.end", kw_only=True):
    """An attempt is over."""

    attempt: int
    outcome: Outcome
    error: Error | None = None
    usage: Usage | None = None
    finish_raw: str | None = None


class Failover(Event, frozen=True, tag="failover", kw_only=True):
    """Another attempt goes on: `restart` retracts the blocks in `drop`, `continue` keeps them."""

    from_attempt: int = msgspec.field(name="from")
    to: int
    mode: Literal["continue", "restart"]
    drop: list[str] | None = None
    overlap_chars: int | None = None
    error: Error
    must_understand: bool


class BlockStart(Event, frozen=True, tag="block.start", kw_only=True):
    """A piece of the answer begins. The fields after `kind` depend on it."""

    block: str
    index: int
    attempt: int
    kind: BlockKind
    call_id: str | None = None
    name: str | None = None
    args_format: Literal["json", "text"] | None = None
    form: Literal["raw", "summary", "redacted"] | None = None
    media_type: str | None = None


class TextDelta(Event, frozen=True, tag="text.delta"):
    """More text; never empty."""

    block: str
    delta: str
    logprobs: list[Any] | None = None


class ReasoningDelta(Event, frozen=True, tag="reasoning.delta"):
    """More of the model's reasoning; never empty."""

    block: str
    delta: str


class RefusalDelta(Event, frozen=True, tag="refusal.delta"):
    """More of a refusal's text; never empty."""

    block: str
    delta: str


class ToolDelta(Event, frozen=True, tag="tool.delta"):
    """A fragment of a tool call's argument text; the concatenation is the argument string."""

    block: str
    delta: str


class FileDelta(Event, frozen=True, tag="file.delta", kw_only=True):
    """A piece of a file: base64 `data` at byte `offset`, or a `url`."""

    block: str
    data: str | None = None
    offset: int | None = None
    url: str | None = None


class ReasoningSignature(Event, frozen=True, tag="reasoning.signature", kw_only=True):
    """An opaque value a provider wants back unchanged; the last one of a block replaces others.

    Only valid for the same provider. Also appears on tool_call blocks (Gemini).
    """

    block: str
    provider: str
    format: str
    """`anthropic.signature`, `anthropic.redacted`, `openai.encrypted_content`,
    `gemini.thought_signature`, `openrouter.reasoning_details`, ..."""
    value: str
    id: str | None = None
    """The provider's id of what is signed, where it wants that back beside the value."""


class CitationAdd(Event, frozen=True, tag="citation.add", kw_only=True):
    """A source is named."""

    block: str | None = None
    citation: Citation


class ServerToolUpdate(Event, frozen=True, tag="server_tool.update", kw_only=True):
    """The provider runs a tool of its own."""

    block: str
    status: Literal["running", "done", "failed"]
    name: str
    input: Any = None
    result: Any = None


class BlockEnd(Event, frozen=True, tag="block.end", kw_only=True):
    """A piece of the answer is over."""

    block: str
    status: Literal["complete", "incomplete"]
    text_len: int | None = None
    """Characters in a text, reasoning or refusal block."""
    args: str | None = None
    """The full argument string of a tool call."""
    args_valid: bool | None = None
    sha256: str | None = None


class UsageUpdate(Event, frozen=True, tag="usage.update", kw_only=True):
    """Token counts so far; `final` is always false, the last word is in stream.end."""

    attempt: int | None = None
    usage: Usage
    # Required, so that it is written although it has only one value.
    final: Literal[False]


class SafetyFlag(Event, frozen=True, tag="safety.flag", kw_only=True):
    """A provider's safety system spoke."""

    where: Literal["input", "output"]
    provider: str
    category: str | None = None
    severity: str | None = None
    action: Literal["blocked", "annotated"]


class WarningEvent(Event, frozen=True, tag="warning", kw_only=True):
    """Something was dropped or changed on the way to the provider."""

    code: str
    message: str
    field: str | None = None


class Meta(Event, frozen=True, tag="meta", kw_only=True):
    """A fact about the answer worth keeping: region, fingerprint, rate-limit header."""

    key: str
    value: Any


class StreamEnd(Event, frozen=True, tag="stream.end", kw_only=True):
    """Last event of every stream, exactly once."""

    status: Status
    finish: Finish
    finish_raw: str | None = None
    stop_sequence: str | None = None
    provider: str | None
    """Who answered; null where nobody did."""
    model: str | None
    usage: Usage
    """The winner's."""
    usage_total: Usage
    """All attempts': at least this much."""
    error: Error | None = None
    timing: Timing
    attempts: list[AttemptSummary]


# --- Control events: never logged, no sequence number ---------------------------------------


class Ping(Event, frozen=True, tag="ping"):
    """Alive."""

    t: int


class StreamResumed(Event, frozen=True, tag="stream.resumed", kw_only=True):
    """What a resumed reader gets next."""

    after: int
    next: int
    live: bool
    replay: int


class SnapshotBlock(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One block as it stands: its text, or a tool call's arguments so far."""

    block: str
    kind: BlockKind
    text: str | None = None
    args: str | None = None
    call_id: str | None = None
    name: str | None = None
    done: bool = False


class StreamSnapshot(Event, frozen=True, tag="stream.snapshot", kw_only=True):
    """The answer so far, in place of events that are no longer kept."""

    as_of: int
    blocks: list[SnapshotBlock]
    attempt: int | None = None


class StreamGap(Event, frozen=True, tag="stream.gap", kw_only=True):
    """Events are gone and no snapshot can stand for them."""

    from_seq: int = msgspec.field(name="from")
    to: int
    reason: Literal["evicted"]


class Notice(Event, frozen=True, tag="notice", kw_only=True):
    """A word about the connection: draining, slow_consumer."""

    code: str
    reconnect_after_ms: int | None = None


AttemptEvent = (
    BlockStart
    | TextDelta
    | ReasoningDelta
    | RefusalDelta
    | ToolDelta
    | FileDelta
    | ReasoningSignature
    | CitationAdd
    | ServerToolUpdate
    | BlockEnd
    | UsageUpdate
    | SafetyFlag
    | WarningEvent
    | Meta
)
"""What a decoder can emit."""

SequencedEvent = (
    StreamStart
    | RoutePlan
    | AttemptStart
    | AttemptCommit
    | AttemptEnd
    | Failover
    | AttemptEvent
    | StreamEnd
)
"""What the stream log can hold."""

ControlEvent = Ping | StreamResumed | StreamSnapshot | StreamGap | Notice
"""What a transport may add for one reader."""

CONTENT = frozenset({TextDelta, ReasoningDelta, RefusalDelta, ToolDelta, FileDelta})
"""The classes whose every event is model output; a tool call's start is output too."""


def is_content(event: Event) -> bool:
    """Whether an event carries model output, and so may commit an attempt.

    A delta, or the start of a tool call (its name is output). Headers, role chunks, empty blocks,
    usage and keep-alives are not.
    """
    if type(event) in CONTENT:
        return True
    return isinstance(event, BlockStart) and event.kind is BlockKind.TOOL_CALL


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How one attempt's answer ended, in its decoder's words. Not on the wire by itself.

    `finish` is `interrupted` where the bytes stopped without a finish signal and `error` where the
    provider said so; both carry an `error`.
    """

    finish: Finish
    finish_raw: str | None = None
    stop_sequence: str | None = None
    usage: Usage | None = None
    """None where the provider reported nothing."""
    error: Error | None = None
