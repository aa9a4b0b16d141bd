"""generateContent: Google's own wire format, the decoding half and the dialect.

A stream is a run of chunks, each a whole response object: the parts that are new, and counts that
are cumulative. There are no block boundaries, no `[DONE]` and no end but the end of the bytes; the
finish signal is a `finishReason` (or a blocked prompt), and more counts may follow it. So the
ending is set in `close()`, or where an error comes.

How the format's peculiarities come out (recordings: gemini/*):

- Text and thoughts are parts that go on from chunk to chunk: one block each, until another kind of
  part comes. Thoughts are summaries.
- A `thoughtSignature` is a `reasoning.signature` on the block of its part: a function call, a
  thought, or the running text where the part itself is empty (vercel-ai.google-reasoning-gemini3).
- A function call comes whole; on Vertex also as values at JSON paths, which are put together before
  they leave (vercel-ai.google-stream-tool-call-arguments). Where it has no id, one is made from the
  response's id and a count, so that it is the same on every decoding and new in every answer.
- `STOP` is said of tool calls too.
- `groundingMetadata` counts in UTF-8 bytes and comes last; citations leave at the end, in
  characters, each checked against the words it is for.
- An error may come as a chunk, in a list, or as bare JSON outside the framing after half an answer
  (not recorded anywhere public; maximhq/bifrost#5262, theopenco/llmgateway#3616).

Left out: candidates but the first, log probabilities, recitation metadata, thought images.
Source: ai.google.dev, generateContent; the types of google-genai 3.4.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal

import msgspec
import orjson
from typing_extensions import override

from adapters import errors
from adapters.contract import Call, Decoder, Encoded
from adapters.dialects import gemini_grounding, gemini_request
from adapters.dialects import gemini_wire as wire
from adapters.dialects.blocks import OpenBlock
from adapters.dialects.framed_decoder import FramedDecoder
from adapters.dialects.gemini_request import MADE_ID, SIGNATURE, GeminiQuirks
from adapters.events import (
    BlockKind,
    Ending,
    Error,
    ErrorCode,
    FileDelta,
    Finish,
    ReasoningSignature,
    SafetyFlag,
    ServerToolUpdate,
    Usage,
    UsageUpdate,
)
from adapters.sse import Message

__all__ = ["FINISH", "Gemini", "GeminiDecoder", "GeminiQuirks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gemini:
    """The dialect, with one provider's quirks."""

    name: ClassVar[str] = "gemini"
    quirks: GeminiQuirks = field(default_factory=GeminiQuirks)

    def encode(self, call: Call) -> Encoded:
        """Write the request; see `gemini_request.encode`."""
        return gemini_request.encode(call, self.quirks)

    def decoder(self, call: Call) -> Decoder:
        """A fresh decoder for one attempt."""
        return GeminiDecoder(call)


FINISH: Final[Mapping[str, Finish]] = {
    "STOP": Finish.STOP,
    "MAX_TOKENS": Finish.LENGTH,
    "CONTINUATION": Finish.PAUSE,
    **dict.fromkeys(
        (
            "SAFETY",
            "RECITATION",
            "LANGUAGE",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION",
            "MODEL_ARMOR",
        ),
        Finish.CONTENT_FILTER,
    ),
    **dict.fromkeys(
        (
            "MALFORMED_FUNCTION_CALL",
            "UNEXPECTED_TOOL_CALL",
            "TOO_MANY_TOOL_CALLS",
            "MISSING_THOUGHT_SIGNATURE",
            "MALFORMED_RESPONSE",
        ),
        Finish.ERROR,
    ),
}
"""Finish reasons; any other is `other`, and never a fault."""

_MAX_RAW = 100  # characters of a provider's finish reason


@dataclass(slots=True)
class _OpenCall:
    """A function call whose arguments are still coming."""

    key: tuple[str, int]
    block: OpenBlock
    arguments: wire.Arguments = field(default_factory=wire.Arguments)


@dataclass(slots=True)
class _ServerTool:
    """A tool the provider runs: its call, until the result."""

    key: tuple[str, int]
    block: OpenBlock
    name: str


