"""The decoder of the Messages API: recordings against an oracle, and dialogues."""

from typing import Any

import orjson
import pytest

from adapters.dialects.anthropic_messages import FINISH, AnthropicMessages
from adapters.events import (
    AttemptEvent,
    BlockEnd,
    BlockKind,
    BlockStart,
    CitationAdd,
    Ending,
    ErrorCode,
    Finish,
    Meta,
    ReasoningSignature,
    SafetyFlag,
    ServerToolUpdate,
    TextDelta,
    ToolDelta,
    UsageUpdate,
    is_content,
)
from tests import recordings
from tests.adapters.dialects import cuts, oracle_anthropic
from tests.adapters.dialects.chat_cases import STREAMS, call, hand_written, sse
from tests.adapters.dialects.mutations import mutations
from tests.recordings import Exchange

DIALECT = AnthropicMessages()
HAND_WRITTEN = sorted(path.stem for path in (STREAMS / "claude").glob("*.sse"))
CITATIONS = "ruby_llm.chat_citations_with_anthropic_claude-haiku-4-5_streams_citations"
REDACTED = "pydantic-ai.test_anthropic_model_thinking_part_redacted_stream"

START: dict[str, Any] = {
    "type": "message_start",
    "message": {"id": "msg_1", "model": "claude-x", "usage": {"input_tokens": 5}},
}
DEEP_CALL = (
    b'{"type":"content_block_start","index":1,'
    b'"content_block":{"type":"tool_use","id":"t","name":"go","input":{"a":0}}}'
)
TEXT: dict[str, Any] = {"type": "text", "text": ""}


def decoded(stream: bytes) -> cuts.Decoded:
    """What a stream says, fed whole; `agree` shows that cuts make no difference."""
    asked = call(DIALECT, provider="claude")
    told = cuts.decode(lambda: DIALECT.decoder(asked), [stream])
    cuts.check_grammar(told)
    return told


def recorded(case: str) -> cuts.Decoded:
    return decoded(recordings.one(f"claude/{case}#0").body)


def block(index: int, content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": content}


def delta(index: int, kind: str, **fields: object) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def end(reason: str | None, **usage: int) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}


DONE = {"type": "message_stop"}


def answer(*frames: dict[str, Any]) -> bytes:
    """A whole answer around these frames."""
    return sse(START, *frames, end("end_turn", output_tokens=3), DONE)


# --- Every stream ---------------------------------------------------------------------------


def agree(body: bytes) -> None:
    """The decoder says what the oracle reads, however the body is cut."""
    asked = call(DIALECT, provider="claude")
    told, facts = cuts.check(lambda: DIALECT.decoder(asked), body), oracle_anthropic.facts(body)
    assert told.text == facts.text
    assert told.reasoning == facts.reasoning
    assert [(c, n, orjson.loads(a or "null")) for c, n, a in told.calls] == facts.calls
    signed = [(event.format, event.value) for event in told.of(ReasoningSignature)]
    assert signed == facts.signatures
    assert [event.citation.quote for event in told.of(CitationAdd)] == facts.quotes
    assert (told.ending.finish, told.ending.finish_raw) == (facts.finish, facts.stop_reason)
    assert (told.upstream_id, told.model) == (facts.id, facts.model)
    usage = told.ending.usage
    assert usage is not None
    assert (usage.input, usage.input_cached) == (facts.input, facts.cached)
    assert (usage.input_cache_write, usage.output) == (facts.written, facts.output)


@recordings.each(recordings.streams("anthropic_messages"))
def test_a_recording_says_what_the_oracle_reads_however_it_is_cut(exchange: Exchange) -> None:
    agree(exchange.body)


@pytest.mark.parametrize("name", [name for name in HAND_WRITTEN if name != "interrupted"])
def test_a_hand_written_stream_says_what_the_oracle_reads_however_it_is_cut(name: str) -> None:
    agree(hand_written(f"claude/{name}"))


