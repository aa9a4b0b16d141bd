"""The Responses API (OpenAI's, and Open Responses): a stream as items that grow by events.

Each block of text or refusal is a message of one part, reasoning an item with a summary or with
text, a tool call a `function_call`; blocks that interleave do so here, told apart by their
`output_index`. Every event is numbered from 0, and nothing but the log decides the numbers: whoever
reads a log again, from the start, gets the same events under the same numbers, so a reader can be
resumed after any of them. A whole answer is the same projection fed with the fold, and its last
snapshot.

Where OpenAI and Open Responses name an event differently, OpenAI's name is used
(`response.reasoning_text.delta`): its SDKs and the AI SDK know that one alone. A part of a
reasoning item is announced before its first delta, which the SDK for JavaScript requires.

A broken answer ends with `response.failed` and without `[DONE]`; an `error` event beside it makes
clients raise before they see it. A call that was cut is never `done`, and not in the last snapshot:
clients run what is done, whatever its status says.

Left out: files, tools that a provider runs, citations that have no address, who answered, and all
that happened on the way; none of these has a form that every client takes.
Source: openai 3.54.0, lib/streaming/responses and types/responses; docs/streams.md.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import msgspec

from adapters.events import (
    BlockEnd,
    BlockKind,
    BlockStart,
    Caps,
    Citation,
    CitationAdd,
    Error,
    Event,
    Failover,
    Finish,
    ReasoningDelta,
    ReasoningSignature,
    RefusalDelta,
    SequencedEvent,
    Status,
    StreamEnd,
    StreamStart,
    TextDelta,
    ToolDelta,
)
from service.dialects import pages, responses_request, responses_resource
from service.dialects.projection import Asked, Named
from service.dialects.responses_request import OF_CALL, Earlier
from service.dialects.responses_resource import IN_PROGRESS, resource
from service.dialects.seal import sealed
from service.streams import ending
from service.streams.fold import Fold

DONE: Final = b"data: [DONE]\n\n"

_KEEPALIVE: Final = b":\n"

Told = dict[str, Any]
"""One event as a client gets it."""

_START: Final = StreamStart(
    request_id="",
    created_at=0,
    model_requested="",
    dialect="",
    caps=Caps(resume=False, retract=False, ttl_s=0),
)
_END: Final = ending.bare(Status.COMPLETED, Finish.STOP)
"""Around nothing; of both only the kind and the status are told."""


@dataclass(frozen=True, slots=True)
class Responses:
    """The dialect."""

    earlier: Earlier
    """Where the turns are that a request goes on from."""
    name: ClassVar[str] = "openai-responses"

    def read(self, body: Mapping[str, Any], routing: Mapping[str, Any]) -> Asked:
        """See `projection.Dialect.read`."""
        return responses_request.read(body, routing, self.earlier)

    def projection(self, asked: Asked, named: Named, after: int = -1) -> "ResponsesProjection":
        """See `projection.Dialect.projection`; `after`: the number of the last event it has."""
        return ResponsesProjection(asked, named, after)

    def document(
        self, asked: Asked, named: Named, fold: Fold, end: StreamEnd | None
    ) -> dict[str, Any]:
        """The response as it stands, whether it has ended or not."""
        del end  # the fold has it
        projection = ResponsesProjection(asked, named)
        for event in fold.events():
            projection.events(event)
        return projection.snapshot()

    def nothing(self, asked: Asked, named: Named) -> list[Told]:
        """The events of a response that was to generate nothing: complete and empty."""
        projection, told = ResponsesProjection(asked, named), list[Told]()
        for event in (_START, _END):
            told += projection.events(event)
        return told

    def failure(self, error: Error) -> dict[str, Any]:
        """See `projection.Dialect.failure`."""
        return responses_resource.failure(error)


@dataclass(slots=True)
class _Item:
    """An output item as it grows."""

    index: int
    id: str
    form: "_Form"
    shown: Told
    """As the last snapshot shows it."""
    texts: list[str] = field(default_factory=list)
    open: bool = False
    """Its part was announced."""
    done: bool = False
    signature: ReasoningSignature | None = None
    place: Told = field(init=False)
    """How an event names the item, and its only part."""

    def __post_init__(self) -> None:
        self.place = {"item_id": self.id, "output_index": self.index}
        if self.form.parts:
            self.place[self.form.number] = 0


@dataclass(frozen=True, slots=True)
class _Form:
    """What sets one kind of item apart: its id, its names for a part, a text and the events."""

    prefix: str
    item: Mapping[str, Any]
    parts: str = ""
    """The item's field that holds its part."""
    part: Mapping[str, Any] = field(default_factory=dict)
    text: str = "text"
    """The part's field, and the last event's, that holds the text."""
    delta: str = ""
    """The event's name without `.delta` or `.done`."""
    announced: str = "response.content_part"
    number: str = "content_index"


