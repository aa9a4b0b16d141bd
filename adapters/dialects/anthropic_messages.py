"""The Messages API: Anthropic's own wire format, the decoding half and the dialect.

A stream is one `message_start`, content blocks that start, grow and stop under an index, then a
`message_delta` with the stop reason and the final token counts, then `message_stop`. Every payload
names its type, so one typed decoder reads them all (`anthropic_messages_wire`): what is unknown is
skipped, what cannot be read ends the answer as `upstream_malformed`.

How the format's peculiarities come out (recordings: claude/*):

- A second `message_start` is ignored (vercel-ai.duplicate-message-start).
- `input_tokens` leaves cached tokens out; the schema's `input` has them in. `message_delta` counts
  are cumulative and may raise the input (vercel-ai.anthropic-message-delta-input-tokens): merged,
  never added. The `output_tokens` of `message_start` are a placeholder (1, 7 and 88 in the
  recordings) and count as unknown until a `message_delta` says more.
- Citations hold for the whole text block they stand in, so they leave when it stops, over its
  whole length. Their own offsets are the document's and stay in `raw`.
- A tool the provider runs is one `server_tool` block from its call to its result, which comes as
  a content block of its own.
- Thinking is a summary the provider writes; models that keep it back still sign an empty block.
- A server-side `fallback` to another model and a `compaction` are `meta` events.

The finish signal is the stop reason: a stream cut after it is complete, one cut before it
`interrupted`. Left out: container uploads, and beta blocks this project cannot ask for.
Source: platform.claude.com, streaming messages; the types of anthropic 2.12.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, assert_never

import msgspec
from typing_extensions import override

from adapters.contract import Call, Decoder, Encoded
from adapters.dialects import anthropic_messages_request
from adapters.dialects import anthropic_messages_wire as wire
from adapters.dialects.anthropic_messages_request import REDACTED, SIGNATURE, AnthropicQuirks
from adapters.dialects.blocks import OpenBlock
from adapters.dialects.framed_decoder import FramedDecoder
from adapters.events import (
    BlockKind,
    CitationAdd,
    Ending,
    Error,
    Finish,
    Meta,
    ReasoningSignature,
    SafetyFlag,
    ServerToolUpdate,
    Usage,
    UsageUpdate,
)
from adapters.sse import Message

__all__ = ["FINISH", "AnthropicMessages", "AnthropicQuirks", "MessagesDecoder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnthropicMessages:
    """The dialect, with one provider's quirks."""

    name: ClassVar[str] = "anthropic_messages"
    quirks: AnthropicQuirks = field(default_factory=AnthropicQuirks)

    def encode(self, call: Call) -> Encoded:
        """Write the request; see `anthropic_messages_request.encode`."""
        return anthropic_messages_request.encode(call, self.quirks)

    def decoder(self, call: Call) -> Decoder:
        """A fresh decoder for one attempt."""
        return MessagesDecoder(call)


FINISH: Final[Mapping[str, Finish]] = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "tool_use": Finish.TOOL_CALLS,
    "pause_turn": Finish.PAUSE,
    "compaction": Finish.PAUSE,  # as after pause_turn, the caller has to ask again
    "refusal": Finish.REFUSAL,
    "model_context_window_exceeded": Finish.CONTEXT_LENGTH,
}
"""Stop reasons; any other is `other`, and never a fault."""

_MAX_RAW = 100  # characters of a provider's stop reason


@dataclass(slots=True)
class _ServerTool:
    """A tool the provider runs: its call, until the result."""

    block: OpenBlock
    name: str
    given: Any
    """The input as it stood in the block's start."""
    fragments: list[str] = field(default_factory=list)

    def input(self) -> Any:  # noqa: ANN401 - whatever JSON the model wrote
        text = "".join(self.fragments)
        if not text:
            return self.given
        try:
            return msgspec.json.decode(text)
        except (msgspec.MsgspecError, RecursionError):
            return text


