"""What the tests of the Responses dialect hold it to: the SDK's own types and its accumulator.

`told` reads a projection's bytes as events, each checked against the SDK's types; `accumulated`
feeds them to the helper behind `client.responses.stream()`, which refuses an order it does not
know. `streams` draws native streams that keep the grammar: blocks of every kind, interleaved.
"""

import random
from typing import Any, Literal

import orjson
from hypothesis import strategies as st
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from adapters.events import (
    BlockEnd,
    BlockKind,
    BlockStart,
    Citation,
    CitationAdd,
    Error,
    Finish,
    ReasoningSignature,
    SequencedEvent,
    Status,
    StreamEnd,
    Usage,
    UsageSource,
)
from service.dialects.projection import Named
from service.dialects.responses import ResponsesProjection
from service.dialects.responses_request import Turn
from tests.service.streams import events_for_tests as native

NAMED = Named(stream="st_01JD0000000000000000000000", model="auto", created=1_795_392_000)

_event: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def no_turn(response: str) -> Turn:
    """Nothing came before."""
    raise AssertionError(response)


def told(body: bytes) -> list[dict[str, Any]]:
    """The events of an SSE body, which are what the SDK's types say."""
    events = []
    for block in body.removesuffix(b"data: [DONE]\n\n").split(b"\n\n")[:-1]:
        name, data = block.split(b"\n")
        event = orjson.loads(data.removeprefix(b"data: "))
        assert name == b"event: " + event["type"].encode()
        assert _event.validate_python(event).type == event["type"]
        events.append(event)
    return events


def body_of(projection: ResponsesProjection, events: list[SequencedEvent]) -> bytes:
    """All that a reader gets."""
    return b"".join(map(projection.feed, events))


def accumulated(events: list[dict[str, Any]]) -> Response | None:
    """What the SDK's streaming helper makes of events; None where it was not completed."""
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
    for event in events:
        state.handle_event(_event.validate_python(event))
    return state._completed_response


def ending(
    finish: Finish = Finish.STOP,
    status: Status = Status.COMPLETED,
    *,
    error: Error | None = None,
) -> StreamEnd:
    """The end of a stream whose tokens were counted."""
    usage = Usage(
        input=30,
        input_cached=10,
        input_cache_write=None,
        output=20,
        output_reasoning=5,
        total=50,
        requests=1,
        source=UsageSource.PROVIDER,
    )
    return native.end(finish, status, usage=usage, total_ms=2_500, error=error)


def block(
    kind: BlockKind,
    *deltas: str,
    name: str = "b1",
    signed: bool = False,
    form: Literal["raw", "summary", "redacted"] | None = None,
) -> list[SequencedEvent]:
    """One block, complete."""
    args = "".join(deltas) if kind is BlockKind.TOOL_CALL else None
    call = {"call_id": f"call_{name}", "name": "look_up"} if args is not None else {}
    events: list[SequencedEvent] = [
        BlockStart(block=name, index=0, attempt=1, kind=kind, form=form, **call)
    ]
    events += [native.DELTAS[kind](name, delta) for delta in deltas]
    if signed:
        events.append(
            ReasoningSignature(block=name, provider="gemini", format="f", value="v", id="i")
        )
    return [*events, BlockEnd(block=name, status="complete", args=args)]


def whole(*blocks: list[SequencedEvent], end: StreamEnd | None = None) -> list[SequencedEvent]:
    """A stream around its blocks."""
    inner = [event for one in blocks for event in one]
    return [native.start(), *native.attempt(), *inner, end or ending()]


_KINDS: tuple[tuple[BlockKind, Literal["raw", "summary"] | None], ...] = (
    (BlockKind.TEXT, None),
    (BlockKind.REFUSAL, None),
    (BlockKind.REASONING, "raw"),
    (BlockKind.REASONING, "summary"),
    (BlockKind.TOOL_CALL, None),
)
_TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8)


@st.composite
def _block(draw: st.DrawFn, number: int) -> list[SequencedEvent]:
    kind, form = draw(st.sampled_from(_KINDS))
    name = f"b{number}"
    signable = kind in (BlockKind.REASONING, BlockKind.TOOL_CALL)
    events = block(
        kind,
        *draw(st.lists(_TEXT, max_size=4)),
        name=name,
        signed=signable and draw(st.booleans()),
        form=form,
    )
    if kind is BlockKind.TEXT and draw(st.booleans()):
        source = Citation(id="c1", kind="url", url="https://a.example", title="A", start=0, end=1)
        cited = draw(st.sampled_from((name, None)))
        events.insert(1, CitationAdd(block=cited, citation=source))
    return events


@st.composite
def streams(draw: st.DrawFn) -> list[SequencedEvent]:
    """A native stream; its blocks may interleave, each in its own order."""
    blocks = [draw(_block(number)) for number in range(draw(st.integers(0, 4)))]
    shuffle = random.Random(draw(st.integers()))  # noqa: S311 - an order, not a secret
    mixed: list[SequencedEvent] = []
    while any(blocks):
        one = shuffle.choice([one for one in blocks if one])
        mixed.append(one.pop(0))
    finish, status = draw(
        st.sampled_from(
            (
                (Finish.STOP, Status.COMPLETED),
                (Finish.TOOL_CALLS, Status.COMPLETED),
                (Finish.LENGTH, Status.INCOMPLETE),
                (Finish.CONTENT_FILTER, Status.INCOMPLETE),
                (Finish.INTERRUPTED, Status.FAILED),
                (Finish.CANCELLED, Status.CANCELLED),
            )
        )
    )
    return whole(mixed, end=ending(finish, status))