_MESSAGE: Final = {"type": "message", "role": "assistant"}

_TEXT: Final = _Form(
    prefix="msg",
    item=_MESSAGE,
    parts="content",
    part={"type": "output_text"},
    delta="response.output_text",
)
_REFUSAL: Final = _Form(
    prefix="msg",
    item=_MESSAGE,
    parts="content",
    part={"type": "refusal"},
    text="refusal",
    delta="response.refusal",
)
_THOUGHT: Final = _Form(
    prefix="rs",
    item={"type": "reasoning", "summary": []},
    parts="content",
    part={"type": "reasoning_text"},
    delta="response.reasoning_text",
)
_SUMMARY: Final = _Form(
    prefix="rs",
    item={"type": "reasoning"},
    parts="summary",
    part={"type": "summary_text"},
    delta="response.reasoning_summary_text",
    announced="response.reasoning_summary_part",
    number="summary_index",
)
_CALL: Final = _Form(
    prefix="fc",
    item={"type": "function_call", "arguments": ""},
    text="arguments",
    delta="response.function_call_arguments",
)
_SECRET: Final = _Form(prefix="rs", item={"type": "reasoning", "summary": []})

_FORMS: Final[Mapping[tuple[BlockKind, str | None], _Form]] = {
    (BlockKind.TEXT, None): _TEXT,
    (BlockKind.REFUSAL, None): _REFUSAL,
    (BlockKind.TOOL_CALL, None): _CALL,
    (BlockKind.REASONING, None): _THOUGHT,
    (BlockKind.REASONING, "raw"): _THOUGHT,
    (BlockKind.REASONING, "summary"): _SUMMARY,
    (BlockKind.REASONING, "redacted"): _SECRET,
}
"""By kind and form; blocks of other kinds are not shown."""

_LAST: Final[Mapping[Status, str]] = {
    Status.COMPLETED: "response.completed",
    Status.INCOMPLETE: "response.incomplete",
    # There is no event for a cancelled response; its `status` says that it is one.
    Status.CANCELLED: "response.failed",
    Status.FAILED: "response.failed",
}

CLEAN: Final = frozenset({Status.COMPLETED, Status.INCOMPLETE})
"""Ends that are the answer's own."""


