"""Open Responses (2026-04-24): what its compliance suite asks of a server, asked here.

The suite itself is in no package registry, so its situations are played by name and in our own
words: each asked whole and as a stream, and over a WebSocket. A `Pupil` answers, and shows by its
answers what of a conversation has reached it. The schemas of the objects are held elsewhere: by
`llmprobe`, whose schemas are Open Responses' own, and by tests of /openapi.json.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import aiohttp
import pytest

from tests.clients.pupil import Pupil
from tests.e2e.stack import Stack, stack
from tests.service.http.serving import parsed

MODEL: Final = "claude/haiku"

LAST: Final = {"response.completed", "response.incomplete", "response.failed", "error"}

WEATHER: Final = {
    "type": "function",
    "name": "weather",
    "description": "What the sky does.",
    "parameters": {
        "type": "object",
        "properties": {"place": {"type": "string"}},
        "required": ["place"],
    },
}
PICTURE: Final = "data:image/png;base64,iVBORw0KGgo="

Json = dict[str, Any]


def said(role: str, content: object, **more: object) -> Json:
    return {"type": "message", "role": role, "content": content, **more}


CASES: Final[Mapping[str, tuple[Json, str]]] = {
    "basic-response": ({"input": [said("user", "Greet me.")]}, "Hello."),
    "assistant-phase": (
        {
            "input": [
                said("assistant", "I count.", phase="commentary"),
                said("assistant", "It is 4.", phase="final_answer"),
                said("user", "What is 4 + 3?"),
            ]
        },
        "7",
    ),
    "system-prompt": (
        {"input": [said("system", 'Say exactly the word "arr".'), said("user", "Greet me.")]},
        "arr",
    ),
    "image-input": (
        {
            "input": [
                said(
                    "user",
                    [
                        {"type": "input_text", "text": "What is this?"},
                        {"type": "input_image", "image_url": PICTURE},
                    ],
                )
            ]
        },
        "Hello.",
    ),
    "multi-turn": (
        {
            "input": [
                said("user", "My name is Alice."),
                said("assistant", "Hello, Alice."),
                said("user", "What is my name?"),
            ]
        },
        "Alice",
    ),
}
"""What is asked, by the suite's name for it; and what the answer says."""

every_case = pytest.mark.parametrize("case", CASES)


@pytest.fixture
async def service() -> AsyncIterator[Stack]:
    async with stack("claude") as running:
        running.double.choose(Pupil().script)
        yield running


async def posted(service: Stack, path: str = "/v1/responses", **body: object) -> Json:
    async with service.client.post(f"{service.url}{path}", json={"model": MODEL, **body}) as answer:
        assert answer.status == 200, await answer.text()
        document: Json = await answer.json()
        return document


def text_of(response: Json) -> str:
    (message,) = response["output"]
    (part,) = message["content"]
    assert (message["role"], message["status"], part["type"]) == (
        "assistant",
        "completed",
        "output_text",
    )
    text: str = part["text"]
    return text


class Socket:
    """Turns over one WebSocket, none of them stored."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._ws = ws

    async def turn(self, **body: object) -> list[Json]:
        """The events of one turn."""
        asked = {"type": "response.create", "model": MODEL, "store": False, **body}
        await self._ws.send_json(asked)
        events: list[Json] = []
        while not events or events[-1]["type"] not in LAST:
            events.append(await self._ws.receive_json())
        return events

    async def response(self, **body: object) -> Json:
        """A turn's response, which is completed."""
        events = await self.turn(**body)
        assert events[-1]["type"] == "response.completed", events[-1]
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        response: Json = events[-1]["response"]
        return response

    async def refusal(self, **body: object) -> str:
        """The code with which a turn is refused."""
        (refused,) = await self.turn(**body)
        assert (refused["type"], refused["status"]) == ("error", 400)
        code: str = refused["error"]["code"]
        return code


@pytest.fixture
async def socket(service: Stack) -> AsyncIterator[Socket]:
    async with service.client.ws_connect(f"{service.url}/v1/responses") as ws:
        yield Socket(ws)


# --- Over HTTP ------------------------------------------------------------------------------


@every_case
async def test_a_conversation_is_answered(service: Stack, case: str) -> None:
    body, answer = CASES[case]
    response = await posted(service, **body)
    assert (response["status"], text_of(response)) == ("completed", answer)


