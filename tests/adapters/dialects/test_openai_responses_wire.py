"""Responses events are read leniently where they are passed on, and strictly where they are not."""

from typing import Any

import msgspec
import pytest

from adapters.dialects.openai_responses_wire import (
    EVENT,
    HEAD,
    TEXT,
    Content,
    Item,
    TextDelta,
    parts_of,
    tool_input,
    tool_result,
)


def item(**fields: object) -> Item:
    return msgspec.convert(fields, Item)


def test_a_text_delta_is_four_fields_whatever_else_it_has() -> None:
    raw = (
        b'{"sequence_number":4,"item_id":"msg_1","type":"response.output_text.delta",'
        b'"output_index":2,"content_index":1,"delta":"hi","logprobs":[{"token":"hi"}],"pad":"x"}'
    )
    assert TEXT.decode(raw) == TextDelta("response.output_text.delta", "hi", 2, 1)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"type":"response.refusal.delta","delta":"hi","output_index":0}',
        b'{"type":"response.output_text.delta","delta":null,"output_index":0}',
        b'{"type":"response.output_text.delta","delta":"hi"}',
    ],
)
def test_another_event_is_no_text_delta(raw: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        TEXT.decode(raw)


def test_a_head_is_enough_to_know_an_event_by() -> None:
    assert HEAD.decode(b'{"delta":{"odd":1},"type":"new"}').type == "new"
    assert HEAD.decode(b'{"error":{"code":1}}').type is None


def test_an_event_may_leave_out_anything() -> None:
    event = EVENT.decode(b"{}")
    assert (event.output_index, event.part_index, event.whole) == (0, 0, None)


@pytest.mark.parametrize(
    ("raw", "index"),
    [
        (b'{"content_index":2}', 2),
        (b'{"summary_index":3}', 3),
        (b'{"content_index":0,"summary_index":0}', 0),
    ],
)
def test_a_part_is_of_the_content_or_of_the_summary(raw: bytes, index: int) -> None:
    assert EVENT.decode(raw).part_index == index


@pytest.mark.parametrize("field", ["text", "refusal", "arguments"])
def test_a_whole_text_has_one_of_three_names(field: str) -> None:
    assert EVENT.decode(b'{"%s":""}' % field.encode()).whole == ""
    assert EVENT.decode(b'{"%s":"x"}' % field.encode()).whole == "x"


def test_a_content_is_a_list_of_parts_or_a_string_or_nothing() -> None:
    assert parts_of([Content(text="a")]) == [Content(text="a")]
    assert parts_of("a") == [Content(type="output_text", text="a")]
    assert parts_of(None) == []


@pytest.mark.parametrize(
    ("fields", "given"),
    [
        ({"action": {"type": "search", "sources": [1]}}, {"type": "search"}),
        ({"arguments": '{"a":1}'}, {"a": 1}),
        ({"arguments": "{cut"}, "{cut"),
        ({"queries": ["q"]}, {"queries": ["q"]}),
        ({"code": "1/0"}, "1/0"),
        ({}, None),
    ],
)
def test_what_a_tool_was_given_stands_in_one_of_many_fields(
    fields: dict[str, Any], given: object
) -> None:
    assert tool_input(item(**fields)) == given


@pytest.mark.parametrize("field", ["results", "contents", "outputs", "output"])
def test_what_a_tool_gave_does_too(field: str) -> None:
    assert tool_result(item(**{field: [1]})) == [1]


def test_the_sources_of_a_search_are_its_result() -> None:
    assert tool_result(item(action={"sources": [{"url": "u"}]})) == [{"url": "u"}]
    assert tool_result(item(action="odd")) is None
