"""Beginnings of answers: which requests hold one, and taking a repeated one out again."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Model
from adapters.dialects import prefill
from adapters.dialects.concessions import Concessions
from tests.adapters.dialects.chat_cases import HELLO, call

ABLE, UNABLE = Model(id="able", prefill=True), Model(id="unable")
CALL = {"id": "c1", "function": {"name": "add", "arguments": "{}"}}


def last(**message: object) -> dict[str, Any]:
    return {"messages": [*HELLO, {"role": "assistant", **message}]}


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (last(content="Well"), "Well"),
        (last(content=[{"type": "text", "text": "We"}, {"type": "text", "text": "ll"}]), "Well"),
        (last(content=""), None),
        (last(refusal="No."), None),
        (last(content="Let me see.", tool_calls=[CALL]), None),
        ({"messages": HELLO}, None),
    ],
    ids=["text", "parts", "nothing", "a refusal", "a tool call", "the user's"],
)
def test_a_beginning_is_the_text_the_conversation_ends_with(
    request_: dict[str, Any], expected: str | None
) -> None:
    assert prefill.beginning(call(request=request_)) == expected
    assert prefill.is_prefill(call(model=ABLE, request=request_)) == (expected is not None)
    assert not prefill.is_prefill(call(model=UNABLE, request=request_))


def test_only_a_model_that_takes_no_beginning_needs_a_turn_and_says_so() -> None:
    notes = Concessions()
    assert not prefill.needs_turn(call(model=ABLE, request=last(content="Well")), notes)
    assert not prefill.needs_turn(call(model=UNABLE), notes)
    assert not prefill.needs_turn(call(model=UNABLE, request=last(tool_calls=[CALL])), notes)
    assert not notes.warnings
    assert prefill.needs_turn(call(model=ABLE, request=last(refusal="No.")), notes)
    assert prefill.needs_turn(call(model=UNABLE, request=last(content="Well")), notes)
    assert [(one.code, one.field) for one in notes.warnings] == [("parameter_changed", "messages")]


def test_a_beginning_that_is_answered_is_warned_of() -> None:
    notes = Concessions()
    prefill.note_ignored(call(model=ABLE, request=last(content="Well")), notes)
    prefill.note_ignored(call(model=UNABLE), notes)
    assert not notes.warnings
    prefill.note_ignored(call(model=UNABLE, request=last(content="Well")), notes)
    assert [(one.code, one.field) for one in notes.warnings] == [("parameter_ignored", "messages")]


def taken(prefix: str, *pieces: str) -> str:
    repeated = prefill.RepeatedPrefix(prefix)
    return "".join([*map(repeated.take, pieces), repeated.rest()])


@given(prefix=st.text("ab", min_size=1, max_size=5), rest=st.text("ab", max_size=5), data=st.data())
def test_a_repeated_beginning_is_left_out_however_it_is_cut(
    prefix: str, rest: str, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(prefix + rest)))
    assert taken(prefix, (prefix + rest)[:cut], (prefix + rest)[cut:]) == rest
    assert taken(prefix, *(prefix + rest)) == rest


def test_an_answer_that_repeats_no_beginning_is_let_through_at_once() -> None:
    repeated = prefill.RepeatedPrefix("Once upon")
    assert repeated.take(" a") == " a"
    assert not repeated.open
    assert taken("Once upon", "Once", " more") == "Once more"
    assert taken("Once upon", "Once") == "Once"
