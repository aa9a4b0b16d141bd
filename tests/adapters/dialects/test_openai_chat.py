"""The decoder of chat completions: dialogues with hand-written streams, and the recordings."""

from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.contract import Dialect
from adapters.dialects.openai_chat import FINISH, OpenAIChat
from adapters.dialects.openai_chat_calls import MAX_CALLS
from adapters.dialects.openai_chat_quirks import ChatQuirks
from adapters.events import (
    AttemptEvent,
    BlockEnd,
    BlockKind,
    BlockStart,
    CitationAdd,
    ErrorCode,
    Finish,
    Meta,
    ReasoningDelta,
    ReasoningSignature,
    RefusalDelta,
    SafetyFlag,
    TextDelta,
    ToolDelta,
    UsageSource,
    WarningEvent,
)
from tests import recordings
from tests.adapters.dialects import cuts, oracle_chat
from tests.adapters.dialects.chat_cases import DONE, call, chunk, decoded, hand_written, sse

OPENROUTER = OpenAIChat(quirks=ChatQuirks(cost_path=("cost",)))
GROK = OpenAIChat(quirks=ChatQuirks(cost_path=("cost_in_usd_ticks",), cost_unit=Decimal("1e-10")))


def _without_meta(events: list[AttemptEvent]) -> list[AttemptEvent]:
    return [event for event in events if not isinstance(event, Meta)]


# --- Text, reasoning, refusals --------------------------------------------------------------


def test_text_is_one_block_from_its_first_piece_to_the_end_of_the_stream() -> None:
    answer = decoded(hand_written("openai/text"))
    assert _without_meta(answer.events) == [
        BlockStart(block="b1.0", index=0, attempt=1, kind=BlockKind.TEXT),
        TextDelta("b1.0", "Zażółć"),
        TextDelta("b1.0", " gęślą"),
        TextDelta("b1.0", " jaźń 🦊"),
        BlockEnd(block="b1.0", status="complete", text_len=19),
    ]
    assert (answer.ending.finish, answer.ending.finish_raw) == (Finish.STOP, "stop")
    assert (answer.upstream_id, answer.model) == ("chatcmpl-made-up-1", "gpt-6-luna")


def test_reasoning_ends_where_the_text_begins_and_comments_are_nothing() -> None:
    answer = decoded(hand_written("deepseek/keep_alive"))
    assert _without_meta(answer.events) == [
        BlockStart(block="b1.0", index=0, attempt=1, kind=BlockKind.REASONING, form="raw"),
        ReasoningDelta("b1.0", "Short"),
        ReasoningDelta("b1.0", " one."),
        BlockEnd(block="b1.0", status="complete", text_len=10),
        BlockStart(block="b1.1", index=1, attempt=1, kind=BlockKind.TEXT),
        TextDelta("b1.1", "Yes"),
        BlockEnd(block="b1.1", status="complete", text_len=3),
    ]


def test_reasoning_that_is_sent_under_two_names_is_read_once() -> None:
    both = {"reasoning": "Hm", "reasoning_content": "Hm"}
    stream = sse(chunk(both), chunk(both), chunk(finish="stop")) + DONE
    assert decoded(stream).reasoning == "HmHm"


def test_a_refusal_is_a_block_of_its_own() -> None:
    answer = decoded(hand_written("openai/refusal"))
    assert answer.refusal == "I cannot help with that."
    assert [start.kind for start in answer.of(BlockStart)] == [BlockKind.REFUSAL]
    assert len(answer.of(RefusalDelta)) == 2
    assert answer.ending.finish is Finish.STOP


def test_block_ids_carry_the_attempt() -> None:
    dialect = OpenAIChat()
    asked = call(dialect, attempt=3)
    answer = cuts.decode(lambda: dialect.decoder(asked), [hand_written("openai/text")])
    assert {event.block for event in answer.of(TextDelta)} == {"b3.0"}


