"""Answers at their reader's pace: a bell that says there is more, and a peer that is in time."""

import asyncio

import aiohttp
from aiohttp import web

from adapters.events import TextDelta
from service.http import handshake, paced
from service.http.paced import Bell
from service.settings import Streams, Websocket
from service.streams.log import StreamLog
from tests.service.http.serving import served

MIB = 1024 * 1024


async def test_a_bell_rings_for_what_comes_after_it_was_waited_for() -> None:
    log, bell = StreamLog("st_1"), Bell()
    log.subscribe(bell)
    log.append([TextDelta("b1.0", "read already")], 0)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        waiting = group.create_task(bell.rings())
        await asyncio.sleep(0)
        assert not waiting.done()
        log.append([TextDelta("b1.0", "new")], 0)


async def test_a_peer_that_takes_nothing_is_cut_off() -> None:
    cut: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def flood(request: web.Request) -> web.StreamResponse:
        ws, _ = await handshake.shaken(request, Websocket(), Streams())
        try:
            while True:
                await paced.send(ws, request.transport, "w" * MIB, 0.2)
        except ConnectionError as gone:
            cut.set_result(str(gone))
        return ws

    async with (
        served(web.get("/", flood)) as url,
        aiohttp.ClientSession() as session,
        session.ws_connect(url, max_msg_size=0) as ws,
    ):
        assert ws._conn is not None
        assert ws._conn.transport is not None
        ws._conn.transport.pause_reading()
        assert await asyncio.wait_for(cut, 10) == "the client takes nothing"
        ws._conn.transport.abort()  # or it would wait ten seconds for the other side's farewell
