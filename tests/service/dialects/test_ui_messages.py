"""The UI message stream: what each event is in it, and that a page ends with what was said."""

from typing import Any

import orjson
import pytest
from hypothesis import given

from adapters.errors import make
from adapters.events import (
    BlockKind,
    Citation,
    CitationAdd,
    ErrorCode,
    Failover,
    FileDelta,
    Finish,
    SequencedEvent,
    ServerToolUpdate,
    Status,
    StreamEnd,
)
from service.dialects.projection import Asked, Named
from service.dialects.ui_messages import UiMessages, UiProjection, message_id
from service.streams.fold import Fold
from tests.service.dialects.messages_streams import (
    answers,
    block,
    call,
    closing,
    counted,
    opening,
    signature,
    stream,
)
from tests.service.dialects.ui_page import Page
from tests.service.streams.events_for_tests import end, start

NAMED = Named(stream="st_01", model="auto", created=1)
DIALECT = UiMessages()


def body(*messages: dict[str, Any], **fields: object) -> dict[str, Any]:
    asked = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
    return {"id": "c1", "messages": [asked, *messages], **fields}


def asked(*messages: dict[str, Any], **fields: object) -> Asked:
    return DIALECT.read(body(*messages, **fields), {})


def projection() -> UiProjection:
    return DIALECT.projection(asked(), NAMED)


def told(*events: SequencedEvent, by: UiProjection | None = None) -> list[dict[str, Any]]:
    """The chunks of an answer."""
    by = by or projection()
    return [orjson.loads(chunk) for event in events for chunk in by.chunks(event)]


def inner(*events: SequencedEvent) -> list[dict[str, Any]]:
    """The chunks of what is said, without the frame around it."""
    return told(start(), *events)[2:]


def broken(code: ErrorCode = ErrorCode.STREAM_INTERRUPTED, **fields: Any) -> StreamEnd:  # noqa: ANN401 - the error's
    error = make(code, "it broke", **fields)
    return end(Finish.INTERRUPTED, status=Status.FAILED, error=error)


def restart() -> Failover:
    error = make(ErrorCode.STREAM_INTERRUPTED, "it broke")
    return Failover(
        from_attempt=1, to=2, mode="restart", drop=["b1"], error=error, must_understand=True
    )


# --- The frame ------------------------------------------------------------------------------


def test_an_answer_is_one_step_of_a_message_with_a_name() -> None:
    usage = counted(30, 20, input_cached=10, output_reasoning=5)
    chunks = told(*stream(*block("b1", BlockKind.TEXT, "Hello", " you."), end=end(usage=usage)))
    metadata = {
        "provider": "groq",
        "model": "m",
        "usage": {
            "inputTokens": 30,
            "inputTokenDetails": {"noCacheTokens": 20, "cacheReadTokens": 10},
            "outputTokens": 20,
            "outputTokenDetails": {"textTokens": 15, "reasoningTokens": 5},
        },
    }
    assert chunks == [
        {"type": "start", "messageId": "msg_01", "messageMetadata": {"stream": "st_01"}},
        {"type": "start-step"},
        {"type": "text-start", "id": "b1"},
        {"type": "text-delta", "id": "b1", "delta": "Hello"},
        {"type": "text-delta", "id": "b1", "delta": " you."},
        {"type": "text-end", "id": "b1"},
        {"type": "finish-step"},
        {"type": "finish", "finishReason": "stop", "messageMetadata": metadata},
    ]


def test_every_chunk_is_an_sse_block_of_one_line_and_a_clean_end_says_so() -> None:
    by = projection()
    sent = b"".join(map(by.feed, stream(*call("b1", '{\n  "a":\n 1}'))))
    blocks = sent.split(b"\n\n")
    assert all(line.startswith(b"data: ") and b"\n" not in line for line in blocks[:-1])
    assert blocks[-2:] == [b"data: [DONE]", b""]
    assert by.keepalive() == b":\n"


