"""Responses are described as they are: any stream's events, the resource at any moment, errors."""

import msgspec
import orjson
import pytest

from adapters.errors import make
from adapters.events import BlockKind, BlockStart, ErrorCode, SequencedEvent, TextDelta
from service.dialects.responses import Responses
from service.dialects.responses_compaction import Compaction
from service.dialects.responses_request import ECHOED
from service.streams.fold import Fold
from tests.service.description.any_streams import NAMED, drawn, folded
from tests.service.description.shapes import checked, published, streamed
from tests.service.dialects.responses_streams import ending, no_turn

DIALECT = Responses(no_turn)
ASKED = DIALECT.read(
    {
        "input": "hi",
        "instructions": "be brief",
        "stream": True,
        "metadata": {"mine": "1"},
        "temperature": 0.5,
        "tools": [{"type": "function", "name": "look_up"}],
        "tool_choice": {"type": "function", "name": "look_up"},
        "text": {"format": {"type": "json_object"}},
        "reasoning": {"effort": "low"},
    },
    {},
)


@drawn
def test_any_streams_events_are_what_is_described(events: list[SequencedEvent]) -> None:
    projection = DIALECT.projection(ASKED, NAMED)
    assert streamed(b"".join(map(projection.feed, events)), "/v1/responses")


@drawn
def test_the_resource_is_what_is_described_at_any_moment(events: list[SequencedEvent]) -> None:
    for some in (events[:1], events[: len(events) // 2], events):
        fold = folded(some)
        document = DIALECT.document(ASKED, NAMED, fold, fold.end)
        checked(msgspec.json.encode(document), "ResponseResource")


def test_a_response_that_was_to_generate_nothing_is_what_is_described() -> None:
    for event in DIALECT.nothing(ASKED, NAMED):
        checked(msgspec.json.encode(event), "ResponseEvent")


@pytest.mark.parametrize("code", ErrorCode)
def test_every_error_is_what_is_described(code: ErrorCode) -> None:
    checked(orjson.dumps(DIALECT.failure(make(code, "no"))), "OpenAIError")


def test_a_compacted_conversation_is_what_is_described() -> None:
    shown = {"type": "input_image", "image_url": "https://a.test/b.png"}
    words = {"type": "input_text", "text": "Look."}
    said = {"input": [{"role": "user", "content": [words, shown]}], "model": "auto"}
    fold, dialect = Fold(), Compaction(no_turn)
    fold.add(BlockStart(block="b", index=0, attempt=0, kind=BlockKind.TEXT))
    fold.add(TextDelta("b", "A picture."))
    document = dialect.document(dialect.read(said, {}), NAMED, fold, ending())
    checked(msgspec.json.encode(document), "Compacted")


def test_all_that_an_answer_repeats_is_described_where_it_is_asked() -> None:
    parts = published()["components"]["schemas"]
    assert set(ECHOED) <= set(parts["ResponseRequest"]["properties"])
    assert set(ECHOED) <= set(parts["ResponseResource"]["properties"])