def test_a_stream_that_stops_anywhere_is_interrupted_or_complete() -> None:
    body = hand_written("claude/thinking_and_parallel_tools")
    whole = body.index(b"\n\n", body.index(b"event: message_delta"))
    for at in range(0, len(body), 11):
        told = decoded(body[:at])
        expected = Finish.TOOL_CALLS if at > whole + 1 else Finish.INTERRUPTED
        assert told.ending.finish is expected, at


@pytest.mark.parametrize("name", HAND_WRITTEN)
def test_no_value_in_a_payload_makes_the_decoder_raise(name: str) -> None:
    for body in mutations(hand_written(f"claude/{name}")):
        decoded(body)


def test_no_depth_of_nesting_makes_the_decoder_raise() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    for payload in (deep, b'{"error":' + deep + b"}", DEEP_CALL.replace(b"0", deep)):
        told = decoded(b"data: " + payload + b"\n\n")
        assert told.ending.finish in (Finish.ERROR, Finish.INTERRUPTED)


# --- Recordings whose content is known ------------------------------------------------------


def test_a_second_message_start_is_ignored() -> None:
    told = recorded("vercel-ai.duplicate-message-start")
    assert len(told.of(UsageUpdate)) == 1
    assert told.text == "Hello, World!"
    assert told.ending.usage is not None
    assert (told.ending.usage.input, told.ending.usage.output) == (17, 227)


def test_counts_at_the_end_replace_those_at_the_start() -> None:
    told = recorded("vercel-ai.anthropic-message-delta-input-tokens")
    [at_start] = told.of(UsageUpdate)
    assert at_start.usage.input == 43
    assert told.ending.usage is not None
    assert (told.ending.usage.input, told.ending.usage.output) == (61, 2)
    assert told.ending.usage.total == 63


def test_a_call_without_arguments_has_an_empty_object() -> None:
    told = recorded("vercel-ai.anthropic-tool-no-args")
    assert told.calls == [("toolu_01QE1WLsSVp5hy5Q3GmGTmjP", "updateIssueList", "{}")]
    assert told.of(ToolDelta) == []
    assert told.ending.finish is Finish.TOOL_CALLS


def test_a_refusal_says_which_category_it_is_for() -> None:
    told = recorded("vercel-ai.anthropic-refusal")
    [flag] = told.of(SafetyFlag)
    assert (flag.where, flag.category, flag.action) == ("output", "cyber", "blocked")
    [details] = told.of(Meta)
    assert details.value["recommended_model"] == "claude-fable-5"
    assert (told.text, told.ending.finish) == ("", Finish.REFUSAL)


def test_a_server_side_fallback_names_the_model_that_goes_on() -> None:
    told = recorded("vercel-ai.anthropic-fallback")
    [meta] = told.of(Meta)
    assert meta.key == "model_fallback"
    assert meta.value == {"from": {"model": "claude-fable-5"}, "to": {"model": "claude-opus-4-8"}}
    assert told.model == "claude-opus-4-8"
    assert [start.kind for start in told.of(BlockStart)] == [BlockKind.TEXT]
    assert told.ending.usage is not None
    assert (told.ending.usage.input, told.ending.usage.output) == (412, 264)


def test_redacted_thinking_is_a_block_that_holds_nothing_but_its_data() -> None:
    told = recorded(REDACTED)
    redacted = [start.block for start in told.of(BlockStart) if start.form == "redacted"]
    assert redacted == ["b1.0", "b1.1"]
    signed = told.of(ReasoningSignature)
    assert [(one.block, one.format) for one in signed] == [
        ("b1.0", "anthropic.redacted"),
        ("b1.1", "anthropic.redacted"),
    ]
    assert signed[0].value.startswith("EqkECkYIBxgCKkA8AZ4noDfV5VcOJe")
    assert told.reasoning == ""
    assert told.text.startswith("I notice that you've sent what appears to be")


def test_a_citation_covers_its_block_and_keeps_the_documents_own_offsets_apart() -> None:
    told = recorded(CITATIONS)
    [added] = told.of(CitationAdd)
    citation = added.citation
    assert (citation.kind, citation.title) == ("char", "facts.txt")
    assert (citation.start, citation.end) == (0, len(told.text))
    assert citation.raw is not None
    assert (citation.raw["start_char_index"], citation.raw["end_char_index"]) == (0, 73)


