"""Random native streams for the Messages dialect, and Anthropic's SDK as the reader of its bytes.

`answers` draws the events of a whole answer: blocks of every kind, woven into one another as
parallel tool calls are. `accumulated` gives bytes to the SDK's own streaming client and returns the
message that it puts together, after its types have been held to every single event.
"""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import anthropic
import httpx2
import orjson
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import strategies as st
from pydantic import TypeAdapter

from adapters.events import (
    AttemptEnd,
    BlockEnd,
    BlockKind,
    BlockStart,
    Citation,
    CitationAdd,
    FileDelta,
    Finish,
    Outcome,
    ReasoningSignature,
    SequencedEvent,
    StreamEnd,
    Usage,
    UsageSource,
    UsageUpdate,
)
from service.dialects.messages_words import STOP_REASONS
from tests.service.http.serving import parsed
from tests.service.streams import events_for_tests as native

_EVENT: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)


def accumulated(body: bytes) -> Message:
    """The message that the SDK makes of a stream's bytes; it raises what its users would see."""
    for seen in parsed(body):
        assert seen.id is None
        assert seen.data["type"] == seen.event
        if seen.event not in {"ping", "error"}:
            _EVENT.validate_python(seen.data)
    _client().body = body
    with _client().messages.stream(
        model="auto", max_tokens=9, messages=[{"role": "user", "content": "Hi"}]
    ) as stream:
        return stream.get_final_message()


class _Reader(anthropic.Anthropic):
    """A client that is answered with `body`, whatever it asks."""

    body = b""

    def __init__(self) -> None:
        """One for all tests: building one takes longer than reading an answer."""
        super().__init__(
            api_key="test-key-client",
            base_url="http://router.invalid",
            http_client=httpx2.Client(transport=httpx2.MockTransport(self._answer)),
            max_retries=0,
        )

    def _answer(self, _: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=headers, content=self.body)


_client = cache(_Reader)


# --- Events ---------------------------------------------------------------------------------


def counted(input_: int | None, output: int | None, **fields: int | None) -> Usage:
    told: dict[str, Any] = {"input_cached": None, "input_cache_write": None} | fields
    told.setdefault("output_reasoning", None)
    return Usage(
        input=input_,
        output=output,
        total=None,
        requests=1,
        source=UsageSource.PROVIDER,
        **told,
    )


def opening(name: str, kind: BlockKind, **fields: Any) -> BlockStart:  # noqa: ANN401 - the block's own
    if kind is BlockKind.TOOL_CALL:
        fields = {"call_id": f"call_{name}", "name": "see", **fields}
    return BlockStart(block=name, index=0, attempt=1, kind=kind, **fields)


def closing(name: str, args: str | None = None, *, complete: bool = True) -> BlockEnd:
    return BlockEnd(block=name, status="complete" if complete else "incomplete", args=args)


def signature(
    name: str, format_: str = "anthropic.signature", value: str = "EqQB"
) -> SequencedEvent:
    return ReasoningSignature(block=name, provider="claude", format=format_, value=value)


def block(name: str, kind: BlockKind, *deltas: str, **fields: Any) -> list[SequencedEvent]:  # noqa: ANN401 - the start's
    """A whole block of words."""
    args = ("".join(deltas) or "{}") if kind is BlockKind.TOOL_CALL else None
    said = [native.DELTAS[kind](name, delta) for delta in deltas]
    return [opening(name, kind, **fields), *said, closing(name, args)]


def call(name: str, *deltas: str) -> list[SequencedEvent]:
    return block(name, BlockKind.TOOL_CALL, *deltas)


def stream(*events: SequencedEvent, end: StreamEnd | None = None) -> list[SequencedEvent]:
    """An answer of these events."""
    return [native.start(), *native.attempt(), *events, end or native.end()]


# --- Random streams -------------------------------------------------------------------------

WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
COUNTS = st.none() | st.integers(0, 10**6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=4,
)
ARGUMENTS = st.dictionaries(WORDS, VALUES, max_size=3).map(
    lambda given: orjson.dumps(given).decode()
)
FORMS = (None, "raw", "summary", "redacted")
CITATIONS = st.builds(
    Citation,
    id=st.just("c1"),
    kind=st.just("url"),
    url=st.none() | st.just("https://example.com"),
    quote=st.none() | WORDS,
)


@st.composite
def pieces(draw: st.DrawFn, text: str) -> list[str]:
    """A text, cut anywhere."""
    cuts = draw(st.lists(st.integers(0, len(text)), max_size=3))
    places = [0, *sorted(set(cuts)), len(text)]
    return [text[a:b] for a, b in pairwise(places) if a < b]


@st.composite
def blocks(draw: st.DrawFn, number: int) -> list[SequencedEvent]:
    """One block of any kind, whole."""
    name = f"b1.{number}"
    kind = draw(st.sampled_from([*native.DELTAS, BlockKind.FILE, BlockKind.SERVER_TOOL]))
    if kind not in native.DELTAS:
        told = [FileDelta(block=name, url="https://example.com/a")] * (kind is BlockKind.FILE)
        return [opening(name, kind), *told, closing(name)]
    text = draw(st.just("") | WORDS)
    if kind is BlockKind.TOOL_CALL:
        text = draw(st.just("") | ARGUMENTS)
    form = draw(st.sampled_from(FORMS)) if kind is BlockKind.REASONING else None
    said = block(name, kind, *draw(pieces("" if form == "redacted" else text)), form=form)
    if draw(st.booleans()):
        said.insert(draw(st.integers(1, len(said) - 1)), signature(name))
    if kind is BlockKind.TEXT and draw(st.booleans()):
        said.insert(-1, CitationAdd(block=name, citation=draw(CITATIONS)))
    return said


@st.composite
def answers(draw: st.DrawFn) -> list[SequencedEvent]:
    """A whole answer that came to its end."""
    made = [draw(blocks(number)) for number in range(draw(st.integers(0, 4)))]
    turns = [number for number, events in enumerate(made) for _ in events]
    woven = woven_by(made, draw(st.permutations(turns)))
    read = draw(st.none() | st.integers(0, 100))
    usage = counted(
        draw(st.none() | st.integers(200, 10**6)),
        draw(COUNTS),
        input_cached=read,
        input_cache_write=draw(st.none() | st.integers(0, 100)),
        output_reasoning=draw(COUNTS),
    )
    if draw(st.booleans()):
        woven.insert(0, UsageUpdate(attempt=1, usage=counted(300, None), final=False))
    over = AttemptEnd(attempt=1, outcome=Outcome.COMPLETED, usage=usage)
    finish = draw(st.sampled_from(list(STOP_REASONS)))
    stop = draw(st.none() | WORDS) if finish is Finish.STOP else None
    return stream(*woven, over, end=native.end(finish, usage=usage, stop_sequence=stop))


def woven_by(made: Sequence[list[SequencedEvent]], turns: Sequence[int]) -> list[SequencedEvent]:
    """The events of several blocks, each in its order; `turns` says whose is next."""
    left = [iter(events) for events in made]
    return [next(left[number]) for number in turns]
