"""The Messages dialect as a whole: what streams and what comes in one, read by Anthropic's SDK."""

from typing import Any

import anthropic
import orjson
import pytest
from anthropic.types import Message
from hypothesis import given

from adapters import errors
from adapters.events import (
    BlockKind,
    Citation,
    CitationAdd,
    ErrorCode,
    Finish,
    SequencedEvent,
    ToolDelta,
)
from service.dialects.messages import Messages
from service.dialects.projection import Asked, Named
from service.streams.fold import Fold
from tests.service.dialects.messages_streams import (
    accumulated,
    answers,
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
from tests.service.streams.events_for_tests import end

NAMED = Named(stream="st_01", model="auto:analysis", created=1_795_392_000)
THINKING = {"thinking": {"type": "enabled", "budget_tokens": 2048}}

OMITTED = {"thinking": {"type": "adaptive", "display": "omitted"}}


def asked(**fields: object) -> Asked:
    return Messages().read(body("Hi", **fields), {})


def streamed(events: list[SequencedEvent], **fields: object) -> Message:
    """What the SDK makes of the stream."""
    projection = Messages().projection(asked(stream=True, **fields), NAMED)
    return accumulated(b"".join(map(projection.feed, events)))


def whole(events: list[SequencedEvent], **fields: object) -> Message:
    """What the SDK makes of the answer in one."""
    fold = Fold()
    for event in events:
        fold.add(event)
    assert fold.end is not None
    document = Messages().document(asked(**fields), NAMED, fold, fold.end)
    return Message.model_validate_json(orjson.dumps(document))


def shown(message: Message) -> dict[str, Any]:
    """A message's fields that were given."""
    return message.model_dump(exclude_none=True)


@pytest.mark.parametrize("fields", [{}, THINKING, OMITTED])
@given(events=answers())
def test_any_stream_is_taken_by_the_sdk_and_says_what_the_answer_in_one_says(
    fields: dict[str, object], events: list[SequencedEvent]
) -> None:
    live, folded = streamed(events, **fields), whole(events, **fields)
    assert _merged(live) == _merged(folded)
    native = Fold()
    for event in events:
        native.add(event)
    calls = [(b.id, b.name, b.input) for b in live.content if b.type == "tool_use"]
    assert calls == [
        (made["id"], made["name"], orjson.loads(made["arguments"])) for made in native.tool_calls()
    ]
    said = "".join(b.text for b in live.content if b.type == "text")
    spoken = (BlockKind.TEXT, BlockKind.REFUSAL)
    assert said == "".join(b.text for b in native.blocks.values() if b.start.kind in spoken)
    assert native.end is not None
    used, told = native.end.usage, live.usage
    cached = (told.cache_read_input_tokens or 0) + (told.cache_creation_input_tokens or 0)
    assert used.input in {None, told.input_tokens + cached}
    assert told.output_tokens == (used.output or 0)
    thought = told.output_tokens_details
    assert (thought and thought.thinking_tokens) == used.output_reasoning


@given(events=answers())
def test_a_stream_whose_events_are_gone_is_told_from_what_stands_for_them(
    events: list[SequencedEvent],
) -> None:
    fold = Fold()
    for event in events:
        fold.add(event)
    retold, live = streamed(fold.events(), **THINKING), streamed(events, **THINKING)
    assert _uncited(retold) == _uncited(live)


def _uncited(message: Message) -> dict[str, Any]:
    """Without sources, which come too late where a text is told in one."""
    fields = _merged(message)
    for made in fields["content"]:
        made.pop("citations", None)
    return fields


def _merged(message: Message) -> dict[str, Any]:
    """Without the order in which a call's or a text's signature stands beside it."""
    fields = shown(message)
    kept = [b for b in fields["content"] if b["type"] == "redacted_thinking"]
    rest = [b for b in fields["content"] if b["type"] != "redacted_thinking"]
    fields["content"] = [*rest, *sorted(kept, key=str)]
    return fields


def test_a_whole_answer_is_a_message() -> None:
    events = stream(
        *block("b0", BlockKind.REASONING, "Hm."),
        *block("b1", BlockKind.TEXT, "Hel", "lo."),
        *call("b2", '{"a":', "1}"),
        end=end(Finish.TOOL_CALLS, usage=counted(30, 5, input_cached=20)),
    )
    assert shown(whole(events)) == {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": "auto:analysis",
        "content": [
            {"type": "text", "text": "Hello."},
            {"type": "tool_use", "id": "call_b2", "name": "see", "input": {"a": 1}},
        ],
        "stop_reason": "tool_use",
        "usage": {
            "input_tokens": 10,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 20,
            "output_tokens": 5,
        },
    }


def test_a_call_that_was_cut_off_is_none() -> None:
    cut = [opening("b1", BlockKind.TOOL_CALL), closing("b1", '{"a', complete=False)]
    events = stream(*cut, end=end(Finish.LENGTH))
    assert whole(events).content == []


@pytest.mark.parametrize("arguments", ["[1]", '{"a": tru', '{"a":1}}', "null", '{"a": "\\ud800'])
def test_a_call_whose_arguments_are_no_object_is_an_error_whole_and_streamed(
    arguments: str,
) -> None:
    events = stream(*call("b1", '{"a": 1}'), *call("b2", arguments), end=end(Finish.TOOL_CALLS))
    with pytest.raises(errors.UpstreamError, match="no JSON object") as refused:
        whole(events)
    assert refused.value.error.code is ErrorCode.UPSTREAM_MALFORMED
    with pytest.raises(anthropic.APIStatusError, match="no JSON object"):
        streamed(events)


def test_a_call_that_cannot_be_told_breaks_the_stream_before_its_block_stops() -> None:
    projection = Messages().projection(asked(stream=True), NAMED)
    events = stream(*call("b1", "{}"), *call("b2", "[1]"), end=end(Finish.TOOL_CALLS))
    seen = parsed(b"".join(map(projection.feed, events)))
    assert seen[-1].event == "error"
    assert [frame.data["index"] for frame in seen if frame.event == "content_block_stop"] == [0]
    assert not {"message_delta", "message_stop"} & {frame.event for frame in seen}


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        (stream(*call("b1"), end=end(Finish.STOP)), "tool_use"),
        (stream(*call("b1", "{}"), end=end(Finish.STOP)), "tool_use"),
        (stream(*block("b1", BlockKind.TEXT, "Hi"), end=end(Finish.TOOL_CALLS)), "end_turn"),
        (
            stream(
                opening("b1", BlockKind.TOOL_CALL),
                ToolDelta("b1", '{"a'),
                closing("b1", '{"a', complete=False),
                end=end(Finish.TOOL_CALLS),
            ),
            "end_turn",
        ),
    ],
)
def test_a_message_stops_for_a_tool_where_it_holds_a_whole_call_and_nowhere_else(
    events: list[SequencedEvent], reason: str
) -> None:
    assert streamed(events).stop_reason == whole(events).stop_reason == reason


