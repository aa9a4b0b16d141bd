"""Any stream, as the AI SDK's own reader puts it together: nothing refused, nothing lost."""

from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings

from adapters.errors import make
from adapters.events import BlockKind, ErrorCode, Failover, SequencedEvent, Status
from service.dialects.projection import Named
from service.dialects.ui_messages import UiMessages
from service.streams.fold import Fold
from tests.clients.nodes import program
from tests.clients.random_streams import streams
from tests.service.dialects.messages_streams import answers

EXAMPLES = 100
PROSE = {BlockKind.TEXT, BlockKind.REFUSAL}
NAMED = Named(stream="st_01", model="auto", created=1)
ASKED = {"messages": [{"id": "u", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}]}
ENDS = {Status.CANCELLED: "abort"}
FORBIDDEN = {"__proto__", "constructor"}
"""Names that the AI SDK refuses in any JSON, whoever sent it."""


def some_streams() -> list[tuple[bytes, Fold]]:
    """Bodies and what they say; every other one begins with an answer that is taken back."""
    made: list[tuple[bytes, Fold]] = []

    @settings(max_examples=EXAMPLES, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(answers(), streams())
    def draw(first: list[SequencedEvent], second: list[SequencedEvent]) -> None:
        fold = Fold()
        for event in second:
            fold.add(event)
        before = [*first[:-1], _restart()] if len(made) % 2 else second[:1]
        dialect = UiMessages()
        projection = dialect.projection(dialect.read(ASKED, {}), NAMED)
        body = b"".join(map(projection.feed, [*before, *second[1:]]))
        made.append((body, fold))

    draw()
    return made


def _restart() -> Failover:
    error = make(ErrorCode.STREAM_INTERRUPTED, "it broke")
    return Failover(from_attempt=1, to=2, mode="restart", error=error, must_understand=True)


def joined(message: dict[str, Any], kind: str) -> str:
    return "".join(part["text"] for part in message["parts"] if part["type"] == kind)


async def test_any_stream_is_put_together_as_it_was_said() -> None:
    made = [
        (body, fold)
        for body, fold in some_streams()
        if not any(name.encode() in body for name in FORBIDDEN)
    ]
    async with program("chat") as chat:
        answer = await chat.do("read", bodies=[body.decode() for body, _ in made])
    assert len(answer["read"]) == len(made) > EXAMPLES / 2
    for (_, fold), seen in zip(made, answer["read"], strict=True):
        message = seen["message"]
        blocks = [block.text for block in fold.blocks.values() if block.start.kind in PROSE]
        assert joined(message, "text") == "".join(blocks)
        assert joined(message, "reasoning") == fold.text(BlockKind.REASONING)
        calls = {
            part["toolCallId"]: part["input"]
            for part in message["parts"]
            if part["type"] == "tool-see" and part["state"] == "input-available"
        }
        told = {call["id"]: orjson.loads(call["arguments"]) for call in fold.tool_calls()}
        assert calls == told
        assert fold.end is not None
        if fold.end.status is Status.FAILED:
            assert (seen["types"][-1], seen["raised"]) == ("error", "so it ended")
            continue
        assert message["metadata"]["usage"].get("inputTokens") == fold.end.usage.input
        assert seen["types"][-1] == ENDS.get(fold.end.status, "finish")
        assert seen["raised"] is None
