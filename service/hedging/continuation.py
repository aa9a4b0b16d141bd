"""Going on with an answer that broke: whether, how it is asked for, and how the two parts meet.

A committed answer breaks off in the middle. Where its request says `continue`, another attempt
writes the rest, and the reader sees one answer: the text block that was being written stays open,
and what the new attempt says goes on in it. Three steps, in this order:

- `possible` looks at what was delivered. A tool call is never continued inside, because two halves
  of an argument string by two models are no argument string; once one is complete the reader may
  have run it, and nothing is tried again. A refusal is the answer: nobody is asked to go on after
  it. JSON, files and the provider's own tools are not text that another model could pick up. All of
  these but a finished call and a refusal can still be retracted, and so restarted.
- `held_back` keeps the open text block open: of the ends with which the broken attempt closes, the
  one of that block is kept and all others go out. `request_for` writes what the next attempt is
  asked.
- A `Splice` translates the new attempt's events. Whoever goes on by a user turn likes to repeat the
  last words, so where the new text begins with the end of the old one, that much is left out. New
  text is held back only while it may yet turn out to be such a repetition, which ordinary text
  decides at its first token; from then on only block ids change.

Reasoning that was cut off stays where the reader has it and is not sent to anybody: it is nobody
else's, and its signature never came. The fold of a log that went on this way is the whole answer,
so an answer can be continued more than once.

Left out: choosing who goes on (the race), writing the log (the runner), and an answer longer than
`OVERLAP_CHARS` that is told again from its very beginning.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from adapters.contract import Model
from adapters.dialects.prefill import GO_ON
from adapters.events import (
    AttemptEvent,
    BlockEnd,
    BlockKind,
    BlockStart,
    CitationAdd,
    TextDelta,
)
from adapters.request import (
    AfterCommit,
    AssistantMessage,
    ChatRequest,
    Message,
    UserMessage,
    text_of,
)
from service.hedging.deadlines import CHARS_PER_TOKEN
from service.streams.fold import Fold, FoldedBlock

OVERLAP_CHARS = 200
"""The longest repetition that is looked for: a sentence or two. The `failover` event says it."""

Way = Literal["prefill", "user_turn"]
"""How a model is asked to go on: by a trailing assistant message, or by a user turn after it."""

LEAST_OVERLAP: Mapping[Way, int] = {"user_turn": 3, "prefill": 24}
"""Characters from which on the same text on both sides of the seam is a repetition.

