"""Chat completions are described as they are: any stream's chunks, any document, every error."""

import orjson
import pytest

from adapters.errors import make
from adapters.events import ErrorCode, SequencedEvent, Status
from adapters.request import ChatRequest
from service.dialects.chat_completions import ChatCompletions
from service.dialects.projection import Asked
from tests.service.description.any_streams import NAMED, drawn, folded
from tests.service.description.shapes import checked, streamed

PATH = "/v1/chat/completions"
SAID = {"messages": [{"role": "user", "content": "hi"}]}


def asked(*, counted: bool) -> Asked:
    body = SAID | {"stream_options": {"include_usage": counted}}
    return Asked(chat=ChatRequest.model_validate(SAID), streams=True, body=body)


@drawn
def test_any_streams_chunks_are_what_is_described(events: list[SequencedEvent]) -> None:
    for counted in (True, False):
        projection = ChatCompletions().projection(asked(counted=counted), NAMED)
        assert streamed(b"".join(map(projection.feed, events)), PATH)


@drawn
def test_any_whole_answer_is_what_is_described(events: list[SequencedEvent]) -> None:
    fold = folded(events)
    if fold.end.status in (Status.COMPLETED, Status.INCOMPLETE):
        document = ChatCompletions().document(asked(counted=True), NAMED, fold, fold.end)
        checked(orjson.dumps(document), "ChatCompletion")


@pytest.mark.parametrize("code", ErrorCode)
def test_every_error_is_what_is_described(code: ErrorCode) -> None:
    checked(orjson.dumps(ChatCompletions().failure(make(code, "no"))), "OpenAIError")
