"""The UI message stream is described as it is: the chunks of any stream, first told and again."""

from jsonschema import Draft202012Validator

from adapters.events import SequencedEvent
from service.dialects.ui_messages import UiMessages
from tests.service.description.any_streams import NAMED, drawn
from tests.service.description.shapes import published, streamed

PATH = "/api/chat"
USER = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "hi"}]}
EARLIER = {
    "id": "a1",
    "role": "assistant",
    "parts": [
        {"type": "step-start"},
        {"type": "reasoning", "text": "Hm."},
        {"type": "text", "text": "Let me look."},
        {
            "type": "tool-look_up",
            "toolCallId": "c1",
            "state": "output-available",
            "input": {"q": 1},
            "output": {"a": 2},
        },
        {
            "type": "dynamic-tool",
            "toolName": "search",
            "toolCallId": "c2",
            "state": "output-error",
            "input": {"q": 1},
            "errorText": "it failed",
        },
        {"type": "source-url", "sourceId": "s1", "url": "https://a.example"},
        {"type": "file", "mediaType": "image/png", "url": "https://a.example/a.png"},
    ],
}
BODY = {"id": "chat", "trigger": "submit-message", "messages": [USER, EARLIER]}


@drawn
def test_any_streams_chunks_are_what_is_described(events: list[SequencedEvent]) -> None:
    dialect = UiMessages()
    # What is told again begins with the message so far; the rest is the same.
    projection = dialect.replay(dialect.read(BODY, {}), NAMED)
    assert streamed(b"".join(map(projection.feed, events)), PATH)


def test_what_a_page_sends_is_what_is_described() -> None:
    body = {"$ref": "#/components/schemas/UiSentBody", **published()}
    validator = Draft202012Validator(body)
    validator.validate(BODY)
    assert not validator.is_valid(BODY | {"messages": [{"role": "user", "parts": [{}]}]})
    assert not validator.is_valid(BODY | {"messages": [USER | {"parts": [{"type": "text"}]}]})
