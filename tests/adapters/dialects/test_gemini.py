"""The decoder of generateContent: recordings against an oracle, and dialogues."""

from typing import Any

import orjson
import pytest

from adapters.dialects.gemini import FINISH, Gemini
from adapters.events import (
    BlockEnd,
    BlockKind,
    BlockStart,
    CitationAdd,
    Ending,
    ErrorCode,
    FileDelta,
    Finish,
    ReasoningDelta,
    ReasoningSignature,
    SafetyFlag,
    ServerToolUpdate,
    TextDelta,
    ToolDelta,
    UsageUpdate,
)
from tests import recordings
from tests.adapters.dialects import cuts, oracle_gemini
from tests.adapters.dialects.chat_cases import STREAMS, call, hand_written, sse
from tests.adapters.dialects.mutations import mutations
from tests.recordings import Exchange

DIALECT = Gemini()
HAND_WRITTEN = sorted(path.stem for path in (STREAMS / "gemini").glob("*.sse"))
BEYOND_THE_ORACLE = {"partial_arguments", "plain_list"}
WEB_SEARCH = "pydantic-ai.test_google_model_web_search_tool_stream"


DEEP_CALL = (
    b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"go","args":{"a":0}}}]}}]}'
)


def decoded(stream: bytes) -> cuts.Decoded:
    """What a stream says, fed whole; `agree` shows that cuts make no difference."""
    asked = call(DIALECT, provider="gemini")
    told = cuts.decode(lambda: DIALECT.decoder(asked), [stream])
    cuts.check_grammar(told)
    return told


def recorded(case: str) -> cuts.Decoded:
    return decoded(recordings.one(f"gemini/{case}#0").body)


def chunk(*parts: dict[str, Any], finish: str | None = None, **more: object) -> dict[str, Any]:
    """A chunk with these parts; `more` are fields of the candidate."""
    candidate = {"content": {"parts": list(parts), "role": "model"}, "index": 0, **more}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "responseId": "r1", "modelVersion": "gemini-x"}


def text(words: str, **fields: object) -> dict[str, Any]:
    return {"text": words, **fields}


def function(name: str | None = None, **fields: object) -> dict[str, Any]:
    return {"functionCall": {**({"name": name} if name else {}), **fields}}


def piece(path: str, **value: object) -> dict[str, Any]:
    return {"jsonPath": path, **value}


# --- Every stream ---------------------------------------------------------------------------


def agree(body: bytes) -> None:
    """The decoder says what the oracle reads, however the body is cut."""
    asked = call(DIALECT, provider="gemini")
    told, facts = cuts.check(lambda: DIALECT.decoder(asked), body), oracle_gemini.facts(body)
    assert told.text == facts.text
    assert told.reasoning == facts.reasoning
    assert [(name, orjson.loads(args or "null")) for _, name, args in told.calls] == facts.calls
    assert [event.value for event in told.of(ReasoningSignature)] == facts.signatures
    cited = [(event.citation.url, event.citation.quote) for event in told.of(CitationAdd)]
    assert cited == facts.sources
    assert told.ending.finish == facts.finish
    assert (told.upstream_id, told.model) == (facts.id, facts.model)
    usage = told.ending.usage
    assert usage is not None
    assert (usage.input, usage.input_cached) == (facts.input, facts.cached)
    assert (usage.output, usage.output_reasoning) == (facts.output, facts.thoughts)
    assert usage.total == facts.total


@recordings.each(recordings.streams("gemini"))
def test_a_recording_says_what_the_oracle_reads_however_it_is_cut(exchange: Exchange) -> None:
    agree(exchange.body)


@pytest.mark.parametrize("name", sorted({*HAND_WRITTEN} - BEYOND_THE_ORACLE))
def test_a_hand_written_stream_says_what_the_oracle_reads_however_it_is_cut(name: str) -> None:
    agree(hand_written(f"gemini/{name}"))


@pytest.mark.parametrize("name", sorted(BEYOND_THE_ORACLE))
def test_cuts_make_no_difference_to_what_the_oracle_cannot_read(name: str) -> None:
    asked = call(DIALECT, provider="gemini")
    cuts.check(lambda: DIALECT.decoder(asked), hand_written(f"gemini/{name}"))