# --- Blocks ---------------------------------------------------------------------------------


def test_an_answer_opens_and_closes_its_blocks_in_order() -> None:
    told = decoded(answer(block(0, TEXT), delta(0, "text_delta", text="Hi"), stop(0)))
    assert told.events[1:] == [
        BlockStart(block="b1.0", index=0, attempt=1, kind=BlockKind.TEXT),
        TextDelta("b1.0", "Hi"),
        BlockEnd(block="b1.0", status="complete", text_len=2),
    ]


def test_pieces_of_two_calls_may_interleave() -> None:
    told = decoded(hand_written("claude/thinking_and_parallel_tools"))
    assert told.calls == [
        ("toolu_a", "get_weather", '{"city":"Oslo"}'),
        ("toolu_b", "get_weather", '{"city":"Zürich"}'),
    ]
    ended = [event.block for event in told.of(BlockEnd)]
    assert ended == ["b1.0", "b1.1", "b1.3", "b1.2"]
    usage = told.ending.usage
    assert usage is not None
    assert (usage.input, usage.input_cached, usage.input_cache_write) == (1250, 1000, 200)
    assert (usage.output, usage.output_reasoning, usage.total) == (80, 31, 1330)


def test_thinking_that_is_kept_back_still_leaves_its_signature() -> None:
    told = decoded(hand_written("claude/omitted_thinking"))
    [signature] = told.of(ReasoningSignature)
    assert (signature.block, signature.provider) == ("b1.0", "claude")
    assert (signature.format, signature.value) == ("anthropic.signature", "EqQBomitted==")
    assert told.reasoning == ""


def test_the_start_of_a_message_and_of_a_text_block_is_no_content() -> None:
    told = decoded(answer(block(0, TEXT), delta(0, "text_delta", text="Hi"), stop(0)))
    assert [type(event) for event in told.events if is_content(event)] == [TextDelta]


def test_input_that_comes_whole_is_the_calls_arguments() -> None:
    told = decoded(hand_written("claude/input_whole"))
    assert told.calls == [("toolu_w", "add", '{"a":1,"b":[2,3]}')]


def test_input_that_comes_in_pieces_outranks_what_the_start_said() -> None:
    tool = {"type": "tool_use", "id": "t", "name": "add", "input": {"a": 0}}
    pieces = delta(0, "input_json_delta", partial_json='{"a":1}')
    told = decoded(sse(START, block(0, tool), pieces, stop(0), end("tool_use"), DONE))
    assert told.calls == [("t", "add", '{"a":1}')]


def test_a_call_without_an_id_gets_one() -> None:
    told = decoded(answer(block(0, {"type": "tool_use", "name": "go"}), stop(0)))
    assert told.calls == [("call_1_0", "go", "{}")]


def test_a_call_without_a_name_cannot_be_read() -> None:
    told = decoded(answer(block(0, {"type": "tool_use", "id": "t"}), stop(0)))
    assert told.ending.error is not None
    assert told.ending.error.code is ErrorCode.UPSTREAM_MALFORMED


def test_a_server_tool_is_one_block_from_its_call_to_its_result() -> None:
    told = decoded(hand_written("claude/web_search"))
    found, failed = told.of(ServerToolUpdate)[:2], told.of(ServerToolUpdate)[2:]
    assert [update.status for update in found] == ["running", "done"]
    assert found[0].input == {"query": "tallest tower"}
    assert found[1].result[0]["url"] == "https://example.com/towers"
    assert [update.status for update in failed] == ["running", "failed"]
    assert failed[0].input == {"query": "height"}
    assert {update.block for update in found} == {"b1.0"}
    assert {update.block for update in failed} == {"b1.1"}
    [citation] = told.of(CitationAdd)
    assert (citation.block, citation.citation.url) == ("b1.2", "https://example.com/towers")
    assert {event.status for event in told.of(BlockEnd)} == {"complete"}