class ResponsesProjection:
    """One reader's view of one stream."""

    def __init__(self, asked: Asked, named: Named, after: int = -1) -> None:
        """A view from the stream's beginning, of which only what is numbered higher is fed."""
        self._after = after
        self._asked = asked
        self._named = named
        self._number = 0
        self._count = 0
        self._items: dict[str, _Item] = {}
        self._sources: list[Citation] = []
        """Named before there was a text to hang them on."""
        self._last: _Item | None = None
        """The latest text."""
        self._end: StreamEnd | None = None

    def feed(self, event: SequencedEvent) -> bytes:
        """See `projection.Projection.feed`."""
        told = self.events(event)
        sent = b"".join(block(one) for one in told if one["sequence_number"] > self._after)
        if type(event) is StreamEnd and event.status in CLEAN:
            sent += DONE
        return sent

    def keepalive(self) -> bytes:
        """See `projection.Projection.keepalive`."""
        return _KEEPALIVE

    def events(self, event: SequencedEvent) -> list[Told]:
        """What is told of a native event."""
        handler = _HANDLERS.get(type(event))
        told: list[Told] = []
        if handler is not None:
            handler(self, told, event)
        for one in told:
            one["sequence_number"] = self._number
            self._number += 1
        return told

    def snapshot(self) -> dict[str, Any]:
        """The response as it stands."""
        shown = [
            _shown(item) for item in self._items.values() if item.done or item.form is not _CALL
        ]
        return resource(self._asked, self._named, shown, self._end)

    # --- The response ---

    def started(self, told: list[Told], _: StreamStart) -> None:
        """The stream begins."""
        names = ("response.created", "response.in_progress")
        told += [{"type": name, "response": self.snapshot()} for name in names]

    def ended(self, told: list[Told], event: StreamEnd) -> None:
        """The stream is over."""
        self._end = event
        told.append({"type": _LAST[event.status], "response": self.snapshot()})

    def retracted(self, _: list[Told], event: Failover) -> None:
        """What was taken back is not in the last snapshot; a reader keeps what it has."""
        for dropped in event.drop or ():
            self._items.pop(dropped, None)

    # --- Items ---

    def opened(self, told: list[Told], event: BlockStart) -> None:
        """A block starts."""
        form = _FORMS.get((event.kind, event.form))
        if form is None:
            return
        named = {"call_id": event.call_id, "name": event.name} if form is _CALL else None
        item = self._add(told, event.block, form, named)
        if form is _TEXT:
            self._last = item
            sources, self._sources = self._sources, []
            for source in sources:
                self._cite(told, item, source)

    def _add(
        self, told: list[Told], block: str, form: _Form, extra: Mapping[str, Any] | None = None
    ) -> _Item:
        index, self._count = self._count, self._count + 1
        name = f"{form.prefix}_{self._named.stream.removeprefix('st_')}_{index}"
        shown: Told = {"id": name, **copy.deepcopy(dict(form.item)), **(extra or {})}
        shown["status"] = IN_PROGRESS
        if form.parts:
            shown[form.parts] = []
        item = self._items[block] = _Item(index, name, form, shown)
        told.append(
            {
                "type": "response.output_item.added",
                "output_index": index,
                "item": _copied(shown),
            }
        )
        return item

    def grew(
        self, told: list[Told], event: TextDelta | ReasoningDelta | RefusalDelta | ToolDelta
    ) -> None:
        """More of a block's text; of a thought that is kept secret there is none to be told."""
        item = self._items.get(event.block)
        if item is not None and item.form.delta:
            self._grow(told, item, event.delta)

    def _grow(self, told: list[Told], item: _Item, delta: str) -> None:
        self._open(told, item)
        item.texts.append(delta)
        grown = {"type": f"{item.form.delta}.delta", **item.place, "delta": delta}
        if item.form is _TEXT:
            grown["logprobs"] = []
        told.append(grown)

    def _open(self, told: list[Told], item: _Item) -> None:
        """Announce the part of an item that has one."""
        if item.open or not item.form.parts:
            return
        item.open = True
        part = _part(item)
        item.shown[item.form.parts].append(part)
        told.append({"type": f"{item.form.announced}.added", **item.place, "part": _copied(part)})

    def signed(self, _: list[Told], event: ReasoningSignature) -> None:
        """A block's signature: told when the block is done, because a later one replaces it."""
        item = self._items.get(event.block)
        if item is not None:
            item.signature = event

    def closed(self, told: list[Told], event: BlockEnd) -> None:
        """A block is over."""
        item = self._items.get(event.block)
        if item is None:
            return
        complete = event.status == "complete"
        item.shown["status"] = "completed" if complete else "incomplete"
        if item.form is _CALL:
            if complete:
                self._close_call(told, item, event.args)
            return
        if item.open:
            self._close_part(told, item)
        if item.signature is not None:
            item.shown["encrypted_content"] = sealed(item.signature)
        self._done(told, item)

    def _close_part(self, told: list[Told], item: _Item) -> None:
        form, text = item.form, "".join(item.texts)
        part = item.shown[form.parts][0]
        part[form.text] = text
        said = {"type": f"{form.delta}.done", **item.place, form.text: text}
        if form is _TEXT:
            said["logprobs"] = []
        told.append(said)
        told.append({"type": f"{form.announced}.done", **item.place, "part": _copied(part)})

    def _close_call(self, told: list[Told], item: _Item, whole: str | None) -> None:
        said = "".join(item.texts)
        arguments = said if whole is None else whole
        if arguments and not said:
            self._grow(told, item, arguments)
        item.shown["arguments"] = arguments
        told.append(
            {
                "type": "response.function_call_arguments.done",
                **item.place,
                "name": item.shown["name"],
                "arguments": arguments,
            }
        )
        self._done(told, item)
        if item.signature is not None:
            self._sign(told, item, item.signature)

    def _sign(self, told: list[Told], call: _Item, signature: ReasoningSignature) -> None:
        """A call's signature, as an item of its own."""
        secret = self._add(told, f"{call.id}.signature", _SECRET)
        secret.shown["status"] = "completed"
        secret.shown["encrypted_content"] = OF_CALL.join((sealed(signature), call.shown["call_id"]))
        self._done(told, secret)

    def _done(self, told: list[Told], item: _Item) -> None:
        item.done = True
        told.append(
            {
                "type": "response.output_item.done",
                "output_index": item.index,
                "item": _copied(item.shown),
            }
        )

    # --- Sources ---

    def cited(self, told: list[Told], event: CitationAdd) -> None:
        """A source: of its text, or of the latest where it names none."""
        if pages.address(event.citation) is None:
            return
        item = self._last if event.block is None else self._items.get(event.block)
        if item is not None and item.form is _TEXT:
            self._cite(told, item, event.citation)
        elif event.block is None:
            self._sources.append(event.citation)

    def _cite(self, told: list[Told], item: _Item, source: Citation) -> None:
        """Hang a source on a text; after the text's end only the last snapshot can show it."""
        if not item.done:
            self._open(told, item)
        if not item.open:
            return
        annotations = item.shown["content"][0]["annotations"]
        annotation = {
            "type": "url_citation",
            "url": source.url,
            "title": source.title or "",
            "start_index": source.start or 0,
            "end_index": source.end or 0,
        }
        annotations.append(annotation)
        if not item.done:
            told.append(
                {
                    "type": "response.output_text.annotation.added",
                    **item.place,
                    "annotation_index": len(annotations) - 1,
                    "annotation": annotation,
                }
            )