def test_a_call_without_arguments_is_one_with_none() -> None:
    events = stream(*call("b1"), end=end(Finish.TOOL_CALLS))
    assert [made.input for made in whole(events).content] == [{}]
    assert shown(streamed(events))["content"] == shown(whole(events))["content"]


def test_sources_stand_by_their_text_even_those_that_came_late() -> None:
    late = CitationAdd(
        block="b1", citation=Citation(id="c", kind="url", url="https://example.com", title="T")
    )
    nowhere = CitationAdd(citation=Citation(id="d", kind="url", url="https://example.com/2"))
    events = stream(*block("b1", BlockKind.TEXT, "So."), late, nowhere)
    (text,) = whole(events).content
    assert text.type == "text"
    assert text.citations is not None
    assert [cited.url for cited in text.citations] == ["https://example.com"]
    assert streamed(events).content[0].citations is None


def test_thinking_that_was_not_asked_for_is_not_shown() -> None:
    start, thought, end = block("b0", BlockKind.REASONING, "Hm.")
    events = stream(start, thought, signature("b0"), end, *block("b1", BlockKind.TEXT, "Hello."))
    for read in (streamed, whole):
        assert [made.type for made in read(events).content] == ["text"]
        assert [made.type for made in read(events, **THINKING).content] == ["thinking", "text"]
        signed = read(events, **OMITTED).content[0]
        assert signed.type == "thinking"
        assert (signed.thinking, signed.signature[:11]) == ("", "tailrace.1.")


def test_an_error_has_the_shape_that_the_sdks_know() -> None:
    error = errors.make(ErrorCode.OVERLOADED, "all are busy")
    assert Messages().failure(error) == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "all are busy"},
        "request_id": None,
    }
