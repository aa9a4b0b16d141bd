"""What no client should send, sent to every WebSocket that the service has.

The cases are those of the Autobahn test suite (`make autobahn`), by its chapters, and some that it
does not have: masks, lengths, connections that break inside a frame, handshakes. After each one:
the close code is right, nothing is logged that asks for attention, no task, timer or socket is left
of it, and another socket of the process is still served.

One code is aiohttp's own and not the standard's: a peer that closes with 1006, which may not be
sent, is answered with 1000 (Autobahn 7.9.5).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise

import orjson
import pytest

from service.settings import Settings, Websocket
from tests.e2e.frames import RIGHT, Op, Peer, closing, connection, frame, handshake, peer
from tests.e2e.stack import Stack, nothing_left, stack

KIB = 1024
MOST = 64 * KIB
"""A message may have less than that here, so that the cases that exceed it are quick."""

PROTOCOL, TEXT, TOO_BIG, NORMAL = 1002, 1007, 1009, 1000


@dataclass(frozen=True, slots=True)
class Socket:
    """One of the service's WebSockets, and the least that it answers to."""

    path: str
    ask: bytes
    answers: bytes
    """In the answer to `ask`."""
    binary: int | None
    """What a binary frame closes it with; None: it is told and stays."""
    nonsense: int | None
    """What messages that are none of its own close it with; None: as above."""


SOCKETS = (
    Socket("/v1/ws", b'{"t":"ping","ts":7}', b'{"t":"pong","ts":7}', 1003, 4400),
    Socket(
        "/v1/responses",
        '{"type":"respond.crème"}'.encode(),
        b"must be 'response.create'",
        None,
        None,
    ),
    Socket(
        "/api/chat/ws",
        b'{"type":"resume","requestId":"r","id":"none"}',
        b'"type":"no-active"',
        1003,
        4400,
    ),
)


@dataclass(frozen=True, slots=True)
class Case:
    """What is sent, and the code that it is closed with; None: what asks in it is answered."""

    sent: bytes
    code: int | None


Cases = Callable[[Socket], dict[str, Case]]

BROKEN_TEXT = {
    "a byte that is never there": b"\xff",
    "a continuation alone": b"\x80",
    "a beginning alone": b"\xce",
    "an overlong slash": b"\xc0\xaf",
    "an overlong NUL": b"\xe0\x80\x80",
    "half a surrogate pair": b"\xed\xa0\x80",
    "a surrogate pair": b"\xed\xa0\x80\xed\xb0\x80",
    "beyond the last character": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "cut off in a character": b"\xf0\x9f\x98",
}


def text(payload: bytes, *cuts: int) -> bytes:
    """A text message, in fragments if it is cut."""
    parts = [payload[a:b] for a, b in pairwise((0, *cuts, len(payload)))]
    last = len(parts) - 1
    return b"".join(
        frame(Op.CONTINUATION if number else Op.TEXT, part, fin=number == last)
        for number, part in enumerate(parts)
    )


# --- The chapters ---------------------------------------------------------------------------


def fragments(socket: Socket) -> dict[str, Case]:
    """Autobahn's chapter 5, and 1: how a message may be cut."""
    ask, ping = socket.ask, frame(Op.PING, b"between")
    begun = frame(Op.TEXT, ask[:5], fin=False)
    rest = frame(Op.CONTINUATION, ask[5:])
    return {
        "in two": Case(text(ask, 5), None),
        "byte by byte": Case(text(ask, *range(1, len(ask))), None),
        "with nothing in between": Case(text(ask, 5, 5, 5), None),
        "with a ping in between": Case(begun + ping + rest, None),
        "with a pong in between": Case(begun + frame(Op.PONG, b"x") + rest, None),
        "with a close in between": Case(begun + closing(1000) + rest, NORMAL),
        "a continuation of nothing": Case(rest, PROTOCOL),
        "a last part twice": Case(begun + rest + rest, PROTOCOL),
        "a new message inside of one": Case(begun + frame(Op.TEXT, ask), PROTOCOL),
        "a binary message inside of one": Case(begun + frame(Op.BINARY, b"x"), PROTOCOL),
        "a ping in two": Case(frame(Op.PING, b"a", fin=False), PROTOCOL),
        "a pong in two": Case(frame(Op.PONG, b"a", fin=False), PROTOCOL),
        "a close in two": Case(frame(Op.CLOSE, b"\x03", fin=False), PROTOCOL),
    }


