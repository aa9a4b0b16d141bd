"""Any stream, put together by the accumulators of others' SDKs: nothing refused, nothing lost.

Each projection of the same random native streams is given to the streaming helper of the SDK that
speaks its dialect, in Node and in Python. What the helper makes of it is what the stream said; one
that was cut makes it raise, or tell a failed response, after what came. The AI SDK's readers have a
test of their own (`test_ai_sdk_streams`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import anthropic
import httpx2
import openai
import orjson

from adapters.events import (
    BlockKind,
    Finish,
    ReasoningDelta,
    RefusalDelta,
    SequencedEvent,
    Status,
    StreamEnd,
    TextDelta,
)
from service.dialects.chat_completions import ChatCompletions, finish_reason
from service.dialects.messages import Messages
from service.dialects.messages_words import stop
from service.dialects.projection import Dialect, Named
from service.dialects.responses import Responses
from service.streams.fold import Fold
from tests.clients.nodes import program
from tests.clients.random_streams import CUT, some
from tests.service.dialects.responses_streams import no_turn

EXAMPLES = 150
NAMED = Named(stream="st_01JD0000000000000000000000", model="auto", created=1)

Told = dict[str, Any]
"""What a helper made of one body: `events` as they came, and its document or what it `raised`."""

SAID: list[Any] = [{"role": "user", "content": "Hi"}]
CHAT: dict[str, Any] = {
    "model": "auto",
    "messages": SAID,
    "stream_options": {"include_usage": True},
}
MESSAGE: dict[str, Any] = {
    "model": "auto",
    "messages": SAID,
    "max_tokens": 4096,
    "thinking": {"type": "enabled", "budget_tokens": 1024},
}
RESPONSE: dict[str, Any] = {"model": "auto", "input": "Hi"}


@cache
def streams() -> list[list[SequencedEvent]]:
    """The same for every helper."""
    return some(EXAMPLES)


def bodies(dialect: Dialect, ask: Mapping[str, Any]) -> list[bytes]:
    """Each stream as the dialect tells it."""
    asked = dialect.read(ask, {})
    told = [(dialect.projection(asked, NAMED), events) for events in streams()]
    return [b"".join(map(view.feed, events)) for view, events in told]


async def by_node(name: str, told: list[bytes], ask: Mapping[str, Any]) -> list[Told]:
    """What the SDK for Node makes of bodies."""
    async with program(name) as sdk:
        answer = await sdk.do("read", bodies=[body.decode() for body in told], ask=ask)
    return list(answer["read"])


def http(body: bytes) -> httpx2.Client:
    """Answers with a body, whatever is asked."""
    headers = {"content-type": "text/event-stream"}
    answer = httpx2.Response(200, headers=headers, content=body)
    return httpx2.Client(transport=httpx2.MockTransport(lambda _: answer))


@dataclass(frozen=True, slots=True)
class Meant:
    """What one stream said."""

    events: list[SequencedEvent]
    fold: Fold
    end: StreamEnd

    @classmethod
    def by(cls, events: list[SequencedEvent]) -> Self:
        fold = Fold()
        for event in events:
            fold.add(event)
        assert fold.end is not None
        return cls(events, fold, fold.end)

    @property
    def broken(self) -> bool:
        return self.end.status in {Status.FAILED, Status.CANCELLED}

    def arrived(self, *kinds: type[TextDelta | RefusalDelta | ReasoningDelta]) -> str:
        """The words in the order in which they came, whatever block they are of."""
        return "".join(event.delta for event in self.events if isinstance(event, kinds))

    def text(self, *kinds: BlockKind) -> str:
        """The words of blocks of these kinds, block by block."""
        blocks = self.fold.blocks.values()
        return "".join(block.text for block in blocks if block.start.kind in kinds)

    def signed(self, *, calls: bool) -> int:
        """How many calls, or how many other blocks, carry a signature."""
        blocks = [block for block in self.fold.blocks.values() if block.signature is not None]
        return sum((block.start.kind is BlockKind.TOOL_CALL) is calls for block in blocks)


def held(check: Callable[[Told, Meant], None], read: list[Told]) -> None:
    """Hold what was made of each stream to what it said."""
    assert len(read) == len(streams())
    for told, events in zip(read, streams(), strict=True):
        try:
            check(told, Meant.by(events))
        except AssertionError as wrong:
            wrong.add_note("\n".join(map(str, events)))
            raise


def test_the_streams_hold_everything_that_a_stream_can() -> None:
    kinds = {event.kind for events in streams() for event in events if hasattr(event, "kind")}
    types = {type(event).__name__ for events in streams() for event in events}
    forms = {event.form for events in streams() for event in events if hasattr(event, "form")}
    finishes = {Meant.by(events).end.finish for events in streams()}
    assert kinds >= set(BlockKind) - {BlockKind.RAW}
    assert types >= {"CitationAdd", "ReasoningSignature", "FileDelta", "UsageUpdate", "ToolDelta"}
    assert forms == {None, "raw", "summary", "redacted"}
    assert finishes >= {Finish.STOP, Finish.LENGTH, Finish.TOOL_CALLS, *CUT}
    assert any(map(_woven, streams()))


def _woven(events: list[SequencedEvent]) -> bool:
    """Whether two calls speak in turns."""
    calls = [event.block for event in events if type(event).__name__ == "ToolDelta"]
    return any(
        calls[at] in calls[at + 2 :] and calls[at] != calls[at + 1] for at in range(len(calls) - 2)
    )


# --- Chat completions -----------------------------------------------------------------------


def chat_holds(told: Told, meant: Meant) -> None:
    end = meant.end
    said = {
        kind: "".join(event["delta"] for name, event in told["events"] if name == f"{kind}.delta")
        for kind in ("content", "refusal")
    }
    assert said["content"] == meant.arrived(TextDelta)
    assert said["refusal"] == meant.arrived(RefusalDelta)
    if meant.broken:
        assert told["raised"]
        return
    [choice] = told["completion"]["choices"]
    message = choice["message"]
    called = bool(meant.fold.tool_calls())
    assert choice["finish_reason"] == finish_reason(end.finish, called=called, forced=False)
    assert (message.get("content") or "") == said["content"]
    assert (message.get("refusal") or "") == said["refusal"]
    calls = message.get("tool_calls") or []
    assert [
        {
            "id": call["id"],
            "name": call["function"]["name"],
            "arguments": call["function"]["arguments"],
        }
        for call in calls
    ] == meant.fold.tool_calls()
    assert len(message.get("reasoning_details") or []) == meant.signed(calls=False)
    assert sum("extra_content" in call for call in calls) == meant.signed(calls=True)
    cited = [citation for _, citation in meant.fold.citations if citation.url is not None]
    assert len(message.get("annotations") or []) == len(cited)
    counts = told["completion"].get("usage")
    if None in (end.usage.input, end.usage.output):
        assert counts is None
    else:
        used = (counts["prompt_tokens"], counts["completion_tokens"])
        assert used == (end.usage.input, end.usage.output)


async def test_openais_helper_in_node_makes_of_any_chat_what_was_said() -> None:
    held(chat_holds, await by_node("openai_chat", bodies(ChatCompletions(), CHAT), CHAT))


def test_openais_helper_in_python_makes_of_any_chat_what_was_said() -> None:
    held(chat_holds, list(map(chat_in_python, bodies(ChatCompletions(), CHAT))))


def chat_in_python(body: bytes) -> Told:
    events: list[Any] = []
    with (
        http(body) as line,
        openai.OpenAI(api_key="none", base_url="http://x", max_retries=0, http_client=line) as sdk,
        sdk.chat.completions.stream(**CHAT) as streamed,
    ):
        try:
            for event in streamed:
                events.append((event.type, event.to_dict(warnings=False)))  # noqa: PERF401 - it raises
            completion = streamed.get_final_completion()
        except (openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError) as short:
            completion = short.completion
        except openai.APIError as failure:
            return {"events": events, "raised": str(failure)}
    return {"events": events, "completion": completion.to_dict(warnings=False)}


# --- Messages -------------------------------------------------------------------------------


def message_holds(told: Told, meant: Meant) -> None:
    end = meant.end
    said = "".join(words for name, words in told["events"] if name == "text")
    whole = meant.text(BlockKind.TEXT, BlockKind.REFUSAL)
    if meant.broken:
        assert whole.startswith(said)
        assert told["raised"]
        return
    assert said == whole
    message = told["message"]
    content = message["content"]
    by_kind = {
        block["type"]: [b for b in content if b["type"] == block["type"]] for block in content
    }
    assert "".join(block["text"] for block in by_kind.get("text", ())) == said
    thoughts = "".join(block["thinking"] for block in by_kind.get("thinking", ()))
    assert thoughts == meant.text(BlockKind.REASONING)
    assert [
        {"id": block["id"], "name": block["name"], "input": block["input"]}
        for block in by_kind.get("tool_use", ())
    ] == [
        {"id": call["id"], "name": call["name"], "input": orjson.loads(call["arguments"])}
        for call in meant.fold.tool_calls()
    ]
    kinds = {
        block.start.kind
        for block in meant.fold.blocks.values()
        if block.complete and (block.parts or block.start.kind is BlockKind.TOOL_CALL)
    }
    assert message["stop_reason"] == stop(end, kinds)["stop_reason"]
    used = message["usage"]
    cached = used["cache_read_input_tokens"] + used["cache_creation_input_tokens"]
    assert end.usage.input in {None, used["input_tokens"] + cached}
    assert used["output_tokens"] == (end.usage.output or 0)


async def test_anthropics_helper_in_node_makes_of_any_message_what_was_said() -> None:
    held(message_holds, await by_node("anthropic", bodies(Messages(), MESSAGE), MESSAGE))


def test_anthropics_helper_in_python_makes_of_any_message_what_was_said() -> None:
    held(message_holds, list(map(message_in_python, bodies(Messages(), MESSAGE))))


def message_in_python(body: bytes) -> Told:
    events: list[Any] = []
    with (
        http(body) as line,
        anthropic.Anthropic(
            api_key="none", base_url="http://x", max_retries=0, http_client=line
        ) as sdk,
    ):
        try:
            with sdk.messages.stream(**MESSAGE) as streamed:
                for words in streamed.text_stream:
                    events.append(("text", words))  # noqa: PERF401 - it raises
                message = streamed.get_final_message()
        except anthropic.APIError as failure:
            return {"events": events, "raised": str(failure)}
    return {"events": events, "message": message.to_dict(warnings=False)}


# --- Responses ------------------------------------------------------------------------------

ENDS = {
    Status.COMPLETED: "completed",
    Status.INCOMPLETE: "incomplete",
    Status.FAILED: "failed",
    Status.CANCELLED: "cancelled",
}


def response_holds(told: Told, meant: Meant) -> None:
    end = meant.end
    said = [event["delta"] for event in told["events"] if event["type"] == _TEXT]
    assert "".join(said) == meant.arrived(TextDelta)
    response = told["response"]
    items = response["output"]
    parts = [part for item in items if item["type"] == "message" for part in item["content"]]
    assert response["status"] == ENDS[end.status]
    assert "".join(p["text"] for p in parts if "text" in p) == meant.text(BlockKind.TEXT)
    assert "".join(p["refusal"] for p in parts if "refusal" in p) == meant.text(BlockKind.REFUSAL)
    thoughts = [
        part["text"]
        for item in items
        if item["type"] == "reasoning"
        for part in [*(item.get("content") or ()), *item["summary"]]
    ]
    assert "".join(thoughts) == meant.text(BlockKind.REASONING)
    assert [
        {"id": item["call_id"], "name": item["name"], "arguments": item["arguments"]}
        for item in items
        if item["type"] == "function_call"
    ] == meant.fold.tool_calls()
    counts = response["usage"]
    if None in (end.usage.input, end.usage.output):
        assert counts is None
    else:
        used = (counts["input_tokens"], counts["output_tokens"])
        assert used == (end.usage.input, end.usage.output)


_TEXT = "response.output_text.delta"


async def test_openais_helper_in_node_makes_of_any_response_what_was_said() -> None:
    told = bodies(Responses(no_turn), RESPONSE)
    held(response_holds, await by_node("openai_responses", told, RESPONSE))


def test_openais_helper_in_python_makes_of_any_response_what_was_said() -> None:
    held(response_holds, list(map(response_in_python, bodies(Responses(no_turn), RESPONSE))))


def response_in_python(body: bytes) -> Told:
    with (
        http(body) as line,
        openai.OpenAI(api_key="none", base_url="http://x", max_retries=0, http_client=line) as sdk,
        sdk.responses.stream(**RESPONSE) as streamed,
    ):
        events = [event.to_dict(warnings=False) for event in streamed]
    return {"events": events, "response": events[-1]["response"]}