class MessagesDecoder(FramedDecoder):
    """One answer's bytes -> events; see `contract.Decoder`.

    Blocks are kept under their index, a server tool's under the tool's id.
    """

    _SIGNAL = "stop reason"

    def __init__(self, call: Call) -> None:
        """Start before the first byte."""
        super().__init__(call)
        self._started = False
        self._stop = wire.Stop()
        self._usage: dict[str, Any] = {}
        self._counted = False
        """A message_delta has said what the output is."""
        self._given: dict[int, Any] = {}
        """Tool input that came whole, in the block's start."""
        self._citations: dict[int, list[dict[str, Any]]] = {}
        self._cited = 0
        self._tools_by_index: dict[int, _ServerTool] = {}
        self._tools_by_id: dict[str, _ServerTool] = {}
        self._compactions: dict[int, dict[str, Any]] = {}

    # --- One payload ---

    @override
    def _read(self, message: Message) -> None:
        if message.event == "error":
            self._failed(message.data.decode("utf-8", "replace"))
            return
        try:
            frame = wire.read(message.data)
        except wire.UnreadableError:
            self._malformed("the provider sent an event that cannot be read")
            return
        if not isinstance(frame, dict):
            self._on_frame(frame)
        elif frame.get("error") and frame.get("type") in ("error", None):
            # An error without its event name. Anything else unknown is not ours to judge.
            self._failed(message.data.decode("utf-8", "replace"))

    def _on_frame(self, frame: wire.AnyFrame) -> None:
        match frame:
            case wire.BlockDelta():
                self._on_block_delta(frame.index, frame.delta)
            case wire.BlockStart():
                self._on_block_start(frame.index, frame.content_block)
            case wire.BlockStop():
                self._on_block_stop(frame.index)
            case wire.MessageStart():
                self._on_message_start(frame.message)
            case wire.MessageDelta():
                self._on_message_delta(frame)
            case wire.MessageStop():
                self._complete()
            case wire.Ping():
                pass
            case _:
                assert_never(frame)

    # --- The message ---

    def _on_message_start(self, message: wire.Start) -> None:
        if self._started:
            return
        self._started = True
        self.upstream_id, self.model = message.id, message.model
        if message.usage:
            self._count(message.usage)
            usage = wire.usage_of(self._usage, final=False)
            self._out.append(UsageUpdate(attempt=self._attempt, usage=usage, final=False))

    def _on_message_delta(self, frame: wire.MessageDelta) -> None:
        if frame.usage:
            self._count(frame.usage)
            self._counted = True
        if frame.delta.stop_reason is None or self.finished:
            return
        self._stop = frame.delta
        self.finished = True
        if frame.delta.stop_reason == "refusal":
            self._flag(frame.delta.stop_details or {})

    def _flag(self, details: dict[str, Any]) -> None:
        """Why the provider's classifiers stopped the answer, as far as it says."""
        category = details.get("category")
        self._out.append(
            SafetyFlag(
                where="output",
                provider=self._provider.name,
                category=category if isinstance(category, str) else None,
                action="blocked",
            )
        )
        if details:
            self._out.append(Meta(key="stop_details", value=details))

    def _count(self, usage: dict[str, Any]) -> None:
        self._usage |= {name: value for name, value in usage.items() if value is not None}

    # --- Blocks that start ---

    def _on_block_start(self, index: int, block: wire.Block) -> None:
        start = self._STARTS.get(block.type)
        if start is None and block.type.endswith("_tool_result"):
            start = MessagesDecoder._start_tool_result
        if start is not None:
            self._on_block_stop(index)  # an index that starts twice has stopped
            start(self, index, block)

    def _start_text(self, index: int, block: wire.Block) -> None:
        opened = self._blocks.start(self._out, index, BlockKind.TEXT)
        self._citations[index] = list(block.citations or ())
        self._blocks.delta(self._out, opened, block.text or "")

    def _start_thinking(self, index: int, block: wire.Block) -> None:
        opened = self._blocks.start(self._out, index, BlockKind.REASONING, form="summary")
        self._blocks.delta(self._out, opened, block.thinking or "")
        self._sign(opened, SIGNATURE, block.signature)

    def _start_redacted(self, index: int, block: wire.Block) -> None:
        opened = self._blocks.start(self._out, index, BlockKind.REASONING, form="redacted")
        self._sign(opened, REDACTED, block.data)

    def _start_tool(self, index: int, block: wire.Block) -> None:
        if not block.name:
            self._malformed("the provider sent a tool call without a name")
            return
        call_id = block.id or f"call_{self._attempt}_{index}"
        self._blocks.start(self._out, index, BlockKind.TOOL_CALL, call_id=call_id, name=block.name)
        if block.input:
            self._given[index] = block.input

    def _start_server_tool(self, index: int, block: wire.Block) -> None:
        tool_id = block.id or f"server_{index}"
        tool = self._open_server_tool(tool_id, block.name or block.type, block.input)
        self._tools_by_index[index] = self._tools_by_id[tool_id] = tool

    def _start_tool_result(self, index: int, block: wire.Block) -> None:
        """The whole result, in one block; its call may have been in an earlier answer."""
        tool_id = block.tool_use_id or f"server_{index}"
        tool = self._tools_by_id.pop(tool_id, None)
        if tool is None:
            tool = self._open_server_tool(tool_id, block.type.removesuffix("_tool_result"), None)
        self._out.append(
            ServerToolUpdate(
                block=tool.block.id,
                status="failed" if block.failed else "done",
                name=tool.name,
                result=block.content,
            )
        )
        self._blocks.end(self._out, tool_id)

    def _open_server_tool(self, tool_id: str, name: str, given: object) -> _ServerTool:
        self._blocks.end(self._out, tool_id, complete=False)  # an id that comes twice
        opened = self._blocks.start(self._out, tool_id, BlockKind.SERVER_TOOL, name=name)
        return _ServerTool(opened, name, given)

    def _start_fallback(self, _index: int, block: wire.Block) -> None:
        """Another model goes on, inside the provider."""
        if isinstance(block.to_model, dict) and isinstance(block.to_model.get("model"), str):
            self.model = block.to_model["model"]
        value = {"from": block.from_model, "to": block.to_model}
        self._out.append(Meta(key="model_fallback", value=value))

    def _start_compaction(self, index: int, block: wire.Block) -> None:
        self._compactions[index] = {
            "content": block.content,
            "encrypted_content": block.encrypted_content,
            "signature": block.signature,
        }

    _STARTS: ClassVar[Mapping[str, Callable[["MessagesDecoder", int, wire.Block], None]]] = {
        "text": _start_text,
        "thinking": _start_thinking,
        "redacted_thinking": _start_redacted,
        "tool_use": _start_tool,
        "server_tool_use": _start_server_tool,
        "mcp_tool_use": _start_server_tool,
        "fallback": _start_fallback,
        "compaction": _start_compaction,
    }

    # --- Blocks that grow and stop ---

    def _on_block_delta(self, index: int, delta: wire.Delta) -> None:
        block = self._blocks.get(index)
        if block is None:
            self._on_hidden_delta(index, delta)
        elif delta.type == "text_delta" and block.kind is BlockKind.TEXT:
            self._blocks.delta(self._out, block, delta.text or "")
        elif delta.type == "thinking_delta" and block.kind is BlockKind.REASONING:
            self._blocks.delta(self._out, block, delta.thinking or "")
        elif delta.type == "input_json_delta" and block.kind is BlockKind.TOOL_CALL:
            self._blocks.delta(self._out, block, delta.partial_json or "")
        elif delta.type == "signature_delta" and block.kind is BlockKind.REASONING:
            self._sign(block, SIGNATURE, delta.signature)
        elif delta.type == "citations_delta" and delta.citation and index in self._citations:
            self._citations[index].append(delta.citation)

    def _on_hidden_delta(self, index: int, delta: wire.Delta) -> None:
        """A delta of a block that is not in the answer under its index, or not at all."""
        tool = self._tools_by_index.get(index)
        if tool is not None and delta.type == "input_json_delta":
            tool.fragments.append(delta.partial_json or "")
        elif delta.type == "compaction_delta" and index in self._compactions:
            told = {"content": delta.content, "encrypted_content": delta.encrypted_content}
            self._compactions[index] |= {k: v for k, v in told.items() if v is not None}

    def _on_block_stop(self, index: int) -> None:
        self._settle(index)
        tool = self._tools_by_index.pop(index, None)
        if tool is not None:
            self._out.append(
                ServerToolUpdate(
                    block=tool.block.id, status="running", name=tool.name, input=tool.input()
                )
            )
        compaction = self._compactions.pop(index, None)
        if compaction is not None:
            self._out.append(Meta(key="compaction", value=compaction))
        self._blocks.end(self._out, index)

    def _settle(self, index: int) -> None:
        """Say what a block keeps back until its end: input that came whole, citations."""
        block = self._blocks.get(index)
        if block is None:
            return
        given = self._given.pop(index, None)
        if given is not None and not block.args:
            self._blocks.delta(self._out, block, msgspec.json.encode(given).decode())
        for raw in self._citations.pop(index, ()):
            id_ = f"c{self._attempt}.{self._cited}"
            citation = wire.citation_of(raw, id_=id_, length=block.length)
            if citation is not None:
                self._cited += 1
                self._out.append(CitationAdd(block=block.id, citation=citation))

    def _sign(self, block: OpenBlock, format_: str, value: str | None) -> None:
        if value:
            self._out.append(
                ReasoningSignature(
                    block=block.id, provider=self._provider.name, format=format_, value=value
                )
            )

    # --- The end ---

    @override
    def _complete(self) -> None:
        """The answer is whole, as far as the provider goes."""
        self._settle_all()
        for tool_id in self._tools_by_id:
            self._blocks.end(self._out, tool_id, complete=False)  # its result is still to come
        self._blocks.end_all(self._out)
        reason = self._stop.stop_reason
        self.finished = True
        self.ending = Ending(
            finish=FINISH.get(reason or "", Finish.OTHER),
            finish_raw=reason[:_MAX_RAW] if reason else None,
            stop_sequence=self._stop.stop_sequence,
            usage=self._total(),
        )

    @override
    def _fail(self, finish: Finish, error: Error) -> None:
        self._settle_all()
        self._blocks.end_all(self._out, complete=False)
        self.ending = Ending(finish=finish, usage=self._total(), error=error)

    def _settle_all(self) -> None:
        for index in [*self._given, *self._citations]:
            self._settle(index)

    def _total(self) -> Usage | None:
        return wire.usage_of(self._usage, final=self._counted) if self._usage else None
