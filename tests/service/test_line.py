"""The line between a parent and a worker: what is said arrives, whole, and its end is heard."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from service.line import Changed, Drain, Figures, Gathered, Line, Message, Said, framed

Pair = tuple[socket.socket, Line]


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """A bare end to speak into, and the line at the other one."""
    near, far = socket.socketpair()
    with near:
        near.setblocking(False)
        line = await Line.over(far)
        yield near, line
        line.close()


async def heard(line: Line) -> list[Said]:
    """All that is said until the other side is gone."""
    async with asyncio.timeout(10):
        return [message async for message in line.heard()]


async def test_messages_arrive_as_they_were_said_in_their_order(pair: Pair) -> None:
    near, line = pair
    other = await Line.over(near.dup())
    said: list[Message] = [
        Drain(),
        Figures(1, bytes(1_000_000)),
        Changed("groq", enabled=True),
        Gathered(3, {1: b"a", 2: b"b"}, missing=1, restarts={0: 4}),
    ]
    for message in said:
        other.say(message)
    near.close()
    other.close()
    assert await heard(line) == said


async def test_a_line_ends_when_the_other_side_is_gone_even_within_a_message(pair: Pair) -> None:
    near, line = pair
    near.send(framed(Drain()) + framed(Changed("groq", enabled=False))[:-1])
    near.close()
    assert await heard(line) == [Drain()]


async def test_what_is_said_to_nobody_is_lost_and_hurts_nobody(pair: Pair) -> None:
    near, line = pair
    near.close()
    assert await heard(line) == []
    line.close()
    line.say(Drain())


async def test_a_message_of_another_version_is_passed_over_and_the_next_one_is_heard(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    near, line = pair
    unknown = b"\x81\xa4type\xa6Resize"
    near.send(len(unknown).to_bytes(4, "big") + unknown + framed(Drain()))
    near.close()
    assert await heard(line) == [Drain()]
    assert "Resize" in caplog.text


async def test_a_connection_that_fails_in_any_way_is_a_line_that_has_ended() -> None:
    reader = asyncio.StreamReader()
    reader.set_exception(TimeoutError(110, "Connection timed out"))
    near, far = socket.socketpair()
    with near:
        _, writer = await asyncio.open_unix_connection(sock=far)
        line = Line(reader, writer)
        assert await heard(line) == []
        line.close()
