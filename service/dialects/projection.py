"""What a client's dialect is to who serves it: a reading of requests and a projection of streams.

A projection is a pure fold: the same events give the same bytes, however they were cut, on the
first delivery and on every later one. It is made for one reader and holds only what the dialect's
own framing needs (the index of an open block, the text that a closing event repeats). Nothing
native leaves through it that its client does not know: no ids of ours, no extension events.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from adapters.events import Error, SequencedEvent, StreamEnd
from adapters.request import ChatRequest
from service.streams.fold import Fold


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that was read."""

    chat: ChatRequest
    streams: bool
    """Whether its answer is to be streamed."""
    body: Mapping[str, Any]
    """What its answer needs of it, in the dialect's own words; kept as long as the answer runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What an answer says of itself."""

    stream: str
    """The stream's id, which the dialect may dress as its own."""
    model: str
    """As the client asked for it."""
    created: int
    """Unix seconds."""


class Projection(Protocol):
    """One reader's view of one stream."""

    def feed(self, event: SequencedEvent) -> bytes:
        """What goes on the wire for an event: whole SSE blocks, or nothing.

        The end of a stream that broke is told as the dialect's own error, without what would mark
        a clean end (`[DONE]`).
        """

    def keepalive(self) -> bytes:
        """What fills silence; a comment with one newline, unless the dialect has a ping."""


class Dialect(Protocol):
    """One client dialect."""

    @property
    def name(self) -> str:
        """`openai-chat`, ...: what `stream.start` names."""

    def read(self, body: Mapping[str, Any], routing: Mapping[str, Any]) -> Asked:
        """Read a body; `routing`: use_case, budget_tier and latency, from headers, which win.

        Fields that are not known are passed over. Raises RequestError naming the field.
        """

    def projection(self, asked: Asked, named: Named) -> Projection:
        """A view for one reader, from the stream's beginning."""

    def document(self, asked: Asked, named: Named, fold: Fold, end: StreamEnd) -> dict[str, Any]:
        """The whole answer in one; of a stream that has one.

        Raises UpstreamError where what the model said cannot be told in the dialect.
        """

    def failure(self, error: Error) -> dict[str, Any]:
        """An error's body in the dialect's own shape; its status is `error.http`."""
