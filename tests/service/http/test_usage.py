"""What was used and spent over a real socket, from real sums and a real stream."""

import asyncio
import csv
import io
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp
import orjson
import pytest

from service import tasks
from service.http.usage import Usage
from service.settings import Streams
from service.usage.database import connect
from service.usage.live import Live, Place, Placed, Source
from service.usage.rollups import Rollups
from service.usage.sums import Reading
from tests.service.http.serving import becomes, served, until
from tests.service.usage.attempts import arrivals, body, oracle

NOW = 1_795_400_000_000_000_000
NUMBERS = range(50)
DAY = "2026-11-23"


class Board:
    """Events that are put up by hand; `service.usage.live.Source`."""

    def __init__(self) -> None:
        self.entries: list[Placed] = []
        self.first = 1
        self._more = asyncio.Event()

    def add(self, *bodies: bytes) -> None:
        first = len(self.entries) + 1
        self.entries += [Placed((7, seq), told) for seq, told in enumerate(bodies, first)]
        self._more.set()

    async def last(self) -> Place:
        return (7, len(self.entries))

    async def holds(self, after: Place) -> bool:
        return (7, self.first - 1) <= after <= await self.last()

    async def read(self, after: Place) -> Sequence[Placed]:
        return [entry for entry in self.entries[self.first - 1 :] if entry.place > after][:500]

    async def wait(self, after: Place) -> Sequence[Placed]:
        self._more.clear()
        found = await self.read(after)
        if not found:
            await self._more.wait()
        return found or await self.read(after)

    async def reset(self) -> None:
        pass


class Bench(NamedTuple):
    board: Board
    live: Live
    url: str
    session: aiohttp.ClientSession


@asynccontextmanager
async def bench(
    path: Path, *, database: str | None = None, **streams: float
) -> AsyncIterator[Bench]:
    """The routes over sums of 50 attempts and a stream without any."""
    rollups = Rollups(partial(connect, database or str(path / "usage.db")))
    if database is None:
        rollups.take(arrivals(NUMBERS), NOW)
    board = Board()

    async def sources() -> Sequence[Source]:
        return [board]

    live = Live(sources)
    routes = Usage(Reading(rollups), live, Streams.model_validate(streams)).routes()
    async with served(*routes) as url, aiohttp.ClientSession() as session:
        yield Bench(board, live, f"{url}/v1/usage", session)
    await tasks.settle()
    rollups.close()


# --- Sums -----------------------------------------------------------------------------------


async def test_sums_are_those_of_another_reckoning(tmp_path: Path) -> None:
    async with (
        bench(tmp_path) as b,
        b.session.get(f"{b.url}?from={DAY}&group_by=provider,model") as response,
    ):
        assert response.status == 200
        assert response.content_type == "application/json"
        told = await response.json()
    expected = oracle(map(body, NUMBERS), "provider", "model")
    assert {
        (row["provider"], row["model"]): [
            row["attempts"],
            row["attempts"] - row["unknown_cost_attempts"],
            int(row["cost_nano_usd"]),
            row["output_tokens"],
        ]
        for row in told["rows"]
    } == expected
    assert told["from"] == f"{DAY}T00:00:00Z"
    assert told["to"] is None
    assert told["total"]["attempts"] == len(NUMBERS)


async def test_csv_has_the_same_rows_as_a_file_to_be_kept(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        async with b.session.get(f"{b.url}?group_by=provider&format=csv") as response:
            assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
            assert response.headers["Content-Disposition"] == "attachment; filename=usage.csv"
            text = await response.text()
        async with b.session.get(f"{b.url}?group_by=provider&format=json") as response:
            rows = (await response.json())["rows"]
    told = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["provider"] for row in told] == [row["provider"] for row in rows]
    assert [row["cost_usd"] for row in told] == [row["cost_usd"] for row in rows]


