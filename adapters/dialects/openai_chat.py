"""Chat completions: the format most providers speak, each with ways of its own (`ChatQuirks`).

A stream is one JSON chunk per SSE message and `[DONE]` at its end. Nearly all chunks hold nothing
but a bit of text or of reasoning: those are decoded by a strict msgspec type, which fails on
anything it does not know, so that nothing unusual can be swallowed (2 us a chunk, framing and
event included; bench/decode.py). Every other chunk is parsed whole and goes through `_chunk`, one
small method per concern (10 us).

What the providers made of the format, and what is made of that here:

* usage comes never, once, thrice or on every chunk, at four places: reports are merged;
* reasoning is `reasoning_content`, `reasoning`, or `reasoning_details` beside either with the same
  text: one is read, and what the details sign or encrypt becomes a `reasoning.signature`;
* a tool call comes whole or in pieces, with or without index, id and name: see
  `openai_chat_calls`;
* an error may come in the stream, after half an answer and after a finish reason: it ends it;
* a stream without a finish reason was cut, whether `[DONE]` came or not.

The answer is over at `[DONE]`, at `chat.completion.done` (Perplexity's Sonar), at an error, or
when the caller says that the bytes are. Blocks have no ends in this format, so they end there.
Left out: more than one choice, log probabilities, audio and images. Source: docs/providers.md.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import msgspec
import orjson

from adapters import errors, surrogates, tokens
from adapters.classify import classify
from adapters.contract import Call, Decoder, Encoded, Failure
from adapters.dialects import openai_chat_messages, openai_chat_request, openai_chat_usage
from adapters.dialects.blocks import Blocks
from adapters.dialects.openai_chat_asides import Asides, flagged, objects, text
from adapters.dialects.openai_chat_calls import ToolCalls, TooManyCallsError
from adapters.dialects.openai_chat_quirks import ChatQuirks
from adapters.events import (
    STATUS_OF_FINISH,
    AttemptEvent,
    BlockKind,
    Ending,
    Error,
    ErrorCode,
    Finish,
    ReasoningSignature,
    Status,
    Usage,
    WarningEvent,
)
from adapters.sse import SseParser, TooLongError


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIChat:
    """The dialect, with one provider's quirks."""

    name: ClassVar[str] = "openai_chat"
    quirks: ChatQuirks = field(default_factory=ChatQuirks)

    def encode(self, call: Call) -> Encoded:
        """Write the request; see `openai_chat_request.encode`."""
        return openai_chat_request.encode(call, self.quirks)

    def decoder(self, call: Call) -> Decoder:
        """A fresh decoder for one attempt."""
        return ChatDecoder(call, self.quirks)


FINISH: Final[dict[str, Finish]] = {
    "stop": Finish.STOP,
    "eos_token": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "length": Finish.LENGTH,
    "model_length": Finish.CONTEXT_LENGTH,  # Mistral
    "model_context_window_exceeded": Finish.CONTEXT_LENGTH,  # Z.ai
    "tool_calls": Finish.TOOL_CALLS,
    "function_call": Finish.TOOL_CALLS,
    "content_filter": Finish.CONTENT_FILTER,
    "sensitive": Finish.CONTENT_FILTER,  # Z.ai
    "error": Finish.ERROR,  # OpenRouter, Mistral
    "insufficient_system_resource": Finish.ERROR,  # DeepSeek
    "network_error": Finish.ERROR,  # Z.ai
}
"""Finish reasons; any other is `other`, and never a fault."""

_CODE_OF_FINISH: Final[dict[str, ErrorCode]] = {
    "error": ErrorCode.UPSTREAM_5XX,
    "insufficient_system_resource": ErrorCode.OVERLOADED,
    "network_error": ErrorCode.UPSTREAM_5XX,
}
_TEXT, _REASONING = BlockKind.TEXT, BlockKind.REASONING  # an enum's attribute costs 50 ns
_GROWING: Final[dict[str, str]] = {"reasoning.text": "text", "reasoning.summary": "summary"}
"""Types of reasoning details that come in pieces, and the field that grows."""
_MAX_RAW = 100  # characters of a provider's finish reason


# --- The common chunk -----------------------------------------------------------------------


