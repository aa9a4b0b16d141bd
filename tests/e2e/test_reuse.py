"""A request that dies on a reused connection is sent once more, and no other request ever is."""

from typing import Literal

import pytest

from tests.double.faults import cut_at, hanging_up
from tests.double.script import dropped, reply
from tests.double.steps import Cut
from tests.e2e.cutter import cutting
from tests.e2e.stack import ONE_OF_EACH, Stack

one_of_each = pytest.mark.parametrize("name", ONE_OF_EACH)


@pytest.mark.parametrize("how", ["fin", "rst"])
@one_of_each
async def test_a_request_that_dies_on_a_reused_connection_is_sent_once_more_as_one_attempt(
    name: str, how: Literal["fin", "rst"], alone: Stack
) -> None:
    await alone.ask(f"{name}/auto", reply("one"))
    told = await alone.ask(f"{name}/auto", dropped(Cut(how)), reply("two"))

    assert (told.text, told.end["status"]) == ("two", "completed")
    assert len(told.of("attempt.start")) == len(told.end["attempts"]) == 1
    first, died, again = alone.double.requests
    assert (died.connection, died.turn) == (first.connection, 2)
    assert again.connection != first.connection
    assert again.turn == 1
    assert (again.path, again.key, again.body) == (died.path, died.key, died.body)


@one_of_each
async def test_it_is_sent_once_more_and_not_twice(name: str, alone: Stack) -> None:
    await alone.ask(f"{name}/auto", reply("one"))
    told = await alone.ask(f"{name}/auto", dropped(), dropped(), reply("never"))
    assert (told.status, told.error["code"]) == (502, "upstream_connect")
    assert len(alone.double.requests) == 3
    assert alone.double.unplayed == 1


@one_of_each
async def test_after_the_first_byte_of_an_answer_it_is_not_sent_again(
    name: str, alone: Stack
) -> None:
    await alone.ask(f"{name}/auto", reply("one"))
    told = await alone.ask(f"{name}/auto", reply("two").with_faults(cut_at(0)))
    assert (told.status, told.error["code"]) == (502, "stream_interrupted")
    assert [seen.turn for seen in alone.double.requests] == [1, 2]


PARTS = {
    "a word": b"HTT",
    "a status": b"HTTP/1.1 200 OK\r\n",
    "half a header": b"HTTP/1.1 200 OK\r\nContent-Ty",
}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("name", ["groq", "claude"])
async def test_after_a_part_of_its_headers_it_is_not_sent_again_either(
    name: str, part: bytes
) -> None:
    async with cutting(name) as (running, cutter):
        await running.ask(f"{name}/auto")
        cutter.instead = part
        told = await running.ask(f"{name}/auto")
        assert cutter.asked == 2
    assert (told.status, told.error["code"]) == (502, "upstream_connect")


@one_of_each
async def test_a_provider_that_hangs_up_after_every_answer_is_no_fault(
    name: str, alone: Stack
) -> None:
    script = reply("Hello").with_faults(hanging_up())
    for _ in range(5):
        told = await alone.ask(f"{name}/auto", script)
        assert (told.text, told.end["status"]) == ("Hello", "completed")
        assert len(told.end["attempts"]) == 1


@one_of_each
async def test_a_connection_serves_one_request_after_the_other(name: str, alone: Stack) -> None:
    for _ in range(5):
        await alone.ask(f"{name}/auto", reply("Hello"))
    assert alone.double.accepted == 1
    assert [seen.turn for seen in alone.double.requests] == [1, 2, 3, 4, 5]
