"""A native stream event by event, and what goes on the wire for each."""

from typing import Any

import anthropic
import pytest

from adapters import errors
from adapters.events import (
    AttemptCommit,
    BlockKind,
    Citation,
    CitationAdd,
    ErrorCode,
    Failover,
    Finish,
    ReasoningDelta,
    SequencedEvent,
    Status,
    TextDelta,
    ToolDelta,
    UsageUpdate,
)
from service.dialects.messages_projection import (
    COMMENT,
    PING,
    MessagesProjection,
    Thoughts,
)
from service.dialects.messages_request import read
from service.dialects.messages_words import UNSIGNED, call_signed
from service.dialects.projection import Named
from service.dialects.seal import unsealed
from tests.service.dialects.messages_streams import (
    accumulated,
    block,
    call,
    closing,
    counted,
    opening,
    signature,
    stream,
)
from tests.service.dialects.test_messages_request import body
from tests.service.http.serving import parsed
from tests.service.streams import events_for_tests as native

CHAT, _ = read(body("Hi"), {})
TEXT, REASONING, TOOL = BlockKind.TEXT, BlockKind.REASONING, BlockKind.TOOL_CALL
ESTIMATE = 5


def projection(thoughts: Thoughts = Thoughts.WHOLE) -> MessagesProjection:
    return MessagesProjection(CHAT, Named(stream="st_01", model="auto", created=0), thoughts)


def told(*events: SequencedEvent, thoughts: Thoughts = Thoughts.WHOLE) -> bytes:
    return b"".join(map(projection(thoughts).feed, events))


def frames(*events: SequencedEvent, thoughts: Thoughts = Thoughts.WHOLE) -> list[dict[str, Any]]:
    """What the blocks of an answer become, without what opens and ends the message."""
    seen = parsed(told(*stream(*events), thoughts=thoughts))
    assert [seen[0].event, seen[-2].event, seen[-1].event] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]
    return [frame.data for frame in seen[1:-2]]


def in_short(frames: list[dict[str, Any]]) -> list[str]:
    """Each frame in a word: `0+text` starts, `0:...` grows, `0.` stops."""
    return [_word(frame) for frame in frames]


def _word(frame: dict[str, Any]) -> str:
    index = frame["index"]
    match frame:
        case {"content_block": {"type": kind}}:
            return f"{index}+{kind}"
        case {"delta": {"text": more} | {"thinking": more} | {"partial_json": more}}:
            return f"{index}:{more}"
        case {"delta": {"type": kind}}:
            return f"{index}:({kind})"
        case _:
            return f"{index}."


# --- The message ----------------------------------------------------------------------------


def test_the_message_starts_when_somebody_answers() -> None:
    view = projection()
    start, attempt, commit = [native.start(), *native.attempt()]
    assert view.feed(start) == view.feed(attempt) == b""
    (begun,) = parsed(view.feed(commit))
    assert begun.data["message"] == {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": "auto",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": ESTIMATE,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 0,
        },
    }


def test_the_input_is_what_the_answering_provider_counted() -> None:
    view = projection()
    for attempt, count in ((1, 90), (2, 70)):
        usage = counted(count, None, input_cached=60)
        view.feed(UsageUpdate(attempt=attempt, usage=usage, final=False))
    commit = AttemptCommit(attempt=2, reason="first_content", ttft_ms=1)
    (begun,) = parsed(view.feed(commit))
    usage_ = begun.data["message"]["usage"]
    assert (usage_["input_tokens"], usage_["cache_read_input_tokens"]) == (10, 60)


def test_a_continued_answer_is_still_one_message() -> None:
    again = AttemptCommit(attempt=2, reason="failover", ttft_ms=1)
    failed = errors.make(ErrorCode.STREAM_INTERRUPTED, "cut")
    failover = Failover(
        from_attempt=1, to=2, mode="continue", overlap_chars=0, error=failed, must_understand=False
    )
    said = [opening("b", TEXT), TextDelta("b", "Hel"), failover, again, TextDelta("b", "lo")]
    assert in_short(frames(*said, closing("b"))) == ["0+text", "0:Hel", "0:lo", "0."]


