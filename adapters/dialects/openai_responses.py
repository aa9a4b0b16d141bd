"""The Responses API: an answer as a list of items, each announced, filled and closed by events.

OpenAI, Azure, xAI, DeepSeek and Perplexity (its Agent API) speak it, with little between them
(`ResponsesQuirks`). A stream is one typed JSON event per SSE message and no `[DONE]`; the answer is
over with `response.completed`, `.incomplete`, `.failed` or `.cancelled`, or with an `error` event,
whatever may follow it. A stream that stops before one of these was cut.

Nearly all events add to the answer's text: those are decoded strictly into a type of four fields.
Every other event is decoded into `wire.Event`, which knows the fields of all of them, and says by
its type what is done to which item (`openai_responses_items`). Events of other types are skipped.

Left out: log probabilities, images and audio as answers. Sources: openai 3.54.0, types/responses;
perplexityai/perplexity-py, types/response_stream_chunk.py; docs/providers.md.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Final

import msgspec

from adapters import errors, surrogates
from adapters.classify import classify
from adapters.contract import Call, Decoder, Encoded, Failure
from adapters.dialects import openai_responses_request, openai_responses_usage
from adapters.dialects import openai_responses_wire as wire
from adapters.dialects.openai_chat_asides import Asides
from adapters.dialects.openai_responses_items import Field, Items
from adapters.dialects.openai_responses_quirks import ResponsesQuirks
from adapters.events import AttemptEvent, BlockKind, Ending, Error, ErrorCode, Finish, Usage
from adapters.sse import Message, SseParser, TooLongError

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIResponses:
    """The dialect, with one provider's quirks."""

    name: ClassVar[str] = "openai_responses"
    quirks: ResponsesQuirks = field(default_factory=ResponsesQuirks)

    def encode(self, call: Call) -> Encoded:
        """Write the request; see `openai_responses_request.encode`."""
        return openai_responses_request.encode(call, self.quirks)

    def decoder(self, call: Call) -> Decoder:
        """A fresh decoder for one attempt."""
        return ResponsesDecoder(call, self.quirks)


_DELTAS: Final[dict[str, Field]] = {
    wire.TEXT_DELTA: "content",
    "response.refusal.delta": "refusal",
    "response.reasoning_summary_text.delta": "summary",
    "response.reasoning_text.delta": "reasoning",
    "response.reasoning.delta": "reasoning",  # its name in Open Responses
    "response.function_call_arguments.delta": "arguments",
}
_WHOLES: Final[dict[str, Field]] = {
    "response.output_text.done": "content",
    "response.refusal.done": "refusal",
    "response.reasoning_summary_text.done": "summary",
    "response.reasoning_text.done": "reasoning",
    "response.reasoning.done": "reasoning",
    "response.function_call_arguments.done": "arguments",
}
_ENDS: Final[dict[str, str]] = {
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
    "response.cancelled": "cancelled",
}
"""Last event -> status; the response's own `status` outranks it where it is one of these."""

_FINISH_OF_REASON: Final[dict[str, Finish]] = {
    "max_output_tokens": Finish.LENGTH,
    "content_filter": Finish.CONTENT_FILTER,
}
"""Why an answer is incomplete; any other reason (`steered`, `max_messages`) is `other`."""

_MAX_RAW = 100  # characters of a provider's finish reason

_Handler = Callable[[list[AttemptEvent], wire.Event], None]


