"""Whatever a decoder does with its blocks, each starts once, ends once and adds up."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.dialects.blocks import Blocks, is_json_object
from adapters.events import (
    AttemptEvent,
    BlockEnd,
    BlockKind,
    BlockStart,
    Ending,
    Finish,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolDelta,
)
from tests.adapters.dialects.cuts import Decoded, check_grammar

TEXT, REASONING, CALL = BlockKind.TEXT, BlockKind.REASONING, BlockKind.TOOL_CALL


def test_a_block_has_an_id_that_names_its_attempt_and_counts() -> None:
    out: list[AttemptEvent] = []
    blocks = Blocks(3)
    blocks.start(out, 0, TEXT)
    blocks.start(out, 1, CALL, call_id="c", name="f")
    assert out == [
        BlockStart(block="b3.0", index=0, attempt=3, kind=TEXT),
        BlockStart(
            block="b3.1", index=1, attempt=3, kind=CALL, call_id="c", name="f", args_format="json"
        ),
    ]
    assert blocks.count == 2


@pytest.mark.parametrize(
    ("kind", "delta"),
    [
        (TEXT, TextDelta("b1.0", "x")),
        (REASONING, ReasoningDelta("b1.0", "x")),
        (BlockKind.REFUSAL, RefusalDelta("b1.0", "x")),
        (CALL, ToolDelta("b1.0", "x")),
    ],
)
def test_a_delta_is_of_its_block_s_kind(kind: BlockKind, delta: AttemptEvent) -> None:
    out: list[AttemptEvent] = []
    blocks = Blocks(1)
    block = blocks.start(out, "key", kind)
    blocks.delta(out, block, "x")
    assert out[1:] == [delta]


def test_an_empty_delta_says_nothing() -> None:
    out: list[AttemptEvent] = []
    blocks = Blocks(1)
    blocks.delta(out, blocks.start(out, "key", TEXT), "")
    blocks.run(out, REASONING, "")
    assert len(out) == 1


def test_a_text_ends_with_its_length_in_characters() -> None:
    out: list[AttemptEvent] = []
    blocks = Blocks(1)
    block = blocks.start(out, "key", TEXT)
    blocks.delta(out, block, "né")
    blocks.delta(out, block, "🌍")
    blocks.end(out, "key")
    assert out[-1] == BlockEnd(block="b1.0", status="complete", text_len=3)


@pytest.mark.parametrize(
    ("parts", "complete", "args", "valid"),
    [
        (['{"a":', "1}"], True, '{"a":1}', True),
        (["[1]"], True, "[1]", False),
        (['{"a":'], False, '{"a":', False),
        ([], True, "{}", True),
        ([], False, "", False),
    ],
)
def test_a_tool_call_ends_with_its_whole_argument_text(
    parts: list[str], args: str, *, complete: bool, valid: bool
) -> None:
    out: list[AttemptEvent] = []
    blocks = Blocks(1)
    block = blocks.start(out, "key", CALL, call_id="c", name="f")
    for part in parts:
        blocks.delta(out, block, part)
    blocks.end(out, "key", complete=complete)
    status: Literal["complete", "incomplete"] = "complete" if complete else "incomplete"
    assert out[-1] == BlockEnd(block="b1.0", status=status, args=args, args_valid=valid)


def test_a_block_of_another_kind_ends_without_figures() -> None:
    out: list[AttemptEvent] = []
    blocks = Blocks(1)
    blocks.start(out, "key", BlockKind.SERVER_TOOL, name="web_search")
    blocks.end(out, "key")
    assert out[-1] == BlockEnd(block="b1.0", status="complete")


def test_a_block_ends_once() -> None:
    out: list[AttemptEvent] = []
    blocks = Blocks(1)
    blocks.start(out, "key", TEXT)
    blocks.end(out, "key")
    blocks.end(out, "key")
    blocks.end_all(out)
    assert len(out) == 2
    assert blocks.get("key") is None


def test_reasoning_is_over_when_the_answer_begins() -> None:
    out: list[AttemptEvent] = []
    blocks = Blocks(1)
    blocks.run(out, REASONING, "hm", "raw")
    blocks.run(out, REASONING, "...", "raw")
    blocks.run(out, TEXT, "yes")
    assert out == [
        BlockStart(block="b1.0", index=0, attempt=1, kind=REASONING, form="raw"),
        ReasoningDelta("b1.0", "hm"),
        ReasoningDelta("b1.0", "..."),
        BlockEnd(block="b1.0", status="complete", text_len=5),
        BlockStart(block="b1.1", index=1, attempt=1, kind=TEXT),
        TextDelta("b1.1", "yes"),
    ]


def test_tool_calls_stay_open_beside_running_text() -> None:
    out: list[AttemptEvent] = []
    blocks = Blocks(1)
    call = blocks.start(out, 0, CALL, call_id="c", name="f")
    blocks.run(out, TEXT, "meanwhile")
    blocks.delta(out, call, "{}")
    blocks.end_runs(out)
    assert blocks.get(0) is call
    assert blocks.get(TEXT) is None


def test_what_is_open_ends_in_the_order_it_was_opened() -> None:
    out: list[AttemptEvent] = []
    blocks = Blocks(1)
    for key in ("b", "a", "c"):
        blocks.start(out, key, TEXT)
    blocks.end_all(out, complete=False)
    ended = [event for event in out if isinstance(event, BlockEnd)]
    assert [event.block for event in ended] == ["b1.0", "b1.1", "b1.2"]
    assert {event.status for event in ended} == {"incomplete"}


_KEYS = st.integers(0, 3)
_STEPS = st.lists(
    st.tuples(st.just("start"), _KEYS, st.sampled_from([TEXT, REASONING, CALL]))
    | st.tuples(st.just("delta"), _KEYS, st.text(max_size=3))
    | st.tuples(st.just("run"), st.sampled_from([TEXT, REASONING]), st.text(max_size=3))
    | st.tuples(st.just("end"), _KEYS, st.booleans()),
    max_size=30,
)


@given(steps=_STEPS)
def test_any_order_of_steps_keeps_the_grammar(steps: list[tuple[str, object, object]]) -> None:
    out: list[AttemptEvent] = []
    blocks = Blocks(1)
    for step, key, value in steps:
        block = blocks.get(key)
        if step == "start" and block is None and isinstance(value, BlockKind):
            blocks.start(out, key, value, call_id="c", name="f")
        elif step == "delta" and block is not None and isinstance(value, str):
            blocks.delta(out, block, value)
        elif step == "run" and isinstance(key, BlockKind) and isinstance(value, str):
            blocks.run(out, key, value)
        elif step == "end":
            blocks.end(out, key, complete=bool(value))
    blocks.end_all(out)
    check_grammar(Decoded(out, Ending(finish=Finish.STOP), None, None))


@pytest.mark.parametrize(
    ("text", "is_object"),
    [
        ("{}", True),
        ('{"a": [1, null]}', True),
        (" {} ", True),
        ("", False),
        ("[]", False),
        ("null", False),
        ('{"a":', False),
        ("{} {}", False),
        ('{"\ud800": 1}', False),
        pytest.param('{"a":' * 5_000, False, id="deep and cut"),
        pytest.param('{"a":' + "[" * 5_000 + "]" * 5_000 + "}", False, id="deep"),
    ],
)
def test_arguments_are_a_json_object_or_not(text: str, *, is_object: bool) -> None:
    assert is_json_object(text) is is_object
