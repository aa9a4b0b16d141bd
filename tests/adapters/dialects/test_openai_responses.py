"""Responses streams decode to what they contain, however cut, and end honestly."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Decoder
from adapters.dialects.openai_responses import OpenAIResponses
from adapters.dialects.openai_responses_quirks import ResponsesQuirks
from adapters.events import (
    AttemptEvent,
    BlockEnd,
    BlockKind,
    BlockStart,
    CitationAdd,
    ErrorCode,
    Finish,
    Meta,
    ReasoningSignature,
    SafetyFlag,
    ServerToolUpdate,
    TextDelta,
    ToolDelta,
    UsageSource,
    is_content,
)
from adapters.sse import MAX_LINE
from tests import recordings
from tests.adapters.dialects import cuts, oracle_responses
from tests.adapters.dialects.chat_cases import STREAMS, WEATHER, call

QUIRKS = {
    "grok": ResponsesQuirks(cost_path=("cost_in_usd_ticks",), cost_unit=Decimal("1e-10")),
    "perplexity": ResponsesQuirks(runs_own_tools=True, cost_path=("cost", "total_cost")),
}


def decoder(provider: str = "acme", attempt: int = 1) -> Decoder:
    dialect = OpenAIResponses(quirks=QUIRKS.get(provider, ResponsesQuirks()))
    request: dict[str, object] = {"tools": [WEATHER]}
    return dialect.decoder(call(dialect, provider=provider, attempt=attempt, request=request))


def stream(*events: dict[str, Any] | str) -> bytes:
    """Events as servers frame them; a string is a type alone."""
    body = b""
    for event in events:
        fields = {"type": event} if isinstance(event, str) else event
        name = fields.get("type", "message")
        body += f"event: {name}\n".encode() + b"data: " + orjson.dumps(fields) + b"\n\n"
    return body


def decode(*events: dict[str, Any] | str, provider: str = "acme") -> cuts.Decoded:
    """Decode events, and hold the result to the grammar."""
    decoded = cuts.decode(lambda: decoder(provider), [stream(*events)])
    cuts.check_grammar(decoded)
    return decoded


def named(name: str) -> cuts.Decoded:
    """A hand-written stream, decoded: `provider/name`."""
    provider = name.partition("/")[0]
    return cuts.decode(lambda: decoder(provider), [(STREAMS / f"{name}.sse").read_bytes()])


# --- Events, in a line each -----------------------------------------------------------------


def over(status: str = "completed", **response: object) -> dict[str, Any]:
    return {"type": f"response.{status}", "response": {"status": status, **response}}


def added(index: int, **item: object) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def done(index: int, **item: object) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def delta(kind: str, text: str, index: int = 0, **place: int) -> dict[str, Any]:
    return {"type": f"response.{kind}.delta", "output_index": index, "delta": text, **place}


def text(said: str, index: int = 0) -> dict[str, Any]:
    return delta("output_text", said, index, content_index=0)


def message(said: str, **item: object) -> dict[str, Any]:
    content = [{"type": "output_text", "text": said}]
    return {"type": "message", "id": "msg_1", "content": content, **item}


def failed(decoded: cuts.Decoded) -> tuple[Finish, ErrorCode | None]:
    error = decoded.ending.error
    return decoded.ending.finish, error.code if error else None


# --- Whole streams against the oracle -------------------------------------------------------


def check(provider: str, body: bytes) -> cuts.Decoded:
    decoded = cuts.check(lambda: decoder(provider), body)
    expected = oracle_responses.read(body)
    assert decoded.ending.finish is expected.finish
    assert (decoded.upstream_id, decoded.model) == (expected.upstream_id, expected.model)
    assert decoded.text == expected.text
    assert decoded.reasoning == expected.reasoning
    assert decoded.refusal == expected.refusal
    assert decoded.calls == expected.calls
    signed = [event for event in decoded.of(ReasoningSignature) if event.id is not None]
    assert [(event.id, event.value) for event in signed] == expected.signatures
    assert [event.citation.url for event in decoded.of(CitationAdd)] == expected.addresses
    usage = decoded.ending.usage
    assert (usage.raw if usage else None) == expected.usage
    if usage is not None and expected.usage is not None:
        said = expected.usage
        assert (usage.input, usage.output, usage.total) == (
            said["input_tokens"],
            said["output_tokens"],
            said["total_tokens"],
        )
        assert usage.input_cached == said["input_tokens_details"]["cached_tokens"]
        assert usage.output_reasoning == said["output_tokens_details"]["reasoning_tokens"]
        assert usage.source is UsageSource.PROVIDER
    return decoded


@recordings.each(recordings.streams("openai_responses"))
def test_a_recorded_stream_decodes_to_what_it_contains_however_it_is_cut(
    exchange: recordings.Exchange,
) -> None:
    check(exchange.provider, exchange.body)


_MINE = sorted([*STREAMS.glob("*/responses_*.sse"), *STREAMS.glob("*/agent_*.sse")])


@pytest.mark.parametrize("file", _MINE, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_written_stream_decodes_to_what_it_contains_however_it_is_cut(file: Path) -> None:
    check(file.parent.name, file.read_bytes())


def test_each_answer_of_a_recording_that_holds_four_decodes() -> None:
    case = "openai/vercel-ai.openai-reasoning-encrypted-content.1#0"
    body = recordings.one(case).body
    start = b"event: response.created"
    answers = [check("openai", start + rest) for rest in body.split(start)[1:]]
    assert [answer.ending.finish for answer in answers] == [Finish.TOOL_CALLS] * 3 + [Finish.STOP]
    assert answers[-1].text == "The final result is **570**."


def test_what_was_recorded_of_costs_is_exact() -> None:
    case = "ruby_llm.chat_streaming_responses_xai_grok-4-1-fast-non-reasoning"
    found = recordings.one(f"grok/{case}_supports_streaming_responses#0")
    usage = cuts.decode(lambda: decoder("grok"), [found.body]).ending.usage
    assert usage is not None
    assert usage.cost_usd == "0.00051435"
    found = recordings.one("perplexity/vercel-ai.agent-web-search#0")
    searched = cuts.decode(lambda: decoder("perplexity"), [found.body])
    assert searched.ending.usage is not None
    assert searched.ending.usage.cost_usd == "0.00105"
    assert searched.model == "openai/gpt-6-luna"
    assert [update.status for update in searched.of(ServerToolUpdate)] == ["running", "done"]
    assert searched.calls == []


def test_a_recorded_web_search_is_a_tool_the_provider_ran() -> None:
    found = recordings.one("openai/vercel-ai.openai-web-search-tool.1#0")
    decoded = cuts.decode(lambda: decoder("openai"), [found.body])
    updates = decoded.of(ServerToolUpdate)
    assert len(updates) == 12
    assert {update.name for update in updates} == {"web_search"}
    assert updates[1].input == {"type": "search", "query": "tech news today December 5 2025"}
    assert updates[1].result[0]["type"] == "url"
    cited = decoded.of(CitationAdd)[0]
    (answer,) = [event for event in decoded.of(BlockStart) if event.kind is BlockKind.TEXT]
    assert cited.block == answer.block
    assert (cited.citation.start, cited.citation.end) == (277, 411)


# --- Text -----------------------------------------------------------------------------------


def test_the_first_delta_is_passed_on_at_once() -> None:
    made = decoder()
    assert made.feed(stream("response.created", added(0, type="message", content=[]))) == []
    first = made.feed(stream(text("Hel")))
    assert first == [
        BlockStart(block="b1.0", index=0, attempt=1, kind=BlockKind.TEXT),
        TextDelta("b1.0", "Hel"),
    ]
    assert made.feed(stream(text("lo"))) == [TextDelta("b1.0", "lo")]
    assert not made.finished
    made.feed(stream(over()))
    assert made.finished


def test_a_text_delta_with_log_probabilities_is_a_text_delta() -> None:
    odd = {**text("hello"), "logprobs": [{"token": "hello", "logprob": -0.1}], "new": {}}
    assert decode(odd, over()).text == "hello"


def test_events_are_known_by_their_json_where_the_framing_does_not_name_them() -> None:
    body = b"".join(
        b"data: " + orjson.dumps(event) + b"\n\n" for event in (text("hello"), over("completed"))
    )
    decoded = cuts.decode(decoder, [body])
    assert (decoded.text, decoded.ending.finish) == ("hello", Finish.STOP)


def test_events_are_known_by_their_framing_where_the_json_does_not_name_them() -> None:
    body = b'event: response.output_text.delta\ndata: {"delta":"hello"}\n\n'
    assert cuts.decode(decoder, [body + stream(over())]).text == "hello"


def test_each_part_of_a_message_is_a_block() -> None:
    decoded = decode(
        delta("output_text", "one", content_index=0),
        delta("output_text", "two", content_index=1),
        delta("output_text", "!", content_index=0),
        over(),
    )
    assert [event.delta for event in decoded.of(TextDelta)] == ["one", "two", "!"]
    assert [event.text_len for event in decoded.of(BlockEnd)] == [4, 3]


@pytest.mark.parametrize(
    "later",
    [
        [{"type": "response.output_text.done", "output_index": 0, "text": "hello"}],
        [done(0, **message("hello"))],
        [added(0, **message("")), over(output=[message("hello")])],
        [
            {"type": "response.output_text.done", "output_index": 0, "text": "hello"},
            done(0, **message("hello")),
            over(output=[message("hello")]),
        ],
    ],
    ids=["its own end", "its item's end", "the answer's end", "all three"],
)
@pytest.mark.parametrize("sent", ["", "hel", "hello"])
def test_what_deltas_left_out_is_made_good_by_the_first_that_knows_it(
    later: list[dict[str, Any]], sent: str
) -> None:
    deltas = [text(sent)] if sent else []
    announced = [event for event in later if event["type"] == "response.output_item.added"]
    rest = [event for event in later if event not in announced]
    decoded = decode(*announced, *deltas, *rest, over())
    assert decoded.text == "hello"
    assert [event.text_len for event in decoded.of(BlockEnd)] == [5]


def test_a_whole_text_that_contradicts_its_deltas_adds_nothing() -> None:
    finished = {"type": "response.output_text.done", "output_index": 0, "text": "goodbye all"}
    assert (
        decode(text("hello"), finished, done(0, **message("goodbye all")), over()).text == "hello"
    )


def test_an_answer_that_comes_only_with_its_end_is_not_lost() -> None:
    made = {"type": "function_call", "call_id": "c", "name": "get_weather", "arguments": "{}"}
    decoded = decode("response.created", over(output=[message("hello"), made]))
    assert decoded.text == "hello"
    assert decoded.calls == [("c", "get_weather", "{}")]
    assert decoded.ending.finish is Finish.TOOL_CALLS


def test_nothing_is_added_to_an_item_that_is_done() -> None:
    decoded = decode(text("hello"), done(0, **message("hello")), text("again"), over())
    assert decoded.text == "hello"


def test_an_item_that_takes_another_s_place_ends_it() -> None:
    decoded = decode(
        added(0, type="message", id="msg_1"),
        text("one"),
        added(0, type="message", id="msg_2"),
        text("two"),
        over(),
    )
    assert [event.delta for event in decoded.of(TextDelta)] == ["one", "two"]
    assert [event.block for event in decoded.of(BlockEnd)] == ["b1.0", "b1.1"]


def test_an_item_that_is_announced_twice_begins_once() -> None:
    searching = added(0, type="web_search_call", id="ws_1")
    calling = added(1, type="function_call", id="fc_1", call_id="c", name="now")
    decoded = decode(searching, searching, calling, calling, over())
    assert len(decoded.of(BlockStart)) == 2


def test_a_message_without_text_is_no_block() -> None:
    empty = added(0, type="message", content=[])
    part = {"type": "response.content_part.added", "output_index": 0, "part": {"text": ""}}
    decoded = decode(empty, part, text(""), done(0, **message("")), over())
    assert decoded.of(BlockStart) == []


def test_a_message_s_phase_is_told_with_its_block() -> None:
    decoded = decode(
        added(0, type="message", id="msg_1", phase="commentary"), text("Looking."), over()
    )
    assert decoded.events[1] == Meta(key="phase", value={"block": "b1.0", "phase": "commentary"})
    late = decode(done(0, **message("Found.", phase="final_answer")), over())
    assert late.of(Meta)[0].value["phase"] == "final_answer"


def test_a_refusal_is_a_block_of_its_own_and_how_the_answer_ends() -> None:
    decoded = named("openai/responses_refusal")
    assert decoded.refusal == "I can\N{RIGHT SINGLE QUOTATION MARK}t help with that."
    assert decoded.text == ""
    assert (decoded.ending.finish, decoded.ending.finish_raw) == (Finish.REFUSAL, "completed")


# --- Reasoning ------------------------------------------------------------------------------


def test_the_parts_of_a_summary_are_one_block_set_apart_by_an_empty_line() -> None:
    decoded = named("openai/responses_parallel_calls")
    start = decoded.of(BlockStart)[0]
    assert (start.kind, start.form) == (BlockKind.REASONING, "summary")
    assert decoded.reasoning == ("**Two cities**\n\nBoth are asked for.\n\n**One call each**")


def test_encrypted_reasoning_is_signed_with_the_finished_value_and_its_item() -> None:
    decoded = named("openai/responses_parallel_calls")
    assert decoded.of(ReasoningSignature) == [
        ReasoningSignature(
            block="b1.0",
            provider="openai",
            format="openai.encrypted_content",
            value="gAAAfinished",
            id="rs_0a1",
        )
    ]


def test_reasoning_that_is_only_encrypted_is_a_redacted_block() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    decoded = decode(done(0, **item), over())
    (start,) = decoded.of(BlockStart)
    assert (start.kind, start.form) == (BlockKind.REASONING, "redacted")
    assert [event.value for event in decoded.of(ReasoningSignature)] == ["gAAA"]
    assert not any(is_content(event) for event in decoded.events)


def test_reasoning_without_a_summary_or_a_secret_is_nothing() -> None:
    assert decode(done(0, type="reasoning", id="rs_1", summary=[]), over()).of(BlockStart) == []


@pytest.mark.parametrize("kind", ["reasoning_text", "reasoning"])
def test_a_model_s_raw_reasoning_is_told_apart_from_a_summary(kind: str) -> None:
    decoded = decode(delta(kind, "Easy.", content_index=0), over())
    assert decoded.of(BlockStart)[0].form == "raw"
    assert decoded.reasoning == "Easy."


def test_keep_alives_say_nothing_and_a_cut_text_is_made_good() -> None:
    decoded = named("deepseek/responses_keep_alive")
    assert (decoded.reasoning, decoded.text) == ("Easy.", "Four.")


# --- Function calls -------------------------------------------------------------------------


def test_parallel_calls_grow_side_by_side() -> None:
    decoded = named("openai/responses_parallel_calls")
    assert decoded.calls == [
        ("call_paris", "get_weather", '{"city":"Paris"}'),
        ("call_tokyo", "get_weather", '{"city":"東京"}'),
    ]
    assert [event.block for event in decoded.of(ToolDelta)] == ["b1.1", "b1.2", "b1.1", "b1.2"]
    assert decoded.ending.finish is Finish.TOOL_CALLS
    assert decoded.ending.usage is not None
    assert decoded.ending.usage.input_cache_write == 512


def test_a_call_s_name_is_passed_on_before_its_arguments() -> None:
    made = decoder()
    item = {"type": "function_call", "call_id": "c", "name": "get_weather", "arguments": ""}
    (start,) = made.feed(stream(added(0, **item)))
    assert isinstance(start, BlockStart)
    assert (start.call_id, start.name, start.args_format) == ("c", "get_weather", "json")


def test_arguments_that_come_twice_are_told_once() -> None:
    assert named("grok/responses_whole_call").calls == [
        ("call_77", "get_weather", '{"city":"Oslo"}')
    ]


def test_a_call_without_arguments_has_an_empty_object() -> None:
    item = {"type": "function_call", "call_id": "c", "name": "now", "arguments": ""}
    assert decode(added(0, **item), done(0, **item), over()).calls == [("c", "now", "{}")]


def test_a_call_that_is_announced_whole_and_never_closed_is_whole() -> None:
    item = {"type": "function_call", "call_id": "c", "name": "now", "arguments": '{"a":1}'}
    assert decode(added(0, **item), over()).calls == [("c", "now", '{"a":1}')]


def test_a_call_whose_name_comes_late_waits_for_it() -> None:
    decoded = decode(
        added(0, type="function_call", call_id="c"),
        delta("function_call_arguments", '{"a":'),
        done(0, type="function_call", call_id="c", name="now", arguments='{"a":1}'),
        over(),
    )
    assert decoded.calls == [("c", "now", '{"a":1}')]


def test_a_call_without_an_id_gets_one() -> None:
    item = {"type": "function_call", "name": "now", "arguments": "{}"}
    assert decode(done(3, **item), over()).calls == [("call_1_3", "now", "{}")]
    assert decode(done(3, **item, id="fc_9"), over()).calls == [("fc_9", "now", "{}")]


def test_a_call_that_was_cut_short_is_incomplete() -> None:
    item = {"type": "function_call", "call_id": "c", "name": "now", "arguments": ""}
    cut = over("incomplete", incomplete_details={"reason": "max_output_tokens"})
    decoded = decode(added(0, **item), delta("function_call_arguments", '{"a":'), cut)
    (end,) = decoded.of(BlockEnd)
    assert (end.status, end.args, end.args_valid) == ("incomplete", '{"a":', False)
    assert decoded.ending.finish is Finish.LENGTH


# --- Tools of the provider's own ------------------------------------------------------------


def test_a_function_nobody_offered_is_the_provider_s_own_where_it_writes_them_so() -> None:
    decoded = named("perplexity/agent_function")
    starts = [(event.kind, event.name) for event in decoded.of(BlockStart)]
    assert starts == [(BlockKind.SERVER_TOOL, "search_web"), (BlockKind.TOOL_CALL, "get_weather")]
    running, finished = decoded.of(ServerToolUpdate)
    assert (running.status, running.input) == ("running", {"queries": ["Oslo coordinates"]})
    assert (finished.status, len(finished.result)) == ("done", 2)
    assert decoded.calls == [("call_own", "get_weather", '{"lat":59.91}')]
    assert decoded.ending.finish is Finish.TOOL_CALLS


def test_elsewhere_a_function_nobody_offered_is_the_model_s_mistake_and_passed_on() -> None:
    item = {"type": "function_call", "call_id": "c", "name": "made_up", "arguments": "{}"}
    assert decode(done(0, **item), over()).calls == [("c", "made_up", "{}")]


def test_search_results_are_sources_each_told_once() -> None:
    cited = [event.citation for event in named("perplexity/agent_function").of(CitationAdd)]
    assert [(citation.id, citation.kind, citation.title) for citation in cited] == [
        ("1", "search_result", "Oslo"),
        ("2", "search_result", "Norway"),
    ]
    assert cited[0].quote == "59.91 N, 10.75 E"


def test_a_call_s_thought_signature_is_kept_for_its_return() -> None:
    (signature,) = named("perplexity/agent_function").of(ReasoningSignature)
    assert (signature.block, signature.value) == ("b1.1", "c2ln")


def test_a_tool_that_failed_says_so() -> None:
    item = {"type": "code_interpreter_call", "id": "ci", "code": "1/0"}
    decoded = decode(
        added(0, **item, status="in_progress"),
        done(0, **item, status="failed", outputs=[{"type": "logs", "logs": "boom"}]),
        over(),
    )
    running, ended = decoded.of(ServerToolUpdate)
    assert (running.name, running.input, running.result) == ("code_interpreter", "1/0", None)
    assert (ended.status, ended.result) == ("failed", [{"type": "logs", "logs": "boom"}])
    assert decoded.of(BlockEnd)[0].status == "incomplete"


def test_a_tool_whose_input_is_no_json_is_told_as_written() -> None:
    item = {"type": "mcp_call", "name": "lookup", "arguments": "{cut"}
    assert decode(done(0, **item), over()).of(ServerToolUpdate)[0].input == "{cut"


def test_a_tool_that_was_never_announced_is_told_when_it_is_done() -> None:
    decoded = decode(done(0, type="web_search_call", action={"query": "x"}), over())
    assert [update.status for update in decoded.of(ServerToolUpdate)] == ["running", "done"]


# --- Citations ------------------------------------------------------------------------------

_PAGE = {"type": "url_citation", "url": "https://a.example", "title": "A"}
_ANNOTATED = {
    "type": "response.output_text.annotation.added",
    "output_index": 0,
    "content_index": 0,
    "annotation": {**_PAGE, "start_index": 0, "end_index": 5},
}


def test_an_annotation_is_a_citation_in_its_block() -> None:
    decoded = decode(text("hello"), _ANNOTATED, over())
    (cited,) = decoded.of(CitationAdd)
    assert cited.block == "b1.0"
    assert (cited.citation.id, cited.citation.start, cited.citation.end) == ("c1.1", 0, 5)
    assert cited.citation.raw is None


def test_annotations_that_only_the_item_s_end_has_are_told_then() -> None:
    finished = message("hello")
    finished["content"][0]["annotations"] = [_PAGE, {**_PAGE, "url": "https://b.example"}]
    decoded = decode(text("hello"), _ANNOTATED, done(0, **finished), over())
    urls = [event.citation.url for event in decoded.of(CitationAdd)]
    assert urls == ["https://a.example", "https://b.example"]


def test_a_file_is_cited_as_a_document_and_as_it_was_written() -> None:
    annotation = {"type": "file_citation", "file_id": "f", "filename": "a.pdf", "index": 3}
    (cited,) = decode(text("hello"), {**_ANNOTATED, "annotation": annotation}, over()).of(
        CitationAdd
    )
    assert (cited.citation.kind, cited.citation.title) == ("document", "a.pdf")
    assert cited.citation.raw == annotation


# --- The end --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "finish", "raw"),
    [
        (over(), Finish.STOP, "completed"),
        ("response.completed", Finish.STOP, "completed"),
        (
            over("incomplete", incomplete_details={"reason": "max_output_tokens"}),
            Finish.LENGTH,
            "max_output_tokens",
        ),
        (
            over("incomplete", incomplete_details={"reason": "content_filter"}),
            Finish.CONTENT_FILTER,
            "content_filter",
        ),
        (
            over("incomplete", incomplete_details={"reason": "steered"}),
            Finish.OTHER,
            "steered",
        ),
        (over("incomplete"), Finish.OTHER, "incomplete"),
        (over("cancelled"), Finish.CANCELLED, "cancelled"),
        ({**over(), "response": {"status": "incomplete"}}, Finish.OTHER, "incomplete"),
        ({**over(), "response": {"status": "requires_action"}}, Finish.STOP, "completed"),
    ],
)
def test_the_last_event_says_how_it_ended(
    event: dict[str, Any] | str, finish: Finish, raw: str
) -> None:
    ending = decode(text("hello"), event).ending
    assert (ending.finish, ending.finish_raw) == (finish, raw)


def test_blocks_of_an_answer_cut_short_are_incomplete() -> None:
    assert named("openai/responses_out_of_tokens").of(BlockEnd)[0].status == "incomplete"
    assert decode(text("hello"), over("cancelled")).of(BlockEnd)[0].status == "incomplete"


def test_a_filtered_answer_says_by_what() -> None:
    decoded = named("copilot/responses_filtered")
    assert decoded.ending.finish is Finish.CONTENT_FILTER
    assert decoded.of(SafetyFlag) == [
        SafetyFlag(where="input", provider="copilot", category="jailbreak", action="annotated"),
        SafetyFlag(
            where="output",
            provider="copilot",
            category="violence",
            severity="high",
            action="blocked",
        ),
    ]


def test_a_stream_that_stops_before_its_end_was_cut() -> None:
    decoded = named("openai/responses_cut")
    assert failed(decoded) == (Finish.INTERRUPTED, ErrorCode.STREAM_INTERRUPTED)
    assert decoded.text == "Once upon"
    assert decoded.of(BlockEnd)[0].status == "incomplete"
    assert failed(cuts.decode(decoder, [b""])) == (
        Finish.INTERRUPTED,
        ErrorCode.STREAM_INTERRUPTED,
    )


def test_a_stream_that_stops_after_its_end_is_complete() -> None:
    body = (STREAMS / "openai/responses_refusal.sse").read_bytes()
    assert cuts.decode(decoder, [body[:-1]]).ending.finish is Finish.INTERRUPTED
    assert cuts.decode(decoder, [body + b"event: response.out"]).ending.finish is Finish.REFUSAL


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"type": "error", "error": {"code": "insufficient_quota"}}, ErrorCode.QUOTA_PROVIDER),
        ({"type": "error", "code": "server_error", "message": "x"}, ErrorCode.UPSTREAM_5XX),
        ({"error": {"code": 429, "message": "slow down"}}, ErrorCode.RATE_LIMIT_PROVIDER),
        (over("failed", error={"code": "rate_limit_exceeded"}), ErrorCode.RATE_LIMIT_PROVIDER),
        (over("failed", error={"code": "invalid_prompt"}), ErrorCode.CONTENT_BLOCKED_INPUT),
        (over("failed"), ErrorCode.UPSTREAM_5XX),
        ("response.failed", ErrorCode.UPSTREAM_5XX),
        (
            {"type": "response.failed", "error": {"message": "prompt is too long"}},
            ErrorCode.CONTEXT_LENGTH,
        ),
        (
            {**over(), "response": {"status": "failed", "error": {"code": 503}}},
            ErrorCode.OVERLOADED,
        ),
    ],
)
def test_an_error_in_the_stream_ends_it_with_its_kind(
    event: dict[str, Any] | str, code: ErrorCode
) -> None:
    decoded = decode(text("hello"), event, text("more"), over())
    assert failed(decoded) == (Finish.ERROR, code)
    assert decoded.text == "hello"
    assert decoded.of(BlockEnd)[0].status == "incomplete"


def test_an_error_that_is_no_json_is_read_as_text() -> None:
    decoded = cuts.decode(decoder, [b"event: error\ndata: engine is overloaded\n\n"])
    assert failed(decoded) == (Finish.ERROR, ErrorCode.OVERLOADED)


def test_a_flat_error_says_when_to_come_back() -> None:
    error = named("openai/responses_flat_error").ending.error
    assert error is not None
    assert (error.provider, error.retry_after_ms) == ("openai", 150)


def test_a_failure_keeps_the_usage_it_comes_with() -> None:
    usage = {"input_tokens": 5, "output_tokens": 1, "total_tokens": 6}
    ending = decode(over("failed", usage=usage, error={"code": "server_error"})).ending
    assert ending.usage is not None
    assert (ending.usage.total, ending.usage.input_cached) == (6, None)


def test_an_answer_without_usage_has_none() -> None:
    assert decode(text("hello"), over()).ending.usage is None


def test_the_service_tier_given_in_the_end_is_told() -> None:
    begun = {"type": "response.created", "response": {"service_tier": "auto"}}
    decoded = decode(begun, over(service_tier="flex"))
    assert decoded.of(Meta) == [Meta(key="service_tier", value="flex")]


def test_the_last_model_named_is_the_one_that_answered() -> None:
    begun = {"type": "response.created", "response": {"id": "resp_1", "model": "fast"}}
    decoded = decode(begun, over(model="openai/gpt-6-luna"))
    assert (decoded.upstream_id, decoded.model) == ("resp_1", "openai/gpt-6-luna")


# --- What is unknown, and what cannot be read -----------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        "response.queued",
        {"type": "response.steer.accepted", "delta": {"deep": []}},
        {"type": "tailwind.event", "item": 5},
        added(0, type="hologram", content="spinning", output={"x": 1}),
        done(0, type="hologram", content="spinning", status="failed"),
        {"type": "response.output_item.added", "output_index": 0},
        {"type": "response.output_item.done", "output_index": 0},
        {"type": "response.output_text.annotation.added", "output_index": 0},
        {"type": "response.reasoning.search_results", "results": [5, None]},
    ],
)
def test_what_is_unknown_is_skipped(event: dict[str, Any] | str) -> None:
    decoded = decode(event, text("hello", 1), over())
    assert decoded.text == "hello"
    assert decoded.ending.finish is Finish.STOP


@pytest.mark.parametrize(
    "raw", [b"event: novelty\ndata: {not json\n\n", b"data: [DONE]\n\n", b"data:\n\n"]
)
def test_an_unknown_event_may_hold_what_it_likes(raw: bytes) -> None:
    assert cuts.decode(decoder, [raw + stream(text("hello"), over())]).text == "hello"


@pytest.mark.parametrize(
    "raw",
    [
        b"data: {not json\n\n",
        b"data: [1, 2]\n\n",
        b'data: {"type": 5}\n\n',
        b'event: response.output_text.delta\ndata: {"delta": 5, "output_index": 0}\n\n',
        b'event: response.completed\ndata: {"response": []}\n\n',
        b"event: response.output_text.delta\ndata: \xff\xfe\n\n",
        b'data: {"type":"response.output_item.done","item":{"content":[5]}}\n\n',
    ],
)
def test_what_cannot_be_read_ends_the_stream_as_malformed(raw: bytes) -> None:
    decoded = cuts.decode(decoder, [stream(text("hello")) + raw + stream(over())])
    cuts.check_grammar(decoded)
    assert failed(decoded) == (Finish.ERROR, ErrorCode.UPSTREAM_MALFORMED)
    assert decoded.text == "hello"


def test_an_answer_cut_inside_of_a_character_goes_on() -> None:
    whole = {"type": "response.output_text.done", "output_index": 0, "text": "a\U0001f600b"}
    body = stream(text("a<"), text(">b")).replace(b"<", b"\\ud83d").replace(b">", b"\\ude00")
    told = cuts.decode(decoder, [body + stream(whole, done(0, **message("a\U0001f600b")), over())])
    assert (told.text, told.ending.error) == ("a\ufffd\ufffdb", None)


def test_half_a_character_makes_nothing_else_readable() -> None:
    raw = b'data: {"type":"response.output_item.done","item":{"content":["\\ud83d"]}}\n\n'
    told = cuts.decode(decoder, [raw])
    assert failed(told) == (Finish.ERROR, ErrorCode.UPSTREAM_MALFORMED)


def test_a_line_without_an_end_ends_the_stream_as_malformed() -> None:
    pieces = [b"data: ", b"x" * MAX_LINE]
    assert failed(cuts.decode(decoder, pieces)) == (Finish.ERROR, ErrorCode.UPSTREAM_MALFORMED)


_TYPES = st.sampled_from(
    [
        "response.created",
        "response.output_item.added",
        "response.output_item.done",
        "response.output_text.delta",
        "response.output_text.done",
        "response.output_text.annotation.added",
        "response.refusal.delta",
        "response.reasoning_summary_text.delta",
        "response.reasoning_text.done",
        "response.reasoning.search_results",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.failed",
        "error",
    ]
)
_JSON: st.SearchStrategy[Any] = (
    st.none() | st.integers(-1, 2) | st.sampled_from(["", "ab", "abc"]) | st.just([])
)
_ITEMS = st.fixed_dictionaries(
    {"type": st.sampled_from(["message", "reasoning", "function_call", "web_search_call"])},
    optional={
        "id": st.sampled_from(["i1", "i2"]),
        "name": st.sampled_from(["", "f"]),
        "call_id": st.just("c"),
        "arguments": st.sampled_from(["", "{}", "{"]),
        "status": st.sampled_from(["completed", "incomplete", "failed"]),
        "encrypted_content": st.sampled_from(["", "gAAA"]),
        "phase": st.just("commentary"),
        "content": st.just([{"type": "output_text", "text": "abc"}]) | _JSON,
        "summary": st.just([{"text": "ab"}, {"text": "c"}]) | _JSON,
        "action": _JSON,
    },
)
_EVENTS = st.fixed_dictionaries(
    {"type": _TYPES},
    optional={
        "output_index": st.integers(0, 2),
        "content_index": st.integers(0, 1),
        "summary_index": st.integers(0, 1),
        "delta": _JSON,
        "text": _JSON,
        "item": _ITEMS,
        "annotation": st.just(_PAGE) | _JSON,
        "results": st.just([{"id": 1, "url": "u"}]) | _JSON,
    },
)


@given(events=st.lists(_EVENTS, max_size=12), ends=st.booleans())
def test_any_order_of_events_keeps_the_grammar_and_ends_once(
    events: list[dict[str, Any]], *, ends: bool
) -> None:
    listed = [event["item"] for event in events if "item" in event and ends]
    decode(*events, *([over(output=listed)] if ends else []), provider="perplexity")


@given(body=st.binary(max_size=200))
def test_no_bytes_make_it_raise(body: bytes) -> None:
    cuts.check_grammar(cuts.decode(decoder, [body]))


def test_block_ids_name_their_attempt() -> None:
    events: list[AttemptEvent] = decoder(attempt=3).feed(stream(text("hello")))
    assert isinstance(events[0], BlockStart)
    assert events[0].block == "b3.0"