class ResponsesDecoder:
    """One answer's bytes -> events; see `contract.Decoder`."""

    def __init__(self, call: Call, quirks: ResponsesQuirks) -> None:
        """A decoder at the start of a body."""
        self.ending: Ending | None = None
        self.finished = False
        self.upstream_id: str | None = None
        self.model: str | None = None
        self._provider = call.provider
        self._quirks = quirks
        self._sse = SseParser()
        self._items = Items(call, quirks)
        self._asides = Asides(call.provider.name)
        self._usage: Usage | None = None
        self._handlers: dict[str, _Handler] = {
            "response.created": self._identify,
            "response.in_progress": self._identify,
            "response.output_item.added": self._item_added,
            "response.output_item.done": self._item_done,
            "response.output_text.annotation.added": self._annotated,
            "response.reasoning.search_results": self._found,
        }

    def feed(self, data: bytes) -> list[AttemptEvent]:
        """Decode a piece of the response body."""
        out: list[AttemptEvent] = []
        if self.ending is not None:
            return out
        try:
            messages = self._sse.feed(data)
        except TooLongError as error:
            self._malformed(out, str(error))
            return out
        for message in messages:
            if message.event == wire.TEXT_DELTA and self._common(out, message.data):
                continue
            self._read(out, message)
            if self.ending is not None:
                break
        return out

    def close(self) -> list[AttemptEvent]:
        """The bytes are over."""
        out: list[AttemptEvent] = []
        if self.ending is None:
            message = "the answer stopped without a finish signal"
            self._fail(out, Finish.INTERRUPTED, self._error(ErrorCode.STREAM_INTERRUPTED, message))
        return out

    # --- One message ---

    def _common(self, out: list[AttemptEvent], data: bytes) -> bool:
        """Decode a text delta; False where it is another event or an odd one."""
        try:
            event = wire.TEXT.decode(data)
        except msgspec.DecodeError:
            return False
        self._items.grow(out, event.output_index, "content", event.content_index, event.delta)
        return True

    def _read(self, out: list[AttemptEvent], message: Message) -> None:
        """Decode any message."""
        try:
            self._decode(out, message)
        except _UNREADABLE:
            self._read_mended(out, message)

    def _decode(self, out: list[AttemptEvent], message: Message) -> None:
        head = wire.HEAD.decode(message.data)
        kind = message.event if head.type is None else head.type
        if kind == "error" or (head.type is None and head.error is not None):
            self._failed(out, msgspec.json.decode(message.data))
        elif self._knows(kind):
            self._on_event(out, kind, wire.EVENT.decode(message.data))

    def _read_mended(self, out: list[AttemptEvent], message: Message) -> None:
        """Decode what could not be, where half a character was all that was wrong."""
        whole = surrogates.mended(message.data)
        if whole is None:
            self._unreadable(out, message)
            return
        try:
            self._decode(out, message._replace(data=whole))
        except _UNREADABLE:
            self._unreadable(out, message)

    def _knows(self, kind: str) -> bool:
        return any(kind in table for table in (_DELTAS, _WHOLES, _ENDS, self._handlers))

    def _on_event(self, out: list[AttemptEvent], kind: str, event: wire.Event) -> None:
        if kind in _DELTAS:
            place = event.output_index, _DELTAS[kind], event.part_index
            self._items.grow(out, *place, event.delta)
        elif kind in _WHOLES:
            place = event.output_index, _WHOLES[kind], event.part_index
            self._items.complete(out, *place, event.whole)
        elif kind in _ENDS:
            self._over(out, event, _ENDS[kind])
        else:
            self._handlers[kind](out, event)

    def _unreadable(self, out: list[AttemptEvent], message: Message) -> None:
        text = message.data.decode("utf-8", "replace").strip()
        if message.event == "error":
            self._failed(out, text)
        elif text in ("", "[DONE]"):
            return
        elif message.event == "message" or self._knows(message.event):
            # Named events of other kinds may hold what they like.
            self._malformed(out, f"an event of {len(message.data)} bytes cannot be read")

    def _identify(self, _: list[AttemptEvent], event: wire.Event) -> None:
        # The last word counts: a preset's name becomes that of the model that answered
        # (agent-web-search.json).
        if event.response is not None:
            self.upstream_id = event.response.id or self.upstream_id
            self.model = event.response.model or self.model

    def _item_added(self, out: list[AttemptEvent], event: wire.Event) -> None:
        if event.item is not None:
            self._items.add(out, event.output_index, event.item)

    def _item_done(self, out: list[AttemptEvent], event: wire.Event) -> None:
        if event.item is not None:
            self._items.settle(out, event.output_index, event.item)

    def _annotated(self, out: list[AttemptEvent], event: wire.Event) -> None:
        if event.annotation is not None:
            self._items.annotate(out, event.output_index, event.part_index, event.annotation)

    def _found(self, out: list[AttemptEvent], event: wire.Event) -> None:
        self._items.cite(out, event.results)

    # --- The end ---

    def _over(self, out: list[AttemptEvent], event: wire.Event, status: str) -> None:
        self._identify(out, event)
        response = event.response or wire.Response()
        if response.usage is not None:
            self._usage = openai_responses_usage.read(response.usage, self._quirks)
        if response.status is not None and response.status in _ENDS.values():
            status = response.status
        if status == "failed":
            # Perplexity has the error beside the response, or instead of it.
            self._failed(out, {"error": response.error or event.error})
            return
        self._items.settle_rest(out, response.output or [], complete=status == "completed")
        self._tell(out, response)
        finish, raw = self._finish(status, response)
        self.finished = True
        self.ending = Ending(finish=finish, finish_raw=raw[:_MAX_RAW], usage=self._usage)

    def _tell(self, out: list[AttemptEvent], response: wire.Response) -> None:
        """The service tier that was given in the end, and Azure's verdicts."""
        self._asides.facts(out, {"service_tier": response.service_tier})
        for verdict in response.content_filters or ():
            prompt = verdict.get("source_type") == "prompt"
            results = verdict.get("content_filter_results")
            self._asides.verdicts(out, "input" if prompt else "output", results)

    def _finish(self, status: str, response: wire.Response) -> tuple[Finish, str]:
        """The finish reason, and the provider's word for it."""
        if status == "cancelled":
            return Finish.CANCELLED, status
        if status == "incomplete":
            reason = str((response.incomplete_details or {}).get("reason") or status)
            return _FINISH_OF_REASON.get(reason, Finish.OTHER), reason
        if BlockKind.TOOL_CALL in self._items.kinds:
            return Finish.TOOL_CALLS, status
        if BlockKind.REFUSAL in self._items.kinds:
            return Finish.REFUSAL, status
        return Finish.STOP, status

    def _failed(self, out: list[AttemptEvent], body: object) -> None:
        """The provider said that it failed."""
        self.finished = True
        error = classify(Failure(status=None, body=body), self._provider)
        self._fail(out, Finish.ERROR, error, "failed")

    def _malformed(self, out: list[AttemptEvent], message: str) -> None:
        self._fail(out, Finish.ERROR, self._error(ErrorCode.UPSTREAM_MALFORMED, message))

    def _error(self, code: ErrorCode, message: str) -> Error:
        return errors.make(code, message, provider=self._provider.name)

    def _fail(
        self, out: list[AttemptEvent], finish: Finish, error: Error, raw: str | None = None
    ) -> None:
        self._items.cut(out)
        self.ending = Ending(finish=finish, finish_raw=raw, usage=self._usage, error=error)
