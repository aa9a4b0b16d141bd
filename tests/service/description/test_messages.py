"""The Messages API is described as it is: any stream's events, any whole message, every error."""

import msgspec
import orjson
import pytest
from jsonschema import Draft202012Validator

from adapters.errors import UpstreamError, make
from adapters.events import ErrorCode, SequencedEvent, Status
from service.dialects.messages import Messages
from service.dialects.projection import Asked
from tests.service.description.any_streams import NAMED, drawn, folded
from tests.service.description.shapes import checked, published, streamed

PATH = "/v1/messages"
SAID = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 10}
THINKING = ({}, {"thinking": {"type": "enabled", "budget_tokens": 1_024}})


def asked(fields: dict[str, object]) -> Asked:
    return Messages().read(SAID | fields, {})


@pytest.mark.parametrize("fields", THINKING)
@drawn
def test_any_streams_events_are_what_is_described(
    fields: dict[str, object], events: list[SequencedEvent]
) -> None:
    projection = Messages().projection(asked(fields), NAMED)
    told = [projection.feed(event) + projection.keepalive() for event in events]
    assert streamed(b"".join(told), PATH)


@pytest.mark.parametrize("fields", THINKING)
@drawn
def test_any_whole_answer_is_what_is_described(
    fields: dict[str, object], events: list[SequencedEvent]
) -> None:
    fold = folded(events)
    if fold.end.status in (Status.COMPLETED, Status.INCOMPLETE):
        try:
            document, name = Messages().document(asked(fields), NAMED, fold, fold.end), "Message"
        except (
            UpstreamError
        ) as failure:  # a call without usable arguments, of which no message is made
            document, name = Messages().failure(failure.error), "AnthropicError"
        checked(msgspec.json.encode(document), name)


@pytest.mark.parametrize("code", ErrorCode)
def test_every_error_is_what_is_described(code: ErrorCode) -> None:
    checked(orjson.dumps(Messages().failure(make(code, "no"))), "AnthropicError")


@pytest.mark.parametrize(
    ("content", "served"),
    [
        ([{"type": "text", "text": "hi"}], True),
        ([{"type": "text"}], False),
        ([{"type": "tool_result", "tool_use_id": "t", "content": "x"}], True),
        ([{"type": "container_upload", "file_id": "f"}], False),
    ],
)
def test_a_block_is_one_that_is_served_by_its_type(
    content: list[dict[str, str]], *, served: bool
) -> None:
    body = {"$ref": "#/components/schemas/MessagesBody", **published()}
    sent = SAID | {"messages": [{"role": "user", "content": content}]}
    assert Draft202012Validator(body).is_valid(sent) is served
