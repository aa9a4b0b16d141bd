"""Chat completions: the request as it is asked, the answer as the openai SDK takes it."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Literal

import httpx2
import openai
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import ContentFilterFinishReasonError, LengthFinishReasonError, OpenAI
from openai.types.chat import ChatCompletion

from adapters.errors import RequestError, make
from adapters.events import (
    STATUS_OF_FINISH,
    AttemptCommit,
    BlockEnd,
    BlockKind,
    BlockStart,
    Citation,
    CitationAdd,
    Error,
    ErrorCode,
    Failover,
    Finish,
    Meta,
    ReasoningDelta,
    ReasoningSignature,
    RefusalDelta,
    SequencedEvent,
    StreamEnd,
    TextDelta,
    ToolDelta,
    Usage,
    UsageSource,
)
from adapters.request import AssistantMessage, ReasoningOptions, Signature
from adapters.tokens import UNKNOWN
from service.dialects.chat_completions import FINISH, ChatCompletions
from service.dialects.projection import Asked, Named
from service.dialects.seal import sealed
from service.streams.fold import Fold
from tests.service.streams.events_for_tests import end

SAID: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
NAMED = Named(stream="st_01ABC", model="auto", created=5)
DIALECT = ChatCompletions()
COUNTED = Usage(
    input=12,
    input_cached=4,
    input_cache_write=None,
    output=9,
    output_reasoning=3,
    total=21,
    requests=1,
    source=UsageSource.PROVIDER,
)
COMMIT = AttemptCommit(attempt=1, reason="first_content", ttft_ms=5)
LOST = make(ErrorCode.STREAM_INTERRUPTED, "the connection was reset")


def ended(
    finish: Finish = Finish.STOP, *, usage: Usage = COUNTED, error: Error | None = None
) -> StreamEnd:
    return end(finish, STATUS_OF_FINISH[finish], usage=usage, error=error)


def block(name: str, kind: BlockKind, /, **fields: Any) -> BlockStart:  # noqa: ANN401 - any field
    return BlockStart(block=name, index=0, attempt=1, kind=kind, **fields)


def text(name: str, *pieces: str) -> list[SequencedEvent]:
    deltas = [TextDelta(name, piece) for piece in pieces]
    return [block(name, BlockKind.TEXT), *deltas, BlockEnd(block=name, status="complete")]


def asked(**fields: object) -> Asked:
    return DIALECT.read(SAID | fields, {})


def wire(events: Iterable[SequencedEvent], **fields: object) -> bytes:
    projection = DIALECT.projection(asked(**fields), NAMED)
    return b"".join(map(projection.feed, events))


def chunks(events: Iterable[SequencedEvent], **fields: object) -> list[dict[str, Any]]:
    lines = wire(events, **fields).removesuffix(b"data: [DONE]\n\n").split(b"\n\n")[:-1]
    return [orjson.loads(line.removeprefix(b"data: ")) for line in lines]


def deltas(events: Iterable[SequencedEvent]) -> list[dict[str, Any]]:
    return [chunk["choices"][0]["delta"] for chunk in chunks(events)]


def whole(events: Sequence[SequencedEvent], **fields: object) -> dict[str, Any]:
    fold = Fold()
    for event in events:
        fold.add(event)
    assert fold.end is not None
    return DIALECT.document(asked(**fields), NAMED, fold, fold.end)


def by_sdk(body: bytes) -> ChatCompletion:
    """The answer that the SDK's streaming helper makes of these bytes; raises as it does.

    That an answer was cut short by its limit or a filter it raises, too, with the answer.
    """

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body)

    with (
        httpx2.Client(transport=httpx2.MockTransport(answer)) as http,
        OpenAI(api_key="none", base_url="http://x/v1", max_retries=0, http_client=http) as client,
        client.chat.completions.stream(model="m", messages=SAID["messages"]) as streamed,
    ):
        try:
            return streamed.get_final_completion()
        except (LengthFinishReasonError, ContentFilterFinishReasonError) as short:
            return short.completion


# --- The request ----------------------------------------------------------------------------


def test_a_request_goes_over_field_by_field() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    read = asked(
        model="auto:analysis",
        max_completion_tokens=50,
        max_tokens=99,
        temperature=1,
        top_p=0.5,
        stop="end",
        seed=7,
        tools=[tool],
        tool_choice={"type": "function", "function": {"name": "f"}},
        parallel_tool_calls=False,
        response_format={"type": "json_object"},
        reasoning_effort="low",
        user="u",
        metadata={"k": "v"},
        stream=True,
        service_tier="auto",
        store=False,
        n=1,
    )
    chat = read.chat
    assert read.streams
    assert (chat.model, chat.max_tokens, chat.stop, chat.seed) == ("auto:analysis", 50, ["end"], 7)
    assert (chat.temperature, chat.top_p, chat.user) == (1, 0.5, "u")
    assert chat.reasoning == ReasoningOptions(effort="low")
    assert chat.tools is not None
    assert chat.tools[0].function.name == "f"
    assert chat.parallel_tool_calls is False
    assert chat.metadata == {"k": "v"}
    assert (chat.after_commit, chat.on_disconnect) == (None, None)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"n": True}, "n"),
        ({"n": [1]}, "n"),
        ({"logprobs": ""}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"function_call": "auto"}, "function_call"),
        ({"stream": "yes"}, "stream"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "function", "name": "f", "content": "1"}]}, "messages[0].role"),
        ({"messages": [5]}, "messages[0]"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[0].type"),
    ],
)
def test_what_cannot_be_served_is_refused_by_the_name_of_its_field(
    fields: dict[str, object], param: str
) -> None:
    with pytest.raises(RequestError) as refusal:
        asked(**fields)
    assert refusal.value.error.param == param
    assert refusal.value.error.message.startswith(f"{param}: ")


def said_before(**message: object) -> AssistantMessage:
    earlier = {"role": "assistant", **message}
    chat = asked(messages=[*SAID["messages"], earlier]).chat
    told = chat.messages[-1]
    assert isinstance(told, AssistantMessage)
    return told


def test_an_answer_that_said_nothing_is_still_a_turn() -> None:
    for nothing in ({}, {"content": None, "function_call": None, "tool_calls": []}):
        assert said_before(**nothing).content == ""


def test_a_refusal_among_the_parts_is_the_messages_refusal() -> None:
    told = said_before(content=[{"type": "refusal", "refusal": "No."}])
    assert (told.content, told.refusal) == (None, "No.")
    told = said_before(content=[{"type": "text", "text": "a"}], refusal="b")
    assert told.refusal == "b"


SIGNED = ReasoningSignature(block="b1.0", provider="claude", format="f", value="v")
SIGNATURE = Signature(provider="claude", format="f", value="v")


def test_signed_reasoning_comes_back_with_its_signature() -> None:
    detail = {"index": 0, "type": "reasoning.text", "text": "Hm.", "signature": sealed(SIGNED)}
    told = said_before(content="x", reasoning_content="Hm.Aha.", reasoning_details=[detail])
    assert told.reasoning is not None
    [thought] = told.reasoning
    assert (thought.text, thought.signature) == ("Hm.", SIGNATURE)


def test_unsigned_reasoning_comes_back_as_its_text() -> None:
    foreign = [5, {"type": "reasoning.text", "text": "Hm.", "signature": "EqQB"}]
    told = said_before(content="x", reasoning_content="Hm.", reasoning_details=foreign)
    assert told.reasoning is not None
    [thought] = told.reasoning
    assert (thought.text, thought.signature) == ("Hm.", None)
    assert said_before(content="x", reasoning_content="").reasoning is None


def test_a_signed_reasoning_without_words_comes_back_too() -> None:
    told = said_before(content="x", reasoning_details=[{"signature": sealed(SIGNED)}])
    assert told.reasoning is not None
    assert (told.reasoning[0].text, told.reasoning[0].signature) == ("", SIGNATURE)


@pytest.mark.parametrize(
    ("extra", "signature"),
    [
        ({"google": {"thought_signature": sealed(SIGNED)}}, SIGNATURE),
        ({"google": {"thought_signature": "foreign"}}, None),
        ({"google": None}, None),
        (None, None),
    ],
)
def test_a_calls_signature_comes_back_with_it(extra: object, signature: Signature | None) -> None:
    function = {"name": "f", "arguments": "{}"}
    call = {"id": "c1", "type": "function", "function": function, "extra_content": extra}
    told = said_before(tool_calls=[call])
    assert told.tool_calls is not None
    assert told.tool_calls[0].signature == signature


def test_a_call_that_is_none_is_named() -> None:
    with pytest.raises(RequestError, match=r"messages\[1\]\.tool_calls"):
        said_before(tool_calls=["f"])


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = (
    *("messages", "model", "n", "stream", "stream_options", "max_tokens", "max_completion_tokens"),
    *("temperature", "stop", "seed", "tools", "tool_choice", "response_format"),
    *("reasoning_effort", "metadata", "functions", "user"),
)
OF_A_MESSAGE = (
    *("content", "refusal", "name", "tool_calls", "tool_call_id"),
    *("reasoning_content", "reasoning_details", "extra_content"),
)
ROLES = st.sampled_from(["system", "developer", "user", "assistant", "tool", "function"])
MESSAGE = st.fixed_dictionaries({"role": ROLES}, optional=dict.fromkeys(OF_A_MESSAGE, ANYTHING))


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, ANYTHING)),
    st.lists(MESSAGE, min_size=1, max_size=3) | st.none(),
)
def test_any_body_is_read_or_refused(body: dict[str, Any], messages: list[Any] | None) -> None:
    sent = body if messages is None else body | {"messages": messages}
    with suppress(RequestError):
        assert DIALECT.read(sent, {}).chat.messages


# --- The answer -----------------------------------------------------------------------------


def test_a_chunk_has_all_that_the_type_asks_for() -> None:
    first, last = chunks([COMMIT, *text("b", "Hi"), ended()])
    assert first == {
        "id": "chatcmpl-01ABC",
        "object": "chat.completion.chunk",
        "created": 5,
        "model": "auto",
        "system_fingerprint": None,
        "choices": [
            {
                "index": 0,
                "delta": {"role": "assistant", "content": "Hi"},
                "logprobs": None,
                "finish_reason": None,
            }
        ],
    }
    assert last["choices"][0] == {
        "index": 0,
        "delta": {},
        "logprobs": None,
        "finish_reason": "stop",
    }


def test_the_usage_chunk_comes_last_with_no_choices_and_only_where_it_is_wanted() -> None:
    events = [COMMIT, *text("b", "Hi"), ended()]
    *before, last = chunks(events, stream_options={"include_usage": True})
    assert [chunk["usage"] for chunk in before] == [None, None]
    assert last["choices"] == []
    assert last["usage"] == {
        "prompt_tokens": 12,
        "completion_tokens": 9,
        "total_tokens": 21,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    for options in ({"include_usage": False}, None, "x"):
        assert all("usage" not in chunk for chunk in chunks(events, stream_options=options))


def test_counts_that_are_unknown_are_no_usage() -> None:
    events = [COMMIT, *text("b", "Hi"), ended(usage=UNKNOWN)]
    assert len(chunks(events, stream_options={"include_usage": True})) == 2
    assert whole(events)["usage"] is None


def test_parallel_calls_are_told_one_after_the_other() -> None:
    call = BlockKind.TOOL_CALL
    events: list[SequencedEvent] = [
        COMMIT,
        block("a", call, call_id="c1", name="f"),
        block("b", call, call_id="c2", name="g"),
        ToolDelta("b", "{"),
        ToolDelta("a", "{"),
        ToolDelta("b", "}"),
        ReasoningSignature(block="b", provider="gemini", format="f", value="v"),
        BlockEnd(block="b", status="complete", args="{}"),
        ToolDelta("a", "}"),
        BlockEnd(block="a", status="complete", args="{}"),
        block("c", call, call_id="c3", name="h"),
        BlockEnd(block="c", status="complete", args="{}"),
        ended(Finish.TOOL_CALLS),
    ]
    told = [delta["tool_calls"][0] for delta in deltas(events) if "tool_calls" in delta]
    assert [call["index"] for call in told] == [0, 0, 0, 1, 1, 1, 1, 2, 2]
    final = by_sdk(wire(events)).choices[0].message.tool_calls or []
    assert [(c.id, c.function.name) for c in final] == [("c1", "f"), ("c2", "g"), ("c3", "h")]


def test_sources_are_annotations_of_the_whole_message() -> None:
    source = Citation(id="1", kind="url", url="https://a.test", title="A", start=1, end=2)
    nowhere = Citation(id="2", kind="url", url="https://b.test")
    page = Citation(id="3", kind="page", title="no address")
    script = Citation(id="4", kind="url", url="javascript:alert(1)", title="no page")
    events = [
        COMMIT,
        *text("a", "One. "),
        *text("b", "Two."),
        *(
            CitationAdd(block="b", citation=source),
            CitationAdd(citation=nowhere),
            CitationAdd(citation=page),
            CitationAdd(citation=script),
        ),
        ended(),
    ]
    told = deltas(events)[-1]["annotations"]
    assert told == whole(events)["choices"][0]["message"]["annotations"]
    assert [each["url_citation"] for each in told] == [
        {"url": "https://a.test", "title": "A", "start_index": 6, "end_index": 7},
        {"url": "https://b.test", "title": "https://b.test", "start_index": 0, "end_index": 0},
    ]


@pytest.mark.parametrize("finish", [Finish.ERROR, Finish.INTERRUPTED, Finish.CANCELLED])
def test_an_answer_that_breaks_makes_the_sdk_raise(finish: Finish) -> None:
    body = wire([COMMIT, *text("b", "Hal"), ended(finish, error=LOST)])
    assert b"[DONE]" not in body
    with pytest.raises(openai.APIError, match="the connection was reset") as raised:
        by_sdk(body)
    assert raised.value.code == "stream_interrupted"


def failover(**fields: Any) -> Failover:  # noqa: ANN401 - any field
    return Failover(from_attempt=1, to=2, error=LOST, must_understand="drop" in fields, **fields)


def test_an_answer_that_is_continued_goes_on() -> None:
    events: list[SequencedEvent] = [COMMIT, block("b", BlockKind.TEXT), TextDelta("b", "Hel")]
    more = [failover(mode="continue", overlap_chars=0), TextDelta("b", "lo"), ended()]
    assert by_sdk(wire([*events, *more])).choices[0].message.content == "Hello"


def test_a_restart_before_anything_was_said_goes_unnoticed() -> None:
    source = Citation(id="1", kind="url", url="https://a.test")
    events: list[SequencedEvent] = [
        COMMIT,
        block("a", BlockKind.TEXT),
        CitationAdd(block="a", citation=source),
        block("c", BlockKind.TOOL_CALL, call_id="c1", name="f"),
        failover(mode="restart", drop=["a", "c"]),
        *text("b", "Hello"),
        block("d", BlockKind.TOOL_CALL, call_id="c2", name="g"),
        BlockEnd(block="d", status="complete", args="{}"),
        ended(),
    ]
    message = by_sdk(wire(events)).choices[0].message
    assert (message.content, message.annotations) == ("Hello", None)
    assert [call.id for call in message.tool_calls or []] == ["c2"]


def test_a_call_that_is_signed_before_its_arguments_is_signed_in_its_first_piece() -> None:
    events: list[SequencedEvent] = [
        COMMIT,
        block("a", BlockKind.TOOL_CALL, call_id="c1", name="f"),
        ReasoningSignature(block="a", provider="gemini", format="f", value="v"),
        ToolDelta("a", "{}"),
        BlockEnd(block="a", status="complete", args="{}"),
        ended(Finish.TOOL_CALLS),
    ]
    told = [delta["tool_calls"][0] for delta in deltas(events) if "tool_calls" in delta]
    assert ["extra_content" in piece for piece in told] == [True, False]
    assert told[0]["function"] == {"name": "f", "arguments": ""}


def test_all_that_was_signed_but_calls_is_told_in_one_with_the_finish_reason() -> None:
    thoughts = [
        each
        for name in ("a", "b")
        for each in (
            block(name, BlockKind.REASONING),
            ReasoningDelta(name, name),
            ReasoningSignature(block=name, provider="claude", format="f", value=name),
            BlockEnd(block=name, status="complete"),
        )
    ]
    *before, last = chunks([COMMIT, *thoughts, *text("c", "Hello"), ended()])
    assert not [chunk for chunk in before if "reasoning_details" in chunk["choices"][0]["delta"]]
    assert last["choices"][0]["finish_reason"] == "stop"
    details = last["choices"][0]["delta"]["reasoning_details"]
    assert [(detail["index"], detail["text"]) for detail in details] == [(0, "a"), (1, "b")]


def test_a_signature_of_an_answer_that_is_started_again_unseen_is_forgotten() -> None:
    withheld = [
        block("a", BlockKind.REASONING, form="redacted"),
        ReasoningSignature(block="a", provider="claude", format="f", value="v"),
        BlockEnd(block="a", status="complete"),
    ]
    again = failover(mode="restart", drop=["a"])
    told = deltas([COMMIT, *withheld, again, COMMIT, *text("b", "Hello"), ended()])
    assert not [delta for delta in told if "reasoning_details" in delta]


def test_a_restart_of_what_was_said_is_an_error_and_the_last_word() -> None:
    events = [
        COMMIT,
        *text("a", "Hel"),
        failover(mode="restart", drop=["a"]),
        *text("b", "Hello"),
        ended(),
    ]
    body = wire(events)
    assert b"Hello" not in body
    with pytest.raises(openai.APIError) as raised:
        by_sdk(body)
    assert raised.value.code == "failover_impossible"


def test_what_the_format_has_no_word_for_is_left_out() -> None:
    meta = Meta(key="region", value="eu")
    events: list[SequencedEvent] = [
        COMMIT,
        meta,
        block("f", BlockKind.FILE, media_type="image/png"),
        BlockEnd(block="f", status="complete"),
        ended(),
    ]
    assert deltas(events) == [{"role": "assistant", "content": None}]


def test_silence_is_a_comment_of_one_newline() -> None:
    assert DIALECT.projection(asked(), NAMED).keepalive() == b":\n"


@pytest.mark.parametrize(
    ("code", "kind", "name"),
    [
        (ErrorCode.INVALID_REQUEST, "invalid_request_error", "invalid_request"),
        (ErrorCode.AUTH_CLIENT, "authentication_error", "auth_client"),
        (ErrorCode.RATE_LIMIT_PROVIDER, "rate_limit_error", "rate_limit_provider"),
        (ErrorCode.UPSTREAM_5XX, "server_error", "upstream_5xx"),
    ],
)
def test_an_error_has_the_type_that_clients_look_at(code: ErrorCode, kind: str, name: str) -> None:
    told = DIALECT.failure(make(code, "it broke", param="model"))["error"]
    assert told == {"message": "it broke", "type": kind, "param": "model", "code": name}


def test_a_conversation_that_is_too_long_is_openai_s_code_and_says_it_in_words() -> None:
    told = DIALECT.failure(make(ErrorCode.CONTEXT_LENGTH, "Too long."))["error"]
    assert (told["type"], told["code"]) == ("invalid_request_error", "context_length_exceeded")
    assert told["message"] == "Too long. (context_length_exceeded)"


def test_each_finish_of_a_whole_answer_has_its_word() -> None:
    without = {finish for finish, status in STATUS_OF_FINISH.items() if finish not in FINISH}
    assert without == {Finish.ERROR, Finish.INTERRUPTED, Finish.CANCELLED}


def one_call(status: Literal["complete", "incomplete"] = "complete") -> list[SequencedEvent]:
    return [
        COMMIT,
        block("a", BlockKind.TOOL_CALL, call_id="c1", name="f"),
        ToolDelta("a", "{}"),
        BlockEnd(block="a", status=status, args="{}"),
    ]


FUNCTION = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("events", "choice", "finish"),
    [
        ([*one_call(), ended(Finish.STOP)], None, "tool_calls"),
        ([*one_call(), ended(Finish.OTHER)], "auto", "tool_calls"),
        ([*one_call(), ended(Finish.STOP)], "required", "stop"),
        ([*one_call(), ended(Finish.STOP)], FUNCTION, "stop"),
        ([*one_call(), ended(Finish.TOOL_CALLS)], FUNCTION, "tool_calls"),
        ([*one_call(), ended(Finish.LENGTH)], None, "length"),
        ([*one_call("incomplete"), ended(Finish.TOOL_CALLS)], None, "stop"),
        ([COMMIT, *text("b", "Hi"), ended(Finish.TOOL_CALLS)], None, "stop"),
    ],
)
def test_the_finish_is_tool_calls_where_there_is_a_whole_call_that_nobody_forced(
    events: list[SequencedEvent], choice: object, finish: str
) -> None:
    fields = {"tools": [FUNCTION], "tool_choice": choice}
    assert whole(events, **fields)["choices"][0]["finish_reason"] == finish
    assert chunks(events, **fields)[-1]["choices"][0]["finish_reason"] == finish


# --- Any answer -----------------------------------------------------------------------------

PIECES = st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=4)
DELTAS = {
    BlockKind.TEXT: TextDelta,
    BlockKind.REASONING: ReasoningDelta,
    BlockKind.REFUSAL: RefusalDelta,
}
COUNTS = st.one_of(st.none(), st.integers(0, 10**6))


def signatures(name: str) -> st.SearchStrategy[list[ReasoningSignature]]:
    """None, one, or one that another replaces."""
    values = st.lists(st.text(min_size=1, max_size=3), max_size=2)
    return values.map(
        lambda drawn: [
            ReasoningSignature(block=name, provider="p", format="f", value=value) for value in drawn
        ]
    )


@st.composite
def spoken(draw: st.DrawFn, name: str) -> list[SequencedEvent]:
    """A block of words, signed or not."""
    kind = draw(st.sampled_from(list(DELTAS)))
    events: list[SequencedEvent] = [block(name, kind)]
    events += [DELTAS[kind](name, piece) for piece in draw(PIECES)]
    events += draw(signatures(name))
    return [*events, BlockEnd(block=name, status="complete")]


@st.composite
def called(draw: st.DrawFn, name: str) -> list[SequencedEvent]:
    """A call, its arguments in pieces or missing, signed or not."""
    args = draw(st.dictionaries(st.text(max_size=3), st.integers(-9, 9), max_size=2))
    written = orjson.dumps(args).decode() if draw(st.booleans()) else ""
    cut = draw(st.integers(0, len(written)))
    kind = BlockKind.TOOL_CALL
    events: list[SequencedEvent] = [block(name, kind, call_id=f"call_{name}", name=f"f{name}")]
    events += draw(signatures(name))
    events += [ToolDelta(name, piece) for piece in (written[:cut], written[cut:]) if piece]
    return [*events, BlockEnd(block=name, status="complete", args=written or "{}")]


@st.composite
def answers(draw: st.DrawFn) -> list[SequencedEvent]:
    """Words, then calls that interleave, then an end."""
    events: list[SequencedEvent] = [COMMIT]
    for number in range(draw(st.integers(0, 4))):
        events += draw(spoken(f"w{number}"))
    calls = [draw(called(f"c{number}")) for number in range(draw(st.integers(0, 3)))]
    while any(calls):
        turn = draw(st.sampled_from([left for left in calls if left]))
        events.append(turn.pop(0))
    usage = Usage(
        input=draw(COUNTS),
        input_cached=draw(COUNTS),
        input_cache_write=None,
        output=draw(COUNTS),
        output_reasoning=draw(COUNTS),
        total=draw(COUNTS),
        requests=1,
        source=UsageSource.PROVIDER,
    )
    return [*events, ended(draw(st.sampled_from(list(FINISH))), usage=usage)]


@given(answers())
def test_the_sdk_makes_of_the_chunks_what_the_document_says(events: list[SequencedEvent]) -> None:
    streamed = by_sdk(wire(events, stream_options={"include_usage": True}))
    document = ChatCompletion.model_validate(whole(events))
    fold = Fold()
    for event in events:
        fold.add(event)
    told, meant = streamed.choices[0], document.choices[0]
    assert told.finish_reason == meant.finish_reason
    assert (
        (told.message.content or "") == (meant.message.content or "") == fold.text(BlockKind.TEXT)
    )
    assert told.message.refusal == meant.message.refusal
    for name in ("reasoning_content", "reasoning_details"):
        assert getattr(told.message, name, None) == getattr(meant.message, name, None)
    assert (getattr(told.message, "reasoning_content", "")) == fold.text(BlockKind.REASONING)
    assert calls_of(told.message) == calls_of(meant.message)
    assert [
        {"id": call["id"], **call["function"]} for call in calls_of(told.message)
    ] == fold.tool_calls()
    assert streamed.usage == document.usage
    assert (streamed.id, streamed.created) == (document.id, document.created)


def calls_of(message: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - of either kind
    parsed = {"function": {"parsed_arguments"}}
    return [
        {name: value for name, value in call.model_dump(exclude=parsed).items() if name != "index"}
        for call in message.tool_calls or ()
    ]


@given(answers())
def test_a_message_that_is_given_back_brings_its_signatures(events: list[SequencedEvent]) -> None:
    fold = Fold()
    for event in events:
        fold.add(event)
    message = whole(events)["choices"][0]["message"]
    again = said_before(**message)
    signed = [
        each.signature for each in fold.blocks.values() if each.signature and not each.start.call_id
    ]
    back = [each.signature for each in again.reasoning or () if each.signature]
    assert len(back) == len(signed)
    assert [bool(call.signature) for call in again.tool_calls or ()] == [
        bool(each.signature) for each in fold.blocks.values() if each.start.call_id
    ]
