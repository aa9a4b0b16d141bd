"""The chat routes over real sockets: a turn, its errors, coming back to it, stopping it."""

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest

from adapters.errors import UpstreamError, make
from adapters.events import ErrorCode, Status
from tests.double.steps import Gate
from tests.service.http.serving import becomes, until
from tests.service.http.ui_served import Chats, chats, said, text_of
from tests.service.scripted import Piece, Scripted, chat, delta


def told(sent: bytes) -> list[dict[str, Any]]:
    """The chunks of a body; its end is no chunk."""
    lines = [line for line in sent.split(b"\n") if line.startswith(b"data: ")]
    return [orjson.loads(line[6:]) for line in lines if line != b"data: [DONE]"]


async def resumed(bench: Chats, name: str = "c1") -> list[dict[str, Any]] | None:
    """What a page that comes back is told; None: nothing."""
    async with bench.session.get(f"{bench.url}/api/chat/{name}/stream") as response:
        if response.status == 204:
            return None
        assert response.status == 200
        assert response.headers["x-vercel-ai-ui-message-stream"] == "v1"
        return told(await response.read())


async def ask(bench: Chats, **fields: object) -> bytes:
    async with bench.session.post(f"{bench.url}/api/chat", json=said(**fields)) as response:
        assert response.status == 200
        return await response.read()


async def followed(bench: Chats, by: int) -> None:
    """Wait until so many follow the one stream there is."""
    (stream,) = bench.relay.store.live
    await becomes(lambda: len(stream._attached) == by)


def address(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").partition(":")
    return host, int(port)


def posted(url: str, sent: dict[str, Any], *headers: str) -> bytes:
    """A request as it is on the wire."""
    content = orjson.dumps(sent)
    lines = [f"Host: {url[7:]}", f"Content-Length: {len(content)}", *headers]
    return b"POST /api/chat HTTP/1.1\r\n%b\r\n\r\n%b" % ("\r\n".join(lines).encode(), content)


@contextmanager
def silent(url: str) -> Iterator[socket.socket]:
    """A connection of a page that takes next to nothing, and is reset in the end."""
    with socket.socket() as page:
        page.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        page.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        page.connect(address(url))
        yield page


async def half(bench: Chats, **fields: object) -> str:
    """Ask, read up to the first text, and leave; the stream's id."""
    async with bench.session.post(f"{bench.url}/api/chat", json=said(**fields)) as response:
        await until(response, b"Hel")
        stream = response.headers["Tailrace-Stream-Id"]
        response.close()
    return stream


async def test_a_turn_is_a_stream_that_says_what_it_is() -> None:
    async with (
        chats(Scripted(*chat("Hel", "lo"))) as bench,
        bench.session.post(f"{bench.url}/api/chat", json=said()) as response,
    ):
        sent = await response.read()
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert response.headers["x-vercel-ai-ui-message-stream"] == "v1"
        stream = response.headers["Tailrace-Stream-Id"]
    chunks = told(sent)
    assert text_of(chunks) == "Hello"
    assert chunks[0]["messageMetadata"] == {"stream": stream}
    assert sent.endswith(b"data: [DONE]\n\n")


async def test_a_request_that_is_refused_is_told_in_plain_words() -> None:
    async with chats(Scripted()) as bench:
        for sent, status in ((said(temperature="hot"), 400), (said(model="nobody/auto"), 404)):
            async with bench.session.post(f"{bench.url}/api/chat", json=sent) as response:
                assert response.status == status
                assert response.content_type == "text/plain"
                assert await response.text()
        bench.relay.draining = True
        async with bench.session.post(f"{bench.url}/api/chat", json=said()) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "1")


@pytest.mark.parametrize("code", [ErrorCode.UPSTREAM_5XX, ErrorCode.CONTENT_BLOCKED_OUTPUT])
async def test_a_failure_before_the_first_word_has_a_status_and_is_not_told_again(
    code: ErrorCode,
) -> None:
    broken = UpstreamError(make(code, "it is down"))
    async with chats(Scripted(broken)) as bench:
        sent = said(fallback=False)
        async with bench.session.post(f"{bench.url}/api/chat", json=sent) as response:
            assert response.status == 502
            assert response.headers["Tailrace-Stream-Id"]
        assert await resumed(bench) is None


async def test_a_page_that_comes_back_is_told_the_whole_turn_under_the_same_name() -> None:
    gate = Gate()
    async with (
        chats(Scripted(*chat("Hel", gate, "lo"))) as bench,
        bench.session.post(f"{bench.url}/api/chat", json=said()) as response,
    ):
        first = await until(response, b"Hel")
        coming = asyncio.gather(resumed(bench), resumed(bench))
        await followed(bench, 3)
        gate.open()
        rest = await response.read()
        again = await coming
    assert again == [told(first + rest)] * 2


async def test_a_connection_that_is_lost_ends_nothing_unless_the_page_asked_for_that() -> None:
    gate = Gate()
    async with chats(Scripted(*chat("Hel", gate, "lo"))) as bench:
        kept = await half(bench, chat="kept")
        left = await half(bench, chat="left", on_disconnect="cancel_after:0")
        await becomes(lambda: bench.relay.store.get(left).ended)
        assert await resumed(bench, "left") is None
        gate.open()
        await bench.relay.store.get(kept).over()
        end = bench.relay.store.get(kept).log.end
    assert end is not None
    assert end.status is Status.COMPLETED