def test_only_the_first_choice_is_read() -> None:
    second: dict[str, Any] = {"index": 1, "delta": {"content": "other"}, "finish_reason": "length"}
    extra = {"id": "cmpl-1", "choices": [second]}
    stream = sse(chunk({"content": "a"}), extra, chunk({"content": "b"}, finish="stop")) + DONE
    answer = decoded(stream)
    assert (answer.text, answer.ending.finish) == ("ab", Finish.STOP)


def test_what_is_told_of_the_answer_beside_it_is_told_once() -> None:
    answer = decoded(hand_written("openai/text"))
    assert answer.of(Meta) == [
        Meta(key="system_fingerprint", value="fp_made_up"),
        Meta(key="service_tier", value="default"),
    ]
    assert answer.events[:2] == answer.of(Meta)


# --- Signatures -----------------------------------------------------------------------------


def test_signed_reasoning_details_become_one_signature_before_the_block_ends() -> None:
    answer = decoded(hand_written("openrouter/signed_reasoning"), OPENROUTER, "openrouter")
    assert answer.reasoning == "Thinking."
    assert [type(event) for event in _without_meta(answer.events)] == [
        BlockStart,
        ReasoningDelta,
        ReasoningDelta,
        ReasoningSignature,
        BlockEnd,
        BlockStart,
        ToolDelta,
        BlockEnd,
    ]
    assert answer.of(ReasoningSignature) == [
        ReasoningSignature(
            block="b1.0",
            provider="openrouter",
            format="openrouter.reasoning_details",
            value='[{"type":"reasoning.text","format":"anthropic-claude-v1","index":0,'
            '"text":"Thinking.","signature":"c2lnbmVk"}]',
        )
    ]


def test_reasoning_that_is_encrypted_after_the_text_began_gets_a_redacted_block() -> None:
    answer = decoded(hand_written("openrouter/encrypted_reasoning"), OPENROUTER, "openrouter")
    forms = [(start.kind, start.form) for start in answer.of(BlockStart)]
    assert forms == [
        (BlockKind.REASONING, "raw"),
        (BlockKind.TEXT, None),
        (BlockKind.REASONING, "redacted"),
    ]
    [signature] = answer.of(ReasoningSignature)
    assert signature.block == "b1.2"
    assert signature.value == (
        '[{"type":"reasoning.encrypted","data":"Z0FBQUFB","id":"rs_1",'
        '"format":"openai-responses-v1","index":0}]'
    )


def test_details_without_anything_signed_are_text_and_nothing_else() -> None:
    answer = decoded(hand_written("openrouter/only_details"), OPENROUTER, "openrouter")
    assert (answer.reasoning, answer.text) == ("Only here.", "Four")
    assert answer.of(ReasoningSignature) == []


# --- Tool calls -----------------------------------------------------------------------------


def test_parallel_calls_stay_open_until_the_end_and_one_without_arguments_gets_none() -> None:
    answer = decoded(hand_written("openai/parallel_tool_calls"))
    assert answer.calls == [
        ("call_paris", "get_weather", '{"city":"Paris"}'),
        ("call_rome", "get_weather", '{"city":"Rome"}'),
        ("call_now", "get_time", "{}"),
    ]
    assert all(end.args_valid for end in answer.of(BlockEnd))
    assert answer.ending.finish is Finish.TOOL_CALLS


def test_a_call_without_an_id_gets_one() -> None:
    fragment = {"index": 0, "function": {"name": "get_time", "arguments": "{}"}}
    stream = sse(chunk({"tool_calls": [fragment]}), chunk(finish="tool_calls")) + DONE
    assert decoded(stream).calls == [("call_1_0", "get_time", "{}")]


def test_a_name_that_comes_after_arguments_still_opens_the_call() -> None:
    early = {"index": 0, "id": "c1", "function": {"arguments": '{"a"'}}
    late = {"index": 0, "function": {"name": "f", "arguments": ":1}"}}
    stream = sse(chunk({"tool_calls": [early]}), chunk({"tool_calls": [late]}, finish="stop"))
    assert decoded(stream + DONE).calls == [("c1", "f", '{"a":1}')]


