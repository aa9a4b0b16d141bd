"""Our vocabularies in the words of Anthropic's Messages API."""

from typing import get_args

import pytest
from anthropic.types import StopReason, ThreadUnsupportedRequestErrorDetails
from anthropic.types.shared import ErrorType

from adapters import errors
from adapters.events import BlockKind, Citation, ErrorCode, Finish, ReasoningSignature
from service.dialects import messages_words as words
from service.dialects.seal import sealed
from tests.service.dialects.messages_streams import counted
from tests.service.streams.events_for_tests import end

TEXT = {BlockKind.TEXT}
CALL = {BlockKind.TEXT, BlockKind.TOOL_CALL}


@pytest.mark.parametrize(("finish", "reason"), words.STOP_REASONS.items())
def test_every_finish_of_a_whole_answer_is_a_stop_reason_of_the_api(
    finish: Finish, reason: str
) -> None:
    made_of = CALL if finish is Finish.TOOL_CALLS else TEXT
    assert words.stop(end(finish), made_of)["stop_reason"] == reason
    assert reason in get_args(StopReason)


def test_only_what_broke_has_no_stop_reason() -> None:
    broken = {Finish.CANCELLED, Finish.INTERRUPTED, Finish.ERROR}
    assert set(Finish) - set(words.STOP_REASONS) == broken


def test_a_stop_sequence_is_a_reason_of_its_own() -> None:
    told = words.stop(end(Finish.STOP, stop_sequence="END"), TEXT)
    assert told == {"stop_reason": "stop_sequence", "stop_sequence": "END"}


def test_a_refusal_that_ends_as_any_answer_is_one_all_the_same() -> None:
    told = words.stop(end(Finish.STOP), {BlockKind.REFUSAL})
    assert told["stop_reason"] == "refusal"
    assert told["stop_details"] == {"type": "refusal", "category": None, "explanation": None}


@pytest.mark.parametrize("finish", [Finish.STOP, Finish.OTHER])
def test_a_message_with_a_call_stops_for_it_whatever_its_provider_said(finish: Finish) -> None:
    assert words.stop(end(finish), CALL)["stop_reason"] == "tool_use"


def test_a_message_without_a_call_does_not_stop_for_one() -> None:
    assert words.stop(end(Finish.TOOL_CALLS), TEXT)["stop_reason"] == "end_turn"
    refused = words.stop(end(Finish.TOOL_CALLS), {BlockKind.REFUSAL})
    assert refused["stop_reason"] == "refusal"


@pytest.mark.parametrize("finish", [Finish.LENGTH, Finish.CONTENT_FILTER])
def test_a_message_that_was_cut_after_a_call_says_so(finish: Finish) -> None:
    assert words.stop(end(finish), CALL)["stop_reason"] == words.STOP_REASONS[finish]


def test_a_stop_sequence_after_a_call_is_the_reason_as_its_provider_said() -> None:
    told = words.stop(end(Finish.STOP, stop_sequence="END"), CALL)
    assert told["stop_reason"] == "stop_sequence"


def test_cached_input_is_told_apart() -> None:
    usage = counted(100, 5, input_cached=60, input_cache_write=30, output_reasoning=2)
    assert words.usage_of(usage, 7) == {
        "input_tokens": 10,
        "cache_creation_input_tokens": 30,
        "cache_read_input_tokens": 60,
        "output_tokens": 5,
        "output_tokens_details": {"thinking_tokens": 2},
    }


def test_counts_that_do_not_add_up_are_never_negative() -> None:
    assert words.input_usage(counted(10, 5, input_cached=60), 7)["input_tokens"] == 0


def test_an_unknown_input_is_estimated_and_an_unknown_output_is_none() -> None:
    told = words.usage_of(counted(None, None), 7)
    assert (told["input_tokens"], told["output_tokens"]) == (7, 0)
    assert words.input_usage(None, 7)["input_tokens"] == 7


@pytest.mark.parametrize("code", ErrorCode)
def test_every_error_has_a_type_of_the_api(code: ErrorCode) -> None:
    body = words.error_body(errors.make(code, "so it is"), "msg_1")
    # The last one is documented, and missing in the SDK's list.
    assert body["error"]["type"] in {*get_args(ErrorType), "request_too_large"}
    assert body["error"]["message"].endswith("so it is")
    assert (body["type"], body["request_id"]) == ("error", "msg_1")


def test_what_nobody_can_serve_is_the_request_s_fault_and_what_nobody_can_now_is_not() -> None:
    for http, kind in ((422, "invalid_request_error"), (503, "overloaded_error")):
        error = errors.make(ErrorCode.NO_CANDIDATES, "nobody", http=http)
        assert words.error_body(error, None)["error"]["type"] == kind


def test_a_prompt_beyond_the_context_is_told_once_in_the_words_that_clients_look_for() -> None:
    for said, told in (
        ("This model's maximum context length is 8.", "prompt is too long: This model's maximum"),
        ("Prompt is too long: 9 tokens", "Prompt is too long: 9 tokens"),
    ):
        error = errors.make(ErrorCode.CONTEXT_LENGTH, said)
        assert words.error_body(error, None)["error"]["message"].startswith(told)


def test_a_conversation_that_is_not_kept_is_refused_by_the_code_that_sdks_act_on() -> None:
    error = errors.make(ErrorCode.INVALID_REQUEST, "thread: no", param="thread")
    told = words.error_body(error, None)["error"]
    assert told["details"] == ThreadUnsupportedRequestErrorDetails(
        error_code="thread_unsupported_request"
    ).model_dump(exclude_none=True)
    other = errors.make(ErrorCode.INVALID_REQUEST, "messages: missing", param="messages")
    assert "details" not in words.error_body(other, None)["error"]


def test_a_source_of_claude_s_is_as_claude_gave_it() -> None:
    raw = {"type": "char_location", "cited_text": "x", "document_index": 0}
    cited = Citation(id="c", kind="char", title="T", raw=raw)
    assert words.citation(cited) == raw


def test_a_page_that_another_found_is_a_search_result() -> None:
    raw = {"type": "url_citation"}
    cited = Citation(id="c", kind="url", url="https://example.com", title="T", raw=raw)
    assert words.citation(cited) == {
        "type": "web_search_result_location",
        "url": "https://example.com",
        "title": "T",
        "cited_text": "",
        "encrypted_index": "",
    }


def test_a_source_without_an_address_has_no_place() -> None:
    assert words.citation(Citation(id="c", kind="document", title="T")) is None


@pytest.mark.parametrize("kind", ["url_citation", "web_search_result_location"])
def test_a_script_is_no_page_whoever_says_so(kind: str) -> None:
    script = "javascript:alert(1)"
    cited = Citation(id="c", kind="url", url=script, raw={"type": kind, "url": script})
    assert words.citation(cited) is None


@pytest.mark.parametrize("call", [None, "toolu_1", "functions.see:0"])
def test_a_signature_says_which_call_it_is_of(call: str | None) -> None:
    signature = ReasoningSignature(block="b", provider="gemini", format="f", value="v")
    data = words.signature_data(signature, call)
    assert words.call_signed(data) == (call, sealed(signature))
