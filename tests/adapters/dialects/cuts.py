"""Feed a decoder a body in every way a socket may cut it, and judge what comes out.

`check` is all a test needs: it decodes the body whole, holds the result against the schema's
grammar, and decodes it again in single bytes, cut once at every position (bodies up to `SMALL`),
cut in strides that between them cut at every position (all bodies), and cut where hypothesis
chooses. Each of these must give the very same events and the very same ending.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeVar

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.contract import Decoder
from adapters.dialects.blocks import is_json_object
from adapters.events import (
    AttemptEvent,
    BlockEnd,
    BlockKind,
    BlockStart,
    CitationAdd,
    Ending,
    FileDelta,
    Finish,
    ReasoningDelta,
    ReasoningSignature,
    RefusalDelta,
    ServerToolUpdate,
    TextDelta,
    ToolDelta,
)
from tests.unmeasured import unmeasured

SMALL = 4_000  # bytes; the time to try every two-way split grows with the square: 0.2 s here
STRIDE = 67  # bytes; a prime, so that cuts do not keep step with chunks of equal length

Make = Callable[[], Decoder]
"""Gives a fresh decoder."""

_Kind = TypeVar("_Kind")


@dataclass(frozen=True, slots=True)
class Decoded:
    """All that a decoder said about one body."""

    events: list[AttemptEvent]
    ending: Ending
    upstream_id: str | None
    model: str | None

    def of(self, kind: type[_Kind]) -> list[_Kind]:
        """The events of one type."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def text(self) -> str:
        """The answer's text, its blocks joined."""
        return "".join(event.delta for event in self.of(TextDelta))

    @property
    def reasoning(self) -> str:
        """The answer's reasoning, its blocks joined."""
        return "".join(event.delta for event in self.of(ReasoningDelta))

    @property
    def refusal(self) -> str:
        """The answer's refusal, its blocks joined."""
        return "".join(event.delta for event in self.of(RefusalDelta))

    @property
    def calls(self) -> list[tuple[str | None, str | None, str | None]]:
        """(call id, name, argument text) of each tool call, in the order they started."""
        args = {event.block: event.args for event in self.of(BlockEnd)}
        return [
            (start.call_id, start.name, args.get(start.block))
            for start in self.of(BlockStart)
            if start.kind is BlockKind.TOOL_CALL
        ]


# --- Decoding -------------------------------------------------------------------------------


def decode(make: Make, pieces: Iterable[bytes]) -> Decoded:
    """Feed the pieces and close; nothing may come after an ending."""
    decoder = make()
    events: list[AttemptEvent] = []
    for piece in pieces:
        ended = decoder.ending
        fed = decoder.feed(piece)
        assert ended is None or not fed, "events after the ending"
        events += fed
    ended = decoder.ending
    closing = decoder.close()
    assert ended is None or not closing, "events after the ending"
    events += closing
    ending = decoder.ending
    assert ending is not None, "closed without an ending"
    assert ended is None or ending is ended, "the ending changed"
    assert decoder.feed(b'data: {"choices":[]}\n\n') == [], "events after close()"
    assert decoder.close() == [], "events at a second close()"
    assert decoder.ending is ending, "the ending changed after close()"
    return Decoded(events, ending, decoder.upstream_id, decoder.model)


def split(body: bytes, positions: Iterable[int]) -> list[bytes]:
    """The body cut at these positions; equal ones give empty pieces, which a socket may too."""
    edges = [0, *sorted(positions), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


def singles(body: bytes) -> list[bytes]:
    """The body, byte by byte."""
    return [body[at : at + 1] for at in range(len(body))]


# --- Checking -------------------------------------------------------------------------------


def check(make: Make, body: bytes) -> Decoded:
    """Decode a body in every way; the result of decoding it whole, proven to be the only one."""
    whole = decode(make, [body])
    check_grammar(whole)
    assert decode(make, singles(body)) == whole, "single bytes"
    with unmeasured():
        for offset in range(1, STRIDE):
            assert decode(make, split(body, range(offset, len(body), STRIDE))) == whole, offset
        if len(body) <= SMALL:
            for at in range(1, len(body)):
                assert decode(make, [body[:at], body[at:]]) == whole, f"cut at {at}"
        check_cut_anywhere(make, body, whole)
    return whole


def check_cut_anywhere(make: Make, body: bytes, whole: Decoded) -> None:
    """However hypothesis cuts it, the events are the same."""
    position = st.integers(min_value=0, max_value=len(body))

    @settings(max_examples=30, deadline=None, database=None)
    @given(st.lists(position, max_size=16))
    def holds(positions: list[int]) -> None:
        assert decode(make, split(body, positions)) == whole

    holds()


# --- Grammar --------------------------------------------------------------------------------


@dataclass(slots=True)
class _Account:
    """A block as a reader of the stream has to keep it."""

    kind: BlockKind
    parts: list[str] = field(default_factory=list)
    ended: bool = False


_KIND_OF_DELTA: dict[type, BlockKind] = {
    TextDelta: BlockKind.TEXT,
    ReasoningDelta: BlockKind.REASONING,
    RefusalDelta: BlockKind.REFUSAL,
    ToolDelta: BlockKind.TOOL_CALL,
}
_Delta = TextDelta | ReasoningDelta | RefusalDelta | ToolDelta


def check_grammar(decoded: Decoded) -> None:
    """Blocks start once and end once, deltas match their kind and are never empty, all are JSON."""
    blocks: dict[str, _Account] = {}
    for event in decoded.events:
        msgspec.json.encode(event)
        if isinstance(event, BlockStart):
            _check_start(event, blocks)
        elif isinstance(event, _Delta):
            _check_delta(event, blocks[event.block])
        elif isinstance(event, FileDelta):
            assert blocks[event.block].kind is BlockKind.FILE
            assert not blocks[event.block].ended
        elif isinstance(event, ReasoningSignature):
            assert not blocks[event.block].ended
            assert event.value
        elif isinstance(event, ServerToolUpdate):
            assert blocks[event.block].kind is BlockKind.SERVER_TOOL
        elif isinstance(event, CitationAdd):
            assert event.block is None or event.block in blocks
        elif isinstance(event, BlockEnd):
            _check_end(event, blocks[event.block])
    assert [name for name, block in blocks.items() if not block.ended] == [], "never ended"
    failed = decoded.ending.finish in (Finish.ERROR, Finish.INTERRUPTED)
    assert failed == (decoded.ending.error is not None), "an error, and only then an Error"
    msgspec.json.encode(decoded.ending)


def _check_start(event: BlockStart, blocks: dict[str, _Account]) -> None:
    assert event.index == len(blocks), "indexes count the blocks"
    assert event.block == f"b{event.attempt}.{event.index}"
    if event.kind is BlockKind.TOOL_CALL:
        assert event.call_id, "a tool call without an id"
        assert event.name, "a tool call without a name"
    blocks[event.block] = _Account(event.kind)


def _check_delta(event: _Delta, block: _Account) -> None:
    assert event.delta, "an empty delta"
    assert _KIND_OF_DELTA[type(event)] is block.kind
    assert not block.ended, "a delta after the block's end"
    block.parts.append(event.delta)


def _check_end(event: BlockEnd, block: _Account) -> None:
    assert not block.ended, "ended twice"
    block.ended = True
    text = "".join(block.parts)
    if block.kind is BlockKind.TOOL_CALL:
        assert event.args == (text or ("{}" if event.status == "complete" else ""))
        assert event.args_valid == is_json_object(event.args)
    elif block.kind in _KIND_OF_DELTA.values():
        assert event.text_len == len(text)