def test_a_stream_that_stops_anywhere_is_interrupted_or_complete() -> None:
    body = hand_written("gemini/thoughts_and_parallel_calls")
    whole = len(body) - 1  # the blank line after the chunk with the finish reason
    for at in range(0, len(body) + 1, 11):
        told = decoded(body[:at])
        expected = Finish.TOOL_CALLS if at >= whole else Finish.INTERRUPTED
        assert told.ending.finish is expected, at


@pytest.mark.parametrize("name", HAND_WRITTEN)
def test_no_value_in_a_payload_makes_the_decoder_raise(name: str) -> None:
    for body in mutations(hand_written(f"gemini/{name}")):
        decoded(body)


def test_no_depth_of_nesting_makes_the_decoder_raise() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    for payload in (deep, b'{"error":' + deep + b"}", DEEP_CALL.replace(b"0", deep)):
        told = decoded(b"data: " + payload + b"\n\n")
        assert told.ending.finish in (Finish.ERROR, Finish.INTERRUPTED)


# --- Recordings whose content is known ------------------------------------------------------


def test_a_signature_on_an_empty_part_signs_the_running_text() -> None:
    told = recorded("vercel-ai.google-reasoning-gemini3")
    [signature] = told.of(ReasoningSignature)
    assert (signature.block, signature.provider) == ("b1.0", "gemini")
    assert signature.format == "gemini.thought_signature"
    assert signature.value.startswith("EpAICo0IAb4+9vuku3oDHR5EQSMfPm5I")
    assert [start.kind for start in told.of(BlockStart)] == [BlockKind.TEXT]
    assert told.text == 'There are **3** "r"s in strawberry.\n\nSt**r**awbe**rr**y'


def test_output_counts_thoughts_and_counts_are_never_added_up() -> None:
    told = recorded("vercel-ai.google-reasoning-gemini3")
    usage = told.ending.usage
    assert usage is not None
    assert (usage.input, usage.output, usage.output_reasoning) == (9, 23 + 302, 302)
    assert usage.total == 334
    assert len(told.of(UsageUpdate)) == 1


def test_streamed_arguments_leave_whole() -> None:
    told = recorded("vercel-ai.google-stream-tool-call-arguments")
    assert [(name, args) for _, name, args in told.calls] == [
        ("getWeather", '{"location":"Boston"}'),
        ("getWeather", '{"location":"San Francisco"}'),
    ]
    [signature] = told.of(ReasoningSignature)
    assert signature.block == "b1.0"
    assert (told.ending.finish, told.ending.finish_raw) == (Finish.TOOL_CALLS, "STOP")
    assert told.ending.usage is not None
    assert (told.ending.usage.input, told.ending.usage.output) == (26, 23 + 132)


def test_a_call_is_signed_and_gets_an_id_that_only_this_answer_has() -> None:
    told = recorded("vercel-ai.google-tool-call-gemini3")
    assert told.calls == [
        ("trcall_QHiLaa6LBrb8vdIPoNztsAg_0", "weather", '{"location":"San Francisco"}')
    ]
    [signature] = told.of(ReasoningSignature)
    assert signature.block == "b1.0"
    assert told.ending.finish is Finish.TOOL_CALLS


def test_grounding_becomes_citations_in_characters() -> None:
    told = recorded(WEB_SEARCH)
    citations = [event.citation for event in told.of(CitationAdd)]
    assert len(citations) == 9
    for citation in citations:
        assert told.text[citation.start : citation.end] == citation.quote
    assert citations[0].title == "Weather information for San Francisco, CA, US"
    # 375 in bytes: four degree signs stand before the end of the first stretch.
    assert (citations[0].start, citations[0].end) == (235, 371)
    assert told.ending.usage is not None
    assert told.ending.usage.input == 17 + 102


# --- Parts ----------------------------------------------------------------------------------


def test_thoughts_and_text_are_runs_that_end_where_another_part_begins() -> None:
    told = decoded(
        sse(
            chunk(text("a", thought=True)),
            chunk(text("b", thought=True), text("c")),
            chunk(text("d"), function("go"), text("e"), finish="STOP"),
        )
    )
    assert [type(event) for event in told.events] == [
        BlockStart,
        ReasoningDelta,
        ReasoningDelta,
        BlockEnd,
        BlockStart,
        TextDelta,
        TextDelta,
        BlockEnd,
        BlockStart,
        BlockEnd,
        BlockStart,
        TextDelta,
        BlockEnd,
    ]
    assert [start.form for start in told.of(BlockStart)] == ["summary", None, None, None]


