"""A native stream as the Responses API's events, and as its response object."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response

from adapters.errors import make
from adapters.events import (
    BlockEnd,
    BlockKind,
    BlockStart,
    Citation,
    CitationAdd,
    ErrorCode,
    Failover,
    Finish,
    SequencedEvent,
    Status,
    TextDelta,
    ToolDelta,
)
from adapters.request import AssistantMessage, text_of
from service.dialects.responses import DONE, Responses, ResponsesProjection
from service.dialects.responses_request import Turn
from service.streams.fold import Fold
from tests.service.dialects.responses_streams import (
    NAMED,
    accumulated,
    block,
    body_of,
    ending,
    no_turn,
    streams,
    told,
    whole,
)
from tests.service.streams.events_for_tests import start

DIALECT = Responses(no_turn)
ASKED = DIALECT.read({"input": "hi", "model": "auto"}, {})


def view() -> ResponsesProjection:
    return DIALECT.projection(ASKED, NAMED)


def folded(events: list[SequencedEvent]) -> Fold:
    fold = Fold()
    for event in events:
        fold.add(event)
    return fold


def types(events: list[SequencedEvent]) -> list[str]:
    return [event["type"] for event in told(body_of(view(), events))]


# --- Properties -----------------------------------------------------------------------------


@given(streams())
def test_the_sdk_s_accumulator_takes_every_stream_and_has_its_answer(
    events: list[SequencedEvent],
) -> None:
    fold, end = folded(events), ending()
    said = told(body_of(view(), events))
    last = Response.model_validate(said[-1]["response"])
    completed = accumulated(said)
    assert (completed is not None) == (last.status == "completed")
    if completed is not None:
        assert completed.output_text == fold.text(BlockKind.TEXT)
    assert last.output_text == fold.text(BlockKind.TEXT)
    calls = [
        {"id": item.call_id, "name": item.name, "arguments": item.arguments}
        for item in last.output
        if item.type == "function_call"
    ]
    assert calls == fold.tool_calls()
    assert last.usage is not None
    assert (last.usage.input_tokens, last.usage.output_tokens) == (30, 20)
    assert (last.usage.total_tokens, end.usage.total) == (50, 50)


@given(streams())
def test_a_response_given_back_is_the_assistant_s_message_again(
    events: list[SequencedEvent],
) -> None:
    fold = folded(events)
    output = DIALECT.document(ASKED, NAMED, fold, fold.end)["output"]
    again = DIALECT.read({"input": [*output, {"role": "user", "content": "and?"}]}, {})
    said = [one for one in again.chat.messages if isinstance(one, AssistantMessage)]
    assert "".join(text_of(one.content) for one in said) == fold.text(BlockKind.TEXT)
    assert "".join(one.refusal or "" for one in said) == fold.text(BlockKind.REFUSAL)
    calls = [call for one in said for call in one.tool_calls or ()]
    assert [call.id for call in calls] == [call["id"] for call in fold.tool_calls()]
    if said:
        signed = [held for held in fold.blocks.values() if held.signature is not None]
        thoughts = [thought for one in said for thought in one.reasoning or ()]
        back = [thought.signature for thought in thoughts if thought.signature is not None]
        back += [call.signature for call in calls if call.signature is not None]
        assert len(back) == len(signed)
        assert {(one.provider, one.format, one.value, one.id) for one in back} <= {
            ("gemini", "f", "v", "i")
        }


@given(streams(), st.integers(0, 60))
def test_whoever_reads_again_gets_the_same_events_under_the_same_numbers(
    events: list[SequencedEvent], after: int
) -> None:
    first = told(body_of(view(), events))
    assert [event["sequence_number"] for event in first] == list(range(len(first)))
    resumed = told(body_of(DIALECT.projection(ASKED, NAMED, after), events))
    assert first[: after + 1] + resumed == first


# --- The course of events -------------------------------------------------------------------


def test_a_text_is_announced_filled_and_closed_in_the_order_of_the_api() -> None:
    assert types(whole(block(BlockKind.TEXT, "a", "b"))) == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]


@pytest.mark.parametrize(
    ("form", "names"),
    [
        (
            "raw",
            [
                "response.content_part.added",
                "response.reasoning_text.delta",
                "response.reasoning_text.done",
                "response.content_part.done",
            ],
        ),
        (
            "summary",
            [
                "response.reasoning_summary_part.added",
                "response.reasoning_summary_text.delta",
                "response.reasoning_summary_text.done",
                "response.reasoning_summary_part.done",
            ],
        ),
    ],
)
def test_reasoning_is_told_by_the_names_of_the_sdk(
    form: Literal["raw", "summary"], names: list[str]
) -> None:
    assert types(whole(block(BlockKind.REASONING, "a", form=form)))[3:-2] == names


def test_secret_reasoning_is_an_item_with_nothing_but_its_signature() -> None:
    events = whole(block(BlockKind.REASONING, form="redacted", signed=True))
    item = told(body_of(view(), events))[-1]["response"]["output"][0]
    assert item["summary"] == []
    assert item["encrypted_content"].startswith("tailrace.")


def test_words_of_reasoning_that_is_secret_are_not_told() -> None:
    events = whole(block(BlockKind.REASONING, "Hm", form="redacted", signed=True))
    assert [event["type"] for event in told(body_of(view(), events))][2:-1] == [
        "response.output_item.added",
        "response.output_item.done",
    ]


def test_arguments_that_came_only_with_a_call_s_end_are_told_as_a_delta_too() -> None:
    events = block(BlockKind.TOOL_CALL)
    events[-1] = BlockEnd(block="b1", status="complete", args="{}")
    assert "response.function_call_arguments.delta" in types(whole(events))


def test_arguments_are_what_came_where_the_end_does_not_repeat_them() -> None:
    events = block(BlockKind.TOOL_CALL, "{}")
    events[-1] = BlockEnd(block="b1", status="complete")
    item = told(body_of(view(), whole(events)))[-1]["response"]["output"][0]
    assert item["arguments"] == "{}"


def test_a_call_that_was_cut_is_never_done() -> None:
    cut = [
        BlockStart(block="t", index=0, attempt=1, kind=BlockKind.TOOL_CALL, call_id="c", name="f"),
        ToolDelta("t", '{"a'),
        BlockEnd(block="t", status="incomplete"),
    ]
    events = told(body_of(view(), whole(cut, end=ending(Finish.LENGTH, Status.INCOMPLETE))))
    assert "response.output_item.done" not in [event["type"] for event in events]
    assert events[-1]["response"]["output"] == []


def test_kinds_that_the_api_has_no_form_for_are_passed_over() -> None:
    hidden = [
        BlockStart(block="f", index=0, attempt=1, kind=BlockKind.FILE, media_type="image/png"),
        BlockEnd(block="f", status="complete"),
    ]
    unseen = [TextDelta("nobody", "x"), *block(BlockKind.REASONING, signed=True)[1:-1]]
    assert types(whole(hidden, unseen)) == [
        "response.created",
        "response.in_progress",
        "response.completed",
    ]


# --- Endings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("finish", "status", "last"),
    [
        (Finish.STOP, Status.COMPLETED, "response.completed"),
        (Finish.LENGTH, Status.INCOMPLETE, "response.incomplete"),
        (Finish.INTERRUPTED, Status.FAILED, "response.failed"),
        (Finish.CANCELLED, Status.CANCELLED, "response.failed"),
    ],
)
def test_only_an_answer_s_own_end_is_marked_as_clean(
    finish: Finish, status: Status, last: str
) -> None:
    body = body_of(view(), whole(block(BlockKind.TEXT, "a"), end=ending(finish, status)))
    assert body.endswith(DONE) == (last != "response.failed")
    end = told(body)[-1]
    assert end["type"] == last
    assert end["response"]["status"] == status
    assert (end["response"]["error"] is not None) == (status is Status.FAILED)


@pytest.mark.parametrize(
    ("code", "theirs"),
    [
        (ErrorCode.STREAM_INTERRUPTED, "server_error"),
        (ErrorCode.RATE_LIMIT_PROVIDER, "rate_limit_exceeded"),
        (ErrorCode.CONTENT_BLOCKED_INPUT, "invalid_prompt"),
    ],
)
def test_a_broken_stream_tells_why_in_the_api_s_codes(code: ErrorCode, theirs: str) -> None:
    error = make(code, "it broke")
    end = ending(Finish.ERROR, Status.FAILED, error=error)
    response = told(body_of(view(), whole(end=end)))[-1]["response"]
    assert response["error"] == {"code": theirs, "message": "it broke"}


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        (Finish.LENGTH, "max_output_tokens"),
        (Finish.CONTEXT_LENGTH, "max_output_tokens"),
        (Finish.CONTENT_FILTER, "content_filter"),
    ],
)
def test_an_incomplete_response_says_why(finish: Finish, reason: str) -> None:
    end = ending(finish, Status.INCOMPLETE)
    response = told(body_of(view(), whole(end=end)))[-1]["response"]
    assert response["incomplete_details"] == {"reason": reason}


def test_what_was_taken_back_is_not_in_the_response() -> None:
    failover = Failover(
        from_attempt=1,
        to=2,
        mode="restart",
        drop=["b1"],
        error=make(ErrorCode.STREAM_INTERRUPTED, "cut"),
        must_understand=True,
    )
    first, second = block(BlockKind.TEXT, "no"), block(BlockKind.TEXT, "yes", name="b2")
    events = whole(first, [failover], second)
    response = Response.model_validate(told(body_of(view(), events))[-1]["response"])
    assert response.output_text == "yes"


# --- Sources --------------------------------------------------------------------------------


def cite(block_id: str | None, url: str | None = "https://a.example") -> CitationAdd:
    return CitationAdd(block=block_id, citation=Citation(id="c", kind="url", url=url))


def annotations(events: list[SequencedEvent]) -> tuple[int, list[list[str]]]:
    """How many were told as they came, and the addresses in the last snapshot, by message."""
    said = told(body_of(view(), events))
    live = [event for event in said if event["type"] == "response.output_text.annotation.added"]
    messages = [item for item in said[-1]["response"]["output"] if item["type"] == "message"]
    found = [[a["url"] for p in m["content"] for a in p["annotations"]] for m in messages]
    return len(live), found


def test_a_source_hangs_on_its_text() -> None:
    text = block(BlockKind.TEXT, "a")
    text.insert(2, cite("b1"))
    assert annotations(whole(text)) == (1, [["https://a.example"]])


def test_a_source_of_no_text_hangs_on_the_next_or_the_latest() -> None:
    text = block(BlockKind.TEXT, "a")
    assert annotations(whole([cite(None)], text)) == (1, [["https://a.example"]])
    assert annotations(whole(text, [cite(None)])) == (0, [["https://a.example"]])


def test_sources_without_an_address_or_of_something_else_are_passed_over() -> None:
    text = block(BlockKind.TEXT, "a")
    thought = block(BlockKind.REASONING, "t", name="b2")
    empty = block(BlockKind.TEXT)
    assert annotations(whole(text, [cite("b1", None)])) == (0, [[]])
    assert annotations(whole(text, [cite("b1", "javascript:alert(1)")])) == (0, [[]])
    assert annotations(whole(thought, text, [cite("b2"), cite("gone")])) == (0, [[]])
    assert annotations(whole(empty, [cite("b1")])) == (0, [[]])


# --- Whole responses ------------------------------------------------------------------------


def test_a_response_under_way_shows_what_was_said_so_far() -> None:
    fold = folded([start(), *block(BlockKind.TEXT, "so ", "far")[:-1]])
    shown = Response.model_validate(DIALECT.document(ASKED, NAMED, fold, None))
    assert (shown.status, shown.output_text, shown.usage) == ("in_progress", "so far", None)


def test_a_snapshot_that_was_told_does_not_change_with_what_follows() -> None:
    projection = view()
    created, *_ = projection.events(start())
    for event in block(BlockKind.TEXT, "a"):
        projection.events(event)
    assert created["response"]["output"] == []


def test_a_response_that_was_to_generate_nothing_is_complete_and_empty() -> None:
    events = DIALECT.nothing(ASKED, NAMED)
    completed = accumulated(events)
    assert completed is not None
    assert (completed.status, completed.output) == ("completed", [])


def test_silence_is_filled_with_a_comment_of_one_newline() -> None:
    assert view().keepalive() == b":\n"


def test_a_turn_that_is_continued_comes_from_who_knows_the_earlier_ones() -> None:
    fold = folded(whole(block(BlockKind.TEXT, "four")))
    first = DIALECT.read({"input": "2+2?", "instructions": "Be brief."}, {})
    output = DIALECT.document(first, NAMED, fold, fold.end)["output"]
    messages = first.chat.messages[1:]
    second = Responses(lambda _: Turn(messages, output))
    asked = second.read({"input": "twice?", "previous_response_id": "resp_1"}, {})
    assert [one.content for one in asked.chat.messages] == ["2+2?", "four", "twice?"]
    error = make(ErrorCode.NOT_FOUND, "gone", param="previous_response_id", http=400)
    assert second.failure(error)["error"]["code"] == "previous_response_not_found"
