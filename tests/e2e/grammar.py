"""Whether the events of a native stream keep the grammar of the schema (docs/streams.md).

A reader of its own, which shares nothing with what writes the stream: it takes the JSON as a client
gets it, one event after the other, and says in words which rule the first wrong one breaks. What it
holds a whole stream to::

    stream   = stream.start route.plan? prelude segment (recovery segment)* stream.end
    prelude  = (attempt.start | attempt.end | aux)*                 no content before a commit
    segment  = attempt.commit (block event | attempt.start | attempt.end | aux)*
    recovery = attempt.end (attempt.start | attempt.end | aux)* failover     then the new commit
    aux      = usage.update | warning | meta | safety.flag | citation.add

A stream in which nothing committed has no segment. Every block and every attempt that starts ends
once; deltas fit their block; what an ending repeats (lengths, arguments, attempts) is what came.

A failover that restarts drops the whole answer as it stands, one that continues drops nothing: an
open text block is then the new attempt's to go on with, and its blocks are counted on from those
there are. After a finished tool call there is neither, after a refusal nothing is continued.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Event = Mapping[str, Any]

AUX = frozenset({"usage.update", "warning", "meta", "safety.flag"})
KIND_OF_DELTA = {
    "text.delta": "text",
    "reasoning.delta": "reasoning",
    "refusal.delta": "refusal",
    "tool.delta": "tool_call",
    "file.delta": "file",
}
STATUS_OF_FINISH = {
    "stop": "completed",
    "tool_calls": "completed",
    "refusal": "completed",
    "pause": "completed",
    "other": "completed",
    "length": "incomplete",
    "context_length": "incomplete",
    "content_filter": "incomplete",
    "interrupted": "failed",
    "error": "failed",
    "cancelled": "cancelled",
}
WITH_ERROR = frozenset({"failed", "cancelled"})


def check(events: Sequence[Event]) -> None:
    """Hold a whole stream to the grammar; AssertionError in words where it does not keep it."""
    assert events, "a stream without events"
    reader = _Reader(stream=events[0]["stream"])
    for seq, event in enumerate(events):
        try:
            reader.take(seq, event)
        except AssertionError as broken:
            told = " ".join(f"{e['seq']}:{e['type']}" for e in events)
            message = f"{broken} (event {seq}, {event['type']}; the stream: {told})"
            raise AssertionError(message) from None
    assert reader.ended, f"the stream does not end with stream.end but {events[-1]['type']}"


@dataclass(slots=True)
class _Block:
    kind: str
    attempt: int
    text: str = ""
    open: bool = True
    dropped: bool = False
    called: bool = False
    """A tool call that the reader may have run."""


@dataclass(slots=True)
class _Reader:
    stream: str
    ended: bool = False
    running: dict[int, bool] = field(default_factory=dict)
    """Attempt -> whether it has not ended."""
    committed: int | None = None
    successor: int | None = None
    """The attempt that a failover has just named, whose commit must be next."""
    blocks: dict[str, _Block] = field(default_factory=dict)

    def take(self, seq: int, event: Event) -> None:
        kind = event["type"]
        assert not self.ended, "an event after stream.end"
        assert event["v"] == 1, f"schema version {event['v']}"
        assert event["stream"] == self.stream, "an event of another stream"
        assert event["seq"] == seq, f"sequence number {event['seq']}, expected {seq}"
        assert (kind == "stream.start") == (seq == 0), "stream.start is the first event, once"
        assert kind != "route.plan" or seq == 1, "route.plan follows stream.start"
        assert self.successor is None or kind == "attempt.commit", "failover without its commit"
        if kind in KIND_OF_DELTA:
            self._delta(event)
        elif kind not in AUX:
            assert kind in _RULES, "no event of the schema"
            _RULES[kind](self, event)

    def nothing(self, _: Event) -> None:
        """Its place is all there is to check."""

    # --- Attempts ---

    def attempt_start(self, event: Event) -> None:
        number = event["attempt"]
        assert number == len(self.running) + 1, f"attempt {number} is not the next one"
        self.running[number] = True

    def attempt_commit(self, event: Event) -> None:
        number = event["attempt"]
        assert self.running.get(number), f"attempt {number} commits but does not run"
        assert self.committed is None or self.successor == number, "a commit without a failover"
        self.committed, self.successor = number, None

    def attempt_end(self, event: Event) -> None:
        number = event["attempt"]
        assert self.running.get(number), f"attempt {number} ends but does not run"
        self.running[number] = False
        failed = event["outcome"] in {"failed", "timeout", "cancelled"}
        assert failed == ("error" in event), f"outcome {event['outcome']} and its error"

    def failover(self, event: Event) -> None:
        assert event["from"] == self.committed, "a failover from what did not answer"
        assert not self.running[event["from"]], "a failover from an attempt that goes on"
        assert self.running.get(event["to"]), "a failover to an attempt that does not run"
        restart = event["mode"] == "restart"
        assert event["must_understand"] == restart, "only a restart must be understood"
        gone = {name for name, b in self.blocks.items() if not b.dropped}
        assert set(event.get("drop", ())) == (gone if restart else set()), "the wrong blocks drop"
        assert not any(self.blocks[name].called for name in gone), "a failover after a tool call"
        for name in event.get("drop", ()):
            self.blocks[name].open, self.blocks[name].dropped = False, True
        if not restart:
            self._go_on(event)
        self.successor = event["to"]

    def _go_on(self, event: Event) -> None:
        assert event["overlap_chars"] >= 0, "a continuation without its overlap"
        for block in self._living():
            assert block.kind != "refusal", "a continuation after a refusal"
            if block.open:
                assert block.kind == "text", f"a continuation inside a block of {block.kind}"
                block.attempt = event["to"]

    # --- Blocks ---

    def block_start(self, event: Event) -> None:
        self._content(event["attempt"])
        name = event["block"]
        assert name not in self.blocks, f"block {name} starts twice"
        there = len(self._living())
        assert event["index"] == there, f"block {name} has the index {event['index']}"
        call = event["kind"] == "tool_call"
        assert call == ("call_id" in event), "only a tool call has a call_id"
        assert not call or event["name"], "a tool call without a name"
        self.blocks[name] = _Block(event["kind"], event["attempt"])

    def _delta(self, event: Event) -> None:
        block = self._open(event)
        expected = KIND_OF_DELTA[event["type"]]
        assert block.kind == expected, f"a delta of {expected} in a block of {block.kind}"
        if expected != "file":
            assert event["delta"], "an empty delta"
            block.text += event["delta"]

    def inside(self, event: Event) -> None:
        self._open(event)

    def citation(self, event: Event) -> None:
        # Some providers name their sources at the end, when the text they belong to is over.
        assert event.get("block", None) in {None, *self.blocks}, "a citation of an unknown block"

    def block_end(self, event: Event) -> None:
        # A text block that somebody was sought to continue, in vain: its attempt is over.
        given_up = event["status"] == "incomplete" and self._kind(event) == "text"
        block = self._open(event, alive=not given_up)
        block.open = False
        if block.kind == "tool_call":
            assert event["args"] in {block.text, block.text or "{}"}, "arguments that did not come"
            block.called = event["status"] == "complete"
        elif block.kind in {"text", "reasoning", "refusal"}:
            assert event["text_len"] == len(block.text), "a length that did not come"

    def _living(self) -> list[_Block]:
        return [block for block in self.blocks.values() if not block.dropped]

    def _kind(self, event: Event) -> str | None:
        block = self.blocks.get(event["block"])
        return None if block is None else block.kind

    def _open(self, event: Event, *, alive: bool = True) -> _Block:
        name = event["block"]
        assert name in self.blocks, f"block {name} has not started"
        block = self.blocks[name]
        assert block.open, f"block {name} is over"
        self._content(block.attempt, alive=alive)
        return block

    def _content(self, attempt: int, *, alive: bool = True) -> None:
        assert self.committed is not None, "content before any attempt has committed"
        assert attempt == self.committed, f"content of attempt {attempt}, {self.committed} answers"
        running = self.running[attempt] or not alive
        assert running, f"content of attempt {attempt}, which is over"

    # --- The end ---

    def end(self, event: Event) -> None:
        self.ended = True
        still = [name for name, block in self.blocks.items() if block.open]
        assert not still, f"blocks without an end: {still}"
        running = [number for number, runs in self.running.items() if runs]
        assert not running, f"attempts without an end: {running}"
        assert event["status"] == STATUS_OF_FINISH[event["finish"]], "status and finish differ"
        assert (event["status"] in WITH_ERROR) == ("error" in event), "status and error differ"
        told = [summary["attempt"] for summary in event["attempts"]]
        assert told == list(self.running), f"attempts {told}, there were {list(self.running)}"


_RULES: Mapping[str, Callable[[_Reader, Event], None]] = {
    "stream.start": _Reader.nothing,
    "route.plan": _Reader.nothing,
    "attempt.start": _Reader.attempt_start,
    "attempt.commit": _Reader.attempt_commit,
    "attempt.end": _Reader.attempt_end,
    "failover": _Reader.failover,
    "block.start": _Reader.block_start,
    "reasoning.signature": _Reader.inside,
    "server_tool.update": _Reader.inside,
    "citation.add": _Reader.citation,
    "block.end": _Reader.block_end,
    "stream.end": _Reader.end,
}
