"""OpenAI's chat completions: the request read, the answer as chunks or as one completion.

The request is nearly the native one, so its fields go over as they are; what is translated are the
newer names (`max_completion_tokens`, `reasoning_effort`), refusals among an answer's parts, and
what an earlier answer of ours carried. `n` is 1. The functions that tools replaced are refused.

An answer's words are what SDKs know, with three fields beside them that others made common:

* `reasoning_content` is the reasoning, on deltas and on the message;
* `reasoning_details` holds its signed pieces with their signatures, told with the finish reason;
* a tool call's `extra_content.google.thought_signature` holds a call's signature.

SDKs keep fields they do not know, so a message that is given back brings its signatures along, each
sealed with whose it is (`service.dialects.seal`). Streamed, openai-python's helper joins the pieces
of such a field and openai-node's keeps the last one, so all signatures come in one.

A stream is one `data:` line for each chunk and `[DONE]` after a whole answer. Its calls are told
one after the other, though a provider may interleave them: the SDK's helper takes a call for
finished when the next one speaks. Usage comes in a chunk of its own where it is asked for, with the
choices left empty. One that breaks ends with `{"error": ...}`, at which SDKs raise; a clean end
without it they would take for a whole answer.

Left out: log probabilities, audio, files and what providers' own tools did. Counts that are
unknown are no usage, because the format has no word for them.
Source: openai 3.54.0, types/chat and lib/streaming/chat; docs/streams.md.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import orjson

from adapters.errors import make
from adapters.events import (
    BlockEnd,
    BlockKind,
    BlockStart,
    Citation,
    CitationAdd,
    Error,
    ErrorCode,
    Event,
    Failover,
    Finish,
    Phase,
    ReasoningDelta,
    ReasoningSignature,
    RefusalDelta,
    SequencedEvent,
    StreamEnd,
    TextDelta,
    ToolDelta,
    Usage,
)
from service import complaints
from service.dialects import pages
from service.dialects.projection import Asked, Named
from service.dialects.reading import chat_request, flag, refused
from service.dialects.seal import sealed, unsealed
from service.streams.fold import Fold, FoldedBlock


class ChatCompletions:
    """The dialect."""

    name: ClassVar[str] = "openai-chat"

    def read(self, body: Mapping[str, Any], routing: Mapping[str, Any]) -> Asked:
        """See `projection.Dialect.read`."""
        for gone, instead in _REPLACED.items():
            if body.get(gone) is not None:
                raise refused(gone, f"no longer taken: send {instead}")
        _refuse_unserved(body)
        fields = {name: body[name] for name in TAKEN if name in body}
        fields["messages"] = _messages(body.get("messages"))
        names = {}
        if body.get("max_completion_tokens") is not None:
            fields["max_tokens"] = body["max_completion_tokens"]
            names["max_tokens"] = "max_completion_tokens"
        if body.get("reasoning_effort") is not None:
            fields["reasoning"] = {"effort": body["reasoning_effort"]}
            names["reasoning.effort"] = "reasoning_effort"
        return Asked(
            chat=chat_request(fields, routing, names),
            streams=flag(body, "stream"),
            body={"stream_options": body.get("stream_options")},
        )

    def projection(self, asked: Asked, named: Named) -> "ChatProjection":
        """See `projection.Dialect.projection`."""
        options = asked.body.get("stream_options")
        counted = isinstance(options, dict) and options.get("include_usage") is True
        return ChatProjection(named, counted=counted, forced=_forced(asked))

    def document(self, asked: Asked, named: Named, fold: Fold, end: StreamEnd) -> dict[str, Any]:
        """See `projection.Dialect.document`."""
        message = _message(fold)
        finish = finish_reason(end.finish, called="tool_calls" in message, forced=_forced(asked))
        return {
            **_head(named, "chat.completion"),
            "choices": [
                {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
            ],
            "usage": _usage(end.usage),
        }

    def failure(self, error: Error) -> dict[str, Any]:
        """See `projection.Dialect.failure`."""
        return failure(error)


FINISH: Final[Mapping[Finish, str]] = {
    Finish.STOP: "stop",
    Finish.LENGTH: "length",
    Finish.TOOL_CALLS: "tool_calls",
    Finish.CONTENT_FILTER: "content_filter",
    Finish.REFUSAL: "content_filter",
    Finish.PAUSE: "stop",
    Finish.CONTEXT_LENGTH: "length",
    Finish.OTHER: "stop",
}
"""Of answers that came to an end; the others end as an error."""


def _forced(asked: Asked) -> bool:
    """Whether the model had no choice but to call a tool."""
    return asked.chat.tool_choice not in (None, "none", "auto")


def finish_reason(finish: Finish, *, called: bool, forced: bool) -> str:
    """The word for a finish; `called`: whether the answer holds a whole call.

    Loops that people write by hand run the calls of an answer that says `tool_calls`, but some
    providers end those with `stop`. Where a tool was forced that stays: it is OpenAI's own word
    then, and a loop that forces a tool each time ends by it. The SDKs' own loops look at the calls.
    """
    told = FINISH[finish]
    if told == "tool_calls" and not called:
        return "stop"
    return "tool_calls" if told == "stop" and called and not forced else told


_TYPES: Final[Mapping[int, str]] = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}
"""An error's type by its status; below 500 any other is the request's fault."""

_CODES: Final[Mapping[ErrorCode, str]] = {ErrorCode.CONTEXT_LENGTH: "context_length_exceeded"}
"""OpenAI's own code where clients act on it (they shorten the conversation); else ours.