def test_a_server_tool_whose_result_is_still_to_come_is_incomplete() -> None:
    told = decoded(hand_written("claude/pause_turn"))
    assert told.ending.finish is Finish.PAUSE
    assert [event.status for event in told.of(BlockEnd)] == ["complete", "incomplete"]


def test_a_result_of_an_earlier_turns_tool_is_a_block_of_its_own() -> None:
    told = decoded(hand_written("claude/result_of_earlier_turn"))
    [update] = told.of(ServerToolUpdate)
    assert (update.status, update.name) == ("done", "code_execution")
    assert update.result["stdout"] == "3"


def test_server_tool_input_that_is_no_json_is_passed_on_as_text() -> None:
    tool = {"type": "server_tool_use", "id": "s", "name": "bash", "input": {}}
    piece = delta(0, "input_json_delta", partial_json='{"half')
    told = decoded(answer(block(0, tool), piece, stop(0)))
    assert [update.input for update in told.of(ServerToolUpdate)] == ['{"half']


def test_a_server_tool_id_that_comes_twice_ends_the_first() -> None:
    tool = {"type": "server_tool_use", "id": "s", "name": "bash", "input": {}}
    told = decoded(answer(block(0, tool), stop(0), block(1, tool), stop(1)))
    assert [event.status for event in told.of(BlockEnd)] == ["incomplete", "incomplete"]


def test_the_five_kinds_of_citation_are_told_apart() -> None:
    told = decoded(hand_written("claude/citations"))
    citations = [event.citation for event in told.of(CitationAdd)]
    assert [citation.kind for citation in citations] == [
        "char",
        "page",
        "document",
        "url",
        "search_result",
    ]
    assert [citation.id for citation in citations] == ["c1.0", "c1.1", "c1.2", "c1.3", "c1.4"]
    assert [citation.title for citation in citations] == ["a.txt", "b.pdf", None, "Four", "Five"]
    assert citations[4].url == "https://example.com/5"
    assert {(citation.start, citation.end) for citation in citations} == {(0, 13)}


def test_a_citation_of_an_unknown_kind_or_shape_is_left_out() -> None:
    told = decoded(
        answer(
            block(0, TEXT),
            delta(0, "text_delta", text="Hi"),
            delta(0, "citations_delta", citation={"type": "moon_location"}),
            delta(0, "citations_delta", citation={"type": "page_location", "cited_text": 3}),
            delta(0, "citations_delta", citation=None),
            stop(0),
        )
    )
    assert told.of(CitationAdd) == []
    assert told.text == "Hi"


def test_a_compaction_leaves_as_one_fact() -> None:
    told = decoded(hand_written("claude/compaction"))
    [meta] = told.of(Meta)
    assert meta.key == "compaction"
    assert meta.value == {
        "content": "So far: nothing.",
        "encrypted_content": "opaque",
        "signature": None,
    }
    assert told.ending.finish is Finish.PAUSE


def test_an_index_that_starts_twice_has_stopped() -> None:
    told = decoded(
        answer(
            block(0, TEXT),
            delta(0, "text_delta", text="a"),
            block(0, TEXT),
            delta(0, "text_delta", text="b"),
        )
    )
    assert [event.text_len for event in told.of(BlockEnd)] == [1, 1]
    assert told.text == "ab"


def test_a_delta_of_another_kind_than_its_block_is_left_out() -> None:
    told = decoded(
        answer(
            block(0, TEXT),
            delta(0, "thinking_delta", thinking="x"),
            delta(0, "input_json_delta", partial_json="{}"),
            delta(0, "signature_delta", signature="s"),
            delta(7, "text_delta", text="nowhere"),
            delta(0, "text_delta", text=None),
            stop(0),
            stop(7),
        )
    )
    assert [type(event) for event in told.events] == [UsageUpdate, BlockStart, BlockEnd]


def test_a_refusal_without_a_reason_is_flagged_all_the_same() -> None:
    told = decoded(hand_written("claude/refusal_unexplained"))
    [flag] = told.of(SafetyFlag)
    assert (flag.category, flag.action) == (None, "blocked")
    assert told.of(Meta) == []