def test_parallel_calls_keep_their_ids_and_only_the_first_is_signed() -> None:
    told = decoded(hand_written("gemini/thoughts_and_parallel_calls"))
    assert told.calls == [
        ("fc_a", "get_weather", '{"city":"Oslo"}'),
        ("fc_b", "get_weather", '{"city":"Zürich"}'),
        ("trcall_synthetic_2", "get_time", "{}"),
    ]
    assert [signature.block for signature in told.of(ReasoningSignature)] == ["b1.2"]
    assert told.ending.usage is not None
    assert told.ending.usage.input_cached == 30


def test_a_call_before_the_response_has_an_id_is_named_after_the_attempt() -> None:
    nameless = chunk(function("go"), finish="STOP")
    del nameless["responseId"]
    assert decoded(sse(nameless)).calls == [("trcall_1_0", "go", "{}")]


def test_a_signature_goes_to_its_part_or_to_a_block_of_its_own() -> None:
    told = decoded(hand_written("gemini/signed_text"))
    kinds = {start.block: (start.kind, start.form) for start in told.of(BlockStart)}
    signed = [(kinds[one.block], one.value) for one in told.of(ReasoningSignature)]
    assert signed == [
        ((BlockKind.REASONING, "summary"), "b25l"),
        ((BlockKind.TEXT, None), "dHdv"),
        ((BlockKind.REASONING, "redacted"), "dGhyZWU="),
    ]


def test_code_that_google_runs_is_a_server_tool_with_its_result() -> None:
    told = decoded(hand_written("gemini/code_execution"))
    updates = told.of(ServerToolUpdate)
    assert [(update.block, update.status) for update in updates] == [
        ("b1.0", "running"),
        ("b1.0", "done"),
        ("b1.1", "running"),
        ("b1.1", "failed"),
    ]
    assert updates[0].input["code"] == "print(1+2)"
    assert updates[1].result["output"] == "3\n"
    assert {update.name for update in updates} == {"code_execution"}


def test_a_server_tool_without_a_result_is_incomplete() -> None:
    told = decoded(hand_written("gemini/server_tools"))
    assert [(update.name, update.status) for update in told.of(ServerToolUpdate)] == [
        ("GOOGLE_SEARCH", "running"),
        ("GOOGLE_SEARCH", "done"),
        ("URL_CONTEXT", "running"),
    ]
    statuses = {end.block: end.status for end in told.of(BlockEnd)}
    assert statuses == {"b1.0": "complete", "b1.1": "incomplete", "b1.2": "complete"}


def test_the_result_of_an_earlier_turns_code_is_a_block_of_its_own() -> None:
    result = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "3"}}
    told = decoded(sse(chunk(result, finish="STOP")))
    assert [update.status for update in told.of(ServerToolUpdate)] == ["done"]


def test_files_come_whole_and_drafts_do_not_come() -> None:
    told = decoded(hand_written("gemini/image"))
    files = [start for start in told.of(BlockStart) if start.kind is BlockKind.FILE]
    assert [start.media_type for start in files] == ["image/png", "video/mp4"]
    assert told.of(FileDelta) == [
        FileDelta(block=files[0].block, data="iVBORw0KGgo=", offset=0),
        FileDelta(block=files[1].block, url="https://example.com/v.mp4"),
    ]


def test_a_file_without_anything_in_it_is_no_file() -> None:
    told = decoded(sse(chunk({"inlineData": {"mimeType": "image/png"}}, finish="STOP")))
    assert told.events == []


def test_only_the_first_candidate_is_shown_and_unknown_fields_are_skipped() -> None:
    told = decoded(hand_written("gemini/plain_list"))
    assert told.text == "One. Two."
    assert (told.ending.finish, told.ending.finish_raw) == (Finish.OTHER, "ENLIGHTENMENT")


# --- Arguments in pieces --------------------------------------------------------------------


def test_values_at_paths_become_one_object() -> None:
    told = decoded(hand_written("gemini/partial_arguments"))
    [(_, name, args)] = told.calls
    assert name == "book"
    assert orjson.loads(args or "") == {
        "guest": {"name": "Grète"},
        "nights": 3,
        "late check-in": False,
        "rooms": [{"beds": 2}, {"beds": 1.5}],
        "note": None,
    }
    assert len(told.of(ToolDelta)) == 1


