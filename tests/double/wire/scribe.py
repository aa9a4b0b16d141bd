"""What every writer of a wire format does, and how an answer is put together with one.

A scribe writes one answer and keeps whatever its format counts (indexes, sequence numbers, usage
so far). It yields server-sent events as bytes, each to be one write. `render` asks it for the
preamble (what a provider sends before any content: role chunks, created events, the opening of an
empty text block), then walks the parts, then asks for the ending.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import orjson

from tests.double.answer import Answer, Failure, Interlude, KeepAlives, Part, ToolCall
from tests.double.errors import ErrorAnswer, Kind
from tests.double.steps import Repeat, Step

CREATED = 1_795_392_000
"""When every answer says it was made: Unix time in seconds."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What of a request shapes the answer's bytes."""

    model: str
    usage: bool = False
    """Asked for `stream_options.include_usage`, without which some send no usage."""
    encrypted: bool = False
    """Asked for `include: ["reasoning.encrypted_content"]`, without which it is left out."""


class Scribe(Protocol):
    """Writes one answer."""

    answer: Answer

    def start(self) -> Iterator[bytes]:
        """What comes before anything of the answer."""

    def opening(self, part: Part) -> Iterator[bytes]:
        """What a part begins with."""

    def piece(self, part: Part, text: str) -> Iterator[bytes]:
        """One string of a part."""

    def closing(self, part: Part, whole: str) -> Iterator[bytes]:
        """What a part ends with; `whole` is all its text."""

    def ending(self) -> Iterator[bytes]:
        """Finish, usage and whatever marks the end."""

    def failure(self, kind: Kind, error: ErrorAnswer) -> Iterator[bytes]:
        """An error inside the stream, and what the provider sends after it."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """An answer in one format; each bytes object is one event."""

    preamble: tuple[bytes, ...]
    content: tuple[bytes | Step, ...]
    ending: tuple[bytes, ...]


def render(scribe: Scribe, errors: Mapping[Kind, ErrorAnswer], keep_alive: bytes) -> Rendered:
    """Write a whole answer."""
    page = _Page(scribe, errors, keep_alive)
    parts = scribe.answer.parts
    # A tool call's name is content already; the start of a text or of reasoning is not.
    early = parts[0] if parts and not isinstance(parts[0], ToolCall) else None
    preamble = (*scribe.start(), *(scribe.opening(early) if early is not None else ()))
    for item in scribe.answer.items:
        if isinstance(item, Part):
            page.part(item, opened=item is early)
        else:
            page.place(item)
    ending = () if page.broken else tuple(scribe.ending())
    return Rendered(preamble, tuple(page.content), ending)


class _Page:
    """The content while it is written. After a failure nothing more is said, only done."""

    def __init__(
        self, scribe: Scribe, errors: Mapping[Kind, ErrorAnswer], keep_alive: bytes
    ) -> None:
        self._scribe = scribe
        self._errors = errors
        self._keep_alive = keep_alive
        self.content: list[bytes | Step] = []
        self.broken = False

    def part(self, part: Part, *, opened: bool) -> None:
        if not opened:
            self._say(self._scribe.opening(part))
        for piece in part.pieces:
            if isinstance(piece, str):
                self._say(self._scribe.piece(part, piece))
            else:
                self.place(piece)
        whole = "".join(piece for piece in part.pieces if isinstance(piece, str))
        self._say(self._scribe.closing(part, whole))

    def place(self, item: Interlude) -> None:
        match item:
            case Failure():
                self._say(self._scribe.failure(item.kind, self._errors[item.kind]))
                self.broken = True
            case KeepAlives():
                self.content.append(Repeat(self._keep_alive, item.every))
            case _:
                self.content.append(item)

    def _say(self, events: Iterator[bytes]) -> None:
        if not self.broken:
            self.content.extend(events)


def data(payload: object) -> bytes:
    """A server-sent event without a name."""
    return b"data: %b\n\n" % orjson.dumps(payload)


def event(name: str, payload: object) -> bytes:
    """A named server-sent event."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(payload))


DONE = b"data: [DONE]\n\n"