Shorter ones are chance: `bal` and `loon` meet in an l, and without it the word is wrong. Of 40,000
cuts through this project's documents, 3.0 % met in one character or more, 0.4 % in two, and 0.23 %
in three, which then hardly falls any further. A prefilled model has no reason to repeat anything;
what it does not overlap by chance in prose at all (0.00 % from 16 on) and in code in 0.16 %, where
lines are alike, is a host that took the text for a finished message. White space is different: see
`Splice`."""


# --- Whether --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Recovery:
    """What may be done about a broken answer."""

    mode: AfterCommit | None
    """FAIL: nothing. None: whatever the request asks for."""
    why: str = ""
    """What is in the way, in words for the caller."""


def recovery(fold: Fold, request: ChatRequest, wanted: AfterCommit, *, retracts: bool) -> Recovery:
    """What may be done about an answer that came so far and broke.

    `retracts`: whether its readers can be told to forget what they were shown.
    """
    mode = possible(fold, request) if wanted is AfterCommit.CONTINUE else wanted
    if not retractable(fold):
        return Recovery(AfterCommit.FAIL, "a tool call was already complete")
    if mode is AfterCommit.FAIL:
        return Recovery(AfterCommit.FAIL, "it was a refusal, which nobody is asked to continue")
    if mode is AfterCommit.RESTART and not retracts:
        return Recovery(AfterCommit.FAIL, "its reader cannot be told to forget what it was shown")
    return Recovery(mode)


def possible(fold: Fold, request: ChatRequest) -> AfterCommit:
    """What may be done about a broken answer whose request says `continue`.

    `restart` where it cannot be gone on with but can be taken back, `fail` where neither can be.
    """
    if not retractable(fold) or _has(fold, BlockKind.REFUSAL):
        return AfterCommit.FAIL
    if _wants_json(request) or _has(fold, *_NOT_TEXT):
        return AfterCommit.RESTART
    return AfterCommit.CONTINUE


def retractable(fold: Fold) -> bool:
    """Whether the answer may be taken back: no tool call that the reader may have run."""
    return not any(
        block.complete for block in fold.blocks.values() if block.start.kind is BlockKind.TOOL_CALL
    )


_NOT_TEXT = (BlockKind.TOOL_CALL, BlockKind.FILE, BlockKind.SERVER_TOOL, BlockKind.RAW)


def _has(fold: Fold, *kinds: BlockKind) -> bool:
    return any(block.start.kind in kinds for block in fold.blocks.values())


def _wants_json(request: ChatRequest) -> bool:
    return request.response_format is not None and request.response_format.type != "text"


# --- How it is asked for --------------------------------------------------------------------


def way(request: ChatRequest, model: Model) -> Way:
    """How this model is asked to go on.

    A prefill is for plain text only: with tools or a schema a model may want to begin with
    something else than text, and one that thinks has to think first.
    """
    thinks = model.reasoning == "always" or request.thinks
    plain = not (request.tools or _wants_json(request) or thinks)
    return "prefill" if model.prefill and plain else "user_turn"


def request_for(request: ChatRequest, fold: Fold, model: Model, prompt: str = GO_ON) -> ChatRequest:
    """The request that asks `model` to write what is missing.

    The system prompt stays as it is, and none is added: it holds the persona. White space at the
    end of the text is not sent (some providers answer 400 to it, and models go on better after a
    word); the `Splice` knows of it. Reasoning is not sent, so no signature can reach a stranger.

    Args:
        request: As the client sent it.
        fold: The answer so far; where it has no text, the request is simply asked again.
        model: Who goes on. Without its `prefill` it is asked by a user turn.
        prompt: What that turn says.
    """
    text = fold.text(BlockKind.TEXT)
    written = text.rstrip()
    if not written:
        return request
    messages = _with_answer(request.messages, written)
    if way(request, model) == "user_turn":
        messages.append(UserMessage(role="user", content=prompt))
    changes: dict[str, Any] = {"messages": messages}
    if request.max_tokens is not None:
        changes["max_tokens"] = max(1, request.max_tokens - len(text) // CHARS_PER_TOKEN)
    return request.model_copy(update=changes)


def _with_answer(messages: list[Message], written: str) -> list[Message]:
    """The history and the answer; a beginning that the client gave itself is part of the answer."""
    last = messages[-1]
    if not isinstance(last, AssistantMessage) or last.tool_calls or last.refusal is not None:
        return [*messages, AssistantMessage(role="assistant", content=written)]
    whole = last.model_copy(update={"content": text_of(last.content) + written})
    return [*messages[:-1], whole]


# --- The block that stays open --------------------------------------------------------------


def held_back(
    events: Sequence[AttemptEvent], fold: Fold
) -> tuple[list[AttemptEvent], list[AttemptEvent]]:
    """Part what a broken attempt says at its end into what is kept back and what goes out.

    Kept back is the end of the text block that is to be continued. It goes out after all where
    nobody can be found to go on; else the `Splice` ends the block.

    Args:
        events: From the decoder's `close()`; of an attempt that was a continuation itself, as its
            splice translated them, and then what the splice's `close` gave.
        fold: The answer before those events.
    """
    texts = {
        start.block
        for start in (*_starts(fold), *events)
        if isinstance(start, BlockStart) and start.kind is BlockKind.TEXT
    }
    ends = [
        at
        for at, event in enumerate(events)
        if isinstance(event, BlockEnd) and event.status == "incomplete" and event.block in texts
    ]
    kept = ends[-1:]
    let_out = [event for at, event in enumerate(events) if at not in kept]
    return [events[at] for at in kept], let_out


def _starts(fold: Fold) -> list[BlockStart]:
    return [block.start for block in fold.blocks.values()]


def _open_text(fold: Fold) -> FoldedBlock | None:
    """The text block that is being written."""
    for block in reversed(fold.blocks.values()):
        if block.start.kind is BlockKind.TEXT and not block.done:
            return block
    return None


# --- The seam -------------------------------------------------------------------------------

_NO_BLOCK = ""
"""Stands for the new attempt's first text block where there will be none: no block has this id."""


