"""The grammar's checker lets whole streams pass and names what is wrong with the others."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e import grammar

Events = list[dict[str, Any]]
Change = Callable[[Events], Events]


def numbered(*events: dict[str, Any]) -> Events:
    return [{"v": 1, "stream": "st_1", "seq": seq, **e} for seq, e in enumerate(events)]


def renumbered(events: Events) -> Events:
    return [{**event, "seq": seq} for seq, event in enumerate(events)]


def following(*events: dict[str, Any]) -> Events:
    return renumbered(numbered(*events))


WHOLE = numbered(
    {"type": "stream.start"},
    {"type": "route.plan"},
    {"type": "attempt.start", "attempt": 1},
    {"type": "attempt.commit", "attempt": 1},
    {"type": "block.start", "block": "b1.0", "index": 0, "attempt": 1, "kind": "text"},
    {"type": "text.delta", "block": "b1.0", "delta": "Hi"},
    {"type": "block.end", "block": "b1.0", "status": "complete", "text_len": 2},
    {"type": "usage.update"},
    {"type": "attempt.end", "attempt": 1, "outcome": "completed"},
    {
        "type": "stream.end",
        "status": "completed",
        "finish": "stop",
        "attempts": [{"attempt": 1}],
    },
)
START, COMMIT, BLOCK, DELTA, BLOCK_END, ATTEMPT_END, END = 2, 3, 4, 5, 6, 8, 9

CUT = {"code": "stream_interrupted"}
RESTARTED = numbered(
    *WHOLE[:DELTA],
    {"type": "attempt.end", "attempt": 1, "outcome": "failed", "error": CUT},
    {"type": "attempt.start", "attempt": 2},
    {
        "type": "failover",
        "from": 1,
        "to": 2,
        "mode": "restart",
        "drop": ["b1.0"],
        "must_understand": True,
    },
    {"type": "attempt.commit", "attempt": 2},
    {"type": "attempt.end", "attempt": 2, "outcome": "completed"},
    {**WHOLE[END], "attempts": [{"attempt": 1}, {"attempt": 2}]},
)

GOES_ON = {
    "type": "failover",
    "from": 1,
    "to": 2,
    "mode": "continue",
    "overlap_chars": 200,
    "must_understand": False,
}
CONTINUED = following(
    *WHOLE[:BLOCK_END],
    {"type": "attempt.end", "attempt": 1, "outcome": "failed", "error": CUT},
    {"type": "attempt.start", "attempt": 2},
    GOES_ON,
    {"type": "attempt.commit", "attempt": 2},
    {"type": "block.start", "block": "b2.0", "index": 1, "attempt": 2, "kind": "reasoning"},
    {"type": "block.end", "block": "b2.0", "status": "complete", "text_len": 0},
    {"type": "text.delta", "block": "b1.0", "delta": " there"},
    {"type": "block.end", "block": "b1.0", "status": "complete", "text_len": 8},
    {"type": "attempt.end", "attempt": 2, "outcome": "completed"},
    {**WHOLE[END], "attempts": [{"attempt": 1}, {"attempt": 2}]},
)
FAILOVER, THOUGHT = 8, 10
IN_VAIN = following(
    *WHOLE[:BLOCK_END],
    {"type": "attempt.end", "attempt": 1, "outcome": "failed", "error": CUT},
    {"type": "block.end", "block": "b1.0", "status": "incomplete", "text_len": 2},
    {**WHOLE[END], "status": "failed", "finish": "error", "error": CUT},
)


@pytest.mark.parametrize(
    "events",
    [
        pytest.param(WHOLE, id="an answer"),
        pytest.param(CONTINUED, id="a continuation of an open text"),
        pytest.param(IN_VAIN, id="a text that nobody could go on with"),
        pytest.param(renumbered(RESTARTED), id="a restart that drops an open block"),
        pytest.param(
            renumbered(
                [
                    *WHOLE[:COMMIT],
                    {**WHOLE[ATTEMPT_END], "outcome": "failed", "error": CUT},
                    {**WHOLE[END], "status": "failed", "finish": "error", "error": CUT},
                ]
            ),
            id="nothing committed",
        ),
    ],
)
def test_a_stream_by_the_rules_passes(events: Events) -> None:
    grammar.check(events)


def without(*places: int) -> Change:
    return lambda events: renumbered([e for at, e in enumerate(events) if at not in places])


def changed(place: int, **fields: object) -> Change:
    return lambda events: [*events[:place], {**events[place], **fields}, *events[place + 1 :]]


def moved(place: int, to: int) -> Change:
    def move(events: Events) -> Events:
        rest = [event for at, event in enumerate(events) if at != place]
        return renumbered([*rest[:to], events[place], *rest[to:]])

    return move


def again(place: int, to: int) -> Change:
    return lambda events: renumbered([*events[:to], events[place], *events[to:]])


WRONG: dict[str, tuple[Change, str]] = {
    "no end": (without(END), "does not end with stream.end"),
    "two ends": (again(END, END), "after stream.end"),
    "a gap": (changed(DELTA, seq=77), "sequence number 77"),
    "another stream's": (changed(DELTA, stream="st_2"), "another stream"),
    "no start": (without(0), "stream.start is the first"),
    "a late plan": (moved(1, START), "route.plan follows"),
    "an unknown event": (changed(7, type="surprise"), "no event of the schema"),
    "content before the commit": (moved(COMMIT, DELTA), "before any attempt has committed"),
    "content of a loser": (changed(BLOCK, attempt=2), "content of attempt 2"),
    "a commit of nobody": (without(START), "commits but does not run"),
    "a second commit": (again(COMMIT, COMMIT), "without a failover"),
    "a failure without its error": (changed(ATTEMPT_END, outcome="failed"), "outcome failed"),
    "content after the attempt": (moved(ATTEMPT_END, DELTA), "which is over"),
    "a block twice": (again(BLOCK, BLOCK), "starts twice"),
    "a delta of another kind": (changed(DELTA, type="tool.delta"), "a delta of tool_call"),
    "an empty delta": (changed(DELTA, delta=""), "an empty delta"),
    "a delta of no block": (changed(DELTA, block="b9"), "has not started"),
    "a delta after its block": (again(DELTA, BLOCK_END + 1), "is over"),
    "a length that did not come": (changed(BLOCK_END, text_len=3), "a length"),
    "an open block": (without(BLOCK_END), "blocks without an end"),
    "an open attempt": (without(ATTEMPT_END), "attempts without an end"),
    "a lie in the status": (changed(END, status="failed"), "status and finish differ"),
    "a success with an error": (changed(END, error=CUT), "status and error differ"),
    "an attempt untold": (changed(END, attempts=[]), "attempts []"),
}


@pytest.mark.parametrize(("change", "said"), WRONG.values(), ids=WRONG)
def test_what_breaks_a_rule_is_named(change: Change, said: str) -> None:
    with pytest.raises(AssertionError) as broken:
        grammar.check(change(WHOLE))
    assert said in str(broken.value)


def test_a_restart_names_every_block_it_takes_back() -> None:
    forgetful = [{**e, "drop": []} if e["type"] == "failover" else e for e in RESTARTED]
    with pytest.raises(AssertionError, match="the wrong blocks drop"):
        grammar.check(renumbered(forgetful))


def test_a_failover_is_followed_by_its_commit_at_once() -> None:
    with pytest.raises(AssertionError, match="failover without its commit"):
        grammar.check(without(8)(RESTARTED))


def of_kind(kind: str, *, ended: bool = False) -> Change:
    """The continued stream, as if its first block had been of another kind."""
    more = {"call_id": "c1", "name": "add"} if kind == "tool_call" else {}
    delta = {**CONTINUED[DELTA], "type": "tool.delta" if kind == "tool_call" else f"{kind}.delta"}
    over = {"type": "block.end", "block": "b1.0", "status": "complete", "args": "Hi", "text_len": 2}

    def change(events: Events) -> Events:
        block = {**events[BLOCK], **more, "kind": kind}
        ends = [{**over, "v": 1, "stream": "st_1"}] if ended else []
        return renumbered([*events[:BLOCK], block, delta, *ends, *events[BLOCK_END:]])

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (changed(FAILOVER, drop=["b1.0"]), "the wrong blocks drop"),
        (changed(FAILOVER, overlap_chars=-1), "without its overlap"),
        (changed(THOUGHT, index=0), "has the index 0"),
        (of_kind("reasoning"), "inside a block of reasoning"),
        (of_kind("tool_call"), "inside a block of tool_call"),
        (of_kind("tool_call", ended=True), "after a tool call"),
        (of_kind("refusal", ended=True), "after a refusal"),
    ],
    ids=[
        "a drop",
        "no overlap",
        "an index from the start",
        "inside reasoning",
        "inside a call",
        "after a call",
        "after a refusal",
    ],
)
def test_what_may_not_be_continued_is_named(change: Change, said: str) -> None:
    with pytest.raises(AssertionError) as broken:
        grammar.check(change(CONTINUED))
    assert said in str(broken.value)