def test_a_call_that_never_gets_a_name_is_left_out_with_a_warning() -> None:
    fragment = {"index": 0, "id": "c1", "function": {"arguments": "{}"}}
    answer = decoded(sse(chunk({"tool_calls": [fragment]}), chunk(finish="stop")) + DONE)
    assert answer.calls == []
    assert [warning.code for warning in answer.of(WarningEvent)] == ["tool_call_without_name"]


def test_text_ends_where_a_call_begins_and_may_begin_again() -> None:
    fragment = {"index": 0, "id": "c1", "function": {"name": "f", "arguments": "{}"}}
    stream = sse(
        chunk({"content": "Let me look."}),
        chunk({"tool_calls": [fragment]}),
        chunk({"content": "There."}),
        chunk(finish="tool_calls"),
    )
    answer = decoded(stream + DONE)
    kinds = [start.kind for start in answer.of(BlockStart)]
    assert kinds == [BlockKind.TEXT, BlockKind.TOOL_CALL, BlockKind.TEXT]
    assert [end.block for end in answer.of(BlockEnd)] == ["b1.0", "b1.1", "b1.2"]


def test_a_call_that_the_length_limit_cut_off_is_incomplete() -> None:
    fragment = {"index": 0, "id": "c1", "function": {"name": "f", "arguments": '{"city": "Be'}}
    unbegun = {"index": 1, "id": "c2", "function": {"name": "g", "arguments": ""}}
    stream = sse(chunk({"tool_calls": [fragment, unbegun]}), chunk(finish="length")) + DONE
    answer = decoded(stream)
    assert [(end.status, end.args, end.args_valid) for end in answer.of(BlockEnd)] == [
        ("incomplete", '{"city": "Be', False),
        ("incomplete", "", False),
    ]
    assert answer.ending.finish is Finish.LENGTH


# --- Finish reasons -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "finish", "code"),
    [
        ("stop", Finish.STOP, None),
        ("eos_token", Finish.STOP, None),
        ("stop_sequence", Finish.STOP, None),
        ("length", Finish.LENGTH, None),
        ("model_length", Finish.CONTEXT_LENGTH, None),
        ("model_context_window_exceeded", Finish.CONTEXT_LENGTH, None),
        ("tool_calls", Finish.TOOL_CALLS, None),
        ("function_call", Finish.TOOL_CALLS, None),
        ("content_filter", Finish.CONTENT_FILTER, None),
        ("sensitive", Finish.CONTENT_FILTER, None),
        ("error", Finish.ERROR, ErrorCode.UPSTREAM_5XX),
        ("insufficient_system_resource", Finish.ERROR, ErrorCode.OVERLOADED),
        ("network_error", Finish.ERROR, ErrorCode.UPSTREAM_5XX),
        ("what_nobody_has_seen", Finish.OTHER, None),
    ],
)
def test_finish_reason(raw: str, finish: Finish, code: ErrorCode | None) -> None:
    ending = decoded(sse(chunk({"content": "a"}), chunk(finish=raw)) + DONE).ending
    assert (ending.finish, ending.finish_raw) == (finish, raw)
    assert (ending.error.code if ending.error else None) is code
    assert ending.error is None or ending.error.retryable


def test_every_finish_reason_of_the_table_is_tried() -> None:
    [mark] = [mark for mark in test_finish_reason.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]  # pytest sets it
    assert {raw for raw, *_ in mark.args[1]} == {*FINISH, "what_nobody_has_seen"}


@pytest.mark.parametrize(
    ("stream", "finish", "text"),
    [
        ("deepseek/no_resources", Finish.ERROR, "Half"),
        ("glm/sensitive", Finish.CONTENT_FILTER, "It"),
        ("glm/network_error", Finish.ERROR, "It"),
        ("glm/context_exceeded", Finish.CONTEXT_LENGTH, "It"),
        ("openai/cut_after_finish", Finish.STOP, "All of it"),
        ("huggingface/novita", Finish.STOP, "Paris"),
    ],
)
def test_the_text_before_an_unhappy_finish_is_kept(stream: str, finish: Finish, text: str) -> None:
    answer = decoded(hand_written(stream))
    assert (answer.ending.finish, answer.text) == (finish, text)


