"""A worker's place: it does what its parent says, and tells what concerns the others."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from service.line import (
    Ask,
    Changed,
    Drain,
    Figures,
    Gathered,
    Line,
    Message,
    Refused,
    Reload,
    Reloaded,
    Said,
    Serving,
    Tell,
)
from service.seat import REFUSED, Orders, Seat, announce, cannot_listen, log_format, place
from service.settings import Server, SettingsError


@dataclass
class Working:
    """A worker with its parent, and what it was told to do."""

    seat: Seat
    parent: Line
    drained: asyncio.Event = field(default_factory=asyncio.Event)
    followed: list[tuple[str, bool]] = field(default_factory=list)
    refusal: str = ""
    may_reload: asyncio.Event = field(default_factory=asyncio.Event)
    fault: Exception | None = None
    """A bug in everything that it is told to do."""

    def close(self) -> None:
        """As the end of the process does."""
        for descriptor in (self.seat._end, *self.seat.listening):
            descriptor.close()

    async def attend(self) -> None:
        orders = Orders(
            drain=self.drained.set, reload=self.reload, follow=self.follow, figures=self.figures
        )
        await self.seat.attend(orders)
        assert await self.said() == Serving()

    async def reload(self) -> None:
        await self.may_reload.wait()
        self.fail()
        if self.refusal:
            raise SettingsError(self.refusal)

    async def follow(self, provider: str, enabled: bool) -> None:  # noqa: FBT001 - as `Orders`
        self.fail()
        self.followed.append((provider, enabled))

    async def figures(self) -> bytes:
        self.fail()
        return b"figures"

    def fail(self) -> None:
        if self.fault is not None:
            raise self.fault

    async def said(self) -> Said:
        """What the worker says next."""
        async with asyncio.timeout(10):
            async for message in self.parent.heard():
                return message
        raise AssertionError("the worker is gone")

    async def told(self, message: Message) -> Said:
        """What the worker answers."""
        self.parent.say(message)
        return await self.said()


@asynccontextmanager
async def seated() -> AsyncIterator[Working]:
    ours, theirs = socket.socketpair()
    with socket.socket() as listening:
        seat = Seat.parse(place(1, 3, theirs, [listening.dup().detach()]))
        theirs.detach()  # it is the seat's now
        working = Working(seat, await Line.over(ours))
        working.may_reload.set()
        try:
            yield working
        finally:
            await seat.leave()
            working.parent.close()
            working.close()


async def test_a_worker_says_that_it_serves_and_does_what_it_is_told() -> None:
    async with seated() as working:
        await working.attend()
        assert await working.told(Reload()) == Reloaded()
        working.refusal = "server.port: 'x' is not allowed"
        assert await working.told(Reload()) == Refused("server.port: 'x' is not allowed")
        working.parent.say(Changed("groq", enabled=True))
        assert await working.told(Tell(7)) == Figures(7, b"figures")
        assert working.followed == [("groq", True)]
        assert not working.drained.is_set()
        working.parent.say(Drain())
        async with asyncio.timeout(10):
            await working.drained.wait()


async def test_while_a_worker_reads_the_configuration_it_hears_what_else_it_is_told() -> None:
    async with seated() as working:
        await working.attend()
        working.may_reload.clear()
        working.parent.say(Reload())
        assert await working.told(Tell(7)) == Figures(7, b"figures")
        working.may_reload.set()
        assert await working.said() == Reloaded()
        working.may_reload.clear()
        working.parent.say(Reload())
        working.parent.say(Drain())
        async with asyncio.timeout(10):
            await working.drained.wait()  # and `leave` waits for nothing


async def test_a_worker_with_a_bug_says_so_and_goes_on_hearing_its_parent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with seated() as working:
        await working.attend()
        working.fault = KeyError("test-key-openai")
        working.parent.say(Changed("groq", enabled=True))
        working.parent.say(Tell(7))
        answer = await working.told(Reload())
        assert answer == Refused("the service failed: KeyError, see the log")
        working.fault = None
        assert await working.told(Tell(8)) == Figures(8, b"figures")
        assert "Changed was not carried out" in caplog.text
        assert "Tell was not carried out" in caplog.text

        working.fault = KeyError("a bug")
        working.parent.say(Tell(9))
        working.parent.close()
        async with asyncio.timeout(10):
            await working.drained.wait()


async def test_a_worker_that_was_told_before_it_listened_does_it_all_the_same() -> None:
    async with seated() as working:
        working.parent.say(Drain())
        await working.attend()
        async with asyncio.timeout(10):
            await working.drained.wait()


async def test_a_worker_whose_parent_is_gone_drains(caplog: pytest.LogCaptureFixture) -> None:
    async with seated() as working:
        await working.attend()
        with caplog.at_level(logging.WARNING):
            working.parent.close()
            async with asyncio.timeout(10):
                await working.drained.wait()
    assert "is gone" in caplog.text


async def test_what_is_changed_here_is_told_to_the_parent() -> None:
    async with seated() as working:
        working.seat.changed("groq", enabled=True)  # nobody hears it yet
        await working.attend()
        working.seat.changed("openai", enabled=False)
        assert await working.said() == Changed("openai", enabled=False)


async def test_the_figures_of_the_others_are_the_parents_answer_to_the_own_question() -> None:
    async with seated() as working, asyncio.TaskGroup() as tasks:
        await working.attend()
        first = tasks.create_task(working.seat.gather())
        second = tasks.create_task(working.seat.gather())
        assert await working.said() == Ask(0)
        assert await working.said() == Ask(1)
        for question in (1, 0):
            working.parent.say(Gathered(question, {2: b"%d" % question}, 1, {}))
        assert (await first).figures == {2: b"0"}
        assert (await second).figures == {2: b"1"}


async def test_an_answer_that_nobody_waits_for_any_more_is_left_alone() -> None:
    async with seated() as working:
        await working.attend()
        working.parent.say(Gathered(9, {}, 0, {}))
        assert await working.told(Reload()) == Reloaded()


async def test_without_a_parent_all_the_others_are_missing() -> None:
    async with seated() as working, asyncio.TaskGroup() as tasks:
        await working.attend()
        asked = tasks.create_task(working.seat.gather())
        assert await working.said() == Ask(0)
        working.parent.close()
        assert await asked == Gathered(0, {}, missing=2, restarts={})


async def test_where_the_parent_does_not_answer_all_the_others_are_missing() -> None:
    async with seated() as working:
        await working.attend()
        assert await working.seat.gather() == Gathered(0, {}, missing=2, restarts={})


async def test_a_refusal_reaches_the_parent_and_ends_the_worker_with_2() -> None:
    async with seated() as working:
        assert working.seat.refuse(SettingsError("server.data: no")) == REFUSED == 2
        assert await working.said() == Refused("server.data: no")


@pytest.mark.parametrize("text", ["", "1", "1:2:x:3", "1:2:99999:99999", "1:2:0"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Seat.parse(text)


async def test_a_workers_log_lines_carry_its_number_and_a_single_process_has_none() -> None:
    async with seated() as working:
        assert "worker 1: %(message)s" in log_format(working.seat)
    assert "worker" not in log_format(None)


@pytest.mark.parametrize(
    ("address", "url"),
    [(("127.0.0.1", 8180), "http://127.0.0.1:8180"), (("::1", 80, 0, 0), "http://[::1]:80")],
)
def test_the_start_up_line_is_an_address_to_open(
    address: tuple[object, ...], url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    announce(address)
    assert capsys.readouterr().out == f"Tailrace is at {url}\n"


def test_an_address_that_cannot_be_had_is_named() -> None:
    refusal = cannot_listen(Server(port=80), OSError(13, "Permission denied"))
    assert str(refusal) == "server.port: cannot listen on 127.0.0.1:80: Permission denied"