def reserved(socket: Socket) -> dict[str, Case]:
    """Chapters 3 and 4: bits and opcodes that nobody has agreed on."""
    bits = {
        f"{op.name} with the bits {rsv:03b}": Case(frame(op, rsv=rsv), PROTOCOL)
        for op in Op
        for rsv in (1, 2, 4, 7)
    }
    codes = {
        f"opcode {op}": Case(frame(op, b"x"), PROTOCOL) for op in range(16) if op not in set(Op)
    }
    return bits | codes | {"behind what is right": Case(text(socket.ask) + frame(3), PROTOCOL)}


def masks(socket: Socket) -> dict[str, Case]:
    """A client's frames are masked, with any mask."""
    return {
        **{f"{op.name} without": Case(frame(op, mask=b""), PROTOCOL) for op in Op},
        "a text without": Case(frame(Op.TEXT, socket.ask, mask=b""), PROTOCOL),
        "only one part with": Case(
            frame(Op.TEXT, b"{", fin=False) + frame(Op.CONTINUATION, b"}", mask=b""), PROTOCOL
        ),
        "of zeros": Case(frame(Op.TEXT, socket.ask, mask=bytes(4)), None),
        "HTTP instead": Case(b"GET / HTTP/1.1\r\n\r\n", PROTOCOL),
        "TLS instead": Case(bytes.fromhex("16030100a5010000a10303"), PROTOCOL),
    }


def control(socket: Socket) -> dict[str, Case]:
    """Chapter 2: pings, pongs and how long they may be."""
    ask = text(socket.ask)
    return {
        "the longest ping": Case(frame(Op.PING, bytes(range(125))) + ask, None),
        "a ping too long": Case(frame(Op.PING, bytes(126)), PROTOCOL),
        "a ping much too long": Case(frame(Op.PING, length=70_000), PROTOCOL),
        "a pong too long": Case(frame(Op.PONG, bytes(126)), PROTOCOL),
        "a close too long": Case(closing(1000, b"x" * 124), PROTOCOL),
        "pongs that nobody asked for": Case(frame(Op.PONG, b"hello") * 10 + ask, None),
    }