_HANDLERS: Final[Mapping[type[Event], Callable[[ResponsesProjection, list[Told], Any], None]]] = {
    StreamStart: ResponsesProjection.started,
    BlockStart: ResponsesProjection.opened,
    TextDelta: ResponsesProjection.grew,
    ReasoningDelta: ResponsesProjection.grew,
    RefusalDelta: ResponsesProjection.grew,
    ToolDelta: ResponsesProjection.grew,
    ReasoningSignature: ResponsesProjection.signed,
    CitationAdd: ResponsesProjection.cited,
    BlockEnd: ResponsesProjection.closed,
    Failover: ResponsesProjection.retracted,
    StreamEnd: ResponsesProjection.ended,
}


def block(told: Told) -> bytes:
    """An event as server-sent."""
    return b"event: %b\ndata: %b\n\n" % (told["type"].encode(), msgspec.json.encode(told))


def _part(item: _Item) -> Told:
    """The part as it begins."""
    part = {**item.form.part, item.form.text: ""}
    if item.form is _TEXT:
        part["annotations"], part["logprobs"] = [], []
    return part


def _shown(item: _Item) -> Told:
    """An item as a snapshot has it, with what was said so far."""
    shown = _copied(item.shown)
    if item.open and not item.done:
        shown[item.form.parts][0][item.form.text] = "".join(item.texts)
    return shown


def _copied(shown: Told) -> Told:
    """What an event tells is of its moment, whatever becomes of the item."""
    return copy.deepcopy(shown)