def test_an_answer_of_nothing_is_an_empty_message() -> None:
    message = accumulated(told(native.start(), native.end()))
    assert (message.content, message.stop_reason) == ([], "end_turn")


def test_silence_is_filled_with_pings_once_the_message_has_begun() -> None:
    view = projection()
    assert view.keepalive() == COMMENT
    for event in native.attempt():
        view.feed(event)
    assert view.keepalive() == PING
    view.feed(native.end())
    assert view.keepalive() == COMMENT


# --- Blocks ---------------------------------------------------------------------------------


def test_blocks_follow_one_another_under_rising_indexes() -> None:
    made = [*block("a", REASONING, "Hm", "."), *block("b", TEXT, "Hello"), *call("c", "{", "}")]
    assert in_short(frames(*made)) == [
        "0+thinking", "0:Hm", "0:.", "0:(signature_delta)", "0.",
        "1+text", "1:Hello", "1.",
        "2+tool_use", "2:{", "2:}", "2.",
    ]  # fmt: skip


def test_blocks_that_are_woven_into_one_another_come_one_by_one() -> None:
    woven = [
        opening("a", TOOL),
        ToolDelta("a", "{"),
        opening("b", TOOL),
        ToolDelta("b", '{"b":'),
        opening("c", TOOL),
        ToolDelta("b", "1}"),
        closing("b", '{"b":1}'),
        ToolDelta("a", "}"),
    ]
    assert in_short(frames(*woven)) == ["0+tool_use", "0:{", "0:}"]
    assert in_short(frames(*woven, closing("a", "{}"), closing("c", "{}"))) == [
        "0+tool_use", "0:{", "0:}", "0.",
        "1+tool_use", '1:{"b":', "1:1}", "1.",
        "2+tool_use", "2:{}", "2.",
    ]  # fmt: skip


def test_what_waited_goes_on_live_once_it_is_its_turn() -> None:
    view = projection()
    for event in (opening("a", TEXT), TextDelta("a", "A"), opening("b", TOOL), ToolDelta("b", "{")):
        view.feed(event)
    assert in_short([f.data for f in parsed(view.feed(closing("a")))]) == [
        "0.",
        "1+tool_use",
        "1:{",
    ]
    assert in_short([f.data for f in parsed(view.feed(ToolDelta("b", "}")))]) == ["1:}"]


def test_a_text_without_text_is_no_block() -> None:
    assert frames(opening("a", TEXT), closing("a")) == []


def test_a_call_that_was_cut_before_its_arguments_is_no_block() -> None:
    assert frames(opening("a", TOOL), closing("a", "", complete=False)) == []


def test_a_refusal_is_text_and_a_reason_to_stop() -> None:
    message = accumulated(told(*stream(*block("a", BlockKind.REFUSAL, "No."))))
    assert message.content[0].type == "text"
    assert (message.content[0].text, message.stop_reason) == ("No.", "refusal")
    assert message.stop_details is not None


@pytest.mark.parametrize("kind", [BlockKind.FILE, BlockKind.SERVER_TOOL, BlockKind.RAW])
def test_what_has_no_place_in_the_format_is_left_out(kind: BlockKind) -> None:
    assert frames(opening("a", kind), signature("a"), closing("a")) == []


def test_a_source_stands_in_its_text() -> None:
    page = Citation(id="c", kind="url", url="https://example.com")
    unknown = Citation(id="d", kind="document")
    start, said, end = block("a", TEXT, "So.")
    early, cited, none = (
        CitationAdd(block="a", citation=page),
        CitationAdd(block="a", citation=page),
        CitationAdd(block="a", citation=unknown),
    )
    late = CitationAdd(citation=page)
    made = frames(start, early, said, cited, none, end, late)
    assert in_short(made) == ["0+text", "0:So.", "0:(citations_delta)", "0."]


# --- Thinking -------------------------------------------------------------------------------


def thought(*, signed: bool) -> list[SequencedEvent]:
    proof = [signature("a", value="old"), signature("a", value="new")] if signed else []
    return [opening("a", REASONING), ReasoningDelta("a", "Hm."), *proof, closing("a")]


def test_a_thought_is_signed_with_the_last_signature_and_whose_it_is() -> None:
    delta = frames(*thought(signed=True))[2]["delta"]
    assert delta["type"] == "signature_delta"
    seal = unsealed(delta["signature"])
    assert seal is not None
    assert (seal.provider, seal.format, seal.value) == ("claude", "anthropic.signature", "new")