async def test_an_end_that_nobody_saw_is_told_once_to_who_comes_back() -> None:
    gate = Gate()
    async with chats(Scripted(*chat("Hel", gate, "lo"))) as bench:
        stream = await half(bench)
        gate.open()
        await bench.relay.store.get(stream).over()
        assert text_of(await resumed(bench) or []) == "Hello"
        assert await resumed(bench) is None


async def test_an_end_that_arrived_is_told_once() -> None:
    async with chats(Scripted(*chat("Hello"))) as bench:
        await ask(bench)
        assert await resumed(bench) is None


async def test_an_end_that_was_written_and_never_arrived_is_told_to_who_comes_back() -> None:
    text = "w" * 128 * 1024
    async with chats(Scripted(*chat(text))) as bench:
        with silent(bench.url) as page:
            page.sendall(posted(bench.url, said()))
            await becomes(lambda: bench.relay.store._kept)
            (kept,) = bench.relay.store._kept.values()
            await kept.stream.over()
            await becomes(lambda: not kept.stream.attached)  # all of it is the kernel's now
        assert text_of(await resumed(bench) or []) == text
        assert await resumed(bench) is None


async def test_an_answer_to_a_connection_that_is_not_kept_arrives_too() -> None:
    async with chats(Scripted(*chat("Hello"))) as bench:
        reader, writer = await asyncio.open_connection(*address(bench.url))
        writer.write(posted(bench.url, said(), "Connection: close"))
        assert b"[DONE]" in await reader.read()
        writer.close()
        assert await resumed(bench) is None


async def test_a_chat_is_at_its_last_turn() -> None:
    gate = Gate()
    provider = Scripted(*chat("Hel", gate, "lo"))
    async with chats(provider) as bench:
        await half(bench)
        second = await half(bench, text="Again")
        gate.open()
        chunks = await resumed(bench) or []
    assert chunks[0]["messageMetadata"] == {"stream": second}


async def test_a_turn_that_is_no_longer_kept_is_forgotten() -> None:
    async with chats(Scripted(*chat("Hello"))) as bench:
        await ask(bench, chat="old")
        bench.relay.store.sweep(float("inf"))
        assert await resumed(bench, "old") is None
        await ask(bench, chat="older")
        bench.relay.store.sweep(float("inf"))
        await ask(bench, chat="new")
        assert [chat for chat, _ in bench.relay.store.chats] == ["new"]


async def test_a_turn_that_was_stopped_is_over_and_not_told_again() -> None:
    gate = Gate()
    async with chats(Scripted(*chat("Hel", gate))) as bench:
        async with bench.session.post(f"{bench.url}/api/chat", json=said()) as response:
            await until(response, b"Hel")
            async with bench.session.post(f"{bench.url}/api/chat/c1/stop") as stopped:
                assert (stopped.status, await stopped.json()) == (202, {"stopped": True})
            assert told(await response.read())[-1]["type"] == "abort"
        assert await resumed(bench) is None
        async with bench.session.post(f"{bench.url}/api/chat/c1/stop") as stopped:
            assert (stopped.status, await stopped.json()) == (202, {"stopped": False})


async def test_a_request_sent_twice_with_one_key_is_asked_once() -> None:
    provider = Scripted(*chat("Hello"))
    async with chats(provider) as bench:
        answers = []
        for _ in range(2):
            async with bench.session.post(
                f"{bench.url}/api/chat", json=said(), headers={"Idempotency-Key": "k"}
            ) as response:
                answers.append(await response.read())
    assert answers[0] == answers[1]
    assert len(provider.sent) == 1


async def test_headers_say_what_an_answer_is_for() -> None:
    async with (
        chats(Scripted(*chat("Hello"))) as bench,
        bench.session.post(
            f"{bench.url}/api/chat", json=said(), headers={"Tailrace-Use-Case": "poetry"}
        ) as response,
    ):
        assert response.status == 400
        assert (await response.text()).startswith("Tailrace-Use-Case: 'poetry'")


async def test_a_turn_without_a_chat_cannot_be_come_back_to() -> None:
    async with chats(Scripted(*chat("Hello"))) as bench:
        sent = said()
        del sent["id"]
        async with bench.session.post(f"{bench.url}/api/chat", json=sent) as response:
            assert text_of(told(await response.read())) == "Hello"
        assert not list(bench.relay.store.chats)


async def test_what_a_log_no_longer_keeps_is_told_in_fewer_words() -> None:
    gate = Gate()
    pieces: list[Piece] = [*map(delta, "Hello there"), gate, *chat("!")]
    async with chats(Scripted(*pieces), max_events=4) as bench:
        async with bench.session.post(f"{bench.url}/api/chat", json=said()) as response:
            await until(response, b'"e"}\n\n')
            coming = asyncio.gather(resumed(bench))
            await followed(bench, 2)
            gate.open()
            await response.read()
        (chunks,) = await coming
    assert chunks is not None
    assert text_of(chunks) == "Hello there!"
    assert (chunks[0]["type"], chunks[-1]["type"]) == ("start", "finish")


@pytest.mark.parametrize("path", ["/api/chat/c1/stream", "/api/chat/c1/stop"])
async def test_a_chat_that_never_was_has_nothing_to_be_told_or_stopped(path: str) -> None:
    async with chats(Scripted()) as bench:
        method, status = ("GET", 204) if path.endswith("stream") else ("POST", 202)
        async with bench.session.request(method, bench.url + path) as response:
            assert response.status == status
