"""What to play for a request: an answer, an error or plain steps, with faults laid over it.

A `Script` becomes steps when a request has come, because the format is the request's: the same
script answers every provider. `reply` makes the usual one; the items it takes stand in the order in
which they happen, so a pause, a cut or stray bytes are written where they shall occur::

    reply("Hel", "lo")                                       text in two pieces
    reply(Wait(gate), "Hello")                               preamble, then nothing until opened
    reply(reasoning("hm"), "Hello", tool_call("f", "{}"))    parts
    reply("Hel", Cut("rst"))                                 reset in the middle of a block
    reply("Hel", Failure(Kind.OVERLOADED))                   the provider's error inside the stream
    reply("Hel", b"\\xff\\xfe", "lo")                          garbage between two events
    reply("Hello", KeepAlives(0.01))                         keep-alives for ever
    reply("Hello").with_faults(cut_at(120), in_pieces(7))    faults at byte positions
    http_error(Kind.RATE_LIMIT)                              its status, body and headers
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby

import orjson

from tests.double.answer import Answer, Item, Part, Text, Tokens
from tests.double.errors import Kind, error_answer
from tests.double.steps import Cut, Head, Paced, Send, Step, Steps
from tests.double.wire.scribe import Ask
from tests.double.wire.voices import Voice

Source = Callable[[Voice, Ask], Steps]
Fault = Callable[[Steps], Steps]

HELLO = ("Hello ", "from ", "the ", "double.")
"""What a double says when it was told nothing."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Script:
    """What to play. Immutable; compared by identity. Rendered once for each format and request."""

    source: Source
    faults: tuple[Fault, ...] = ()
    provider: str | None = None
    """Whose manner to speak in; None: as the double or the path says."""
    _rendered: dict[tuple[Voice, Ask], Steps] = field(default_factory=dict, init=False, repr=False)

    def with_faults(self, *faults: Fault) -> "Script":
        """The same with faults laid over it, the first one first."""
        return replace(self, faults=(*self.faults, *faults))

    def spoken_by(self, provider: str) -> "Script":
        """The same in that provider's manner, whatever the path says."""
        return replace(self, provider=provider)

    def steps(self, voice: Voice, ask: Ask) -> Steps:
        """What to do for one request."""
        steps = self._rendered.get((voice, ask))
        if steps is None:
            steps = self.source(voice, ask)
            for fault in self.faults:
                steps = fault(steps)
            self._rendered[voice, ask] = steps
        return steps


def reply(
    *items: str | Item,
    tokens: Tokens = Tokens(),  # noqa: B008 - frozen
    finish: str | None = None,
    stop_sequence: str | None = None,
    between: float = 0,
    before_headers: Step | None = None,
    before_preamble: Step | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> Script:
    """An answer. Neighbouring strings, and what stands among them, are one text.

    `between` is the seconds from one content event to the next. `before_preamble` comes after the
    headers; a step given as the first item comes after the preamble, before the first content.
    `headers` are sent beside the provider's own.
    """
    answer = Answer(
        items=tuple(_items(items)), tokens=tokens, finish=finish, stop_sequence=stop_sequence
    )

    def steps(voice: Voice, ask: Ask) -> Steps:
        rendered = voice.render(answer, ask)
        head = Head(200, (("content-type", voice.content_type), *voice.headers, *headers))
        opening = (before_headers, head, before_preamble)
        return (
            *(step for step in opening if step is not None),
            *_paced(rendered.preamble, 0),
            *_paced(rendered.content, between),
            *_paced(rendered.ending, 0),
        )

    return Script(source=steps)


def http_error(kind: Kind, *, headers: tuple[tuple[str, str], ...] = ()) -> Script:
    """The provider's error of that kind before any answer; `headers` are sent beside its own."""

    def steps(voice: Voice, _: Ask) -> Steps:
        error = error_answer(voice.provider, voice.family, kind)
        own = (*voice.headers, *error.headers)
        return _whole(error.status, error.content, error.content_type, own, headers)

    return Script(source=steps)


def http_answer(
    status: int,
    body: object = b"",
    *,
    content_type: str | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> Script:
    """Any HTTP answer. A body that is not bytes is sent as JSON."""
    if isinstance(body, bytes):
        content, usual = body, "text/html; charset=utf-8"
    else:
        content, usual = orjson.dumps(body), _JSON
    whole = _whole(status, content, content_type or usual, headers)
    return Script(source=lambda _voice, _ask: whole)


def stream(body: bytes, *, content_type: str = "text/event-stream") -> Script:
    """These bytes as an event stream, in one write; a fault may cut them otherwise."""
    steps: Steps = (Head(200, (("content-type", content_type),)), Send(body))
    return Script(source=lambda _voice, _ask: steps)


def play(*steps: Step) -> Script:
    """Exactly these steps."""
    return Script(source=lambda _voice, _ask: steps)


def dropped(cut: Cut = Cut()) -> Script:  # noqa: B008 - frozen
    """The connection is closed when the request has come, before any byte of an answer."""
    return play(cut)


_JSON = "application/json"


def _items(items: tuple[str | Item, ...]) -> Iterator[Item]:
    """The items with every run of strings, and what stands in it, made one text."""
    for is_part, run in groupby(items, key=lambda item: isinstance(item, Part)):
        found = tuple(run)
        if is_part or not any(isinstance(item, str) for item in found):
            yield from (item for item in found if not isinstance(item, str))
        else:
            yield Text(tuple(item for item in found if not isinstance(item, Part)))


def _paced(events: tuple[bytes | Step, ...], every: float) -> Iterator[Step]:
    """Events as paced writes, one each; the steps among them where they stand."""
    for is_bytes, run in groupby(events, key=lambda item: isinstance(item, bytes)):
        if is_bytes:
            yield Paced(tuple(item for item in run if isinstance(item, bytes)), every)
        else:
            yield from (item for item in run if not isinstance(item, bytes))


def _whole(
    status: int, content: bytes, content_type: str, *headers: tuple[tuple[str, str], ...]
) -> Steps:
    own = (("content-type", content_type), ("content-length", str(len(content))))
    return (Head(status, own + sum(headers, ())), Send(content))


DEFAULT = reply(*HELLO)