@pytest.mark.parametrize(
    ("query", "param", "says"),
    [
        ("form=csv", "form", "form: no such parameter; known are from, to, group_by, format"),
        ("format=xml", "format", "format: 'xml' is not allowed; must be json or csv"),
        ("from=yesterday", "from", "from: 'yesterday' is not allowed; must be a date or a time"),
        ("group_by=price", "group_by", "group_by: 'price' is not allowed; must be some of"),
        ("to=2026-11-01&to=2026-11-02", "to", "to: given more than once"),
        ("from=2026-11-02&to=2026-11-01", "from", "must not be after to"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused_by_its_parameter(
    tmp_path: Path, query: str, param: str, says: str
) -> None:
    async with bench(tmp_path) as b, b.session.get(f"{b.url}?{query}") as response:
        assert response.status == 400
        error = (await response.json())["error"]
    assert (error["code"], error["param"]) == ("invalid_request", param)
    assert says in error["message"]


async def test_sums_that_cannot_be_read_are_a_503_that_says_when_to_come_back(
    tmp_path: Path,
) -> None:
    async with (
        bench(tmp_path, database=str(tmp_path)) as b,  # a folder, which no database can be
        b.session.get(b.url) as response,
    ):
        assert response.status == 503
        assert response.headers["Retry-After"] == "1"
        error = (await response.json())["error"]
    assert error["code"] == "internal"
    assert str(tmp_path) not in error["message"]


# --- Events ---------------------------------------------------------------------------------


async def test_events_come_as_they_are_and_a_place_to_go_on_from_at_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as b, b.session.get(f"{b.url}/events") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        opening = await until(response, b"\n\n")
        b.board.add(body(1))
        block = await until(response, b"\n\n")
    retry, key = opening.split(b"\n")[:2]
    assert retry.startswith(b"retry: ")
    assert key == b"id: 7-0"
    assert block == b"id: 7-1\nevent: usage\ndata: %b\n\n" % body(1)


@pytest.mark.parametrize(
    ("query", "headers"),
    [("?after=7-1", {}), ("?after=0", {"Last-Event-ID": "7-1"}), ("", {"Last-Event-ID": "7-1"})],
)
async def test_a_watcher_goes_on_after_the_id_it_names(
    tmp_path: Path, query: str, headers: dict[str, str]
) -> None:
    async with bench(tmp_path) as b:
        b.board.add(*map(body, range(3)))
        async with b.session.get(f"{b.url}/events{query}", headers=headers) as response:
            told = await until(response, b"id: 7-3\n")
    assert b"id: 7-1\n" not in told
    assert b"id: 7-2\n" in told


async def test_what_is_not_kept_any_more_is_said_to_be_gone(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.board.add(*map(body, range(5)))
        b.board.first = 4
        async with b.session.get(f"{b.url}/events?after=7-1") as response:
            told = await until(response, b"id: 7-5\n")
        async with b.session.get(f"{b.url}/events?after=0") as response:
            from_the_beginning = await until(response, b"id: 7-5\n")
    gap = told.partition(b"event: gap\n")[2].partition(b"\n")[0]
    assert told.index(b"event: gap\n") < told.index(b"id: 7-4\n")
    assert orjson.loads(gap.removeprefix(b"data: "))["after"] == "7-1"
    assert b"event: gap" not in from_the_beginning


@pytest.mark.parametrize(
    ("query", "headers", "param"),
    [
        ("?after=", {}, "after"),
        ("?after=$", {}, "after"),
        ("", {"Last-Event-ID": "strm_1:4"}, "Last-Event-ID"),
        ("?before=0", {}, "before"),
    ],
)
async def test_what_is_no_position_is_refused(
    tmp_path: Path, query: str, headers: dict[str, str], param: str
) -> None:
    async with (
        bench(tmp_path) as b,
        b.session.get(f"{b.url}/events{query}", headers=headers) as response,
    ):
        assert response.status == 400
        assert (await response.json())["error"]["param"] == param


async def test_silence_is_filled_with_comments(tmp_path: Path) -> None:
    async with (
        bench(tmp_path, keepalive_s=0.02) as b,
        b.session.get(f"{b.url}/events") as response,
    ):
        told = await until(response, b":\n:\n:\n")
        b.board.add(body(1))
        await until(response, b"id: 7-1\n")
    assert told.count(b"\n\n") == 1


async def test_a_watcher_is_told_when_the_service_ends(tmp_path: Path) -> None:
    async with bench(tmp_path) as b, b.session.get(f"{b.url}/events") as response:
        await until(response, b"\n\n")
        b.live.close()
        rest = await response.read()
    expected = b'{"type":"notice","code":"draining","reconnect_after_ms":1000}'
    assert rest == b"event: notice\ndata: %b\n\n" % expected


async def test_what_is_several_lines_stays_one_event(tmp_path: Path) -> None:
    async with bench(tmp_path) as b, b.session.get(f"{b.url}/events?after=0") as response:
        b.board.add(b'{"a":\n1}')
        block = (await until(response, b"\n\n")).partition(b"id: ")[2]
    assert block == b'7-1\nevent: usage\ndata: {"a":\ndata: 1}\n\n'


async def test_a_watcher_that_takes_nothing_is_told_and_hung_up_on(tmp_path: Path) -> None:
    async with bench(tmp_path, slow_reader_s=0.5) as b:
        b.board.add(*[b"x" * 100_000] * 200)
        address = urlsplit(b.url)
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            slow.connect((address.hostname, address.port))
            slow.send(b"GET /v1/usage/events?after=0 HTTP/1.1\r\nHost: x\r\n\r\n")
            await becomes(lambda: tasks.running() == 1)
            await becomes(lambda: tasks.running() == 0)
            told = await asyncio.to_thread(_everything, slow)
    assert told.endswith(b'"code":"slow_consumer","reconnect_after_ms":1000}\n\n\r\n')
    assert len(told) < 20_000_000


def _everything(connection: socket.socket) -> bytes:
    told = bytearray()
    while data := connection.recv(1 << 20):
        told += data
    return bytes(told)


async def test_nothing_is_left_when_a_watcher_leaves(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        async with b.session.get(f"{b.url}/events") as response:
            await until(response, b"\n\n")
            assert tasks.running() == 1
            response.close()
        await becomes(lambda: tasks.running() == 0)