def test_a_thought_that_nobody_signed_says_so() -> None:
    assert frames(*thought(signed=False))[2]["delta"]["signature"] == UNSIGNED


def test_thinking_that_was_not_asked_for_is_hidden() -> None:
    hidden = [*thought(signed=True), opening("b", TEXT), TextDelta("b", "A"), signature("b")]
    made = frames(*hidden, closing("b"), thoughts=Thoughts.HIDDEN)
    assert in_short(made) == ["0+text", "0:A", "0."]


def test_thinking_can_be_signed_without_being_shown() -> None:
    made = frames(*thought(signed=True), thoughts=Thoughts.SIGNED)
    assert in_short(made) == ["0+thinking", "0:(signature_delta)", "0."]
    assert frames(*thought(signed=False), thoughts=Thoughts.SIGNED) == []


def test_a_withheld_thought_is_redacted() -> None:
    made = frames(opening("a", REASONING, form="redacted"), signature("a"), closing("a"))
    assert in_short(made) == ["0+redacted_thinking", "0."]
    assert unsealed(made[0]["content_block"]["data"]) is not None


def test_the_signature_of_a_text_stands_after_it() -> None:
    made = frames(opening("a", TEXT), TextDelta("a", "A"), signature("a"), closing("a"))
    assert in_short(made) == ["0+text", "0:A", "0.", "1+redacted_thinking", "1."]
    assert call_signed(made[3]["content_block"]["data"])[0] is None


@pytest.mark.parametrize("thoughts", Thoughts)
def test_the_signature_of_a_call_stands_beside_it_whatever_is_shown(thoughts: Thoughts) -> None:
    start, args, end = call("a", "{}")
    before = frames(start, signature("a"), args, end, thoughts=thoughts)
    after = frames(start, args, signature("a"), end, thoughts=thoughts)
    assert in_short(before) == ["0+redacted_thinking", "0.", "1+tool_use", "1:{}", "1."]
    assert in_short(after) == ["0+tool_use", "0:{}", "0.", "1+redacted_thinking", "1."]
    for data in (before[0]["content_block"]["data"], after[3]["content_block"]["data"]):
        assert call_signed(data)[0] == "call_a"


# --- What breaks ----------------------------------------------------------------------------


def broken(*events: SequencedEvent, code: ErrorCode = ErrorCode.OVERLOADED) -> bytes:
    error = errors.make(code, "too much")
    end = native.end(Finish.ERROR, status=Status.FAILED, error=error)
    return told(*stream(*events, end=end))


def test_a_break_is_an_error_and_nothing_follows() -> None:
    said = broken(opening("a", TEXT), TextDelta("a", "Hel"), closing("a", complete=False))
    *_, last = parsed(said)
    assert last.event == "error"
    assert last.data == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "too much"},
        "request_id": "msg_01",
    }
    assert b"message_stop" not in said
    with pytest.raises(anthropic.APIStatusError, match="too much"):
        accumulated(said)


def test_a_cancelled_answer_is_broken_too() -> None:
    end = native.end(Finish.CANCELLED, status=Status.CANCELLED)
    *_, last = parsed(told(*stream(end=end)))
    assert last.data["error"] == {"type": "api_error", "message": "the answer broke off"}


def restart() -> Failover:
    error = errors.make(ErrorCode.UPSTREAM_5XX, "gone")
    return Failover(
        from_attempt=1, to=2, mode="restart", drop=["a"], error=error, must_understand=True
    )


def test_what_was_shown_cannot_be_taken_back() -> None:
    view = projection()
    for event in stream(opening("a", TEXT), TextDelta("a", "Hel"))[:-1]:
        view.feed(event)
    (said,) = parsed(view.feed(restart()))
    assert said.event == "error"
    assert view.feed(TextDelta("a", "lo")) == view.feed(native.end()) == b""


def test_what_was_not_shown_can_be_forgotten() -> None:
    gone = [opening("a", TEXT), restart()]
    assert in_short(frames(*gone, *block("b", TEXT, "Hello"))) == ["0+text", "0:Hello", "0."]
