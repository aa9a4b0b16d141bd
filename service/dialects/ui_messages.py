"""The AI SDK's UI message stream, version 1: what `useChat` reads.

An answer is one step of an assistant's message. `start` names the message, and names it the same on
every delivery, because the client replaces a message by its id: a replay with another one stands
beside the first. Where the request's last message is an assistant's (its tools have answered), the
answer goes on with that message.

This dialect can retract: a failover that restarts is a `reset-step`, which takes back what the step
has shown. A client older than `ai` 7 does not know it and fails; it asks with `after_commit: fail`.

A stream that breaks is told by `error`, whose text is all that the client's error has; the typed
error goes before it as a transient `data-tailrace-error`. Then nothing follows: no `finish`, no
`[DONE]`. A cancelled one ends with `abort`. The schema knows `finish: interrupted`, too, but a page
that looks at errors only would take half an answer for a whole one.

Lost: logprobs, the sequence numbers, what happened before an attempt won, and a refusal's being
one: it is text that finishes as `content-filter`.

Source: `ai` 7.0.173, ui-message-chunks.ts and process-ui-message-stream.ts.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from adapters.events import (
    BlockEnd,
    BlockKind,
    BlockStart,
    CitationAdd,
    Error,
    Event,
    Failover,
    FileDelta,
    Finish,
    ReasoningDelta,
    ReasoningSignature,
    RefusalDelta,
    SequencedEvent,
    ServerToolUpdate,
    Status,
    StreamEnd,
    StreamStart,
    TextDelta,
    ToolDelta,
    Usage,
)
from service.dialects import pages
from service.dialects.projection import Asked, Named
from service.dialects.seal import sealed
from service.dialects.ui_messages_request import NAMESPACE, chat_request

NAME: Final = "ui"

HEADERS: Final = {"x-vercel-ai-ui-message-stream": "v1"}

Chunk = dict[str, Any]

_encode = msgspec.json.Encoder().encode

_DONE = b"data: [DONE]\n\n"

_FINISH: Final[dict[Finish, str]] = {
    Finish.STOP: "stop",
    Finish.PAUSE: "stop",
    Finish.LENGTH: "length",
    Finish.CONTEXT_LENGTH: "length",
    Finish.TOOL_CALLS: "tool-calls",
    Finish.CONTENT_FILTER: "content-filter",
    Finish.REFUSAL: "content-filter",
    Finish.OTHER: "other",
}
"""Those of streams that have an answer."""

_PROSE = frozenset({BlockKind.TEXT, BlockKind.REFUSAL})


class UiMessages:
    """The dialect."""

    name = NAME

    def read(self, body: Mapping[str, Any], routing: Mapping[str, Any]) -> Asked:
        """Read the body of `DefaultChatTransport`; raises RequestError naming the field."""
        chat, message = chat_request(body, routing), _continued(body)
        kept = {"messages": [] if message is None else [message]}
        return Asked(chat=chat, streams=True, body=kept)

    def projection(self, asked: Asked, named: Named) -> "UiProjection":
        """What the request's own connection is told."""
        return UiProjection(message_id(asked.body, named.stream), named.stream)

    def replay(self, asked: Asked, named: Named) -> "UiProjection":
        """What a client is told that comes back: it rebuilds the message from nothing.

        So where the answer goes on with a message, what that held already is said first.
        """
        message = _continued(asked.body)
        earlier = () if message is None else tuple(message["parts"])
        return UiProjection(message_id(asked.body, named.stream), named.stream, earlier=earlier)


def message_id(body: Mapping[str, Any], stream: str) -> str:
    """The message that a stream's answer is, or goes on with."""
    message = _continued(body)
    own = f"msg_{stream.removeprefix('st_')}"
    return own if message is None else message.get("id") or own


