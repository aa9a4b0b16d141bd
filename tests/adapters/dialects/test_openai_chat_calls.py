"""Placing tool-call fragments: one test per rule, in the order of the rules."""

from typing import Any

import pytest

from adapters.dialects.openai_chat_calls import MAX_CALLS, ToolCalls, TooManyCallsError


def _placed(*chunks: list[dict[str, Any]]) -> list[tuple[int, str, str]]:
    """(number of the call, name, arguments) of every fragment."""
    calls = ToolCalls()
    return [
        (call.number, name, arguments)
        for deltas in chunks
        for call, name, arguments in calls.place(deltas)
    ]


def _delta(name: str | None = None, arguments: str | None = None, **more: object) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"function": {key: value for key, value in function.items() if value is not None}} | more


def test_an_id_that_is_repeated_names_its_call() -> None:
    first, second = _delta("f", "", id="a"), _delta("g", "", id="b")
    assert _placed([first], [second], [_delta("f", "{", id="a")], [_delta("g", "{", id="b")]) == [
        (0, "f", ""),
        (1, "g", ""),
        (0, "f", "{"),
        (1, "g", "{"),
    ]


@pytest.mark.parametrize("later_id", [None, "", "null"])
def test_an_index_names_its_call_whatever_stands_for_no_id(later_id: str | None) -> None:
    opened = [_delta("f", "", id="a", index=0), _delta("g", "", id="b", index=1)]
    later = [_delta(None, "1", id=later_id, index=1), _delta("", "0", id=later_id, index=0)]
    assert _placed(opened, later)[2:] == [(1, "", "1"), (0, "", "0")]


def test_an_index_may_be_used_again_by_a_call_with_a_new_id_and_name() -> None:
    first, second = _delta("f", "{}", id="a", index=0), _delta("f", "{}", id="b", index=0)
    assert [number for number, *_ in _placed([first, second])] == [0, 1]


def test_a_new_id_without_a_name_goes_on_with_the_call_of_its_index() -> None:
    assert _placed([_delta("f", "{", id="a", index=0)], [_delta(None, "}", id="b", index=0)]) == [
        (0, "f", "{"),
        (0, "", "}"),
    ]


def test_an_id_that_comes_late_is_the_calls_id() -> None:
    calls = ToolCalls()
    [(call, _, _)] = calls.place([_delta("f", "", index=0)])
    calls.place([_delta(None, "{}", index=0, id="a")])
    assert call.call_id == "a"


def test_a_call_without_index_is_opened_by_its_id_or_its_name() -> None:
    assert _placed([_delta("f", "{}", id="a"), _delta("g", "{}")], [_delta("g", "{}")]) == [
        (0, "f", "{}"),
        (1, "g", "{}"),
        (2, "g", "{}"),
    ]


def test_a_bare_fragment_goes_on_with_the_last_call() -> None:
    opened = [_delta("f", "", id="a"), _delta("g", "", id="b")]
    assert _placed(opened, [_delta(None, "{}")])[2:] == [(1, "", "{}")]


def test_bare_fragments_of_one_chunk_go_on_with_as_many_last_calls_in_order() -> None:
    opened = [_delta("f", "", id="a"), _delta("g", "", id="b"), _delta("h", "", id="c")]
    assert _placed(opened, [_delta(None, "1"), _delta(None, "2")])[3:] == [
        (1, "", "1"),
        (2, "", "2"),
    ]


def test_a_bare_fragment_before_any_call_waits_for_a_name() -> None:
    calls = ToolCalls()
    [(call, name, arguments)] = calls.place([_delta(None, "{")])
    assert (call.number, name, arguments, calls.unnamed) == (0, "", "{", 1)


def test_arguments_may_be_an_object_or_nothing() -> None:
    whole = {"id": "a", "function": {"name": "f", "arguments": {"zone": "UTC"}}}
    none = {"id": "b", "function": {"name": "g", "arguments": None}}
    assert _placed([whole, none]) == [(0, "f", '{"zone":"UTC"}'), (1, "g", "")]


@pytest.mark.parametrize(
    "delta",
    [{}, {"index": "0", "id": 7, "function": None}, {"function": {"name": 1, "arguments": [2]}}],
)
def test_what_is_no_fragment_is_an_empty_one(delta: dict[str, Any]) -> None:
    assert _placed([delta]) == [(0, "", "")]


def test_a_call_of_a_shared_index_is_still_named_by_its_id() -> None:
    first, second = _delta("f", "{", id="a", index=0), _delta("g", "{", id="b", index=0)
    late = [_delta(None, "1", id="a", index=0), _delta(None, "2", index=0)]
    assert _placed([first, second], late)[2:] == [(0, "", "1"), (1, "", "2")]


def test_an_id_that_came_late_names_its_call() -> None:
    opened = [_delta("f", "", index=0), _delta("g", "", index=1)]
    late = [_delta(None, "{", index=0, id="a")]
    assert _placed(opened, late, [_delta("f", "}", id="a")])[2:] == [(0, "", "{"), (0, "f", "}")]


def test_two_calls_with_one_id_are_told_apart_by_their_indexes() -> None:
    opened = [_delta("f", "{", id="a", index=0), _delta("g", "[", id="a", index=1)]
    late = [_delta(None, "]", id="a", index=1), _delta(None, "}", id="a", index=0)]
    assert _placed(opened, late) == [(0, "f", "{"), (1, "g", "["), (1, "", "]"), (0, "", "}")]


def test_the_second_of_two_calls_with_one_id_is_without_it() -> None:
    calls = ToolCalls()
    placed = calls.place([_delta("f", "{}", id="a", index=0), _delta("f", "{}", id="a", index=1)])
    assert [call.call_id for call, *_ in placed] == ["a", ""]


def test_a_call_whose_index_moves_on_without_a_name_is_still_named_by_its_id() -> None:
    assert _placed([_delta("f", "{", id="a", index=0)], [_delta(None, "}", id="a", index=1)]) == [
        (0, "f", "{"),
        (0, "", "}"),
    ]


def test_an_answer_has_at_most_so_many_calls() -> None:
    calls = ToolCalls()
    for number in range(MAX_CALLS):
        calls.place([_delta("f", "{}", id=f"call-{number}")])
    [(first, _, _)] = calls.place([_delta(None, "", id="call-0")])
    assert first.number == 0
    with pytest.raises(TooManyCallsError, match="more than 1024 tool calls"):
        calls.place([_delta("f", "{}", id="one-more")])
