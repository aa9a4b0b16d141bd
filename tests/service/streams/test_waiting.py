"""An answer is waited for so long and no longer, and what was asked is asked to its end."""

import asyncio

import pytest
from redis.exceptions import ConnectionError as Away

from adapters.errors import RequestError
from service.streams.waiting import Questions


async def test_an_answer_that_comes_in_time_is_told_and_a_failure_is_raised() -> None:
    async def answers() -> int:
        return 7

    async def fails() -> int:
        raise Away

    questions = Questions()
    assert await questions.within(10, answers()) == 7
    with pytest.raises(Away):
        await questions.within(10, fails())


async def test_what_takes_too_long_is_no_longer_waited_for_and_done_all_the_same() -> None:
    slow, done = asyncio.Event(), asyncio.Event()

    async def late() -> None:
        await slow.wait()
        done.set()

    with pytest.raises(TimeoutError):
        await Questions().within(0.001, late())
    slow.set()
    async with asyncio.timeout(10):
        await done.wait()


async def test_without_redis_a_request_is_told_that_the_others_cannot_be_asked() -> None:
    async def fails() -> int:
        raise Away

    with pytest.raises(RequestError) as refusal:
        await Questions().patiently(fails())
    assert (refusal.value.error.http, refusal.value.error.retryable) == (503, True)


async def test_what_is_not_answered_when_it_closes_is_ended_and_nothing_more_is_asked() -> None:
    questions, asked, ended = Questions(), asyncio.Event(), asyncio.Event()

    async def never() -> None:
        try:
            asked.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def waits() -> None:
        with pytest.raises(TimeoutError):
            await questions.within(60, never())

    async with asyncio.TaskGroup() as group:
        group.create_task(waits())
        await asked.wait()
        await questions.close()
        assert ended.is_set()
    await waits()
