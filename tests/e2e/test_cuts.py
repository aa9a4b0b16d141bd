"""Cut after any byte, in any dialect, an answer ends once and is whole only if it was.

Each answer here is as short as its format lets it be, because the service is asked for it once per
byte: through the relay, the SDK and a socket, with the events read from the log, since the way from
there to a client changes none of them. What happens to the events within a dialect is its own
tests' business, so only what a client relies on is checked.
"""

from collections.abc import Mapping
from typing import NamedTuple

import orjson
import pytest

from adapters.request import ChatRequest
from service import clock
from service.relay import Ask
from service.streams.log import json_of
from tests.e2e import grammar
from tests.e2e.cutter import cutting
from tests.e2e.stack import Stack, Told, question
from tests.unmeasured import unmeasured


class Cuttable(NamedTuple):
    """One answer: its bytes, and the event that holds its finish signal."""

    provider: str
    body: bytes
    finish: bytes
    """In the event that says the answer is over, and in no other."""
    text: str = ""
    call: tuple[str, str] | None = None

    @property
    def whole_at(self) -> int:
        """How many bytes it takes to know that the answer is over."""
        return self.body.index(b"\n\n", self.body.index(self.finish)) + 2


def events(*payloads: str) -> bytes:
    return "".join(f"data: {payload}\n\n" for payload in payloads).encode()


def named(*payloads: str) -> bytes:
    """Events under their `type`, as Messages has them; Responses is read by type alone."""
    return b"".join(
        b"event: %b\n" % str(orjson.loads(payload)["type"]).encode() + events(payload)
        for payload in payloads
    )


CHAT_TEXT = events(
    '{"choices":[{"delta":{"content":"Hé"}}]}',
    '{"choices":[{"delta":{"content":"!"}}]}',
    '{"choices":[{"delta":{},"finish_reason":"stop"}]}',
    "[DONE]",
)
CHAT_CALL = events(
    '{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":'
    '{"name":"f","arguments":"{\\"a\\":"}}]}}]}',
    '{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}}]}',
    '{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}',
    "[DONE]",
)