def test_a_broken_answer_ends_with_its_error_and_nothing_after() -> None:
    by = projection()
    sent = b"".join(map(by.feed, stream(end=broken(retry_after_ms=500))))
    assert b"[DONE]" not in sent
    chunks = told(*stream(end=broken(retry_after_ms=500)))
    assert [chunk["type"] for chunk in chunks[2:]] == [
        "message-metadata",
        "data-tailrace-error",
        "error",
    ]
    assert chunks[-1] == {"type": "error", "errorText": "it broke"}
    assert chunks[-2]["transient"] is True
    assert chunks[-2]["data"] == {
        "code": "stream_interrupted",
        "message": "it broke",
        "retryable": True,
        "retry_after_ms": 500,
    }


def test_an_error_that_would_come_again_says_no_time_to_come_back() -> None:
    chunks = told(*stream(end=broken(ErrorCode.TIMEOUT_TOTAL, retry_after_ms=500)))
    assert "retry_after_ms" not in chunks[-2]["data"]


def test_a_failed_answer_without_an_error_still_ends_with_one() -> None:
    failed = end(Finish.ERROR, Status.FAILED)
    assert told(*stream(end=failed))[-1]["type"] == "error"


@pytest.mark.parametrize("why", ["stopped by the user", None])
def test_a_cancelled_answer_is_aborted_and_ends_cleanly(why: str | None) -> None:
    error = None if why is None else make(ErrorCode.CANCELLED, why)
    cancelled = end(Finish.CANCELLED, Status.CANCELLED, error=error)
    assert told(*stream(end=cancelled))[-1] == {"type": "abort", "reason": why or "cancelled"}
    assert projection().feed(cancelled).endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("finish", "word"),
    [
        (Finish.PAUSE, "stop"),
        (Finish.CONTEXT_LENGTH, "length"),
        (Finish.TOOL_CALLS, "tool-calls"),
        (Finish.REFUSAL, "content-filter"),
        (Finish.OTHER, "other"),
    ],
)
def test_a_finish_is_said_in_the_clients_word(finish: Finish, word: str) -> None:
    assert told(*stream(end=end(finish)))[-1]["finishReason"] == word


def test_a_restart_takes_back_what_the_step_has_shown_and_a_continuation_nothing() -> None:
    by = projection()
    said = block("b1", BlockKind.TEXT, "Half")[:-1]
    assert told(restart(), by=by) == [{"type": "reset-step"}]
    page = Page()
    for event in (start(), *said, restart(), *block("b2", BlockKind.TEXT, "Whole"), end()):
        page.take(told(event, by=by))
    assert page.text == "Whole"
    go_on = Failover(
        from_attempt=1,
        to=2,
        mode="continue",
        error=make(ErrorCode.STREAM_INTERRUPTED, "it broke"),
        must_understand=False,
    )
    assert told(go_on) == []


# --- Parts ----------------------------------------------------------------------------------


def test_a_refusal_is_text() -> None:
    chunks = inner(*block("b1", BlockKind.REFUSAL, "No."))
    assert [chunk["type"] for chunk in chunks] == ["text-start", "text-delta", "text-end"]


def test_a_signature_travels_with_the_part_and_comes_back_with_it() -> None:
    thought = block("b1", BlockKind.REASONING, "hm")
    called = call("b2", "{}")
    chunks = inner(
        *thought[:-1], signature("b1"), thought[-1], *called[:-1], signature("b2"), called[-1]
    )
    ends = {chunk["type"]: chunk for chunk in chunks}
    parts = [
        {
            "type": "reasoning",
            "text": "hm",
            "providerMetadata": ends["reasoning-end"]["providerMetadata"],
        },
        {
            "type": "tool-see",
            "toolCallId": "call_b2",
            "state": "output-available",
            "input": {},
            "output": "ok",
            "callProviderMetadata": ends["tool-input-available"]["providerMetadata"],
        },
    ]
    chat = asked({"id": "a1", "role": "assistant", "parts": parts}).chat
    turn = chat.messages[1]
    assert turn.role == "assistant"
    assert turn.reasoning is not None
    assert turn.tool_calls is not None
    for found in (turn.reasoning[0].signature, turn.tool_calls[0].signature):
        assert found is not None
        assert (found.provider, found.value) == ("claude", "EqQB")


