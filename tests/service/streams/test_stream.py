"""A generation and its readers: who may wait for what, and when leaving ends it."""

import asyncio

import pytest

from adapters.errors import make
from adapters.events import Error, ErrorCode
from adapters.request import ChatRequest
from service.streams.log import StreamLog
from service.streams.stream import Stream
from tests.service.streams.events_for_tests import end

REQUEST = ChatRequest.model_validate({"messages": [{"role": "user", "content": "hi"}]})


class Generation:
    """What a stream stops: it notes why, and ends the log as the runner would."""

    def __init__(self, *, cancel_after: float | None = None) -> None:
        self.stream = Stream(StreamLog("st_1"), REQUEST, cancel_after=cancel_after)
        self.stopped: list[Error] = []
        self.stream.on_stop(self.stop)

    def stop(self, error: Error) -> None:
        self.stopped.append(error)
        self.finish()

    def finish(self) -> None:
        self.stream.log.append([end()], 0)
        self.stream.mark_ended()


async def test_content_opens_a_stream_and_its_end_closes_it() -> None:
    made = Generation()
    opened = asyncio.ensure_future(made.stream.opened())  # noqa: TID251 - awaited below
    await asyncio.sleep(0)
    assert not opened.done()
    made.stream.mark_committed()
    await opened
    assert made.stream.content_started
    made.finish()
    await made.stream.over()
    assert made.stream.ended


async def test_a_stream_that_ends_without_content_lets_those_who_wait_for_it_go() -> None:
    made = Generation()
    made.finish()
    await made.stream.opened()
    assert not made.stream.content_started


async def test_stopping_gives_the_reason_once() -> None:
    made = Generation()
    made.stream.cancel("enough")
    made.stream.stop(make(ErrorCode.DRAINING, "shutting down"))
    assert [(error.code, error.message) for error in made.stopped] == [
        (ErrorCode.CANCELLED, "enough")
    ]


async def test_without_a_policy_nobody_who_leaves_ends_anything() -> None:
    made = Generation(cancel_after=None)
    made.stream.attach("one")
    made.stream.detach("one")
    assert made.stopped == []


@pytest.mark.parametrize("cancel_after", [0.0, 0.001])
async def test_the_last_one_to_leave_ends_it_after_the_grace(cancel_after: float) -> None:
    made = Generation(cancel_after=cancel_after)
    made.stream.attach("one")
    made.stream.attach("two")
    made.stream.detach("one")
    assert made.stopped == []
    made.stream.detach("two")
    await made.stream.over()
    assert [error.message for error in made.stopped] == ["client left"]


async def test_leaving_twice_is_leaving_once() -> None:
    made = Generation(cancel_after=0)
    made.stream.attach("one")
    made.stream.attach("two")
    made.stream.detach("one")
    made.stream.detach("one")
    assert made.stopped == []


async def test_an_end_stops_the_grace() -> None:
    made = Generation(cancel_after=0.001)
    made.stream.attach("one")
    made.stream.detach("one")
    made.finish()
    await asyncio.wait_for(made.stream.over(), 1)
    assert made.stopped == []