def characters(socket: Socket) -> dict[str, Case]:
    """Chapter 6: text that is none, in one piece and in two."""
    ask = socket.ask
    right = {f"cut at byte {n}": Case(text(ask, n), None) for n in range(1, len(ask), 3)}
    wrong = {
        name + how: Case(sent, TEXT)
        for name, bad in BROKEN_TEXT.items()
        for how, sent in (
            ("", text(b"{" + bad)),
            (", cut", text(b"{" + bad, 1 + len(bad) // 2)),
            (", before more", text(b"{" + bad + b"}" * 100, 1 + len(bad))),
        )
    }
    return right | wrong


def closes(socket: Socket) -> dict[str, Case]:
    """Chapter 7: how a peer says goodbye."""
    del socket
    fair = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    foul = (0, 1, 999, 1004, 1005, 1016, 1100, 2000, 2999)
    return {
        "without a code": Case(frame(Op.CLOSE), NORMAL),
        "with half a code": Case(frame(Op.CLOSE, b"\x03"), PROTOCOL),
        "with a long reason": Case(closing(1000, b"x" * 123), NORMAL),
        "with a reason that is no text": Case(closing(1000, b"\xce\xba\xff"), TEXT),
        **{f"with {code}": Case(closing(code), NORMAL) for code in fair},
        **{f"with {code}": Case(closing(code), PROTOCOL) for code in foul},
        "with 1006, which is aiohttp's own": Case(closing(1006), NORMAL),
        "twice": Case(closing(1000) * 2, NORMAL),
        "and goes on": Case(closing(1000) + frame(Op.PING) + frame(3), NORMAL),
    }


def sizes(socket: Socket) -> dict[str, Case]:
    """Messages that are too long: known from their heads, before they have come."""
    part = frame(Op.TEXT, b"[" * 40 * KIB, fin=False)
    return {
        "as long as may be": Case(text(b" " * (MOST - 1 - len(socket.ask)) + socket.ask), None),
        "one too many": Case(frame(Op.TEXT, length=MOST), TOO_BIG),
        "two to the power of 62": Case(frame(Op.TEXT, length=1 << 62), TOO_BIG),
        "with the highest bit": Case(frame(Op.TEXT, length=1 << 63), TOO_BIG),
        "in two halves": Case(part + frame(Op.CONTINUATION, length=40 * KIB), TOO_BIG),
        "binary": Case(frame(Op.BINARY, length=MOST), TOO_BIG),
    }


CHAPTERS: tuple[Cases, ...] = (fragments, reserved, masks, control, characters, closes, sizes)


# --- How they are tried ---------------------------------------------------------------------


@asynccontextmanager
async def service() -> AsyncIterator[Stack]:
    async with stack("openai", settings=Settings(websocket=Websocket(max_frame_bytes=MOST))) as it:
        yield it


async def is_served(client: Peer, socket: Socket) -> None:
    client.send(text(socket.ask))
    assert socket.answers in await client.hear_text()


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def alarming(log: pytest.LogCaptureFixture) -> list[str]:
    """What was logged that an operator would have to look at."""
    return [
        record.getMessage()
        for record in log.records
        if record.levelno >= logging.WARNING or record.exc_info
    ]


sockets = pytest.mark.parametrize("socket", SOCKETS, ids=lambda socket: socket.path)


@sockets
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.__name__)
async def test_a_peer_is_closed_with_the_right_code_and_concerns_nobody_else(
    socket: Socket, chapter: Cases, caplog: pytest.LogCaptureFixture
) -> None:
    async with service() as running, peer(running.url + socket.path) as other:
        await is_served(other, socket)
        for name, case in chapter(socket).items():
            async with nothing_left(running), peer(running.url + socket.path) as client:
                client.send(case.sent)
                if case.code is None:
                    assert socket.answers in await client.hear_text(), name
                else:
                    assert await client.closed() == case.code, name
            assert alarming(caplog) == [], name
        await is_served(other, socket)


@sockets
async def test_nothing_depends_on_how_bytes_arrive(socket: Socket) -> None:
    sent = frame(Op.PING, b"p") + text(socket.ask, 3) + frame(3)[:2]
    async with service() as running, peer(running.url + socket.path) as client:
        for byte in sent:
            client.send(bytes([byte]))
            await asyncio.sleep(0)
        assert await client.hear() == (Op.PONG, b"p")
        assert socket.answers in await client.hear_text()
        assert await client.closed() == PROTOCOL


@sockets
async def test_what_comes_in_one_with_the_handshake_is_read(socket: Socket) -> None:
    async with service() as running:
        async with peer(running.url + socket.path, early=text(socket.ask)) as client:
            assert socket.answers in await client.hear_text()
        async with peer(running.url + socket.path, early=frame(3)) as client:
            assert await client.closed() == PROTOCOL


@sockets
async def test_every_ping_of_a_flood_is_answered_in_order(socket: Socket) -> None:
    async with service() as running, peer(running.url + socket.path) as client:
        numbers = [b"%d" % number for number in range(2_000)]
        client.send(*(frame(Op.PING, number) for number in numbers))
        for number in numbers:
            assert await client.hear() == (Op.PONG, number)
        await is_served(client, socket)


@sockets
async def test_a_connection_that_breaks_inside_a_frame_leaves_nothing(
    socket: Socket, caplog: pytest.LogCaptureFixture
) -> None:
    whole = text(socket.ask, 10) + frame(Op.PING, b"x" * 100) + frame(Op.TEXT, b"y" * 300)
    async with service() as running:
        for length in range(0, len(whole), 17):
            async with nothing_left(running), peer(running.url + socket.path) as client:
                client.send(whole[:length])
                assert await client.leave() in {None, NORMAL, PROTOCOL, socket.nonsense}
            assert alarming(caplog) == [], length


@sockets
async def test_a_binary_message_is_not_taken(socket: Socket) -> None:
    async with service() as running:
        for payload in (b"", socket.ask, bytes(range(256))):
            async with nothing_left(running), peer(running.url + socket.path) as client:
                client.send(frame(Op.BINARY, payload))
                if socket.binary is not None:
                    assert await client.closed() == socket.binary
                else:
                    assert orjson.loads(await client.hear_text())["status"] == 400
                    await is_served(client, socket)


NONSENSE = (
    b"",
    b"hello",
    b"{",
    b"[]",
    b"null",
    b"7",
    b'"t"',
    b"{}",
    b'{"t":7,"type":7}',
    b"[" * KIB,
)


@sockets
async def test_a_message_that_is_none_is_told_or_closes(
    socket: Socket, caplog: pytest.LogCaptureFixture
) -> None:
    async with service() as running:
        for message in NONSENSE:
            async with nothing_left(running), peer(running.url + socket.path) as client:
                if socket.path == "/v1/ws":
                    client.send(text(b'{"t":"init"}'))
                client.send(text(message) * 3)
                if socket.nonsense is not None:
                    assert await client.closed() == socket.nonsense, message
                else:
                    told = [orjson.loads(await client.hear_text()) for _ in range(3)]
                    assert [each["status"] for each in told] == [400, 400, 400], message
            assert alarming(caplog) == [], message


WRONG_HANDSHAKES = {
    "no key": (400, {"Sec-WebSocket-Key": ""}),
    "a short key": (400, {"Sec-WebSocket-Key": "c2hvcnQ="}),
    "a key that is no base64": (400, {"Sec-WebSocket-Key": "not base64!"}),
    "no version": (400, {"Sec-WebSocket-Version": ""}),
    "another version": (400, {"Sec-WebSocket-Version": "12"}),
    "no upgrade": (426, {"Upgrade": ""}),
    "another upgrade": (426, {"Upgrade": "h2c"}),
    "an upgrade of nothing": (400, {"Connection": "close"}),
    "another host": (403, {"Host": "evil.example", "Upgrade": ""}),
}


@sockets
async def test_a_wrong_handshake_is_an_http_error_that_says_so(
    socket: Socket, caplog: pytest.LogCaptureFixture
) -> None:
    async with service() as running:
        url = running.url + socket.path
        for name, (status, wrong) in WRONG_HANDSHAKES.items():
            async with nothing_left(running), connection(url) as (reader, writer):
                writer.write(handshake(url, RIGHT | wrong))
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                assert f" {status} " in head.partition("\r\n")[0], name
                length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
                body = await reader.readexactly(length)
                assert any(word in body for word in (b"WebSocket", b"Host")), name
            assert alarming(caplog) == [], name


@sockets
async def test_a_sub_protocol_that_nobody_speaks_is_not_agreed_on(
    socket: Socket, caplog: pytest.LogCaptureFixture
) -> None:
    offer = RIGHT | {"Sec-WebSocket-Protocol": "graphql-ws, bearer.my-secret"}
    async with service() as running, peer(running.url + socket.path, offer) as client:
        if socket.path == "/v1/ws":
            assert await client.closed() == 4406
        else:
            await is_served(client, socket)
    assert "my-secret" not in caplog.text