def test_a_call_is_shown_as_it_is_written_and_then_whole_with_all_its_digits() -> None:
    chunks = inner(*call("b1", '{"a":', "12345678901234567890123}"))
    assert [chunk["type"] for chunk in chunks] == [
        "tool-input-start",
        "tool-input-delta",
        "tool-input-delta",
        "tool-input-available",
    ]
    assert chunks[0] == {
        "type": "tool-input-start",
        "toolCallId": "call_b1",
        "toolName": "see",
    }
    by = projection()
    raw = [chunk for event in call("b1", '{"a":1.50}') for chunk in by.chunks(event)]
    assert raw[-1].endswith(b'"input":{"a":1.50}}')


def test_arguments_that_are_no_json_are_the_calls_error() -> None:
    chunks = inner(*call("b1", '{"a"'))
    assert chunks[-1]["type"] == "tool-input-error"
    assert chunks[-1]["input"] == '{"a"'


def test_a_call_in_plain_text_is_handed_over_as_it_is() -> None:
    first, *rest = block("b1", BlockKind.TOOL_CALL, "ls -l", args_format="text")
    chunks = inner(first, *rest)
    assert chunks[0]["inputEncoding"] == "text"
    assert (chunks[-1]["type"], chunks[-1]["input"]) == ("tool-input-available", "ls -l")


def test_a_call_that_was_cut_is_never_available() -> None:
    chunks = inner(opening("b1", BlockKind.TOOL_CALL), closing("b1", complete=False))
    assert [chunk["type"] for chunk in chunks] == ["tool-input-start"]