def test_a_refusal_half_way_keeps_what_was_said() -> None:
    told = decoded(hand_written("claude/refusal"))
    assert (told.text, told.ending.finish) == ("First you", Finish.REFUSAL)
    assert [flag.category for flag in told.of(SafetyFlag)] == ["bio"]


def test_only_the_first_of_two_message_starts_counts() -> None:
    told = decoded(hand_written("claude/started_twice"))
    assert [update.usage.input for update in told.of(UsageUpdate)] == [20]


# --- What cannot be known -------------------------------------------------------------------


def test_what_is_unknown_is_skipped() -> None:
    told = decoded(hand_written("claude/unknown"))
    assert told.text == "Still here."
    assert [start.kind for start in told.of(BlockStart)] == [BlockKind.TEXT]
    assert (told.ending.finish, told.ending.finish_raw) == (Finish.OTHER, "enlightenment")


def test_an_answer_cut_inside_of_a_character_goes_on() -> None:
    halves = [delta(0, "text_delta", text=text) for text in ("a<", ">b")]
    body = answer(block(0, TEXT), *halves, stop(0))
    told = decoded(body.replace(b"<", b"\\ud83d").replace(b">", b"\\ude00"))
    assert (told.text, told.ending.error) == ("a\ufffd\ufffdb", None)


def test_a_server_without_event_names_is_read_all_the_same() -> None:
    assert decoded(hand_written("claude/unnamed_events")).text == "Unnamed."


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"type":"content_block_delta"}',
        b'{"type":"content_block_delta","index":"0","delta":{"type":"text_delta"}}',
        b'{"type":"message_start","message":null}',
    ],
)
def test_a_payload_that_cannot_be_read_ends_the_answer(payload: bytes) -> None:
    opening = sse(START, block(0, TEXT), delta(0, "text_delta", text="Hi"))
    told = decoded(opening + b"data: " + payload + b"\n\n" + sse(DONE))
    assert told.text == "Hi"
    assert told.ending.finish is Finish.ERROR
    assert told.ending.error is not None
    assert told.ending.error.code is ErrorCode.UPSTREAM_MALFORMED
    assert told.ending.error.retryable
    assert [event.status for event in told.of(BlockEnd)] == ["incomplete"]


# --- Errors ---------------------------------------------------------------------------------


def error_of(told: cuts.Decoded) -> ErrorCode:
    assert told.ending.finish is Finish.ERROR
    assert told.ending.error is not None
    assert told.ending.error.provider == "claude"
    return told.ending.error.code


def test_an_error_event_ends_the_answer_and_keeps_what_was_said() -> None:
    told = decoded(hand_written("claude/error_overloaded"))
    assert error_of(told) is ErrorCode.OVERLOADED
    assert told.text == "The answer begins"
    assert [event.status for event in told.of(BlockEnd)] == ["incomplete"]
    assert told.ending.usage is not None
    assert told.ending.usage.input == 20
    assert told.ending.usage.output is None


@pytest.mark.parametrize(
    "frame",
    [
        b'event: error\ndata: {"error":{"type":"overloaded_error","message":"Busy"}}\n\n',
        b'event: error\ndata: {"type":"rate_limit_error","message":"Slow down"}\n\n',
        b"event: error\ndata: upstream connect error\n\n",
        b'data: {"type":"error","error":{"type":"overloaded_error","message":"Busy"}}\n\n',
        b'data: {"error":{"type":"overloaded_error","message":"Busy"}}\n\n',
    ],
)
def test_an_error_is_known_by_its_event_name_or_by_its_field(frame: bytes) -> None:
    told = decoded(sse(START) + frame)
    assert error_of(told) is not ErrorCode.UPSTREAM_MALFORMED
    assert told.ending.error is not None
    assert told.ending.error.message in ("Busy", "Slow down", "upstream connect error")


def test_an_unknown_event_is_no_error_because_it_mentions_one() -> None:
    stray = {"type": "weather_report", "error": "no sun"}
    told = decoded(sse(START, stray, end("end_turn"), DONE))
    assert told.ending.finish is Finish.STOP