It is in the message, too: clients look for it in the words of the SDK's exception, which are the
message and no longer the code.
"""


def failure(error: Error) -> dict[str, Any]:
    """An error as OpenAI's APIs have it."""
    broken = "invalid_request_error" if error.http < 500 else "server_error"  # noqa: PLR2004
    code = _CODES.get(error.code)
    return {
        "error": {
            "message": worded(error),
            "type": _TYPES.get(error.http, broken),
            "param": error.param,
            "code": code or str(error.code),
        }
    }


def worded(error: Error) -> str:
    """An error's message, with the code that clients look for in it."""
    code = _CODES.get(error.code)
    return error.message if code is None else f"{error.message} ({code})"


# --- The request ----------------------------------------------------------------------------


def _refuse_unserved(body: Mapping[str, Any]) -> None:
    """Raise RequestError for what would be missing from the answer without a word."""
    wanted = body.get("n", 1)
    if wanted is not None and (type(wanted) is not int or wanted != 1):  # nor true, which equals 1
        shown = complaints.shown(wanted)
        raise refused("n", f"{shown} is not allowed; must be 1: an answer has one choice here")
    if flag(body, "logprobs"):
        raise refused("logprobs", _UNTOLD)
    if body.get("top_logprobs"):
        raise refused("top_logprobs", _UNTOLD)


_UNTOLD: Final = "is not served here: no answer tells log probabilities"

TAKEN: Final = (
    "model",
    "max_tokens",
    "temperature",
    "top_p",
    "stop",
    "seed",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "user",
    "metadata",
)

_REPLACED: Final = {"functions": "tools", "function_call": "tool_choice"}


def _messages(sent: object) -> object:
    """The conversation in native messages; what is none is left for the validation to name."""
    return [_told(message) for message in sent] if isinstance(sent, list) else sent


def _told(message: object) -> object:
    if not isinstance(message, dict) or message.get("role") != "assistant":
        return message
    told: dict[str, Any] = {**message, "reasoning": _thoughts(message)}
    calls, content = message.get("tool_calls"), message.get("content")
    if isinstance(calls, list):
        told["tool_calls"] = [_signed(call) for call in calls] or None
    if isinstance(content, list):
        told["content"] = [part for part in content if not _is_refusal(part)] or None
        refusals = [str(part.get("refusal", "")) for part in content if _is_refusal(part)]
        told["refusal"] = "".join(refusals) or message.get("refusal")
    if not told.get("tool_calls") and told.get("content") is None and told.get("refusal") is None:
        told["content"] = ""  # an answer without words was a turn all the same
    return told