class Splice:
    """One continuing attempt's events -> events of the answer that goes on.

    The first text block of the attempt goes on in the block that stayed open, or, where none was
    open, in one of its own; every other block is a new one. Begins with the commit of the attempt
    and ends with its last event; `close` then ends what it did not.

    White space at the seam: what the old text ended in was delivered but not sent, so the new text
    brings it again, and there a repetition of a single character counts.
    """

    __slots__ = (
        "_gap",
        "_held",
        "_index",
        "_least",
        "_length",
        "_ours",
        "_queued",
        "_settled",
        "_shift",
        "_tail",
        "_target",
        "_theirs",
        "way",
    )

    def __init__(self, fold: Fold, way: Way) -> None:
        """`fold`: the answer so far, its open block open; `way`: as the attempt was asked."""
        text = fold.text(BlockKind.TEXT)
        block = _open_text(fold)
        self._tail = text[-OVERLAP_CHARS:]
        self._gap = self._tail[len(self._tail.rstrip()) :]
        self._least = LEAST_OVERLAP[way]
        self.way = way
        self._index = len(fold.blocks)
        self._ours = None if block is None else block.start.block
        """The block that stayed open, until it ends."""
        self._length = 0 if block is None else len(block.text)
        self._theirs: str | None = None
        """The new attempt's first text block, by its own id."""
        self._target = _NO_BLOCK
        """Where that one's text goes."""
        self._settled: str | None = None
        """`_theirs` as soon as the seam is decided."""
        self._held = ""
        self._queued: list[AttemptEvent] = []
        """What else was said of that block while the seam was open."""
        self._shift = 0
        """From a place in the new block's text to the place in the old one's."""

    def translate(self, events: Sequence[AttemptEvent]) -> list[AttemptEvent]:
        """What to write into the log for these events of the attempt."""
        out: list[AttemptEvent] = []
        for event in events:
            # The path of a token, once the seam is decided: a new struct with another id.
            if type(event) is TextDelta and event.block == self._settled:
                out.append(TextDelta(self._target, event.delta, event.logprobs))
            else:
                self._translate(out, event)
        return out

    def close(self, *, complete: bool) -> list[AttemptEvent]:
        """The attempt is over, in one way or another: the end of the old block, if it is missing.

        It is missing where the attempt wrote no text. Call it once, after the attempt's last event
        was translated; where the answer is to be continued once more, `held_back` keeps the end.
        """
        out: list[AttemptEvent] = []
        self._end_ours(out, "complete" if complete else "incomplete")
        return out

    def _translate(self, out: list[AttemptEvent], event: AttemptEvent) -> None:
        if isinstance(event, BlockStart):
            self._start(out, event)
        elif self._theirs is None or getattr(event, "block", None) != self._theirs:
            out.append(event)
        elif self._settled is not None:
            self._place(out, event)
        elif isinstance(event, TextDelta):
            self._hold(out, event)
        elif isinstance(event, BlockEnd):
            self._settle_at_end(out, event)
        else:
            self._queued.append(event)

    # --- Blocks ---

    def _start(self, out: list[AttemptEvent], event: BlockStart) -> None:
        if self._theirs is None and event.kind is BlockKind.TEXT:
            self._theirs = event.block
            self._target = self._ours or event.block
            if self._ours is not None:
                return
        elif self._theirs is None and event.kind is not BlockKind.REASONING:
            # The new attempt found the text complete, and goes on to something else.
            self._theirs = _NO_BLOCK
            self._end_ours(out, "complete")
        out.append(msgspec.structs.replace(event, index=self._index))
        self._index += 1

    def _end_ours(self, out: list[AttemptEvent], status: Literal["complete", "incomplete"]) -> None:
        if self._ours is not None:
            out.append(BlockEnd(block=self._ours, status=status, text_len=self._length))
            self._ours = None

    # --- The first text block ---

    def _hold(self, out: list[AttemptEvent], event: TextDelta) -> None:
        self._held += event.delta
        if not (
            _may_grow(self._tail, self._held, self._least) or _may_grow(self._gap, self._held, 1)
        ):
            self._settle(out, self._overlap())

    def _settle(self, out: list[AttemptEvent], trimmed: int) -> None:
        """The seam is decided: leave out what is repeated, let out the rest."""
        self._shift = self._length - trimmed
        self._settled = self._theirs
        if self._held[trimmed:]:
            out.append(TextDelta(self._target, self._held[trimmed:]))
        queued, self._queued = self._queued, []
        for event in queued:
            self._place(out, event)

    def _settle_at_end(self, out: list[AttemptEvent], event: BlockEnd) -> None:
        """The text ends while it may yet be a repetition.

        Of an attempt that broke it is taken for the beginning of one, and left out: whoever goes on
        next writes it again if it was none.
        """
        if event.status == "complete":
            self._settle(out, self._overlap())
        else:
            self._queued.clear()
            self._settle(out, len(self._held))
        self._place(out, event)

    def _overlap(self) -> int:
        """Characters at the start of the held text that repeat the end of the old one."""
        for length in range(min(len(self._tail), len(self._held)), 0, -1):
            counts = length >= self._least or length <= len(self._gap)
            if counts and self._tail.endswith(self._held[:length]):
                return length
        return 0

    def _place(self, out: list[AttemptEvent], event: AttemptEvent) -> None:
        """An event of the first text block, as one of the block it went into."""
        placed = msgspec.structs.replace(event, block=self._target)
        placer = _PLACERS.get(type(placed))
        out.append(placed if placer is None else placer(placed, self._shift))
        if isinstance(event, BlockEnd):
            self._ours = None


def _may_grow(tail: str, held: str, least: int) -> bool:
    """Whether `held` is the beginning of an end of `tail` that is longer, and long enough."""
    at = tail.find(held)
    return 0 <= at < len(tail) - len(held) and len(tail) - at >= least


def _placed_citation(event: CitationAdd, shift: int) -> CitationAdd:
    """A citation whose offsets count from the start of the whole text."""
    found = event.citation
    # A repetition may begin in a block before this one; there is no place in it then.
    start = None if found.start is None else max(0, found.start + shift)
    end = None if found.end is None else max(0, found.end + shift)
    return msgspec.structs.replace(
        event, citation=msgspec.structs.replace(found, start=start, end=end)
    )


def _placed_end(event: BlockEnd, shift: int) -> BlockEnd:
    """The end of the whole text; a digest of the attempt's own part says nothing about it."""
    length = None if event.text_len is None else event.text_len + shift
    return msgspec.structs.replace(event, text_len=length, sha256=None)


_PLACERS: Mapping[type[AttemptEvent], Callable[[Any, int], AttemptEvent]] = {
    CitationAdd: _placed_citation,
    BlockEnd: _placed_end,
}