# --- Endings --------------------------------------------------------------------------------


@pytest.mark.parametrize(("reason", "finish"), FINISH.items())
def test_a_stop_reason_is_a_finish(reason: str, finish: Finish) -> None:
    told = decoded(sse(START, end(reason, output_tokens=1), DONE))
    assert (told.ending.finish, told.ending.finish_raw) == (finish, reason)


def test_the_stop_sequence_that_matched_is_named() -> None:
    told = decoded(hand_written("claude/stop_sequence"))
    assert (told.ending.finish, told.ending.stop_sequence) == (Finish.STOP, "three")


def test_an_answer_cut_after_its_stop_reason_is_complete() -> None:
    told = decoded(hand_written("claude/cut_after_stop_reason"))
    assert told.ending.finish is Finish.STOP
    assert told.ending.error is None


def test_an_answer_cut_before_its_stop_reason_is_interrupted() -> None:
    told = decoded(hand_written("claude/interrupted"))
    assert told.ending.finish is Finish.INTERRUPTED
    assert told.ending.error is not None
    assert told.ending.error.code is ErrorCode.STREAM_INTERRUPTED
    assert told.calls == [("toolu_1", "search", '{"query":"sl')]
    assert [event.args_valid for event in told.of(BlockEnd)] == [None, False]


def test_the_end_of_the_message_without_a_stop_reason_is_an_end_like_no_other() -> None:
    told = decoded(sse(START, block(0, TEXT), delta(0, "text_delta", text="Hi"), DONE))
    assert (told.ending.finish, told.ending.finish_raw) == (Finish.OTHER, None)


def test_the_ending_is_set_as_soon_as_the_message_stops() -> None:
    decoder = DIALECT.decoder(call(DIALECT, provider="claude"))
    decoder.feed(sse(START, end("end_turn", output_tokens=1)))
    assert decoder.finished
    assert decoder.ending is None
    decoder.feed(sse(DONE))
    assert isinstance(decoder.ending, Ending)


def test_output_is_unknown_until_the_provider_has_counted_it() -> None:
    usage = {"input_tokens": 5, "output_tokens": 88}
    start = {"type": "message_start", "message": {"id": "m", "model": "c", "usage": usage}}
    told = decoded(sse(start, block(0, TEXT), delta(0, "text_delta", text="Hi")))
    [update] = told.of(UsageUpdate)
    assert (update.usage.input, update.usage.output, update.usage.total) == (5, None, None)
    assert told.ending.usage == update.usage


def test_only_the_first_stop_reason_counts_and_later_counts_still_do() -> None:
    told = decoded(
        sse(
            START,
            end(None, output_tokens=4),
            end("max_tokens", output_tokens=7),
            end("refusal", output_tokens=8),
            DONE,
        )
    )
    assert told.ending.finish is Finish.LENGTH
    assert told.of(SafetyFlag) == []
    assert told.ending.usage is not None
    assert told.ending.usage.output == 8


def test_an_answer_without_any_counts_has_no_usage() -> None:
    start = {"type": "message_start", "message": {"id": "m", "model": "c"}}
    told = decoded(sse(start, end("end_turn"), DONE))
    assert told.of(UsageUpdate) == []
    assert told.ending.usage is None


def test_a_fallback_that_names_no_model_changes_none() -> None:
    told = decoded(answer(block(0, {"type": "fallback"}), stop(0)))
    assert told.model == "claude-x"


def test_block_ids_carry_the_attempt() -> None:
    decoder = DIALECT.decoder(call(DIALECT, provider="claude", attempt=3))
    events: list[AttemptEvent] = decoder.feed(answer(block(0, TEXT), stop(0)))
    assert [event.block for event in events if isinstance(event, BlockStart)] == ["b3.0"]


def test_the_dialect_has_its_name_and_its_path() -> None:
    assert DIALECT.name == "anthropic_messages"
    assert DIALECT.encode(call(DIALECT, provider="claude")).path == "/v1/messages"