def _is_refusal(part: object) -> bool:
    return isinstance(part, dict) and part.get("type") == "refusal"


def _thoughts(message: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The reasoning that an earlier answer of ours gave: its signed pieces, or all of its text."""
    details = message.get("reasoning_details")
    known = details if isinstance(details, list) else []
    pieces = [piece for detail in known if (piece := _piece(detail)) is not None]
    words = message.get("reasoning_content")
    if not pieces and isinstance(words, str) and words:
        pieces = [{"text": words}]
    return pieces or None


def _piece(detail: object) -> dict[str, Any] | None:
    if not isinstance(detail, dict):
        return None
    signature, words = unsealed(detail.get("signature")), detail.get("text")
    if signature is None:
        return None
    return {"text": words if isinstance(words, str) else "", "signature": signature}


def _signed(call: object) -> object:
    """A tool call with the signature that its `extra_content` brings back."""
    if not isinstance(call, dict):
        return call
    extra = call.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return {**call, "signature": unsealed(signature)}


# --- The whole answer -----------------------------------------------------------------------


def _head(named: Named, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{named.stream.rpartition('_')[2]}",
        "object": kind,
        "created": named.created,
        "model": named.model,
        "system_fingerprint": None,
    }


def _message(fold: Fold) -> dict[str, Any]:
    text, refusal = fold.text(BlockKind.TEXT), fold.text(BlockKind.REFUSAL)
    calls = [
        _call(block)
        for block in fold.blocks.values()
        if block.start.kind is BlockKind.TOOL_CALL and block.complete
    ]
    message: dict[str, Any] = {
        "role": "assistant",
        "content": text or (None if calls or refusal else ""),
        "refusal": refusal or None,
        "annotations": _annotations(fold.citations, _places(fold)),
    }
    reasoning = fold.text(BlockKind.REASONING)
    if reasoning:
        message["reasoning_content"] = reasoning
    details = [
        (block.text if block.start.kind is BlockKind.REASONING else "", block.signature)
        for block in fold.blocks.values()
        if block.signature is not None and block.start.kind is not BlockKind.TOOL_CALL
    ]
    if details:
        message["reasoning_details"] = [
            _detail(position, *signed) for position, signed in enumerate(details)
        ]
    if calls:
        message["tool_calls"] = calls
    return message


def _call(block: FoldedBlock) -> dict[str, Any]:
    call: dict[str, Any] = {
        "id": block.start.call_id,
        "type": "function",
        "function": {"name": block.start.name, "arguments": block.args},
    }
    return call if block.signature is None else call | _extra(block.signature)


def _extra(signature: ReasoningSignature) -> dict[str, Any]:
    return {"extra_content": {"google": {"thought_signature": sealed(signature)}}}


def _detail(position: int, text: str, signature: ReasoningSignature) -> dict[str, Any]:
    return {
        "index": position,
        "type": "reasoning.text",
        "text": text,
        "signature": sealed(signature),
    }


def _places(fold: Fold) -> dict[str, int]:
    """Where each text block begins in the content."""
    places, at = {}, 0
    for name, block in fold.blocks.items():
        if block.start.kind is BlockKind.TEXT:
            places[name] = at
            at += len(block.text)
    return places


def _annotations(
    citations: Iterable[tuple[str | None, Citation]], places: Mapping[str, int]
) -> list[dict[str, Any]]:
    """The sources that have an address; one whose place is unknown is at the very beginning."""
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "url": url,
                "title": cited.title or url,
                "start_index": places.get(block or "", 0) + (cited.start or 0),
                "end_index": places.get(block or "", 0) + (cited.end or 0),
            },
        }
        for block, cited in citations
        if (url := pages.address(cited)) is not None
    ]


def _usage(usage: Usage) -> dict[str, Any] | None:
    if usage.input is None or usage.output is None:
        return None
    counted: dict[str, Any] = {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.total if usage.total is not None else usage.input + usage.output,
    }
    for name, counts in _DETAILS.items():
        known = {detail: getattr(usage, ours) for detail, ours in counts.items()}
        counted[name] = {detail: count for detail, count in known.items() if count is not None}
    return counted


_DETAILS: Final[Mapping[str, Mapping[str, str]]] = {
    "prompt_tokens_details": {
        "cached_tokens": "input_cached",
        "cache_write_tokens": "input_cache_write",
        "audio_tokens": "input_audio",
    },
    "completion_tokens_details": {
        "reasoning_tokens": "output_reasoning",
        "audio_tokens": "output_audio",
    },
}
"""The parts of the counts, and what we call them."""


# --- The answer in chunks -------------------------------------------------------------------


@dataclass(slots=True)
class _Call:
    """A tool call whose turn has not come, or that is being told."""

    index: int
    head: dict[str, Any] | None
    """Its first piece, until it is told."""
    waiting: list[dict[str, Any]] = field(default_factory=list)
    """Deltas that were not told, because another call was."""
    said: bool = False
    """Whether any of its arguments came."""
    over: bool = False


class ChatProjection:
    """One reader's view; see `projection.Projection`."""

    __slots__ = (
        "_begun",
        "_broken",
        "_called",
        "_calls",
        "_cited",
        "_counted",
        "_details",
        "_forced",
        "_length",
        "_opening",
        "_places",
        "_signatures",
        "_tail",
        "_thoughts",
    )

    def __init__(self, named: Named, *, counted: bool, forced: bool = False) -> None:
        """`counted`: whether a chunk with the usage is wanted; `forced`: whether a tool was."""
        self._counted = counted
        self._forced = forced
        head = orjson.dumps(_head(named, "chat.completion.chunk"))[:-1]
        self._opening = b"data: " + head + b',"choices":['
        self._tail = b'],"usage":null}\n\n' if counted else b"]}\n\n"
        self._begun = False
        """Whether anything was said: the first delta names the role."""
        self._broken = False
        self._called = False
        """Whether a call came to its end."""
        self._calls: dict[str, _Call] = {}
        self._places: dict[str, int] = {}
        self._length = 0
        self._cited: list[tuple[str | None, Citation]] = []
        self._thoughts: dict[str, list[str]] = {}
        """Reasoning by block, for the signature that may come."""
        self._signatures: dict[str, ReasoningSignature] = {}
        self._details: list[dict[str, Any]] = []

    def feed(self, event: SequencedEvent) -> bytes:
        """See `projection.Projection.feed`."""
        handler = self._HANDLERS.get(type(event))
        return b"" if handler is None or self._broken else handler(self, event)

    def keepalive(self) -> bytes:
        """A comment of one newline: with two, openai-python reads an event without data."""
        return b":\n"

    # --- What is said ---

    def _say(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        if not self._begun:
            self._begun = True
            delta = {"role": "assistant", "content": None} | delta
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return b"%b%b%b" % (self._opening, orjson.dumps(choice), self._tail)

    def _start(self, event: BlockStart) -> bytes:
        if event.kind is BlockKind.TEXT:
            self._places[event.block] = self._length
        if event.kind is not BlockKind.TOOL_CALL:
            return b""
        named = {"name": event.name, "arguments": ""}
        head = {"id": event.call_id, "type": "function", "function": named}
        self._calls[event.block] = _Call(len(self._calls), head)
        return b""

    def _text(self, event: TextDelta) -> bytes:
        self._length += len(event.delta)
        return self._say({"content": event.delta})

    def _reasoning(self, event: ReasoningDelta) -> bytes:
        self._thoughts.setdefault(event.block, []).append(event.delta)
        return self._say({"reasoning_content": event.delta})

    def _refusal(self, event: RefusalDelta) -> bytes:
        return self._say({"refusal": event.delta})

    def _arguments(self, event: ToolDelta) -> bytes:
        call = self._calls[event.block]
        call.said = True
        begun = self._begin(event.block, call)
        return begun + self._call(call, {"function": {"arguments": event.delta}})

    def _signature(self, event: ReasoningSignature) -> bytes:
        """Kept until its block is over: the last one replaces others, and SDKs would join them."""
        self._signatures[event.block] = event
        return b""

    def _cite(self, event: CitationAdd) -> bytes:
        self._cited.append((event.block, event.citation))
        return b""

    # --- Calls, one after the other ---

    def _call(self, call: _Call, delta: dict[str, Any]) -> bytes:
        """A piece of a call, now or when its turn has come."""
        if call is not self._speaking():
            call.waiting.append(delta)
            return b""
        return self._say({"tool_calls": [{"index": call.index} | delta]})

    def _begin(self, block: str, call: _Call) -> bytes:
        """A call's first piece, held until another follows.

        A signature that came by then is in it: the AI SDK looks for one there and nowhere else.
        """
        head, call.head = call.head, None
        if head is None:
            return b""
        signature = self._signatures.pop(block, None)
        return self._call(call, head if signature is None else head | _extra(signature))

    def _speaking(self) -> _Call | None:
        return next((call for call in self._calls.values() if not call.over), None)

    def _end(self, event: BlockEnd) -> bytes:
        call = self._calls.get(event.block)
        if call is None:
            self._sign(event.block)
            return b""
        told = self._begin(event.block, call)
        if event.args and not call.said:
            told += self._call(call, {"function": {"arguments": event.args}})
        signature = self._signatures.pop(event.block, None)
        if signature is not None:
            # The SDK's helper wants a function in every delta of a call.
            told += self._call(call, {"function": {"arguments": ""}} | _extra(signature))
        turn = call is self._speaking()
        call.over = True
        self._called |= event.status == "complete"
        return told + b"".join(self._next()) if turn else told

    def _next(self) -> Iterator[bytes]:
        """Whoever waited: all of the calls that are over, and the beginning of one that is not."""
        for call in self._calls.values():
            waiting, call.waiting = call.waiting, []
            for delta in waiting:
                yield self._say({"tool_calls": [{"index": call.index} | delta]})
            if not call.over:
                return

    def _sign(self, block: str) -> None:
        """Keep what a block that is no call was signed with, if it was, for the end."""
        thought, signature = self._thoughts.pop(block, ()), self._signatures.pop(block, None)
        if signature is not None:
            self._details.append(_detail(len(self._details), "".join(thought), signature))

    # --- How it ends ---

    def _restart(self, event: Failover) -> bytes:
        """What was said cannot be taken back here."""
        if not event.drop:
            return b""
        if not self._begun:
            for held in (self._cited, self._calls, self._signatures, self._details):
                held.clear()
            self._called = False
            return b""
        message = "the answer was started again, which this reader cannot be told"
        return self._break(
            make(ErrorCode.FAILOVER_IMPOSSIBLE, message, phase=Phase.MID_STREAM, bytes_out=True)
        )

    def _break(self, error: Error) -> bytes:
        self._broken = True
        return b"data: %b\n\n" % orjson.dumps(failure(error))

    def _stop(self, event: StreamEnd) -> bytes:
        if event.error is not None:
            return self._break(event.error)
        last = {
            "reasoning_details": self._details,
            "annotations": _annotations(self._cited, self._places),
        }
        told = {name: value for name, value in last.items() if value}
        finish = finish_reason(event.finish, called=self._called, forced=self._forced)
        ended = self._say(told, finish)
        usage = _usage(event.usage) if self._counted else None
        if usage is not None:
            ended += b'%b],"usage":%b}\n\n' % (self._opening, orjson.dumps(usage))
        return ended + b"data: [DONE]\n\n"

    _HANDLERS: ClassVar[Mapping[type[Event], Callable[["ChatProjection", Any], bytes]]] = {
        BlockStart: _start,
        TextDelta: _text,
        ReasoningDelta: _reasoning,
        RefusalDelta: _refusal,
        ToolDelta: _arguments,
        ReasoningSignature: _signature,
        CitationAdd: _cite,
        BlockEnd: _end,
        Failover: _restart,
        StreamEnd: _stop,
    }