def test_an_item_of_a_list_grows_and_a_path_said_again_is_replaced() -> None:
    pieces = [
        piece("$.rooms[0].beds", numberValue=2),
        piece('$.rooms[0]["view"]', stringValue="sea"),
        piece("$.rooms[0].beds", numberValue=3),
    ]
    told = decoded(sse(chunk(function("book", partialArgs=pieces), finish="STOP")))
    assert [args for _, _, args in told.calls] == ['{"rooms":[{"beds":3,"view":"sea"}]}']


def test_a_call_left_open_is_over_at_the_finish_reason_or_the_next_name() -> None:
    told = decoded(
        sse(
            chunk(function("a", partialArgs=[piece("$.x", numberValue=1)], willContinue=True)),
            chunk(function("b", willContinue=True), finish="STOP"),
        )
    )
    assert [(name, args) for _, name, args in told.calls] == [("a", '{"x":1}'), ("b", "{}")]
    assert {end.status for end in told.of(BlockEnd)} == {"complete"}


def test_a_call_left_open_by_a_broken_stream_is_incomplete() -> None:
    told = decoded(sse(chunk(function("a", args={"x": 1}, willContinue=True))))
    assert [(end.status, end.args_valid) for end in told.of(BlockEnd)] == [("incomplete", False)]


@pytest.mark.parametrize(
    "path", ["", "$", "x", "$..x", "$.x[", "$.x[2]", "$.list.name", "$.name.inner", "$[0]"]
)
def test_a_path_that_leads_nowhere_ends_the_answer(path: str) -> None:
    told = decoded(
        sse(
            chunk(
                function(
                    "go",
                    partialArgs=[
                        piece("$.name", stringValue="n"),
                        piece("$.list[0]", numberValue=1),
                        piece(path, numberValue=2),
                    ],
                )
            )
        )
    )
    assert told.ending.error is not None
    assert told.ending.error.code is ErrorCode.UPSTREAM_MALFORMED


def test_an_empty_call_where_none_is_open_is_nothing() -> None:
    told = decoded(sse(chunk(function("go")), chunk(function(), finish="STOP")))
    assert [name for _, name, _ in told.calls] == ["go"]


def test_arguments_of_no_function_end_the_answer() -> None:
    told = decoded(sse(chunk(function(args={"x": 1}))))
    assert told.ending.error is not None
    assert told.ending.error.code is ErrorCode.UPSTREAM_MALFORMED


# --- Finish reasons and filters -------------------------------------------------------------


@pytest.mark.parametrize(("reason", "finish"), FINISH.items())
def test_a_finish_reason_is_a_finish(reason: str, finish: Finish) -> None:
    told = decoded(sse(chunk(text("Hi"), finish=reason)))
    assert (told.ending.finish, told.ending.finish_raw) == (finish, reason)


@pytest.mark.parametrize(
    "reason", ["NO_IMAGE", "OTHER", "FINISH_REASON_UNSPECIFIED", "ESCALATION", "NEVER_HEARD_OF"]
)
def test_any_other_finish_reason_is_other(reason: str) -> None:
    assert decoded(sse(chunk(finish=reason))).ending.finish is Finish.OTHER


def test_a_call_that_cannot_be_parsed_is_an_error_worth_another_try() -> None:
    told = decoded(hand_written("gemini/malformed_function_call"))
    error = told.ending.error
    assert error is not None
    assert (error.code, error.retryable) == (ErrorCode.UPSTREAM_MALFORMED, True)
    assert error.provider_code == "MALFORMED_FUNCTION_CALL"
    assert "default_api" not in error.message
    assert [end.status for end in told.of(BlockEnd)] == ["incomplete"]


def test_a_blocked_prompt_is_a_filter_and_no_output() -> None:
    told = decoded(hand_written("gemini/blocked_prompt"))
    assert (told.ending.finish, told.ending.finish_raw) == (
        Finish.CONTENT_FILTER,
        "PROHIBITED_CONTENT",
    )
    assert told.of(BlockStart) == []
    [flag] = told.of(SafetyFlag)
    assert (flag.where, flag.category, flag.action) == ("input", "PROHIBITED_CONTENT", "blocked")


def test_a_filter_names_the_category_that_blocked() -> None:
    told = decoded(hand_written("gemini/safety"))
    assert told.ending.finish is Finish.CONTENT_FILTER
    [flag] = told.of(SafetyFlag)
    assert (flag.where, flag.provider) == ("output", "gemini")
    assert (flag.category, flag.severity) == ("HARM_CATEGORY_DANGEROUS_CONTENT", "HIGH")