# --- Ends that are none ---------------------------------------------------------------------


@pytest.mark.parametrize("tail", [b"", DONE, b'data: {"choi'])
def test_a_stream_without_a_finish_reason_was_interrupted(tail: bytes) -> None:
    answer = decoded(hand_written("openai/cut_in_text") + tail)
    assert answer.text == "Half an answer"
    assert answer.of(BlockEnd)[0].status == "incomplete"
    error = answer.ending.error
    assert answer.ending.finish is Finish.INTERRUPTED
    assert error is not None
    assert (error.code, error.provider) == (ErrorCode.STREAM_INTERRUPTED, "acme")


def test_an_empty_body_was_interrupted() -> None:
    answer = decoded(b"")
    assert answer.events == []
    assert answer.ending.finish is Finish.INTERRUPTED


def test_a_stream_cut_after_its_finish_is_whole_and_keeps_the_usage_that_came() -> None:
    whole = hand_written("groq/usage_thrice")
    finish = whole.index(b'"finish_reason":"stop"')
    answer = decoded(whole[: whole.index(b"\n\n", finish) + 2])
    assert answer.ending.finish is Finish.STOP
    assert answer.ending.usage is not None
    assert answer.ending.usage.total == 230


def test_finished_is_said_at_the_finish_reason_and_the_ending_at_done() -> None:
    decoder = OpenAIChat().decoder(call())
    decoder.feed(sse(chunk({"content": "a"})))
    assert not decoder.finished
    decoder.feed(sse(chunk(finish="stop")))
    assert decoder.finished
    assert decoder.ending is None
    decoder.feed(DONE)
    assert decoder.ending is not None


@pytest.mark.parametrize(
    "payload",
    [
        b'{"choices":[{"delta":{"content":"cut',
        b"<html>502 Bad Gateway</html>",
        b'"a string"',
        b"[1,2]",
        b'{"choices":[{"delta":{"content":"\xff"}}]}',
        b'{"x":' + b"[" * 2_000 + b"]" * 2_000 + b',"choices":[{"delta":{"content":"a"}}]}',
        b'{"choices":[{"delta":{"content":"a"},"content_filter_results":{"x":1e999}}]}',
    ],
)
def test_a_chunk_that_cannot_be_read_ends_the_answer_as_malformed(payload: bytes) -> None:
    stream = sse(chunk({"content": "a"})) + b"data: " + payload + b"\n\n" + DONE
    answer = decoded(stream)
    assert answer.text == "a"
    assert answer.ending.error is not None
    assert answer.ending.error.code is ErrorCode.UPSTREAM_MALFORMED
    assert answer.ending.error.retryable


def test_an_answer_cut_inside_of_a_character_goes_on() -> None:
    halves = sse(*(chunk({"content": text}) for text in ("a", "b<", ">c")), chunk(finish="stop"))
    answer = decoded(halves.replace(b"<", b"\\ud83d").replace(b">", b"\\ude00") + DONE)
    assert (answer.text, answer.ending.error) == ("ab\ufffd\ufffdc", None)


def _fragments(count: int, arguments: str, **function: str) -> list[dict[str, Any]]:
    """One chunk for each call, with index alone."""
    return [
        chunk({"tool_calls": [{"index": n, "function": {**function, "arguments": arguments}}]})
        for n in range(count)
    ]


def test_a_thousand_calls_that_go_on_side_by_side_are_a_thousand_blocks() -> None:
    begun, rest = _fragments(1_000, '{"n":', name="f"), _fragments(1_000, "1}")
    decoder = OpenAIChat().decoder(call())
    events = decoder.feed(sse(*begun, *rest, chunk(finish="tool_calls")) + DONE)
    ends = [event for event in events if isinstance(event, BlockEnd)]
    assert [end.block for end in ends] == [f"b1.{n}" for n in range(1_000)]
    assert {(end.args, end.status) for end in ends} == {('{"n":1}', "complete")}


