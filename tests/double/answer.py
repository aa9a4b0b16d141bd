"""What a provider says, without any wire format.

An answer is a list of parts (text, reasoning, tool calls, refusals) with whatever shall happen
between them or inside them: bytes are put on the wire as they are, steps are played where they
stand. Token counts are inclusive: `input` contains cached and cache-written tokens, `output`
contains reasoning. Each format's writer does its provider's arithmetic the other way round, so one
expected usage holds for all of them.
"""

from dataclasses import dataclass

from tests.double.errors import Kind
from tests.double.steps import Step


@dataclass(frozen=True, slots=True)
class Failure:
    """The provider reports an error inside the stream.

    Nothing is said after it; bytes and steps still have their turn.
    """

    kind: Kind


@dataclass(frozen=True, slots=True)
class KeepAlives:
    """The provider's own keep-alives, one each `every` seconds, until the client leaves."""

    every: float


Interlude = Failure | KeepAlives | bytes | Step
"""What may stand between the events of an answer: bytes are sent as they are."""

Piece = str | Interlude
"""A string is one event of its part."""


@dataclass(frozen=True, slots=True)
class Citation:
    """A source; `start` and `end` are character offsets into the text."""

    url: str
    title: str = "A page"
    start: int = 0
    end: int = 0
    quote: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """Text of the answer."""

    pieces: tuple[Piece, ...]
    citations: tuple[Citation, ...] = ()


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What the model thinks, where the format has a place for it.

    `signature` is the opaque value the provider wants back, `redacted` the data of a block whose
    text is withheld (Anthropic).
    """

    pieces: tuple[Piece, ...]
    signature: str | None = None
    redacted: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call; the pieces are fragments of its argument text.

    Formats that send calls whole get the fragments joined. `call_id` None: one in the provider's
    own manner. `signature` is sent where the format has a place for it (Gemini).
    """

    name: str
    pieces: tuple[Piece, ...]
    call_id: str | None = None
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model declines, in words where the format has a place for them."""

    pieces: tuple[Piece, ...]


Part = Text | Reasoning | ToolCall | Refusal
Item = Part | Interlude


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Inclusive counts; `cost_usd` appears where the provider states its bill."""

    input: int = 12
    cached: int = 4
    cache_write: int = 0
    output: int = 9
    reasoning: int = 0
    cost_usd: float = 0.0025


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """One whole answer. Compared by identity: rendering is cached by it.

    `finish` is `stop`, `length`, `tool_calls`, `content_filter` or `refusal`, written in the
    format's own word; any other string is sent as it is. None: what fits the parts.
    `stop_sequence`: the one that ended it, which only some formats tell.
    """

    items: tuple[Item, ...]
    tokens: Tokens = Tokens()
    finish: str | None = None
    stop_sequence: str | None = None

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts, without what happens between them."""
        return tuple(item for item in self.items if isinstance(item, Part))

    @property
    def why(self) -> str:
        """The finish, or what fits the parts."""
        if self.finish is not None:
            return self.finish
        kinds = {type(part) for part in self.parts}
        if Refusal in kinds:
            return "refusal"
        return "tool_calls" if ToolCall in kinds else "stop"


def text(*pieces: Piece, citations: tuple[Citation, ...] = ()) -> Text:
    """A text part."""
    return Text(pieces, citations)


def reasoning(
    *pieces: Piece, signature: str | None = None, redacted: str | None = None
) -> Reasoning:
    """A reasoning part."""
    return Reasoning(pieces, signature, redacted)


def tool_call(
    name: str, *fragments: Piece, call_id: str | None = None, signature: str | None = None
) -> ToolCall:
    """A tool call part; no fragments: a call without arguments."""
    return ToolCall(name, fragments, call_id, signature)


def refusal(*pieces: Piece) -> Refusal:
    """A refusal part."""
    return Refusal(pieces)
