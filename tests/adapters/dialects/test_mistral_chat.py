"""Mistral's variant: content in parts, and the names it has for things."""

import pytest

from adapters.contract import Call, Model
from adapters.dialects.mistral_chat import MistralChat
from adapters.dialects.openai_chat import FINISH
from adapters.events import BlockEnd, BlockKind, BlockStart, ErrorCode, Finish
from tests import recordings
from tests.adapters.dialects import cuts, oracle_chat
from tests.adapters.dialects.chat_cases import (
    DONE,
    WEATHER,
    call,
    chunk,
    decoded,
    hand_written,
    sse,
    warned,
)

MISTRAL = MistralChat()


# --- Answers --------------------------------------------------------------------------------


def test_thinking_parts_are_reasoning_and_one_chunk_may_hold_the_end_of_it_and_text() -> None:
    answer = decoded(hand_written("mistral/thinking"), MISTRAL)
    assert (answer.reasoning, answer.text) == ("12 times 12", "It is 144.")
    kinds = [start.kind for start in answer.of(BlockStart)]
    assert kinds == [BlockKind.REASONING, BlockKind.TEXT]
    assert answer.ending.finish is Finish.STOP
    assert answer.ending.usage is not None
    assert answer.ending.usage.total == 40


def test_parts_of_the_wrong_types_are_skipped() -> None:
    content = [1, {"type": ["text"]}, {"type": "text", "text": 2}, {"type": "thinking"}]
    stream = sse(chunk({"content": content}), chunk({"content": 7}, finish="stop")) + DONE
    answer = decoded(stream, MISTRAL)
    assert (answer.events, answer.ending.finish) == ([], Finish.STOP)


def test_whole_calls_without_index_in_one_chunk_are_told_apart() -> None:
    answer = decoded(hand_written("mistral/tool_call"), MISTRAL)
    assert answer.calls == [
        ("D681PevKs", "get_weather", '{"city": "Lyon"}'),
        ("call_1_1", "get_time", '{"zone":"UTC"}'),
    ]


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        ("mistral/error", ErrorCode.UPSTREAM_5XX),
        ("mistral/error_object", ErrorCode.UPSTREAM_5XX),
    ],
)
def test_an_error_in_the_stream_ends_it(stream: str, code: ErrorCode) -> None:
    answer = decoded(hand_written(stream), MISTRAL)
    assert answer.text == "Half"
    assert answer.of(BlockEnd)[0].status == "incomplete"
    assert answer.ending.finish is Finish.ERROR
    assert answer.ending.error is not None
    assert answer.ending.error.code is code


def test_a_window_that_is_full_is_said_apart_from_a_limit_that_is_reached() -> None:
    ending = decoded(sse(chunk({"content": "a"}), chunk(finish="model_length")) + DONE, MISTRAL)
    assert ending.ending.finish is Finish.CONTEXT_LENGTH


def begun(content: str) -> Call:
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": content}]
    return call(MISTRAL, model=Model(id="small", prefill=True), request={"messages": messages})


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["Once ", "upon", " a time"], " a time"),
        (["Once upon a time"], " a time"),
        ([" a time"], " a time"),
        (["Once", " more"], "Once more"),
        (["Once "], "Once "),
        (["Once upon", "Once upon"], "Once upon"),
    ],
)
def test_a_beginning_that_the_answer_repeats_is_left_out(pieces: list[str], text: str) -> None:
    asked = begun("Once upon")
    stream = sse(*(chunk({"content": piece}) for piece in pieces), chunk(finish="stop")) + DONE
    assert cuts.check(lambda: MISTRAL.decoder(asked), stream).text == text


def test_thoughts_before_the_answer_are_not_taken_for_it() -> None:
    thinking = [{"type": "thinking", "thinking": [{"type": "text", "text": "Once upon"}]}]
    stream = sse(chunk({"content": thinking}), chunk({"content": "Once upon."}, finish="stop"))
    answer = cuts.check(lambda: MISTRAL.decoder(begun("Once upon")), stream + DONE)
    assert (answer.reasoning, answer.text) == ("Once upon", ".")


def test_half_a_repetition_of_a_cut_answer_is_left_out() -> None:
    answer = cuts.check(
        lambda: MISTRAL.decoder(begun("Once upon")), sse(chunk({"content": "Once"}))
    )
    assert answer.text == ""
    assert answer.ending.finish is Finish.INTERRUPTED


@recordings.each(recordings.streams("mistral_chat"))
def test_a_recorded_stream_decodes_to_what_it_holds(exchange: recordings.Exchange) -> None:
    answer = decoded(exchange.body, MISTRAL, "mistral")
    truth = oracle_chat.read(exchange.body)
    assert (answer.text, answer.reasoning) == (truth.text, truth.reasoning)
    assert answer.calls == [(made["id"], made["name"], made["args"]) for made in truth.calls]
    assert (answer.upstream_id, answer.model) == (truth.upstream_id, truth.model)
    assert answer.ending.finish is FINISH[truth.finish or ""]
    usage = answer.ending.usage
    assert usage is not None
    assert truth.usage is not None
    assert usage.raw == truth.usage
    assert (usage.input, usage.output) == (
        truth.usage["prompt_tokens"],
        truth.usage["completion_tokens"],
    )


def test_recorded_reasoning_changes_to_text_within_one_chunk() -> None:
    case = (
        "mistral/ruby_llm.chat_mistral_hybrid_reasoning_streams_thinking_separately_from_content#0"
    )
    answer = decoded(recordings.one(case).body, MISTRAL)
    assert answer.reasoning.endswith("So, the answer is 144.")
    assert answer.text == "144"


# --- Requests -------------------------------------------------------------------------------


def test_a_request_uses_mistrals_names_and_leaves_out_what_it_would_refuse() -> None:
    request: dict[str, object] = {
        "messages": [{"role": "user", "content": "Hi", "name": "ada"}],
        "seed": 7,
        "user": "u1",
        "tools": [WEATHER],
        "tool_choice": "required",
    }
    encoded = MISTRAL.encode(call(MISTRAL, model=Model(id="mistral-large-4"), request=request))
    assert encoded.path == "/chat/completions"
    assert encoded.body == {
        "model": "mistral-large-4",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "random_seed": 7,
        "tools": [WEATHER],
        "tool_choice": "any",
    }
    assert warned(encoded) == [
        ("parameter_dropped", "messages[].name"),
        ("parameter_dropped", "user"),
    ]


def test_ids_of_tool_calls_are_nine_letters_or_digits() -> None:
    made = {"id": "call_eee11723464a4b9eb8cee71d", "function": {"name": "f", "arguments": "{}"}}
    messages: list[dict[str, object]] = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [made]},
        {"role": "tool", "tool_call_id": made["id"], "content": "ok"},
    ]
    encoded = MISTRAL.encode(call(MISTRAL, request={"messages": messages}))
    _, asked, answered = encoded.body["messages"]
    assert len(asked["tool_calls"][0]["id"]) == 9
    assert asked["tool_calls"][0]["id"] == answered["tool_call_id"]