def test_more_calls_than_any_model_makes_end_the_answer_as_malformed() -> None:
    decoder = OpenAIChat().decoder(call())
    events = decoder.feed(sse(*_fragments(MAX_CALLS, "{}", name="f")))
    assert decoder.ending is None
    more = {"index": MAX_CALLS, "function": {"name": "f", "arguments": "{}"}}
    failed = {"error": {"message": "no matter", "code": 429}}
    ended = decoder.feed(sse(chunk({"tool_calls": [more]}, finish="tool_calls", **failed)) + DONE)
    assert decoder.ending is not None
    assert decoder.ending.error is not None
    assert decoder.ending.error.code is ErrorCode.UPSTREAM_MALFORMED
    assert len([event for event in events if isinstance(event, BlockStart)]) == MAX_CALLS
    assert [event.status for event in ended if isinstance(event, BlockEnd)] == (
        ["incomplete"] * MAX_CALLS
    )


def test_a_line_without_end_ends_the_answer_as_malformed() -> None:
    decoder = OpenAIChat().decoder(call())
    decoder.feed(sse(chunk({"content": "a"})))
    events = decoder.feed(b"data: " + b"x" * (8 * 1024 * 1024))
    assert events == [BlockEnd(block="b1.0", status="incomplete", text_len=1)]
    assert decoder.ending is not None
    assert decoder.ending.error is not None
    assert decoder.ending.error.code is ErrorCode.UPSTREAM_MALFORMED


@pytest.mark.parametrize("noise", [b"data: \n\n", b"event: ping\ndata: now\n\n", b": ping\n\n"])
def test_keep_alives_of_every_kind_are_nothing(noise: bytes) -> None:
    stream = noise.join([sse(chunk({"content": "a"})), sse(chunk(finish="stop")), DONE])
    answer = decoded(noise + stream)
    assert (answer.text, answer.ending.finish) == ("a", Finish.STOP)


_NAMES = st.sampled_from(
    [
        "type",
        "index",
        "id",
        "function",
        "name",
        "arguments",
        "text",
        "summary",
        "signature",
        "data",
        "url",
        "url_citation",
        "title",
        "start_index",
        "end_index",
        "severity",
        "filtered",
        "usage",
        "error",
        "content_filter_results",
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "prompt_tokens_details",
        "cached_tokens",
        "reasoning.text",
    ]
)
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=4)
    | _NAMES
)
_ANYTHING = st.recursive(
    _SCALARS, lambda inner: st.lists(inner) | st.dictionaries(_NAMES, inner), max_leaves=8
)
_DELTA_FIELDS = (
    "content",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "refusal",
    "annotations",
    "tool_calls",
)
_CHOICE_FIELDS = ("index", "delta", "finish_reason", "usage", "error", "content_filter_results")
_CHUNK_FIELDS = (
    "id",
    "model",
    "object",
    "choices",
    "usage",
    "x_groq",
    "citations",
    "search_results",
    "prompt_filter_results",
    "provider",
)


@settings(max_examples=100, deadline=None, database=None)
@given(
    st.dictionaries(st.sampled_from(_DELTA_FIELDS), _ANYTHING),
    st.dictionaries(st.sampled_from(_CHOICE_FIELDS), _ANYTHING),
    st.dictionaries(st.sampled_from(_CHUNK_FIELDS), _ANYTHING),
)
def test_a_chunk_of_the_wrong_types_is_never_an_exception(
    delta: dict[str, Any], choice: dict[str, Any], more: dict[str, Any]
) -> None:
    odd = {"choices": [{"delta": delta, **choice}], **more}
    stream = sse(chunk({"content": "a"}), chunk(delta), odd, chunk(finish="stop")) + DONE
    dialect = OpenAIChat()
    cuts.check_grammar(cuts.decode(lambda: dialect.decoder(call(dialect)), [stream]))


