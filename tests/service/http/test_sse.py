"""Delivery to clients that read slowly, late, or speak an older HTTP."""

import asyncio
import socket
from urllib.parse import urlsplit

import orjson

from tests.double.steps import Gate
from tests.service.http.serving import Bench, becomes, body, native, parsed, until
from tests.service.scripted import Scripted, chat, delta

WORD = "w" * 4_096


async def raw_post(
    bench: Bench,
    *,
    version: str = "1.1",
    path: str = "/v1/streams",
    document: dict[str, object] | None = None,
) -> socket.socket:
    """A request from a client that will read only when the test does."""
    where = urlsplit(bench.url)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, (where.hostname, where.port))
    payload = orjson.dumps(document or body())
    head = (
        f"POST {path} HTTP/{version}\r\nHost: {where.netloc}\r\n"
        f"Content-Length: {len(payload)}\r\n\r\n"
    )
    await loop.sock_sendall(connection, head.encode() + payload)
    return connection


async def read_to_end(connection: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    received = b""
    try:
        while data := await loop.sock_recv(connection, 65_536):
            received += data
    except ConnectionResetError:
        pass
    connection.close()
    return received


def dechunked(response: bytes) -> tuple[bytes, bool]:
    """A chunked body, and whether its terminating chunk came."""
    rest = response.partition(b"\r\n\r\n")[2]
    whole = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        if not size or int(size, 16) == 0:
            return whole, bool(size)
        whole += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return whole, False


async def test_a_client_that_stops_reading_is_detached_and_the_stream_goes_on() -> None:
    provider = Scripted(*chat(*[WORD] * 1_000))
    async with native(provider, slow_reader_s=0.2) as bench:
        connection = await raw_post(bench)
        await becomes(lambda: bench.relay.store.live)
        [stream] = bench.relay.store.live
        await stream.over()
        assert stream.log.end is not None
        assert stream.log.end.status == "completed"
        await becomes(lambda: not stream.log.readers)
        text, ended = dechunked(await read_to_end(connection))
        assert not ended, "a cut must not look like an end"
        blocks = parsed(text)
        assert "stream.end" not in {block.event for block in blocks}
        last = [block.data["seq"] for block in blocks if block.id][-1]
        url = f"{bench.url}/v1/streams/{stream.id}?after={last}"
        async with bench.session.get(url) as resumed:
            rest = parsed(await resumed.read())
        assert rest[0].data["seq"] == last + 1
        assert rest[-1].event == "stream.end"


async def test_a_slow_client_gets_every_event_in_order() -> None:
    provider = Scripted(*chat(*[WORD] * 1_000))
    async with native(provider) as bench:
        connection = await raw_post(bench)
        await becomes(lambda: bench.relay.store.live)
        [stream] = bench.relay.store.live
        await stream.over()
        text, ended = dechunked(await read_to_end_keepalive(connection))
        assert ended
        numbers = [block.data["seq"] for block in parsed(text)]
        assert numbers == list(range(stream.log.next))


async def read_to_end_keepalive(connection: socket.socket) -> bytes:
    """Read until the terminating chunk: the connection itself stays open."""
    loop = asyncio.get_running_loop()
    received = bytearray()
    while not received.endswith(b"\r\n0\r\n\r\n"):
        received += await loop.sock_recv(connection, 65_536)
    connection.close()
    return bytes(received)


async def test_an_http_1_0_client_gets_the_plain_body() -> None:
    async with native(Scripted(*chat("hi"))) as bench:
        response = await read_to_end(await raw_post(bench, version="1.0"))
        head, _, text = response.partition(b"\r\n\r\n")
        assert b"chunked" not in head.lower()
        assert parsed(text)[-1].event == "stream.end"


async def test_a_cursor_older_than_the_log_gets_a_snapshot_and_then_what_is_kept() -> None:
    async with native(Scripted(*chat(*"abcdefghij"))) as bench:
        bounded = bench.relay
        bounded._max_events = 6
        async with bench.session.post(bench.url + "/v1/streams", json=body()) as response:
            await response.read()
        stream = response.headers["Tailrace-Stream-Id"]
        async with bench.session.get(f"{bench.url}/v1/streams/{stream}") as late:
            snapshot, *rest = parsed(await late.read())
        assert snapshot.event == "stream.snapshot"
        assert snapshot.id is None
        assert rest[0].data["seq"] == snapshot.data["as_of"] + 1
        text = snapshot.data["blocks"][0]["text"]
        text += "".join(block.data["delta"] for block in rest if block.event == "text.delta")
        assert text == "abcdefghij"


async def test_two_readers_of_one_stream_see_the_same_bytes() -> None:
    gate = Gate()
    async with native(Scripted(delta("a"), gate, *chat("b"))) as bench:
        async with bench.session.post(bench.url + "/v1/streams", json=body()) as first:
            early = await until(first, b"text.delta")
            url = f"{bench.url}/v1/streams/{first.headers['Tailrace-Stream-Id']}"
            async with bench.session.get(url) as second:
                start = await until(second, b"text.delta")
                gate.open()
                whole = (early + await first.read(), start + await second.read())
        assert parsed(whole[0]) == parsed(whole[1])


async def test_a_reader_leaves_nothing_behind() -> None:
    gate = Gate()
    async with native(Scripted(delta("a"), gate, *chat("b"))) as bench:
        async with bench.session.post(bench.url + "/v1/streams", json=body()) as response:
            await until(response, b"text.delta")
            [stream] = bench.relay.store.live
            assert stream.log.readers == 1
            response.close()
        await becomes(lambda: not stream.log.readers)
        gate.open()
        await stream.over()