def test_a_filter_without_ratings_names_its_reason() -> None:
    [flag] = decoded(sse(chunk(finish="RECITATION"))).of(SafetyFlag)
    assert flag.category == "RECITATION"


def test_feedback_that_blocks_nothing_is_nothing() -> None:
    told = decoded(sse({"promptFeedback": {"safetyRatings": []}}, chunk(finish="STOP")))
    assert (told.of(SafetyFlag), told.ending.finish) == ([], Finish.STOP)


def test_a_prompt_is_flagged_once_however_often_it_is_said_to_be_blocked() -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}}
    assert len(decoded(sse(blocked, blocked)).of(SafetyFlag)) == 1


def test_the_ending_waits_for_the_end_of_the_bytes() -> None:
    decoder = DIALECT.decoder(call(DIALECT, provider="gemini"))
    decoder.feed(sse(chunk(text("Hi"), finish="STOP")))
    assert decoder.finished
    assert decoder.ending is None
    late = {"usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2}}
    decoder.feed(sse(late))
    decoder.close()
    assert isinstance(decoder.ending, Ending)
    assert decoder.ending.usage is not None
    assert decoder.ending.usage.output == 2


# --- Errors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("error_chunk", ErrorCode.OVERLOADED, "Half an answer"),
        ("error_in_list", ErrorCode.OVERLOADED, "Half an "),
        ("error_unframed", ErrorCode.RATE_LIMIT_PROVIDER, "Half an answer"),
    ],
)
def test_an_error_after_half_an_answer_ends_it(name: str, code: ErrorCode, said: str) -> None:
    told = decoded(hand_written(f"gemini/{name}"))
    assert told.text == said
    assert told.ending.finish is Finish.ERROR
    assert told.ending.error is not None
    assert told.ending.error.code is code
    assert told.ending.error.provider == "gemini"
    assert [end.status for end in told.of(BlockEnd)] == ["incomplete"]


def test_an_error_is_known_before_the_bytes_end() -> None:
    decoder = DIALECT.decoder(call(DIALECT, provider="gemini"))
    decoder.feed(sse({"error": {"code": 500, "message": "Internal", "status": "INTERNAL"}}))
    assert decoder.ending is not None
    assert decoder.feed(sse(chunk(text("late"), finish="STOP"))) == []


@pytest.mark.parametrize("tail", [b'{"error": ', b'{"fine": true}', b"[1]", b"oops", b"data: {"])
def test_a_tail_that_is_no_error_is_an_interruption(tail: bytes) -> None:
    told = decoded(sse(chunk(text("Half"))) + tail)
    assert told.ending.finish is Finish.INTERRUPTED
    assert told.ending.error is not None
    assert told.ending.error.code is ErrorCode.STREAM_INTERRUPTED


def test_an_answer_cut_inside_of_a_character_goes_on() -> None:
    body = sse(chunk(text("a<")), chunk(text(">b"), finish="STOP"))
    told = decoded(body.replace(b"<", b"\\ud83d").replace(b">", b"\\ude00"))
    assert (told.text, told.ending.error) == ("a\ufffd\ufffdb", None)


@pytest.mark.parametrize("payload", [b"{", b'"text"', b"3", b"[3]", b"\xff", b'{"candidates":{}}'])
def test_a_payload_that_cannot_be_read_ends_the_answer(payload: bytes) -> None:
    told = decoded(sse(chunk(text("Hi"))) + b"data: " + payload + b"\n\n")
    assert told.text == "Hi"
    assert told.ending.error is not None
    assert told.ending.error.code is ErrorCode.UPSTREAM_MALFORMED


# --- Usage ----------------------------------------------------------------------------------


def test_counts_that_are_missing_or_no_numbers_are_unknown() -> None:
    usage = {"promptTokenCount": 14, "candidatesTokenCount": None, "totalTokenCount": "many"}
    told = decoded(sse({**chunk(finish="SAFETY"), "usageMetadata": usage}))
    assert told.ending.usage is not None
    assert (told.ending.usage.input, told.ending.usage.output) == (14, None)
    assert told.ending.usage.total is None


def test_the_dialect_has_its_name_and_its_path() -> None:
    assert DIALECT.name == "gemini"
    path = DIALECT.encode(call(DIALECT, provider="gemini")).path
    assert path == "/models/acme-large:streamGenerateContent?alt=sse"
