"""What the Messages API puts on the wire, as types, and its counts and citations in our terms.

Only what is read is declared. Fields that some servers leave out or send as null are optional, and
what is passed on unread is Any: a surprise there must not cost the answer. `read` decodes a payload
into its frame in one pass, and tells what is merely unknown from what cannot be read.

Source: the types of anthropic 2.12, and the recordings of claude/.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from adapters import surrogates
from adapters.events import Citation, Usage, UsageSource

# --- Frames ---------------------------------------------------------------------------------


class Frame(msgspec.Struct, tag_field="type"):
    """One payload; its type is the struct's tag."""


class Start(msgspec.Struct):
    """The message as it begins."""

    id: str | None = None
    model: str | None = None
    usage: dict[str, Any] | None = None


class MessageStart(Frame, tag="message_start"):
    """Once, at the start; twice from some servers."""

    message: Start


class Block(msgspec.Struct):
    """A content block of any type, as it begins."""

    type: str
    text: str | None = None
    citations: list[dict[str, Any]] | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: Any = None
    tool_use_id: str | None = None
    content: Any = None
    is_error: bool | None = None
    encrypted_content: str | None = None
    from_model: Any = msgspec.field(default=None, name="from")
    to_model: Any = msgspec.field(default=None, name="to")

    @property
    def failed(self) -> bool:
        """Whether this tool result says that the tool failed."""
        kind = self.content.get("type") if isinstance(self.content, dict) else None
        return self.is_error is True or (isinstance(kind, str) and kind.endswith("_error"))


class BlockStart(Frame, tag="content_block_start"):
    """A block begins under an index."""

    index: int
    content_block: Block


class Delta(msgspec.Struct):
    """More of a block, of any delta type."""

    type: str
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    signature: str | None = None
    citation: dict[str, Any] | None = None
    content: str | None = None
    encrypted_content: str | None = None


class BlockDelta(Frame, tag="content_block_delta"):
    """More of the block under an index: nearly all of a stream."""

    index: int
    delta: Delta


class BlockStop(Frame, tag="content_block_stop"):
    """The block under an index is whole."""

    index: int


class Stop(msgspec.Struct):
    """Why the message stops."""

    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: dict[str, Any] | None = None


class MessageDelta(Frame, tag="message_delta"):
    """The stop reason, and the counts so far."""

    delta: Stop
    usage: dict[str, Any] | None = None


class MessageStop(Frame, tag="message_stop"):
    """Nothing follows."""


class Ping(Frame, tag="ping"):
    """A sign of life."""


AnyFrame = BlockDelta | BlockStart | BlockStop | MessageStart | MessageDelta | MessageStop | Ping
_FRAME: Final[msgspec.json.Decoder[AnyFrame]] = msgspec.json.Decoder(AnyFrame)
_TAGS: Final = frozenset(
    {
        "content_block_delta",
        "content_block_start",
        "content_block_stop",
        "message_start",
        "message_delta",
        "message_stop",
        "ping",
    }
)


class UnreadableError(ValueError):
    """A payload that is no JSON object, or a known frame with something else in it."""


def read(data: bytes) -> AnyFrame | dict[str, Any]:
    """The frame, or the plain object where its type is not known here.

    Raises UnreadableError.
    """
    try:
        return _read(data)
    except UnreadableError:
        whole = surrogates.mended(data)
        if whole is None:
            raise
        return _read(whole)


def _read(data: bytes) -> AnyFrame | dict[str, Any]:
    try:
        return _FRAME.decode(data)
    except (msgspec.MsgspecError, RecursionError):
        pass
    try:
        plain = msgspec.json.decode(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise UnreadableError from error
    if isinstance(plain, dict):
        kind = plain.get("type")
        if kind is None or (isinstance(kind, str) and kind not in _TAGS):
            return plain
    raise UnreadableError


# --- Counts and citations -------------------------------------------------------------------


def usage_of(raw: Mapping[str, Any], *, final: bool) -> Usage:
    """The provider's counts in the schema's arithmetic; output counts only once it is `final`."""
    uncached = _count(raw, "input_tokens")
    read_ = _count(raw, "cache_read_input_tokens")
    written = _count(raw, "cache_creation_input_tokens")
    input_ = None if uncached is None else uncached + (read_ or 0) + (written or 0)
    output = _count(raw, "output_tokens") if final else None
    details = raw.get("output_tokens_details")
    return Usage(
        input=input_,
        input_cached=read_,
        input_cache_write=written,
        output=output,
        output_reasoning=_count(details, "thinking_tokens") if isinstance(details, dict) else None,
        total=None if input_ is None or output is None else input_ + output,
        requests=1,
        source=UsageSource.PROVIDER,
        raw=dict(raw),
    )


def _count(raw: Mapping[str, Any], name: str) -> int | None:
    value = raw.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


_CITATION_KINDS: Final = {
    "char_location": "char",
    "page_location": "page",
    "content_block_location": "document",
    "web_search_result_location": "url",
    "search_result_location": "search_result",
}


def citation_of(raw: Mapping[str, Any], *, id_: str, length: int) -> Citation | None:
    """One citation of a text block of `length` characters; None where it is none we know."""
    kind = raw.get("type")
    known = {
        "id": id_,
        "kind": _CITATION_KINDS.get(kind) if isinstance(kind, str) else None,
        "url": raw.get("url") or raw.get("source"),
        "title": raw.get("title") or raw.get("document_title"),
        "start": 0,
        "end": length,
        "quote": raw.get("cited_text"),
        "raw": raw,
    }
    try:
        return msgspec.convert(known, Citation)
    except msgspec.ValidationError:
        return None
