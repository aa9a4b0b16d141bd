"""What the Responses API puts on the wire, as types.

Only what is read is declared; what is passed on unread is Any: a surprise there must not cost the
answer. Everything may be missing or null, since no two providers send the same fields.

Source: openai 3.54.0, types/responses; perplexityai/perplexity-py, types/output_item.py; the
recordings of openai/, copilot/, grok/, deepseek/ and perplexity/.
"""

from typing import Any, Final, Literal

import msgspec

TEXT_DELTA: Final = "response.output_text.delta"


class TextDelta(msgspec.Struct, gc=False):
    """The common event, decoded strictly: what does not fit goes the general way."""

    type: Literal["response.output_text.delta"]
    delta: str
    output_index: int
    content_index: int = 0


class Content(msgspec.Struct):
    """A part of a message's or a reasoning item's content, or of its summary."""

    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    annotations: list[dict[str, Any]] | None = None


class Item(msgspec.Struct):
    """An output item of any type."""

    type: str = ""
    id: str | None = None
    status: str | None = None
    content: list[Content] | str | None = None
    summary: list[Content] | str | None = None
    encrypted_content: str | None = None
    phase: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    thought_signature: str | None = None
    # A tool that the provider runs: what it was given, and what it gave. Each type has its own.
    action: Any = None
    queries: Any = None
    code: Any = None
    results: Any = None
    contents: Any = None
    outputs: Any = None
    output: Any = None


class Response(msgspec.Struct):
    """The answer as a whole; early events hold its beginnings."""

    id: str | None = None
    model: str | None = None
    status: str | None = None
    error: Any = None
    incomplete_details: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None
    output: list[Item] | None = None
    content_filters: list[dict[str, Any]] | None = None
    service_tier: str | None = None


class Event(msgspec.Struct):
    """Any event; each type fills some of it."""

    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    delta: str | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    annotation: dict[str, Any] | None = None
    item: Item | None = None
    response: Response | None = None
    error: Any = None
    results: Any = None

    @property
    def part_index(self) -> int:
        """Which part of the item it is about: an event has at most one of the two."""
        return self.content_index or self.summary_index

    @property
    def whole(self) -> str | None:
        """The whole text in an event that ends one."""
        return next(
            (text for text in (self.text, self.refusal, self.arguments) if text is not None), None
        )


class Head(msgspec.Struct):
    """Enough of an event to know what to do with it."""

    type: str | None = None
    error: Any = None


HEAD: Final = msgspec.json.Decoder(Head)
TEXT: Final = msgspec.json.Decoder(TextDelta)
EVENT: Final = msgspec.json.Decoder(Event)


def parts_of(content: list[Content] | str | None) -> list[Content]:
    """The parts of a content or a summary; a bare string is one."""
    if isinstance(content, str):
        return [Content(type="output_text", text=content)]
    return content or []


def tool_input(item: Item) -> object:
    """What a tool of the provider's was given, as far as it is known; JSON text is decoded."""
    if isinstance(item.action, dict):
        return {name: value for name, value in item.action.items() if name != "sources"}
    if item.arguments:
        try:
            return msgspec.json.decode(item.arguments)
        except (msgspec.DecodeError, UnicodeEncodeError):
            return item.arguments
    return item.code if item.queries is None else {"queries": item.queries}


def tool_result(item: Item) -> object:
    """What it gave; None where that is not told."""
    sources = item.action.get("sources") if isinstance(item.action, dict) else None
    given = (item.results, item.contents, item.outputs, item.output, sources)
    return next((result for result in given if result is not None), None)