# --- Errors in the stream -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "code", "provider_code", "text"),
    [
        ("openai/error_mid_stream", ErrorCode.UPSTREAM_5XX, "server_error", "Half an"),
        ("groq/error_event", ErrorCode.INVALID_REQUEST, "tool_use_failed", ""),
        ("groq/stopped_early", ErrorCode.OVERLOADED, None, "Half"),
        ("openrouter/error", ErrorCode.UPSTREAM_5XX, None, "Half"),
    ],
)
def test_an_error_in_the_stream_ends_it(
    stream: str, code: ErrorCode, provider_code: str | None, text: str
) -> None:
    answer = decoded(hand_written(stream))
    error = answer.ending.error
    assert answer.text == text
    assert answer.ending.finish is Finish.ERROR
    assert error is not None
    assert (error.code, error.provider) == (code, "acme")
    assert error.provider_code == provider_code
    assert all(end.status == "incomplete" for end in answer.of(BlockEnd))


@pytest.mark.parametrize(
    "payload",
    [
        b'data: {"error":"the engine is gone"}\n\n',
        b'event: error\ndata: {"message":"the engine is gone"}\n\n',
        b"event: error\ndata: the engine is gone\n\n",
        b'data: {"object":"error","message":"the engine is gone","code":500}\n\n',
        b'data: {"choices":[{"delta":{},"error":{"message":"the engine is gone"}}]}\n\n',
    ],
)
def test_an_error_may_have_any_shape(payload: bytes) -> None:
    ending = decoded(sse(chunk({"content": "a"})) + payload + DONE).ending
    assert ending.finish is Finish.ERROR
    assert ending.error is not None
    assert ending.error.message == "the engine is gone"


# --- Usage ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        # input, cached, cache write, output, reasoning, total
        ("openai/text", (12, 4, None, 5, 0, 17)),
        ("deepseek/keep_alive", (20, 16, None, 6, 4, 26)),
        ("groq/usage_thrice", (200, None, None, 30, 7, 230)),
        ("kimi/usage_twice", (90, 64, None, 50, 50, 140)),
        ("qwen/empty_ids", (295, 0, 128, 22, None, 317)),
        ("grok/reasoning_outside", (12, 11, None, 291, 290, 303)),
        ("openrouter/signed_reasoning", (100, 40, 8, 20, 6, 120)),
        ("perplexity/sonar", (8, None, None, 3, None, 11)),
        ("huggingface/novita", (40, None, None, 2, None, 42)),
    ],
)
def test_usage_is_the_last_word_of_each_field_and_never_a_sum(
    stream: str, expected: tuple[int | None, ...]
) -> None:
    usage = decoded(hand_written(stream)).ending.usage
    assert usage is not None
    assert expected == (
        usage.input,
        usage.input_cached,
        usage.input_cache_write,
        usage.output,
        usage.output_reasoning,
        usage.total,
    )
    assert (usage.requests, usage.source) == (1, UsageSource.PROVIDER)
    assert usage.raw is not None


def test_a_stream_that_reports_no_usage_has_none() -> None:
    assert decoded(hand_written("openai/cut_after_finish")).ending.usage is None


@pytest.mark.parametrize(
    ("stream", "dialect", "usd"),
    [
        ("openrouter/signed_reasoning", OPENROUTER, "0.00125"),
        ("grok/reasoning_outside", GROK, "0.0037756"),
        ("grok/reasoning_outside", OpenAIChat(), None),
    ],
)
def test_the_bill_is_what_the_provider_states(
    stream: str, dialect: OpenAIChat, usd: str | None
) -> None:
    usage = decoded(hand_written(stream), dialect).ending.usage
    assert usage is not None
    assert usage.cost_usd == usd


# --- Beside the answer ----------------------------------------------------------------------


def test_the_first_chunk_of_azure_flags_the_prompt_and_names_nothing() -> None:
    answer = decoded(hand_written("copilot/filtered_output"), provider="copilot")
    assert (answer.upstream_id, answer.model) == ("chatcmpl-made-up-2", "gpt-6-luna")
    assert answer.events[0] == SafetyFlag(
        where="input", provider="copilot", category="violence", severity="low", action="annotated"
    )


