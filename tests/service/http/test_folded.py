"""A stream as one JSON document."""

import msgspec

from adapters.errors import make
from adapters.events import (
    BlockEnd,
    BlockKind,
    BlockStart,
    Error,
    ErrorCode,
    Event,
    Finish,
    ReasoningDelta,
    RefusalDelta,
    Status,
    StreamEnd,
    ToolDelta,
)
from adapters.request import ChatRequest
from service.http import folded
from service.streams.fold import Fold
from service.streams.log import StreamLog
from service.streams.stream import Stream
from tests.service.streams.events_for_tests import attempt, end, start, text_block

REQUEST = ChatRequest.model_validate({"messages": [{"role": "user", "content": "hi"}]})


def fold_of(*events: Event) -> Fold:
    fold = Fold()
    for event in events:
        fold.add(event)
    return fold


def test_each_kind_of_block_has_its_own_field() -> None:
    fold = fold_of(
        start(),
        *attempt(),
        BlockStart(block="b1.0", index=0, attempt=1, kind=BlockKind.REASONING, form="raw"),
        ReasoningDelta("b1.0", "hm"),
        *text_block("b1.1", "Hel", "lo", index=1),
        BlockStart(
            block="b1.2", index=2, attempt=1, kind=BlockKind.TOOL_CALL, call_id="c1", name="add"
        ),
        ToolDelta("b1.2", "{}"),
        BlockEnd(block="b1.2", status="complete", args="{}", args_valid=True),
    )
    document = folded.document("st_1", fold, end())
    assert (document["reasoning"], document["content"]) == ("hm", "Hello")
    assert document["tool_calls"] == [{"id": "c1", "name": "add", "arguments": "{}"}]
    assert (document["id"], document["status"], document["finish"]) == ("st_1", "completed", "stop")
    assert "refusal" not in document
    assert "error" not in document


def test_a_refusal_is_shown_where_there_is_one() -> None:
    fold = fold_of(
        BlockStart(block="b1.0", index=0, attempt=1, kind=BlockKind.REFUSAL),
        RefusalDelta("b1.0", "no"),
    )
    assert folded.document("st_1", fold, end(Finish.REFUSAL))["refusal"] == "no"


async def test_an_answer_cancelled_before_content_is_499() -> None:
    log = StreamLog("st_1")
    stream = Stream(log, REQUEST, cancel_after=None)
    error = make(ErrorCode.CANCELLED, "client left")
    log.append([start()], 0)
    log.append([_with(error)], 0)
    stream.mark_ended()
    response = await folded.answer(stream)
    assert response.status == 499
    assert response.headers["Tailrace-Stream-Id"] == "st_1"


def _with(error: Error) -> StreamEnd:
    return msgspec.structs.replace(
        end(Finish.CANCELLED, Status.CANCELLED), error=error, provider=None, model=None
    )
