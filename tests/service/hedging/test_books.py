"""What is written down, told and summed up of a request's attempts."""

import pytest

from adapters.errors import make
from adapters.events import Ending, ErrorCode, Finish, Outcome, Phase, Status
from adapters.request import ChatRequest
from service.clock import monotonic
from service.hedging.books import Books
from service.hedging.shared import Shared
from service.routing.plan import Plan
from service.streams.log import StreamLog
from service.streams.stream import Stream
from service.usage.meter import Meter
from tests.service.hedging.test_entrant import TOLD, entrant
from tests.service.usage.notebook import Notebook


def opened(notebook: Notebook) -> tuple[Books, Stream]:
    request = ChatRequest.model_validate({"messages": [{"role": "user", "content": "hi"}]})
    plan = Plan(policy="test", request=request, choices=(), input_tokens=9)
    stream = Stream(StreamLog("st_1"), request, cancel_after=None)
    shared = Shared.fresh(meter=Meter(notebook))
    return Books(stream, plan, shared, request_id="rq_1", arrived=monotonic()), stream


@pytest.mark.parametrize("begun", [False, True])
async def test_an_error_of_the_request_says_how_far_its_answer_had_come(begun: bool) -> None:  # noqa: FBT001 - drawn
    books, stream = opened(Notebook())
    if begun:
        stream.mark_committed()
    end = books.end(None, make(ErrorCode.TIMEOUT_TOTAL, "too long"))
    assert (end.status, end.usage.requests, end.attempts) == (Status.FAILED, 0, [])
    assert end.error is not None
    assert end.error.bytes_out is begun
    assert (end.error.phase is Phase.MID_STREAM) is begun


async def test_an_attempt_is_closed_once_and_its_end_is_safe_when_it_is_written_down() -> None:
    notebook = Notebook()
    books, _ = opened(notebook)
    attempt = await entrant()
    books.open(attempt, None)
    books.entrants[attempt.entry] = attempt
    attempt.attempt.ending = Ending(finish=Finish.STOP, usage=TOLD)
    end = books.close(attempt, saved=None)
    assert end is not None
    assert end.outcome is Outcome.COMPLETED
    assert books.close(attempt, saved=None) is None
    assert len(books.unsafe()) == 1
    notebook.safe()
    assert books.unsafe() == []
    assert len(notebook.closed) == 1


async def test_an_attempt_names_the_one_that_it_was_started_because_of() -> None:
    notebook = Notebook()
    books, _ = opened(notebook)
    first, second = await entrant(), await entrant()
    books.open(first, None)
    books.open(second, first)
    assert notebook.opened[0]["data"]["parent_attempt"] is None
    assert notebook.opened[1]["data"]["parent_attempt"] == notebook.opened[0]["id"]