def test_azure_flags_of_the_answer_are_told_once_each_and_change_nothing_of_the_text() -> None:
    answer = decoded(hand_written("copilot/filtered_output"), provider="copilot")
    assert answer.text == "Take the knife"
    assert [(flag.where, flag.severity, flag.action) for flag in answer.of(SafetyFlag)] == [
        ("input", "low", "annotated"),
        ("output", "medium", "annotated"),
        ("output", "high", "blocked"),
    ]
    assert answer.ending.finish is Finish.CONTENT_FILTER
    assert answer.of(BlockEnd)[0].status == "incomplete"


def test_an_asynchronous_filter_speaks_in_chunks_without_a_delta() -> None:
    answer = decoded(hand_written("copilot/asynchronous_filter"), provider="copilot")
    assert answer.text == "Call me Ishmael."
    assert [flag.category for flag in answer.of(SafetyFlag)] == ["protected_material_text"]
    assert answer.ending.finish is Finish.STOP


def test_sonar_ends_with_a_done_chunk_and_its_sources_are_told_once() -> None:
    answer = decoded(hand_written("perplexity/sonar"), provider="perplexity")
    assert answer.text == "One two[2]"
    sources = [added.citation for added in answer.of(CitationAdd)]
    assert [(source.id, source.url, source.title) for source in sources] == [
        ("1", "https://example.org/one", "One"),
        ("2", "https://example.org/two", None),
    ]
    assert answer.ending.finish is Finish.STOP


def test_annotations_name_the_text_they_stand_in() -> None:
    answer = decoded(hand_written("openrouter/citations"), OPENROUTER, "openrouter")
    first, second = answer.of(CitationAdd)
    assert (first.block, first.citation.start, first.citation.end) == ("b1.0", 0, 9)
    assert first.citation.quote == "It is out since May."
    assert (second.citation.id, second.citation.start, second.citation.title) == ("2", None, None)
    assert Meta(key="served_by", value="Amazon Bedrock") in answer.events


# --- Recordings -----------------------------------------------------------------------------


def _dialect_of(provider: str) -> Dialect:
    return {"openrouter": OPENROUTER, "grok": GROK}.get(provider, OpenAIChat())


@recordings.each(recordings.streams("openai_chat"))
def test_a_recorded_stream_decodes_to_what_it_holds(exchange: recordings.Exchange) -> None:
    answer = decoded(exchange.body, _dialect_of(exchange.provider), exchange.provider)
    truth = oracle_chat.read(exchange.body)
    assert answer.text == truth.text
    assert answer.reasoning == truth.reasoning
    assert answer.refusal == truth.refusal
    assert answer.calls == [(made["id"], made["name"], made["args"]) for made in truth.calls]
    assert (answer.upstream_id, answer.model) == (truth.upstream_id, truth.model)
    ending = answer.ending
    assert ending.finish_raw == truth.finish
    assert ending.finish is (Finish.ERROR if truth.failed else FINISH[truth.finish or ""])
    usage = ending.usage
    assert (usage is None) == (truth.usage is None)
    if usage is not None and truth.usage is not None:
        assert usage.raw == truth.usage
        assert (usage.input, usage.total) == (
            truth.usage["prompt_tokens"],
            truth.usage["total_tokens"],
        )
        assert usage.output == truth.total_output


def _recorded(case: str) -> cuts.Decoded:
    exchange = recordings.one(case)
    asked = call(_dialect_of(exchange.provider), provider=exchange.provider)
    return cuts.decode(lambda: asked.provider.dialect.decoder(asked), [exchange.body])


def test_recorded_kimi_reports_usage_twice_and_it_counts_once() -> None:
    usage = _recorded("kimi/vercel-ai.moonshotai-usage-live#0").ending.usage
    assert usage is not None
    assert (usage.input, usage.input_cached, usage.output, usage.output_reasoning) == (
        90,
        90,
        50,
        33,
    )