class _Delta(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    role: str | None = None
    channel: str | None = None  # Groq's gpt-oss; says what the field already does
    refusal: None = None
    tool_calls: None = None


_NO_FILTERS = msgspec.Raw()


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta
    index: int = 0
    finish_reason: None = None
    usage: None = None
    error: None = None
    content_filter_results: msgspec.Raw = _NO_FILTERS


class _Common(msgspec.Struct, gc=False):
    """A chunk that only says something. Its id and model were read from the first chunk."""

    choices: tuple[_Choice]
    usage: None = None
    error: None = None
    x_groq: None = None
    prompt_filter_results: None = None
    citations: None = None
    search_results: None = None


_COMMON = msgspec.json.Decoder(_Common)
# Besides its own error msgspec lets out Python's for text that is not UTF-8 and for deep nesting.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class ChatDecoder:
    """One answer's bytes -> events; see `contract.Decoder`."""

    __slots__ = (
        "_asides",
        "_attempt",
        "_blocks",
        "_calls",
        "_clean_filters",
        "_details",
        "_finish_raw",
        "_provider",
        "_quirks",
        "_sse",
        "_started",
        "_usage",
        "ending",
        "finished",
        "model",
        "upstream_id",
    )

    def __init__(self, call: Call, quirks: ChatQuirks) -> None:
        """A decoder at the start of a body."""
        self.ending: Ending | None = None
        self.finished = False
        self.upstream_id: str | None = None
        self.model: str | None = None
        self._provider = call.provider
        self._attempt = call.attempt
        self._quirks = quirks
        self._sse = SseParser()
        self._blocks = Blocks(call.attempt)
        self._calls = ToolCalls()
        self._details: list[dict[str, Any]] = []
        """Reasoning details since the last signature."""
        self._usage: Usage | None = None
        self._finish_raw: str | None = None
        self._started = False
        """A chunk with a choice was read in full, so id and model are known."""
        self._clean_filters = b""
        """The last filter results that flagged nothing; Azure repeats them on every chunk."""
        self._asides = Asides(call.provider.name)

    def feed(self, data: bytes) -> list[AttemptEvent]:
        """Decode a piece of the response body."""
        out: list[AttemptEvent] = []
        if self.ending is not None:
            return out
        payload = self._sse.lone(data) if self._started else None
        if payload is not None and self._common(out, payload):
            return out
        try:
            messages = self._sse.feed(data)
        except TooLongError as error:
            self._malformed(out, str(error))
            return out
        for event, payload in messages:
            if self._started and self._common(out, payload):
                continue
            self._message(out, event, payload)
            if self.ending is not None:
                break
        return out

    def close(self) -> list[AttemptEvent]:
        """The bytes are over."""
        out: list[AttemptEvent] = []
        if self.ending is None:
            self._conclude(out)
        return out

    def _common(self, out: list[AttemptEvent], payload: bytes) -> bool:
        """Decode a chunk that holds nothing but text; False where it may hold more."""
        try:
            choice = _COMMON.decode(payload).choices[0]
        except _UNREADABLE:
            return False
        filters = choice.content_filter_results
        if filters is not _NO_FILTERS and not self._is_clean(bytes(filters)):
            return False
        if choice.index or self._details:
            return False
        delta = choice.delta
        reasoning = delta.reasoning_content or delta.reasoning
        if reasoning:
            self._blocks.run(out, _REASONING, reasoning, "raw")
        if delta.content:
            self._blocks.run(out, _TEXT, delta.content)
        return True

    def _is_clean(self, filters: bytes) -> bool:
        if filters == self._clean_filters:
            return True
        try:
            clean = not flagged(orjson.loads(filters))
        except orjson.JSONDecodeError:
            return False
        if clean:
            self._clean_filters = filters
        return clean

    # --- Any message ---

    def _message(self, out: list[AttemptEvent], event: str, payload: bytes) -> None:
        if payload.strip() == b"[DONE]":
            self._conclude(out)
            return
        chunk = _parsed(payload)
        if event == "error":
            self._fail(out, chunk)
        elif isinstance(chunk, dict):
            try:
                self._chunk(out, chunk)
            except TooManyCallsError as error:
                self._malformed(out, str(error))
        elif event == "message" and payload.strip():
            # Named events of other kinds (`ping`) may hold what they like.
            self._malformed(out, f"a chunk of {len(payload)} bytes is not a JSON object")

    def _chunk(self, out: list[AttemptEvent], chunk: dict[str, Any]) -> None:
        self._identity(out, chunk)
        choices = [choice for choice in objects(chunk.get("choices")) if not choice.get("index")]
        for choice in choices:
            self._started = True
            self._choice(out, choice)
        groq = _object(chunk.get("x_groq"))
        self._add_usage(groq.get("usage"))
        self._add_usage(chunk.get("usage"))
        self._asides.sources(out, chunk)
        for prompt in objects(chunk.get("prompt_filter_results")):
            self._asides.verdicts(out, "input", prompt.get("content_filter_results"))
        failed = next((part for part in (chunk, groq, *choices) if part.get("error")), None)
        if failed is not None or chunk.get("object") == "error":
            self._fail(out, failed or chunk)
        elif chunk.get("object") == "chat.completion.done":
            self._conclude(out)

    def _identity(self, out: list[AttemptEvent], chunk: dict[str, Any]) -> None:
        # Azure's first chunk has empty ones.
        self.upstream_id = self.upstream_id or text(chunk.get("id")) or None
        self.model = self.model or text(chunk.get("model")) or None
        self._asides.facts(out, chunk)

    def _choice(self, out: list[AttemptEvent], choice: dict[str, Any]) -> None:
        self._delta(out, _object(choice.get("delta")))
        self._asides.verdicts(out, "output", choice.get("content_filter_results"))
        self._add_usage(choice.get("usage"))
        reason = text(choice.get("finish_reason"))
        if reason:
            self._finish_raw = reason[:_MAX_RAW]
            self.finished = True

    def _add_usage(self, report: object) -> None:
        usage = openai_chat_usage.read(report, self._quirks) if isinstance(report, dict) else None
        if usage is not None:
            self._usage = tokens.merge(self._usage, usage)

    # --- Deltas ---

    def _delta(self, out: list[AttemptEvent], delta: dict[str, Any]) -> None:
        details = objects(delta.get("reasoning_details"))
        reasoning = text(delta.get("reasoning_content")) or text(delta.get("reasoning"))
        self._say(out, _REASONING, reasoning or _text_of_details(details))
        self._collect(details)
        self._content(out, delta.get("content"))
        self._say(out, BlockKind.REFUSAL, text(delta.get("refusal")))
        block = self._blocks.get(_TEXT)
        self._asides.annotations(out, delta.get("annotations"), block.id if block else None)
        self._tool_calls(out, objects(delta.get("tool_calls")))

    def _content(self, out: list[AttemptEvent], content: object) -> None:
        self._say(out, _TEXT, text(content))

    def _say(self, out: list[AttemptEvent], kind: BlockKind, said: str) -> None:
        if not said:
            return
        if kind is _REASONING:
            self._blocks.run(out, kind, said, "raw")
        else:
            self._sign(out)
            self._blocks.run(out, kind, said)

    def _collect(self, details: list[dict[str, Any]]) -> None:
        """Put the pieces of reasoning details together, as they must be sent back."""
        for detail in details:
            before = self._details[-1] if self._details else {}
            same = all(before.get(name) == detail.get(name) for name in ("type", "index"))
            growing = _GROWING.get(text(detail.get("type")))
            if growing is None or not same:
                self._details.append(detail)
                continue
            grown = text(before.get(growing)) + text(detail.get(growing))
            before.update({name: value for name, value in detail.items() if value is not None})
            before[growing] = grown

    def _sign(self, out: list[AttemptEvent]) -> None:
        """Reasoning is over for now: hand out what is signed or encrypted of it."""
        details, self._details = self._details, []
        if not any(detail.get("signature") or detail.get("data") for detail in details):
            return
        block = self._blocks.get(_REASONING)
        if block is None:
            self._blocks.end_runs(out)
            block = self._blocks.start(out, _REASONING, _REASONING, form="redacted")
        out.append(
            ReasoningSignature(
                block=block.id,
                provider=self._provider.name,
                format=openai_chat_messages.details_format(self._provider.name),
                value=orjson.dumps(details).decode(),
            )
        )

    def _tool_calls(self, out: list[AttemptEvent], deltas: list[dict[str, Any]]) -> None:
        for call, name, arguments in self._calls.place(deltas):
            if not call.open and name:
                call.open = True
                self._sign(out)
                self._blocks.end_runs(out)
                call_id = call.call_id or f"call_{self._attempt}_{call.number}"
                self._blocks.start(out, call, BlockKind.TOOL_CALL, call_id=call_id, name=name)
            block = self._blocks.get(call)
            if block is None:
                call.held += arguments
            else:
                self._blocks.delta(out, block, call.held + arguments)
                call.held = ""

    # --- The end ---

    def _conclude(self, out: list[AttemptEvent]) -> None:
        """The answer is over by `[DONE]` or by the end of the bytes."""
        reason = self._finish_raw
        if reason is None:
            message = "the answer stopped without a finish reason"
            self._end(out, Finish.INTERRUPTED, self._error(ErrorCode.STREAM_INTERRUPTED, message))
            return
        finish = FINISH.get(reason, Finish.OTHER)
        code = _CODE_OF_FINISH.get(reason)
        message = f"the provider stopped the answer: {reason}"
        self._end(out, finish, None if code is None else self._error(code, message))

    def _fail(self, out: list[AttemptEvent], body: object) -> None:
        """The provider said that it failed."""
        error = classify(Failure(status=None, body=body), self._provider)
        self._end(out, Finish.ERROR, error)

    def _malformed(self, out: list[AttemptEvent], message: str) -> None:
        self._end(out, Finish.ERROR, self._error(ErrorCode.UPSTREAM_MALFORMED, message))

    def _error(self, code: ErrorCode, message: str) -> Error:
        return errors.make(code, message, provider=self._provider.name)

    def _end(self, out: list[AttemptEvent], finish: Finish, error: Error | None) -> None:
        self._sign(out)
        # Without ends in the format, what was open when an answer was cut short was cut short.
        self._blocks.end_all(out, complete=STATUS_OF_FINISH[finish] is Status.COMPLETED)
        if self._calls.unnamed:
            message = f"{self._calls.unnamed} tool calls came without a name and were left out"
            out.append(WarningEvent(code="tool_call_without_name", message=message))
        self.finished = True
        self.ending = Ending(
            finish=finish, finish_raw=self._finish_raw, usage=self._usage, error=error
        )


def _parsed(payload: bytes) -> object:
    """The payload's JSON; its text where it has none."""
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        whole = surrogates.mended(payload)
        return payload.decode("utf-8", "replace") if whole is None else _parsed(whole)


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text_of_details(details: list[dict[str, Any]]) -> str:
    return "".join(
        text(detail.get(_GROWING.get(text(detail.get("type")), ""))) for detail in details
    )