ANSWERS: Mapping[str, Cuttable] = {
    "chat, text": Cuttable("openai", CHAT_TEXT, b'"stop"', "Hé!"),
    "chat, a call": Cuttable("groq", CHAT_CALL, b'"tool_calls"}', call=("f", '{"a":1}')),
    "mistral, text": Cuttable("mistral", CHAT_TEXT, b'"stop"', "Hé!"),
    "mistral, a call": Cuttable(
        "mistral",
        events(
            '{"choices":[{"delta":{"tool_calls":[{"id":"Double000","function":'
            '{"name":"f","arguments":"{\\"a\\":1}"}}]},"finish_reason":"tool_calls"}]}',
            "[DONE]",
        ),
        b'"tool_calls"}',
        call=("f", '{"a":1}'),
    ),
    "messages, text": Cuttable(
        "claude",
        named(
            '{"type":"message_start","message":{"id":"m","usage":{"input_tokens":1}}}',
            '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
            '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hé!"}}',
            '{"type":"content_block_stop","index":0}',
            '{"type":"message_delta","delta":{"stop_reason":"end_turn"}}',
            '{"type":"message_stop"}',
        ),
        b"end_turn",
        "Hé!",
    ),
    "messages, a call": Cuttable(
        "claude",
        named(
            '{"type":"message_start","message":{"id":"m","usage":{"input_tokens":1}}}',
            '{"type":"content_block_start","index":0,"content_block":'
            '{"type":"tool_use","id":"t","name":"f","input":{}}}',
            '{"type":"content_block_delta","index":0,"delta":'
            '{"type":"input_json_delta","partial_json":"{\\"a\\":1}"}}',
            '{"type":"content_block_stop","index":0}',
            '{"type":"message_delta","delta":{"stop_reason":"tool_use"}}',
            '{"type":"message_stop"}',
        ),
        b'"stop_reason"',
        call=("f", '{"a":1}'),
    ),
    "gemini, text": Cuttable(
        "gemini",
        events(
            '{"candidates":[{"content":{"parts":[{"text":"Hé"}]}}]}',
            '{"candidates":[{"content":{"parts":[{"text":"!"}]},"finishReason":"STOP"}]}',
        ),
        b"STOP",
        "Hé!",
    ),
    "gemini, a call": Cuttable(
        "gemini",
        events(
            '{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"a":1}}}]}}]}',
            '{"candidates":[{"content":{"parts":[]},"finishReason":"STOP"}]}',
        ),
        b"STOP",
        call=("f", '{"a":1}'),
    ),
    "responses, text": Cuttable(
        "perplexity",
        events(
            '{"type":"response.created","response":{"id":"r"}}',
            '{"type":"response.output_item.added","output_index":0,"item":'
            '{"type":"message","id":"i"}}',
            '{"type":"response.output_text.delta","output_index":0,"content_index":0,'
            '"item_id":"i","delta":"Hé!"}',
            '{"type":"response.output_item.done","output_index":0,"item":'
            '{"type":"message","id":"i"}}',
            '{"type":"response.completed","response":{"id":"r","status":"completed"}}',
        ),
        b"response.completed",
        "Hé!",
    ),
    "responses, a call": Cuttable(
        "openai",
        events(
            '{"type":"response.created","response":{"id":"r"}}',
            '{"type":"response.output_item.added","output_index":0,"item":'
            '{"type":"function_call","id":"i","call_id":"c","name":"f","arguments":""}}',
            '{"type":"response.function_call_arguments.delta","output_index":0,"item_id":"i",'
            '"delta":"{\\"a\\":1}"}',
            '{"type":"response.output_item.done","output_index":0,"item":'
            '{"type":"function_call","id":"i","call_id":"c","name":"f",'
            '"arguments":"{\\"a\\":1}"}}',
            '{"type":"response.completed","response":{"id":"r","status":"completed"}}',
        ),
        b"response.completed",
        call=("f", '{"a":1}'),
    ),
}

TOOLS = [{"type": "function", "function": {"name": "f"}}]


# --- Cutting ---------------------------------------------------------------------------------


async def told_of(running: Stack, request: ChatRequest) -> Told:
    """What is in the log when the stream is over."""
    ask = Ask(request=request, dialect="native", cancel_after=None, arrived=clock.monotonic())
    stream, _ = running.service.relay.open(ask)
    await stream.over()
    return Told(200, {}, [orjson.loads(json_of(entry)) for entry in stream.log.read(0)])


@pytest.mark.parametrize("politely", [True, False], ids=["ended", "broken"])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_cut_after_any_byte_an_answer_ends_once_and_is_whole_only_if_it_was(
    answer: Cuttable, *, politely: bool
) -> None:
    tools = TOOLS if answer.call else None
    request = ChatRequest.model_validate(question(f"{answer.provider}/auto", tools=tools))
    async with cutting(answer.provider) as (running, cutter):
        cutter.politely = politely

        async def cut(size: int) -> None:
            cutter.body = answer.body[:size]
            told = await told_of(running, request)
            grammar.check(told.events)
            _check(told, answer, whole=size >= answer.whole_at)

        await cut(0)
        await cut(len(answer.body))
        with unmeasured():
            for size in range(1, len(answer.body)):
                await cut(size)


def _check(told: Told, answer: Cuttable, *, whole: bool) -> None:
    finish = "tool_calls" if answer.call else "stop"
    if whole:
        assert (told.end["status"], told.end["finish"]) == ("completed", finish)
        assert told.text == answer.text
        assert told.calls == ([answer.call] if answer.call else [])
        return
    assert (told.end["status"], told.end["finish"]) == ("failed", "interrupted")
    assert told.end["error"]["code"] == "stream_interrupted"
    assert answer.text.startswith(told.text)