def test_recorded_kimi_calls_without_index_are_told_apart() -> None:
    answer = _recorded("kimi/vercel-ai.moonshotai-stream-indexless-tool-calls#0")
    assert answer.calls == [
        ("weather_0", "weather", '{"location":"San Francisco"}'),
        ("time_1", "time", '{"zone":"UTC"}'),
    ]


def test_recorded_kimi_error_chunk_ends_a_partial_answer() -> None:
    answer = _recorded("kimi/vercel-ai.moonshotai-stream-error#0")
    assert (answer.text, answer.ending.finish) == ("Partial", Finish.ERROR)
    assert answer.ending.error is not None
    assert answer.ending.error.code is ErrorCode.UPSTREAM_5XX


def test_recorded_groq_reports_usage_thrice_and_it_counts_once() -> None:
    answer = _recorded("groq/vercel-ai.groq-tool-call#0")
    assert answer.calls == [("tk85n1k4m", "weather", "{}")]
    assert answer.ending.usage is not None
    assert (answer.ending.usage.output, answer.ending.usage.total) == (15, 225)


def test_recorded_groq_error_event_ends_the_stream_without_done() -> None:
    case = "groq/pydantic-ai.test_tool_use_failed_error_streaming#0"
    ending = _recorded(case).ending
    assert ending.finish is Finish.ERROR
    assert ending.error is not None
    assert ending.error.provider_code == "tool_use_failed"
    assert ending.error.code is ErrorCode.INVALID_REQUEST


def test_recorded_grok_reasoning_is_added_to_its_completion() -> None:
    usage = _recorded("grok/vercel-ai.xai-tool-call#0").ending.usage
    assert usage is not None
    assert usage.cost_usd == "0.00013305"
    assert (usage.input, usage.output, usage.output_reasoning, usage.total) == (291, 222, 196, 513)


def test_recorded_openrouter_error_after_a_finish_is_the_last_word() -> None:
    answer = _recorded("openrouter/pydantic-ai.test_openrouter_stream_error#0")
    assert answer.ending.finish is Finish.ERROR
    assert answer.ending.finish_raw == "length"
    assert answer.ending.error is not None
    assert answer.ending.error.message == "Token limit reached"
    usage = answer.ending.usage
    assert usage is not None
    assert (usage.output, usage.output_reasoning, usage.cost_usd) == (10, 10, "0")


def test_recorded_openrouter_signature_holds_the_whole_reasoning() -> None:
    case = "openrouter/ruby_llm.chat_openrouter_reasoning_details_round-trip_accumulates_reasoning_details_while_streaming#0"  # noqa: E501 - the file's name
    answer = _recorded(case)
    [signature] = answer.of(ReasoningSignature)
    assert signature.format == "openrouter.reasoning_details"
    [detail] = orjson.loads(signature.value)
    assert detail["text"] == answer.reasoning
    assert detail["signature"].startswith("EvsCCkg")
    assert answer.calls == [
        ("toolu_bdrk_01L9pX1Wp4FAEq9TT2Z6UAe7", "reasoning_weather", '{"city": "Berlin"}')
    ]


def test_recorded_azure_router_names_the_model_it_chose() -> None:
    answer = _recorded("copilot/vercel-ai.azure-model-router.1#0")
    assert answer.model == "gpt-5-nano-2025-08-07"
    assert answer.upstream_id == "chatcmpl-CYPS1lijGoK8gd9lYzY3r9Sx50nbt"
    assert answer.text == "Capital of Denmark."
    assert answer.of(SafetyFlag) == []
    assert answer.ending.usage is not None
    assert (answer.ending.usage.output, answer.ending.usage.output_reasoning) == (78, 64)


def test_recorded_sonar_counts_cumulative_usage_once() -> None:
    case = "perplexity/ruby_llm.chat_streaming_responses_perplexity_sonar_supports_streaming_responses#0"  # noqa: E501 - the file's name
    answer = _recorded(case)
    assert answer.text == "1 2 3"
    assert answer.ending.usage is not None
    assert (answer.ending.usage.output, answer.ending.usage.total) == (5, 13)
    assert [added.citation.id for added in answer.of(CitationAdd)] == list("12345678")
