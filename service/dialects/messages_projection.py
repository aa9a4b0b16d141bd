"""A stream as Anthropic's Messages API says it: one message of blocks, one block after the other.

A native stream may have several blocks open, parallel tool calls above all; here one is open at a
time, and indexes count up. So a block that starts while another is open waits, with all that comes
of it, until those before it are over. A block starts here when there is something to write in it: a
text without text would be refused by the API when it is sent back.

`message_start` goes out when an attempt commits, with the input that its provider has counted, or
our estimate. What a tool call's or a text's signature has no field for rides in a block of
`redacted_thinking`, which clients send back as it came; see `seal`. Whoever did not ask for
thinking gets none of it, as simple clients read the first block as the answer; the signatures of
tool calls go out all the same.

After a break there is an `error` event and nothing else: no `message_delta`, no `message_stop`. A
call whose arguments are no JSON object is one, before its block stops: nobody is to run it.
Left out, for want of a place in the format: files, the provider's own tools, sources that are named
after their text is over.
Source: platform.claude.com, streaming messages; the accumulator of anthropic 2.12.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, ClassVar, Final, assert_never

import msgspec

from adapters.errors import UpstreamError, make
from adapters.events import (
    AttemptCommit,
    BlockEnd,
    BlockKind,
    BlockStart,
    CitationAdd,
    Error,
    ErrorCode,
    Failover,
    Phase,
    ReasoningDelta,
    ReasoningSignature,
    RefusalDelta,
    SequencedEvent,
    Status,
    StreamEnd,
    TextDelta,
    ToolDelta,
    Usage,
    UsageUpdate,
)
from adapters.request import ChatRequest
from service.dialects import messages_words as words
from service.dialects.projection import Named
from service.dialects.seal import sealed
from service.routing import estimate

PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'
COMMENT: Final = b":\n"

_encode = msgspec.json.Encoder().encode


class Thoughts(Enum):
    """How much of the thinking a client is shown."""

    HIDDEN = "hidden"
    SIGNED = "signed"
    """The blocks and their signatures, without the text: `display: omitted`."""
    WHOLE = "whole"


def message_id(stream: str) -> str:
    """A stream's id as the API's messages have theirs."""
    return "msg_" + stream.removeprefix("st_")


_PLACED: Final[Mapping[BlockKind, bytes]] = {
    BlockKind.TEXT: b'"text_delta","text":',
    BlockKind.REFUSAL: b'"text_delta","text":',
    BlockKind.REASONING: b'"thinking_delta","thinking":',
    BlockKind.TOOL_CALL: b'"input_json_delta","partial_json":',
}
"""The kinds of blocks that have a place here, and how more of one is called."""

_DELTA: Final = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":%b'
)
_DELTA_END: Final = b"}}\n\n"

_Delta = TextDelta | ReasoningDelta | RefusalDelta | ToolDelta
_Told = _Delta | CitationAdd | ReasoningSignature | BlockEnd


class MessagesProjection:
    """One reader's view of one stream."""

    def __init__(self, chat: ChatRequest, named: Named, thoughts: Thoughts) -> None:
        """`chat`: the request, for the estimate of its input."""
        self._chat = chat
        self._named = named
        self._thoughts = thoughts
        self._usages: dict[int | None, Usage] = {}
        """What attempts have said so far of their usage, by their number."""
        self._began = self._over = False
        self._written = _Written()
        self._open: _Block | None = None
        self._waiting: dict[str, tuple[BlockStart, list[_Told]]] = {}
        """What has come of the blocks whose turn it is not, oldest first."""

    def feed(self, event: SequencedEvent) -> bytes:
        """The blocks that an event makes, or nothing."""
        handler = self._HANDLERS.get(type(event))
        return b"" if handler is None or self._over else handler(self, event)

    def keepalive(self) -> bytes:
        """A ping, once the message has begun: before that a client expects nothing else."""
        return PING if self._began and not self._over else COMMENT

    # --- The message ---

    def _on_usage(self, told: UsageUpdate) -> bytes:
        self._usages[told.attempt] = told.usage
        return b""

    def _on_commit(self, commit: AttemptCommit) -> bytes:
        return self._begin(self._usages.get(commit.attempt))

    def _begin(self, usage: Usage | None) -> bytes:
        if self._began:
            return b""
        self._began = True
        counts = words.input_usage(usage, estimate.input_tokens(self._chat))
        message: dict[str, Any] = {
            "id": message_id(self._named.stream),
            "type": "message",
            "role": "assistant",
            "model": self._named.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": counts | {"output_tokens": 0},
        }
        return _event("message_start", message=message)

    def _on_failover(self, failover: Failover) -> bytes:
        """What waits can be forgotten; what was written cannot be taken back."""
        if not failover.drop:
            return b""
        if self._written.count:
            return self._break(failover.error)
        self._open = None
        self._waiting.clear()
        return b""

    def _on_end(self, end: StreamEnd) -> bytes:
        if end.status in (Status.FAILED, Status.CANCELLED):
            return self._break(end.error)
        begun = self._begin(end.usage)
        self._over = True
        counts = words.usage_of(end.usage, estimate.input_tokens(self._chat))
        delta = words.stop(end, self._written.whole)
        return begun + _event("message_delta", delta=delta, usage=counts) + _event("message_stop")

    def _break(self, error: Error | None) -> bytes:
        self._over = True
        told = error or make(
            ErrorCode.STREAM_INTERRUPTED, "the answer broke off", phase=Phase.MID_STREAM
        )
        body = words.error_body(told, message_id(self._named.stream))
        return b"event: error\ndata: %b\n\n" % _encode(body)

    # --- Blocks ---

    def _on_block_end(self, end: BlockEnd) -> bytes:
        """The end of a block, and of the message where it is a call that cannot be told."""
        if end.status == "complete" and end.args is not None:
            try:
                words.arguments(end.args)
            except UpstreamError as failure:
                return self._break(failure.error)
        return self._on_told(end)

    def _on_block_start(self, start: BlockStart) -> bytes:
        hidden = start.kind is BlockKind.REASONING and self._thoughts is Thoughts.HIDDEN
        if start.kind in _PLACED and not hidden:
            if self._open is None:
                self._open = _Block(start, self._written, self._thoughts)
            else:
                self._waiting[start.block] = start, []
        return b""

    def _on_told(self, told: _Told) -> bytes:
        """More of a block; nothing where it has no place here, or is over."""
        block = self._open
        if block is None or block.start.block != told.block:
            waiting = self._waiting.get(told.block or "")
            if waiting is not None:
                waiting[1].append(told)
            return b""
        out = block.feed(told)
        return out + self._next() if block.over else out

    def _next(self) -> bytes:
        """Those that waited, up to one that is not over itself."""
        out = b""
        self._open = None
        while self._waiting and self._open is None:
            start, rest = self._waiting.pop(next(iter(self._waiting)))
            block = _Block(start, self._written, self._thoughts)
            out += b"".join(map(block.feed, rest))
            self._open = None if block.over else block
        return out

    _HANDLERS: ClassVar[Mapping[type, Callable[["MessagesProjection", Any], bytes]]] = {
        UsageUpdate: _on_usage,
        AttemptCommit: _on_commit,
        Failover: _on_failover,
        StreamEnd: _on_end,
        BlockStart: _on_block_start,
        TextDelta: _on_told,
        ReasoningDelta: _on_told,
        RefusalDelta: _on_told,
        ToolDelta: _on_told,
        CitationAdd: _on_told,
        ReasoningSignature: _on_told,
        BlockEnd: _on_block_end,
    }