def test_a_file_is_told_when_it_is_whole() -> None:
    pieces = [FileDelta(block="b1", data="QUJD", offset=0), FileDelta(block="b1", data="RA==")]
    first = opening("b1", BlockKind.FILE, media_type="image/png")
    assert inner(first, *pieces, closing("b1")) == [
        {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,QUJDRA=="}
    ]
    there = FileDelta(block="b1", url="https://files.example/a.png")
    assert inner(opening("b1", BlockKind.FILE), there, closing("b1")) == [
        {
            "type": "file",
            "mediaType": "application/octet-stream",
            "url": "https://files.example/a.png",
        }
    ]
    assert inner(opening("b1", BlockKind.FILE), closing("b1", complete=False)) == []


def test_a_source_is_an_address_or_a_document() -> None:
    page = Citation(id="c1", kind="url", url="https://a.example", title="A")
    bare = Citation(id="c2", kind="url", url="https://b.example")
    quote = Citation(id="c3", kind="char", quote="so it says")
    script = Citation(id="c4", kind="url", url="javascript:alert(1)", title="A script")
    assert inner(*(CitationAdd(citation=cited) for cited in (page, bare, quote, script))) == [
        {"type": "source-url", "sourceId": "c1", "url": "https://a.example", "title": "A"},
        {"type": "source-url", "sourceId": "c2", "url": "https://b.example"},
        {
            "type": "source-document",
            "sourceId": "c3",
            "title": "so it says",
            "mediaType": "text/plain",
        },
        {
            "type": "source-document",
            "sourceId": "c4",
            "title": "A script",
            "mediaType": "text/plain",
        },
    ]


@pytest.mark.parametrize(
    ("status", "last"), [("done", "tool-output-available"), ("failed", "tool-output-error")]
)
def test_a_tool_of_the_providers_own_is_a_dynamic_one_that_has_run(status: Any, last: str) -> None:  # noqa: ANN401 - one of the schema's words
    running = ServerToolUpdate(block="b1", status="running", name="search", input={"q": 1})
    over = ServerToolUpdate(block="b1", status=status, name="search", result=[1])
    chunks = inner(
        opening("b1", BlockKind.SERVER_TOOL),
        running,
        over,
        closing("b1"),
        *block("b2", BlockKind.TEXT),
    )
    assert [chunk["type"] for chunk in chunks[:2]] == ["tool-input-available", last]
    assert all(chunk["dynamic"] and chunk["providerExecuted"] for chunk in chunks[:2])


def test_what_the_dialect_has_no_word_for_says_nothing() -> None:
    assert inner(opening("b1", BlockKind.RAW), closing("b1")) == []


# --- The message that goes on, and replays --------------------------------------------------


EARLIER = {
    "id": "a1",
    "role": "assistant",
    "parts": [
        {"type": "step-start"},
        {"type": "reasoning", "text": "hm", "providerMetadata": {"x": {"y": 1}}},
        {"type": "text", "text": "Let me look."},
        {"type": "source-url", "sourceId": "s", "url": "https://a.example"},
        {
            "type": "tool-weather",
            "toolCallId": "t1",
            "state": "output-available",
            "input": {"city": "Oslo"},
            "output": "rain",
            "callProviderMetadata": {"x": {"y": 1}},
        },
        {
            "type": "dynamic-tool",
            "toolName": "see",
            "toolCallId": "t2",
            "state": "output-error",
            "input": {},
            "errorText": "blind",
        },
        {"type": "tool-wait", "toolCallId": "t3", "state": "input-streaming"},
    ],
}


def test_an_answer_goes_on_with_the_assistants_message_that_is_last() -> None:
    assert message_id(body(EARLIER), "st_01") == "a1"
    assert message_id(body(EARLIER, trigger="regenerate-message"), "st_01") == "msg_01"
    assert message_id(body(), "st_01") == "msg_01"
    assert message_id(body({"role": "assistant", "parts": []}), "st_01") == "msg_01"


def test_an_answer_goes_on_with_the_message_that_is_named() -> None:
    user = {"id": "u2", "role": "user", "parts": []}
    assert message_id(body(EARLIER, user, messageId="a1"), "st_01") == "a1"
    assert message_id(body(EARLIER, user, messageId="u1"), "st_01") == "msg_01"


def test_a_replay_makes_the_whole_message_and_runs_no_tool_again() -> None:
    given_ = asked(EARLIER)
    events = stream(*block("b1", BlockKind.TEXT, "It rains."))
    page = Page()
    page.take(told(*events, by=DIALECT.replay(given_, NAMED)))
    assert page.id == "a1"
    assert page.text == "Let me look.It rains."
    assert page.tools["t1"] == {
        "name": "weather",
        "state": "output-available",
        "input": {"city": "Oslo"},
        "output": "rain",
    }
    assert page.tools["t2"]["output"] == "blind"
    assert page.tools["t3"]["state"] == "input-streaming"
    assert page.ran == []
    assert page.steps == 2


def test_a_replay_of_a_new_message_is_what_was_told_first() -> None:
    events = stream(*block("b1", BlockKind.TEXT, "Hello"))
    replay = DIALECT.replay(asked(), NAMED)
    assert told(*events, by=replay) == told(*events)


# --- Any stream -----------------------------------------------------------------------------


@given(answers())
def test_a_page_ends_with_what_the_stream_said(events: list[SequencedEvent]) -> None:
    fold = Fold()
    for event in events:
        fold.add(event)
    page = Page()
    page.take(told(*events))
    page.is_answer_of(fold)


@given(answers(), answers())
def test_a_page_ends_with_the_second_answer_where_the_first_was_taken_back(
    first: list[SequencedEvent], second: list[SequencedEvent]
) -> None:
    fold = Fold()
    for event in second:
        fold.add(event)
    page = Page()
    page.take(told(*first[:-1], restart(), *second[1:]))
    page.is_answer_of(fold)