class GeminiDecoder(FramedDecoder):
    """One answer's bytes -> events; see `contract.Decoder`.

    Running text and thoughts are kept under their kind, everything else under a count.
    """

    _SIGNAL = "finish reason"

    def __init__(self, call: Call) -> None:
        """Start before the first byte."""
        super().__init__(call)
        self._finish_raw: str | None = None
        self._blocked: str | None = None
        """Why the prompt was blocked."""
        self._usage: dict[str, Any] = {}
        self._calls = 0
        self._call: _OpenCall | None = None
        self._tools: dict[str, _ServerTool] = {}
        self._texts: dict[str, list[str]] = {}
        """Block id -> the text so far, to place citations in."""
        self._grounding: dict[str, Any] = {}

    # --- One chunk ---

    @override
    def _read(self, message: Message) -> None:
        try:
            for chunk in wire.read(message.data):
                self._on_chunk(chunk)
                if self.ending is not None:
                    return
        except wire.UnreadableError:
            self._malformed("the provider sent a chunk that cannot be read")

    def _on_chunk(self, chunk: wire.Chunk) -> None:
        if chunk.error:
            self._failed({"error": chunk.error})
            return
        self.upstream_id = chunk.response_id or self.upstream_id
        self.model = chunk.model_version or self.model
        if chunk.usage_metadata:
            self._count(chunk.usage_metadata)
        if chunk.prompt_feedback is not None and chunk.prompt_feedback.block_reason:
            self._on_blocked(chunk.prompt_feedback.block_reason, chunk.prompt_feedback)
        for candidate in chunk.candidates or ():
            if not candidate.index:
                self._on_candidate(candidate)

    def _count(self, usage: dict[str, Any]) -> None:
        """Merge cumulative counts; the first that say anything of the prompt are passed on."""
        first = "promptTokenCount" not in self._usage
        self._usage |= {name: value for name, value in usage.items() if value is not None}
        if first and "promptTokenCount" in self._usage:
            counts = wire.usage_of(self._usage)
            self._out.append(UsageUpdate(attempt=self._attempt, usage=counts, final=False))

    def _on_blocked(self, reason: str, feedback: wire.PromptFeedback) -> None:
        if self._blocked is None:
            self._flag("input", reason, feedback.safety_ratings)
        self._blocked = reason
        self.finished = True

    def _on_candidate(self, candidate: wire.Candidate) -> None:
        if candidate.content is not None:
            for part in candidate.content.parts or ():
                self._on_part(part)
        self._grounding |= candidate.grounding_metadata or {}
        if candidate.finish_reason is None:
            return
        if FINISH.get(candidate.finish_reason) is Finish.CONTENT_FILTER:
            self._flag("output", candidate.finish_reason, candidate.safety_ratings)
        self._finish_raw = candidate.finish_reason
        self.finished = True

    def _flag(
        self, where: Literal["input", "output"], reason: str, ratings: list[wire.Rating] | None
    ) -> None:
        """One flag for each category that blocked, or one for the reason itself."""
        blocking = [rating for rating in ratings or () if rating.blocked]
        for rating in blocking or [wire.Rating(category=reason)]:
            self._out.append(
                SafetyFlag(
                    where=where,
                    provider=self._provider.name,
                    category=rating.category,
                    severity=rating.probability,
                    action="blocked",
                )
            )

    # --- Parts ---

    def _on_part(self, part: wire.Part) -> None:
        if part.function_call is not None:
            self._on_call(part.function_call, part.thought_signature)
        elif part.inline_data is not None or part.file_data is not None:
            if not part.thought:
                self._on_file(part.inline_data or part.file_data or wire.Blob())
        elif part.executable_code is not None:
            self._run_tool("code_execution", part.executable_code, part.executable_code)
        elif part.code_execution_result is not None:
            result = part.code_execution_result
            failed = result.get("outcome") != "OUTCOME_OK"
            self._tool_done("code_execution", result, result, failed=failed)
        elif part.tool_call is not None:
            self._run_tool(_tool_name(part.tool_call), part.tool_call, part.tool_call.get("args"))
        elif part.tool_response is not None:
            response = part.tool_response
            self._tool_done(_tool_name(response), response, response.get("response"), failed=False)
        else:
            self._on_text(part)

    def _on_text(self, part: wire.Part) -> None:
        kind = BlockKind.REASONING if part.thought else BlockKind.TEXT
        if part.text:
            self._blocks.run(self._out, kind, part.text, form="summary" if part.thought else None)
            block = self._blocks.get(kind)
            if block is not None and kind is BlockKind.TEXT:
                self._texts.setdefault(block.id, []).append(part.text)
        if part.thought_signature:
            self._sign_run(part.thought_signature)

    def _sign_run(self, signature: str) -> None:
        """Sign the running text or thought; without one, a block that holds nothing else."""
        for kind in (BlockKind.TEXT, BlockKind.REASONING):
            block = self._blocks.get(kind)
            if block is not None:
                self._sign(block, signature)
                return
        key = ("signature", self._blocks.count)
        block = self._blocks.start(self._out, key, BlockKind.REASONING, form="redacted")
        self._sign(block, signature)
        self._blocks.end(self._out, key)

    def _sign(self, block: OpenBlock, signature: str) -> None:
        self._out.append(
            ReasoningSignature(
                block=block.id, provider=self._provider.name, format=SIGNATURE, value=signature
            )
        )

    def _on_file(self, file: wire.Blob) -> None:
        if not file.data and not file.file_uri:
            return
        self._blocks.end_runs(self._out)
        key = ("file", self._blocks.count)
        block = self._blocks.start(self._out, key, BlockKind.FILE, media_type=file.mime_type)
        if file.data:
            self._out.append(FileDelta(block=block.id, data=file.data, offset=0))
        else:
            self._out.append(FileDelta(block=block.id, url=file.file_uri))
        self._blocks.end(self._out, key)

    # --- Function calls ---

    def _on_call(self, call: wire.FunctionCall, signature: str | None) -> None:
        if call.name:
            self._end_call()  # a new one without the end of the one before
            self._start_call(call.id, call.name)
        current = self._call
        if current is None:
            if call.args or call.partial_args:
                raise wire.UnreadableError  # arguments of no function
            return
        if signature:
            self._sign(current.block, signature)
        current.arguments.value |= call.args or {}
        for piece in call.partial_args or ():
            current.arguments.add(piece)
        if not call.will_continue:
            self._end_call()

    def _start_call(self, call_id: str | None, name: str) -> None:
        self._blocks.end_runs(self._out)
        made_id = f"{MADE_ID}{self.upstream_id or self._attempt}_{self._calls}"
        key = ("call", self._calls)
        self._calls += 1
        block = self._blocks.start(
            self._out, key, BlockKind.TOOL_CALL, call_id=call_id or made_id, name=name
        )
        self._call = _OpenCall(key, block)

    def _end_call(self) -> None:
        call, self._call = self._call, None
        if call is None:
            return
        if call.arguments.value:
            # Not orjson: it refuses integers beyond 64 bits.
            text = msgspec.json.encode(call.arguments.value).decode()
            self._blocks.delta(self._out, call.block, text)
        self._blocks.end(self._out, call.key)

    # --- Tools the provider runs ---

    def _run_tool(self, name: str, told: dict[str, Any], given: object) -> None:
        tool = self._start_tool(name)
        self._tools[str(told.get("id") or name)] = tool
        self._out.append(
            ServerToolUpdate(block=tool.block.id, status="running", name=name, input=given)
        )

    def _tool_done(self, name: str, told: dict[str, Any], result: object, *, failed: bool) -> None:
        """The result of a tool, whose call may have been in an earlier answer."""
        tool = self._tools.pop(str(told.get("id") or name), None) or self._start_tool(name)
        self._out.append(
            ServerToolUpdate(
                block=tool.block.id,
                status="failed" if failed else "done",
                name=tool.name,
                result=result,
            )
        )
        self._blocks.end(self._out, tool.key)

    def _start_tool(self, name: str) -> _ServerTool:
        self._blocks.end_runs(self._out)
        key = ("tool", self._blocks.count)
        block = self._blocks.start(self._out, key, BlockKind.SERVER_TOOL, name=name)
        return _ServerTool(key, block, name)

    # --- The end ---

    @override
    def _run_out(self) -> None:
        body = self._unframed_error()
        if body is not None:
            self._failed(body)
        else:
            super()._run_out()

    def _unframed_error(self) -> object:
        """What the body ends with, outside of its framing, where that is an error."""
        text = self._sse.unframed.strip()
        if not text.startswith((b"{", b"[")):
            return None
        try:
            body = orjson.loads(text)
        except orjson.JSONDecodeError:
            return None
        told = body if isinstance(body, list) else [body]
        if any(isinstance(one, dict) and one.get("error") for one in told):
            return body
        return None

    @override
    def _complete(self) -> None:
        """The answer is over, in the provider's words."""
        self._end_call()
        raw = self._blocked or self._finish_raw or ""
        finish = Finish.CONTENT_FILTER if self._blocked else FINISH.get(raw, Finish.OTHER)
        if finish is Finish.ERROR:
            message = f"the provider ended the answer with {raw}"
            error = errors.make(
                ErrorCode.UPSTREAM_MALFORMED,
                message,
                provider=self._provider.name,
                provider_code=raw,
            )
            self._fail(finish, error)
            return
        if finish is Finish.STOP and self._calls:
            finish = Finish.TOOL_CALLS
        self._cite()
        for tool in self._tools.values():
            self._blocks.end(self._out, tool.key, complete=False)  # its result never came
        self._blocks.end_all(self._out)
        self.ending = Ending(finish=finish, finish_raw=raw[:_MAX_RAW], usage=self._total())

    @override
    def _fail(self, finish: Finish, error: Error) -> None:
        self._cite()
        self._blocks.end_all(self._out, complete=False)
        raw = self._finish_raw
        self.ending = Ending(
            finish=finish,
            finish_raw=raw[:_MAX_RAW] if raw else None,
            usage=self._total(),
            error=error,
        )

    def _cite(self) -> None:
        """Only now, since a citation is placed in the text as a whole."""
        texts = {block: "".join(pieces) for block, pieces in self._texts.items()}
        self._out += gemini_grounding.citations(self._grounding, texts, self._attempt)

    def _total(self) -> Usage | None:
        return wire.usage_of(self._usage) if self._usage else None


def _tool_name(told: Mapping[str, Any]) -> str:
    return str(told.get("toolType") or "tool")