# --- One block ------------------------------------------------------------------------------


class _Written:
    """What the message consists of so far: how many blocks, and of which kinds those are whole."""

    def __init__(self) -> None:
        self.count = 0
        self.whole: set[BlockKind] = set()

    def open(self, content: object) -> tuple[int, bytes]:
        """The index of a block that starts now, and what starts it."""
        index = self.count
        self.count += 1
        return index, _event("content_block_start", index=index, content_block=content)

    def aside(self, data: str) -> bytes:
        """A whole block that a client only keeps."""
        content = {"type": "redacted_thinking", "data": data}
        index, started = self.open(content)
        return started + _stop(index)


class _Block:
    """A block at its turn; it starts on the wire with the first of its content."""

    def __init__(self, start: BlockStart, written: _Written, thoughts: Thoughts) -> None:
        self.start = start
        self.over = False
        self._written = written
        self._thoughts = thoughts
        self._index = -1
        self._delta = b""
        """What goes before each delta; empty until the block has started."""
        self._signature: ReasoningSignature | None = None

    def feed(self, told: _Told) -> bytes:
        match told:
            # First what there is most of.
            case TextDelta() | ReasoningDelta() | RefusalDelta() | ToolDelta():
                return self._write(told.delta)
            case CitationAdd():
                return self._cite(told)
            case ReasoningSignature():
                self._signature = told
                return b""
            case BlockEnd():
                return self._end(told)
            case _:
                assert_never(told)

    def _write(self, text: str) -> bytes:
        if self._delta:
            return b"%b%b%b" % (self._delta, _encode(text), _DELTA_END)
        if self.start.kind is BlockKind.REASONING and self._thoughts is Thoughts.SIGNED:
            return b""
        started = self._begin()
        return b"%b%b%b%b" % (started, self._delta, _encode(text), _DELTA_END)

    def _begin(self) -> bytes:
        kind = self.start.kind
        before = self._aside() if kind is BlockKind.TOOL_CALL else b""
        self._index, started = self._written.open(self._content())
        self._delta = _DELTA % (self._index, _PLACED[kind])
        return before + started

    def _content(self) -> dict[str, Any]:
        """The block as it begins."""
        match self.start.kind:
            case BlockKind.TOOL_CALL:
                named = {"id": self.start.call_id, "name": self.start.name}
                return {"type": "tool_use", **named, "input": {}}
            case BlockKind.REASONING:
                return {"type": "thinking", "thinking": "", "signature": ""}
            case _:
                return {"type": "text", "text": ""}

    def _cite(self, told: CitationAdd) -> bytes:
        cited = words.citation(told.citation)
        if not self._delta or cited is None:
            return b""
        delta = {"type": "citations_delta", "citation": cited}
        return _event("content_block_delta", index=self._index, delta=delta)

    def _aside(self) -> bytes:
        """The signature of what has no field for one, once."""
        signature, self._signature = self._signature, None
        if signature is None:
            return b""
        return self._written.aside(words.signature_data(signature, self.start.call_id))

    # --- Its end ---

    def _end(self, end: BlockEnd) -> bytes:
        self.over = True
        out = self._ENDS[self.start.kind](self, end)
        if self._delta and end.status == "complete":
            self._written.whole.add(self.start.kind)
        return out

    def _end_text(self, _: BlockEnd) -> bytes:
        stopped = _stop(self._index) if self._delta else b""
        return stopped if self._thoughts is Thoughts.HIDDEN else stopped + self._aside()

    def _end_call(self, end: BlockEnd) -> bytes:
        """One without arguments starts only now; one that was cut before any is no call."""
        out = b""
        if not self._delta:
            if end.status == "incomplete":
                return b""
            out = self._write(end.args or "{}")
        return out + _stop(self._index) + self._aside()

    def _end_thought(self, _: BlockEnd) -> bytes:
        signature = self._signature
        if not self._delta:
            if signature is None:
                return b""
            if self.start.form == "redacted":
                return self._aside()
        out = b"" if self._delta else self._begin()
        value = words.UNSIGNED if signature is None else sealed(signature)
        delta = {"type": "signature_delta", "signature": value}
        signed = _event("content_block_delta", index=self._index, delta=delta)
        return out + signed + _stop(self._index)

    _ENDS: ClassVar[Mapping[BlockKind, Callable[["_Block", BlockEnd], bytes]]] = {
        BlockKind.TEXT: _end_text,
        BlockKind.REFUSAL: _end_text,
        BlockKind.REASONING: _end_thought,
        BlockKind.TOOL_CALL: _end_call,
    }


def _event(kind: str, **fields: object) -> bytes:
    """One SSE block."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode({"type": kind, **fields}))


def _stop(index: int) -> bytes:
    return _event("content_block_stop", index=index)