def _continued(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The assistant's message that an answer belongs to; None where it begins one."""
    messages = body["messages"]
    if body.get("trigger") == "regenerate-message":
        return None
    name = body.get("messageId")
    named = [message for message in messages if name and message.get("id") == name]
    for message in (*named, *messages[-1:]):
        if message["role"] == "assistant":
            found: Mapping[str, Any] = message
            return found
    return None


@dataclass(slots=True)
class _Block:
    """A block that is open."""

    start: BlockStart
    file: list[FileDelta] = field(default_factory=list)
    signature: ReasoningSignature | None = None

    @property
    def call(self) -> Chunk:
        """How a tool call is named in its chunks."""
        name = self.start.block
        return {"toolCallId": self.start.call_id or name, "toolName": self.start.name or ""}

    @property
    def signed(self) -> Chunk:
        """The signature, as the client keeps it and sends it back."""
        if self.signature is None:
            return {}
        return {"providerMetadata": {NAMESPACE: {"signature": sealed(self.signature)}}}


class UiProjection:
    """One reader's view of one stream."""

    def __init__(
        self, message: str, stream: str, *, earlier: tuple[Mapping[str, Any], ...] = ()
    ) -> None:
        """`message`: its id; `earlier`: the parts to be said before what is new."""
        self._message = message
        self._stream = stream
        self._earlier = earlier
        self._blocks: dict[str, _Block] = {}
        self._running: set[str] = set()
        """Blocks of the provider's own tools that were announced."""

    def feed(self, event: SequencedEvent) -> bytes:
        """See `Projection`."""
        told = b"".join(b"data: %b\n\n" % chunk for chunk in self.chunks(event))
        if type(event) is StreamEnd and event.status is not Status.FAILED:
            return told + _DONE
        return told

    def chunks(self, event: SequencedEvent) -> list[bytes]:
        """What an event is in this dialect: any number of chunks, as JSON in one line each."""
        handler = _HANDLERS.get(type(event))
        return [] if handler is None else [_encode(chunk) for chunk in handler(self, event)]

    def keepalive(self) -> bytes:
        """A comment."""
        return b":\n"

    # --- The message ---

    def on_start(self, _: StreamStart) -> Iterator[Chunk]:
        """The message begins, or goes on with another step."""
        metadata = {"stream": self._stream}
        yield {"type": "start", "messageId": self._message, "messageMetadata": metadata}
        for part in self._earlier:
            yield from _retold(part)
        yield {"type": "start-step"}

    def on_failover(self, event: Failover) -> Iterator[Chunk]:
        """A restart takes back what the step has shown; whoever goes on needs no word."""
        if event.mode == "restart":
            self._blocks.clear()
            self._running.clear()
            yield {"type": "reset-step"}

    def on_end(self, event: StreamEnd) -> Iterator[Chunk]:
        """The end: one that is clean, the user's own, or an error."""
        metadata = _metadata(event)
        if event.status is Status.FAILED:
            yield {"type": "message-metadata", "messageMetadata": metadata}
            yield from _failure(event.error)
        elif event.status is Status.CANCELLED:
            yield {"type": "message-metadata", "messageMetadata": metadata}
            yield {
                "type": "abort",
                "reason": "cancelled" if event.error is None else event.error.message,
            }
        else:
            yield {"type": "finish-step"}
            finish = _FINISH[event.finish]
            yield {"type": "finish", "finishReason": finish, "messageMetadata": metadata}

    # --- Blocks ---

    def on_block_start(self, event: BlockStart) -> Iterator[Chunk]:
        """A part begins; a file is told when it is whole."""
        block = self._blocks[event.block] = _Block(event)
        if event.kind in _PROSE:
            yield {"type": "text-start", "id": event.block}
        elif event.kind is BlockKind.REASONING:
            yield {"type": "reasoning-start", "id": event.block}
        elif event.kind is BlockKind.TOOL_CALL:
            encoding = {"inputEncoding": "text"} if event.args_format == "text" else {}
            yield {"type": "tool-input-start", **block.call, **encoding}

    def on_text(self, event: TextDelta | RefusalDelta) -> Iterator[Chunk]:
        """Words."""
        yield {"type": "text-delta", "id": event.block, "delta": event.delta}

    def on_reasoning(self, event: ReasoningDelta) -> Iterator[Chunk]:
        """Thoughts."""
        yield {"type": "reasoning-delta", "id": event.block, "delta": event.delta}

    def on_tool(self, event: ToolDelta) -> Iterator[Chunk]:
        """Arguments."""
        call = self._blocks[event.block].call["toolCallId"]
        yield {"type": "tool-input-delta", "toolCallId": call, "inputTextDelta": event.delta}

    def on_file(self, event: FileDelta) -> Iterator[Chunk]:
        """Kept until the file is whole."""
        self._blocks[event.block].file.append(event)
        yield from ()

    def on_signature(self, event: ReasoningSignature) -> Iterator[Chunk]:
        """Kept until the part ends: the last one counts."""
        self._blocks[event.block].signature = event
        yield from ()

    def on_citation(self, event: CitationAdd) -> Iterator[Chunk]:
        """A source."""
        cited = event.citation
        title = {} if cited.title is None else {"title": cited.title}
        url = pages.address(cited)
        if url is not None:
            yield {"type": "source-url", "sourceId": cited.id, "url": url, **title}
        else:
            named = {"title": cited.title or cited.quote or cited.id, "mediaType": "text/plain"}
            yield {"type": "source-document", "sourceId": cited.id, **named}

    def on_server_tool(self, event: ServerToolUpdate) -> Iterator[Chunk]:
        """A tool that the provider runs: no tool of the request's, so a dynamic one."""
        call = {"toolCallId": event.block, "providerExecuted": True, "dynamic": True}
        if event.block not in self._running:
            self._running.add(event.block)
            given = {"toolName": event.name, "input": event.input}
            yield {"type": "tool-input-available", **call, **given}
        if event.status == "done":
            yield {"type": "tool-output-available", **call, "output": event.result}
        elif event.status == "failed":
            yield {"type": "tool-output-error", **call, "errorText": f"{event.name} failed"}

    def on_block_end(self, event: BlockEnd) -> Iterator[Chunk]:
        """A part is over; what is left of a call that was cut stays unfinished at the client."""
        block = self._blocks.pop(event.block)
        kind = block.start.kind
        if kind in _PROSE:
            yield {"type": "text-end", "id": event.block, **block.signed}
        elif kind is BlockKind.REASONING:
            yield {"type": "reasoning-end", "id": event.block, **block.signed}
        elif kind is BlockKind.TOOL_CALL and event.status == "complete":
            yield _called(block, event.args or "")
        elif kind is BlockKind.FILE and event.status == "complete":
            media_type = block.start.media_type or "application/octet-stream"
            yield {"type": "file", "mediaType": media_type, "url": _address(block, media_type)}


_HANDLERS: dict[type[Event], Callable[[UiProjection, Any], Iterator[Chunk]]] = {
    StreamStart: UiProjection.on_start,
    BlockStart: UiProjection.on_block_start,
    TextDelta: UiProjection.on_text,
    RefusalDelta: UiProjection.on_text,
    ReasoningDelta: UiProjection.on_reasoning,
    ToolDelta: UiProjection.on_tool,
    FileDelta: UiProjection.on_file,
    ReasoningSignature: UiProjection.on_signature,
    CitationAdd: UiProjection.on_citation,
    ServerToolUpdate: UiProjection.on_server_tool,
    BlockEnd: UiProjection.on_block_end,
    Failover: UiProjection.on_failover,
    StreamEnd: UiProjection.on_end,
}


def _called(block: _Block, args: str) -> Chunk:
    """A call that is whole; what is not JSON is the call's error, which the model is told of."""
    chunk = {**block.call, **block.signed}
    if block.start.args_format == "text":
        return {"type": "tool-input-available", **chunk, "input": args}
    try:
        # As the model wrote it, but in one line: a number keeps its digits.
        written = msgspec.Raw(msgspec.json.format(args.strip() or "{}", indent=-1).encode())
    except msgspec.DecodeError:
        wrong = {"input": args, "errorText": "The arguments are not valid JSON."}
        return {"type": "tool-input-error", **chunk, **wrong}
    return {"type": "tool-input-available", **chunk, "input": written}


def _address(block: _Block, media_type: str) -> str:
    """Where a file is, or the file itself."""
    urls = [delta.url for delta in block.file if delta.url is not None]
    if urls:
        return urls[-1]
    return f"data:{media_type};base64,{''.join(delta.data or '' for delta in block.file)}"


# --- Ends -----------------------------------------------------------------------------------


def _metadata(end: StreamEnd) -> Chunk:
    """What a page may want to show beside the answer; what is not known is left out."""
    told = {
        "provider": end.provider,
        "model": end.model,
        "usage": _usage(end.usage),
        "cost_usd": end.usage.cost_usd,
    }
    return {name: value for name, value in told.items() if value is not None}


def _usage(usage: Usage) -> Chunk:
    """In the AI SDK's words: `LanguageModelUsage`."""
    details = {
        "noCacheTokens": _less(usage.input, usage.input_cached, usage.input_cache_write),
        "cacheReadTokens": usage.input_cached,
        "cacheWriteTokens": usage.input_cache_write,
    }
    told = {
        "inputTokens": usage.input,
        "inputTokenDetails": _known(details),
        "outputTokens": usage.output,
        "outputTokenDetails": _known(
            {
                "textTokens": _less(usage.output, usage.output_reasoning),
                "reasoningTokens": usage.output_reasoning,
            }
        ),
        "totalTokens": usage.total,
    }
    return _known(told)


def _less(whole: int | None, *parts: int | None) -> int | None:
    """A count without some of it; None where it, or all of what is taken away, is unknown."""
    known = [part for part in parts if part is not None]
    return None if whole is None or not known else max(0, whole - sum(known))


def _known(counts: Mapping[str, Any]) -> Chunk:
    return {name: count for name, count in counts.items() if count is not None}


def _failure(error: Error | None) -> Iterator[Chunk]:
    """The typed error for those who listen, then the text."""
    if error is None:
        yield {"type": "error", "errorText": "The answer broke off."}
        return
    told = {"code": error.code, "message": error.message, "retryable": error.retryable}
    if error.retry_after_ms is not None and error.retryable:
        told["retry_after_ms"] = error.retry_after_ms
    yield {"type": f"data-{NAMESPACE}-error", "data": told, "transient": True}
    yield {"type": "error", "errorText": error.message}


# --- What a message held before -------------------------------------------------------------


def _retold(part: Mapping[str, Any]) -> Iterator[Chunk]:
    """A part of the client's own message in the chunks that make it."""
    kind = part["type"]
    if kind == "step-start":
        yield {"type": "start-step"}
    elif kind in {"text", "reasoning"}:
        yield from _retold_words(kind, part)
    elif kind == "dynamic-tool" or kind.startswith("tool-"):
        yield from _retold_call(part)
    else:
        yield dict(part)  # sources, files and data are the chunks that they came as


def _retold_words(kind: str, part: Mapping[str, Any]) -> Iterator[Chunk]:
    name = f"earlier-{kind}"  # only an open part's id must be its own
    yield {"type": f"{kind}-start", "id": name}
    yield {"type": f"{kind}-delta", "id": name, "delta": part["text"]}
    yield {"type": f"{kind}-end", "id": name, **_kept(part, "providerMetadata")}


def _retold_call(part: Mapping[str, Any]) -> Iterator[Chunk]:
    """Without `tool-input-available`, at which a client would run the tool once more."""
    call = {"toolCallId": part["toolCallId"], **_kept(part, "providerExecuted")}
    dynamic = {"dynamic": True} if part["type"] == "dynamic-tool" else {}
    name = part.get("toolName") or part["type"].removeprefix("tool-")
    signed = part.get("callProviderMetadata")
    metadata = {} if signed is None else {"providerMetadata": signed}
    yield {"type": "tool-input-start", **call, "toolName": name, **dynamic, **metadata}
    if part.get("input") is not None:
        text = _encode(part["input"]).decode()
        yield {
            "type": "tool-input-delta",
            "toolCallId": part["toolCallId"],
            "inputTextDelta": text,
        }
    if part["state"] == "output-available":
        yield {"type": "tool-output-available", **call, "output": part.get("output")}
    elif part["state"] == "output-error":
        yield {"type": "tool-output-error", **call, "errorText": part.get("errorText") or ""}


def _kept(part: Mapping[str, Any], name: str) -> Chunk:
    return {name: part[name]} if part.get(name) is not None else {}
