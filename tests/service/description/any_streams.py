"""Native streams of every kind, drawn at random and valid by the grammar.

Blocks of all kinds interleave, signed or not, cited or not, whole or cut; the answer may be
restarted or continued by somebody else in the middle, and ends in any way that there is.
"""

import random
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.errors import make
from adapters.events import (
    STATUS_OF_FINISH,
    AttemptCommit,
    AttemptEnd,
    AttemptStart,
    BlockEnd,
    BlockKind,
    BlockStart,
    Candidate,
    Citation,
    CitationAdd,
    Error,
    ErrorCode,
    Failover,
    FileDelta,
    Finish,
    Outcome,
    ReasoningDelta,
    ReasoningSignature,
    RefusalDelta,
    Role,
    RoutePlan,
    SequencedEvent,
    ServerToolUpdate,
    Status,
    StreamEnd,
    TextDelta,
    Timing,
    ToolDelta,
    Usage,
    UsageSource,
    UsageUpdate,
    WarningEvent,
)
from service.dialects.projection import Named
from service.streams.fold import Fold
from tests.service.streams.events_for_tests import start

NAMED = Named(stream="st_01JD0000000000000000000000", model="auto", created=1_795_392_000)

WORDS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=6)
_COUNTS = st.none() | st.integers(0, 1_000)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Counts, some of them unknown."""
    return Usage(
        input=draw(_COUNTS),
        input_cached=draw(_COUNTS),
        input_cache_write=draw(_COUNTS),
        output=draw(_COUNTS),
        output_reasoning=draw(_COUNTS),
        total=draw(_COUNTS),
        requests=1,
        cost_usd=draw(st.sampled_from((None, "0.001"))),
        source=UsageSource.PROVIDER,
    )


_CITATIONS = st.sampled_from(
    (
        Citation(id="c1", kind="url", url="https://a.example", title="A", start=0, end=1),
        Citation(id="c2", kind="url", url="https://a.example"),
        Citation(id="c3", kind="document", title="A page", quote="so"),
        Citation(
            id="c4",
            kind="char",
            raw={
                "type": "char_location",
                "cited_text": "so",
                "document_index": 0,
                "document_title": None,
                "start_char_index": 0,
                "end_char_index": 2,
            },
        ),
    )
)


@st.composite
def _deltas(draw: st.DrawFn, kind: BlockKind, block: str) -> list[SequencedEvent]:
    words = draw(st.lists(WORDS, max_size=3))
    if kind is BlockKind.TOOL_CALL:
        words = draw(st.sampled_from((["{", "}"], words)))
    if kind in _DELTAS:
        return [_DELTAS[kind](block, word) for word in words]
    if kind is BlockKind.FILE:
        given = st.sampled_from(({"data": "aGk=", "offset": 0}, {"url": "https://a.example"}))
        return [FileDelta(block=block, **draw(given))]
    if kind is BlockKind.SERVER_TOOL:
        states: tuple[Any, ...] = ("running", draw(st.sampled_from(("done", "failed"))))
        return [
            ServerToolUpdate(block=block, status=state, name="search", input={"q": 1})
            for state in states
        ]
    return []


_DELTAS: dict[BlockKind, Any] = {
    BlockKind.TEXT: TextDelta,
    BlockKind.REASONING: ReasoningDelta,
    BlockKind.REFUSAL: RefusalDelta,
    BlockKind.TOOL_CALL: ToolDelta,
}


@st.composite
def _block(draw: st.DrawFn, name: str, attempt: int) -> list[SequencedEvent]:
    kind = draw(st.sampled_from(tuple(BlockKind)))
    fields: dict[str, Any] = {}
    if kind is BlockKind.TOOL_CALL:
        args_format = draw(st.sampled_from(("json", "text")))
        fields = {"call_id": f"call_{name}", "name": "look_up", "args_format": args_format}
    if kind is BlockKind.REASONING:
        fields = {"form": draw(st.sampled_from((None, "raw", "summary", "redacted")))}
    if kind is BlockKind.FILE:
        fields = {"media_type": "image/png"}
    events: list[SequencedEvent] = [
        BlockStart(block=name, index=0, attempt=attempt, kind=kind, **fields)
    ]
    told = draw(_deltas(kind, name))
    events += told
    if kind is BlockKind.TEXT and draw(st.booleans()):
        cited = draw(st.sampled_from((name, None)))
        events.append(CitationAdd(block=cited, citation=draw(_CITATIONS)))
    signable = (BlockKind.TEXT, BlockKind.REASONING, BlockKind.TOOL_CALL)
    if kind in signable and draw(st.booleans()):
        events.append(ReasoningSignature(block=name, provider="gemini", format="f", value="v"))
    args = "".join(e.delta for e in told if isinstance(e, ToolDelta))
    status = draw(st.sampled_from(("complete", "complete", "incomplete")))
    whole = args if kind is BlockKind.TOOL_CALL and status == "complete" else None
    return [*events, BlockEnd(block=name, status=status, args=whole)]


@st.composite
def _segment(draw: st.DrawFn, attempt: int) -> list[SequencedEvent]:
    """What one attempt said; its blocks interleave, each in its own order."""
    number = draw(st.integers(0, 3))
    blocks = [draw(_block(f"b{attempt}.{at}", attempt)) for at in range(number)]
    shuffle = random.Random(draw(st.integers()))  # noqa: S311 - an order, not a secret
    mixed: list[SequencedEvent] = []
    while any(blocks):
        mixed.append(shuffle.choice([one for one in blocks if one]).pop(0))
    return mixed


def _begun(attempt: int, role: Role) -> list[SequencedEvent]:
    return [
        AttemptStart(attempt=attempt, provider="groq", model="m", role=role, after_ms=0),
    ]


def _broken() -> Error:
    return make(ErrorCode.STREAM_INTERRUPTED, "the answer broke off", provider="groq")


@st.composite
def _failover(draw: st.DrawFn, said: list[SequencedEvent]) -> list[SequencedEvent]:
    drop = [event.block for event in said if isinstance(event, BlockStart)]
    restart = draw(st.booleans())
    return [
        AttemptEnd(attempt=1, outcome=Outcome.FAILED, error=_broken()),
        *_begun(2, Role.FALLBACK if restart else Role.CONTINUATION),
        Failover(
            from_attempt=1,
            to=2,
            mode="restart" if restart else "continue",
            drop=drop if restart else None,
            error=_broken(),
            must_understand=restart,
        ),
        AttemptCommit(attempt=2, reason="failover", ttft_ms=2),
    ]


@st.composite
def _ending(draw: st.DrawFn) -> StreamEnd:
    finish = draw(st.sampled_from(tuple(Finish)))
    status = STATUS_OF_FINISH[finish]
    error = None
    if status is Status.FAILED:
        error = make(
            draw(st.sampled_from((ErrorCode.STREAM_INTERRUPTED, ErrorCode.OVERLOADED))),
            "it broke",
            retry_after_ms=draw(st.sampled_from((None, 500))),
        )
    if status is Status.CANCELLED:
        error = make(ErrorCode.CANCELLED, "cancelled by the client")
    usage = draw(usages())
    return StreamEnd(
        status=status,
        finish=finish,
        stop_sequence=draw(st.sampled_from((None, "."))) if finish is Finish.STOP else None,
        provider="groq",
        model="m",
        usage=usage,
        usage_total=usage,
        error=error,
        timing=Timing(queued_ms=0, ttft_ms=1, total_ms=2_500),
        attempts=[],
    )


@st.composite
def streams(draw: st.DrawFn) -> list[SequencedEvent]:
    """A native stream."""
    plan = RoutePlan(
        strategy="fallback",
        policy="pinned",
        candidates=[Candidate("groq", "m", cost_usd="0.1")],
        max_attempts=2,
    )
    events: list[SequencedEvent] = [start(), plan, *_begun(1, Role.PRIMARY)]
    events.append(AttemptCommit(attempt=1, reason="first_content", ttft_ms=1))
    if draw(st.booleans()):
        events.append(UsageUpdate(attempt=1, usage=draw(usages()), final=False))
        events.append(WarningEvent(code="dropped", message="seed was dropped", field="seed"))
    said = draw(_segment(1))
    events += said
    if draw(st.booleans()):
        events += draw(_failover(said))
        events += draw(_segment(2))
    return [*events, draw(_ending())]


def drawn(test: Callable[..., None]) -> Callable[..., None]:
    """Give a test streams: fewer than usual, because each event of each is held to its schema."""
    return settings(max_examples=40)(given(events=streams())(test))


def folded(events: list[SequencedEvent]) -> Fold:
    """All of a stream in one."""
    fold = Fold()
    for event in events:
        fold.add(event)
    return fold