@every_case
async def test_its_events_are_named_numbered_and_end_with_done(service: Stack, case: str) -> None:
    body, answer = CASES[case]
    asked = {"model": MODEL, "stream": True, **body}
    async with service.client.post(f"{service.url}/v1/responses", json=asked) as told:
        assert told.content_type == "text/event-stream"
        sent = await told.read()
    assert b"\nid:" not in sent
    assert sent.endswith(b"\n\ndata: [DONE]\n\n")
    events = parsed(sent.removesuffix(b"data: [DONE]\n\n"))
    assert [event.data["type"] for event in events] == [event.event for event in events]
    assert [event.data["sequence_number"] for event in events] == list(range(len(events)))
    assert text_of(events[-1].data["response"]) == answer


async def test_a_tool_that_must_be_called_is(service: Stack) -> None:
    asked = {"input": [said("user", "How is the sky?")], "tools": [WEATHER]}
    response = await posted(service, **asked, tool_choice="required")
    (call,) = response["output"]
    assert (call["type"], call["name"]) == ("function_call", "weather")


# --- Over a WebSocket -----------------------------------------------------------------------


@every_case
async def test_a_conversation_is_answered_over_a_socket(socket: Socket, case: str) -> None:
    body, answer = CASES[case]
    assert text_of(await socket.response(**body)) == answer


async def test_turns_follow_one_another_on_a_socket_each_for_itself(socket: Socket) -> None:
    for word in ("first", "second"):
        assert text_of(await socket.response(input=f"Say exactly: {word}")) == word


async def test_what_is_not_stored_is_gone_on_from_on_its_socket(socket: Socket) -> None:
    first = await socket.response(input="My name is Cobalt.")
    second = await socket.response(previous_response_id=first["id"], input="What is my name?")
    assert text_of(second) == "Cobalt"


async def test_a_turn_may_be_warmed_up_and_then_gone_on_from(socket: Socket) -> None:
    warm = await socket.response(generate=False, input="My name is Cobalt.")
    assert warm["output"] == []
    answer = await socket.response(previous_response_id=warm["id"], input="What is my name?")
    assert text_of(answer) == "Cobalt"


async def test_on_another_socket_it_is_not_found_and_the_socket_takes_a_new_one(
    service: Stack, socket: Socket
) -> None:
    first = await socket.response(input="My name is Cobalt.")
    async with service.client.ws_connect(f"{service.url}/v1/responses") as ws:
        anew = Socket(ws)
        lost = {"previous_response_id": first["id"], "input": "What is my name?"}
        assert await anew.refusal(**lost) == "previous_response_not_found"
        assert text_of(await anew.response(input="Say exactly: again")) == "again"


async def test_what_never_was_is_not_found(socket: Socket) -> None:
    code = await socket.refusal(previous_response_id="resp_never", input="Hello?")
    assert code == "previous_response_not_found"


async def test_a_turn_that_failed_is_not_gone_on_from_again(socket: Socket) -> None:
    first = await socket.response(input="Greet me.")
    stray = {"type": "function_call_output", "call_id": "call_none", "output": "4"}
    await socket.refusal(previous_response_id=first["id"], input=[stray])
    code = await socket.refusal(previous_response_id=first["id"], input="Greet me.")
    assert code == "previous_response_not_found"


# --- Compaction -----------------------------------------------------------------------------


async def test_a_compacted_conversation_begins_a_new_one(service: Stack, socket: Socket) -> None:
    talk = [said("user", "My name is Slate."), said("assistant", "Hello, Slate.")]
    compacted = await posted(
        service, "/v1/responses/compact", input=talk, prompt_cache_key="slates"
    )
    assert compacted["object"] == "response.compaction"
    assert compacted["output"][-1]["type"] == "compaction"
    asked = [*compacted["output"], said("user", "What is my name?")]
    assert text_of(await socket.response(input=asked, tools=[])) == "Slate"


async def test_a_conversation_is_not_compacted_by_nobody(service: Stack) -> None:
    body = {"input": [said("user", "Greet me.")]}
    async with service.client.post(f"{service.url}/v1/responses/compact", json=body) as answer:
        assert answer.status == 400
