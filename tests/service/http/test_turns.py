"""A chat's turn that one process took, come back to and stopped in another."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from adapters.events import Status
from service.streams.question import LARGEST
from tests.double.steps import Gate
from tests.service.http.relays import Elsewhere, relays
from tests.service.http.serving import becomes, until
from tests.service.http.ui_served import Chats, chats, said, text_of
from tests.service.scripted import Scripted, chat
from tests.service.usage.servers import until as until_it


class Pair(NamedTuple):
    """Two processes' services, and what is between them."""

    here: Chats
    there: Chats
    between: Elsewhere


@asynccontextmanager
async def pair(folder: Path, provider: Scripted, *, ttl: float = 600) -> AsyncIterator[Pair]:
    async with (
        relays(folder, provider, ttl=ttl) as between,
        chats(provider, relay=between.relays[0]) as here,
        chats(provider, relay=between.relays[1]) as there,
    ):
        yield Pair(here, there, between)


def told(sent: bytes) -> list[dict[str, Any]]:
    """The chunks of a body; its end is no chunk."""
    lines = [line for line in sent.split(b"\n") if line.startswith(b"data: ")]
    return [orjson.loads(line[6:]) for line in lines if line != b"data: [DONE]"]


async def ask(bench: Chats, **fields: object) -> list[dict[str, Any]]:
    async with bench.session.post(f"{bench.url}/api/chat", json=said(**fields)) as response:
        assert response.status == 200
        return told(await response.read())


async def half(bench: Chats, **fields: object) -> str:
    """Ask, read up to the first text, and leave; the stream's id."""
    async with bench.session.post(f"{bench.url}/api/chat", json=said(**fields)) as response:
        await until(response, b"Hel")
        stream = response.headers["Tailrace-Stream-Id"]
        response.close()
    return stream


async def resumed(bench: Chats) -> list[dict[str, Any]] | None:
    """What a page that comes back is told; None: nothing."""
    async with bench.session.get(f"{bench.url}/api/chat/c1/stream") as response:
        if response.status == 204:
            return None
        assert response.status == 200
        return told(await response.read())


async def known(bench: Chats, *, told: bool = False) -> None:
    """Wait until a process knows what another one told it a moment ago."""

    async def knows() -> bool:
        at = await bench.relay.store.chats.find("c1")
        return at is not None and at.told is told

    await until_it(knows)


async def test_a_page_that_is_opened_anew_is_told_the_turn_by_any_process(tmp_path: Path) -> None:
    gate = Gate()
    async with (
        pair(tmp_path, Scripted(*chat("Hel", gate, "lo"))) as (here, there, _),
        here.session.post(f"{here.url}/api/chat", json=said()) as response,
    ):
        first = await until(response, b"Hel")
        await known(there)
        async with there.session.get(f"{there.url}/api/chat/c1/stream") as again:
            second = await until(again, b"Hel")
            gate.open()
            assert told(second + await again.read()) == told(first + await response.read())


async def test_a_turn_is_found_elsewhere_before_its_first_word(tmp_path: Path) -> None:
    gate = Gate()
    async with pair(tmp_path, Scripted(gate, *chat("Hello"))) as (here, there, _):
        asking = asyncio.gather(ask(here))
        await becomes(lambda: here.relay.store.live)
        await known(there)
        coming = asyncio.gather(resumed(there))
        await becomes(lambda: there.relay.processes and there.relay.processes._replicas)
        gate.open()
        assert [await coming] == [await asking]


async def test_a_turn_whose_end_was_told_anywhere_is_told_nowhere_again(tmp_path: Path) -> None:
    async with pair(tmp_path, Scripted(*chat("Hello"))) as (here, there, _):
        for one, other in ((here, there), (there, here)) * 3:
            assert text_of(await ask(one)) == "Hello"
            await known(other, told=True)
            assert await resumed(other) is None


async def test_an_end_that_nobody_saw_is_told_once(tmp_path: Path) -> None:
    gate = Gate()
    async with pair(tmp_path, Scripted(*chat("Hel", gate, "lo"))) as (here, there, _):
        stream = await half(here)
        gate.open()
        await here.relay.store.get(stream).over()
        await known(there)
        assert text_of(await resumed(there) or []) == "Hello"
        await known(here, told=True)
        assert await resumed(here) is None
        assert await resumed(there) is None


async def test_a_chat_that_went_on_in_another_process_is_at_its_last_turn(tmp_path: Path) -> None:
    gate = Gate()
    provider = Scripted(*chat("Hello"))
    async with pair(tmp_path, provider) as (here, there, _):
        await ask(here)
        provider.pieces = chat("Hel", gate, "lo")
        second = await half(there)
        await known(here)
        coming = asyncio.gather(resumed(here))
        await becomes(lambda: here.relay.processes and here.relay.processes._replicas)
        gate.open()
        (chunks,) = await coming
    assert chunks is not None
    assert chunks[0]["messageMetadata"] == {"stream": second}


async def test_a_turn_is_stopped_from_another_process(tmp_path: Path) -> None:
    async with pair(tmp_path, Scripted(*chat("Hel", Gate()))) as (here, there, _):
        async with here.session.post(f"{here.url}/api/chat", json=said()) as response:
            await until(response, b"Hel")
            await known(there)
            async with there.session.post(f"{there.url}/api/chat/c1/stop") as stopped:
                assert (stopped.status, await stopped.json()) == (202, {"stopped": True})
            assert told(await response.read())[-1]["type"] == "abort"
            stream = response.headers["Tailrace-Stream-Id"]
        end = here.relay.store.get(stream).log.end
        assert end is not None
        assert end.status is Status.CANCELLED
        assert await resumed(there) is None


async def test_an_answer_that_goes_on_with_a_message_begins_with_it_elsewhere(
    tmp_path: Path,
) -> None:
    gate = Gate()
    tool = {
        "type": "tool-add",
        "toolCallId": "call_1",
        "state": "output-available",
        "input": {"a": 1},
        "output": "two",
    }
    message = {"id": "m1", "role": "assistant", "parts": [{"type": "step-start"}, tool]}
    messages = [*said("A secret")["messages"], message]
    async with pair(tmp_path, Scripted(*chat("Hel", gate, "lo"))) as (here, there, between):
        await half(here, messages=messages)
        await known(there)
        chats_of_both = [asyncio.gather(resumed(bench)) for bench in (here, there)]
        await becomes(lambda: there.relay.processes and there.relay.processes._replicas)
        gate.open()
        (one,), (other,) = [await coming for coming in chats_of_both]
        assert one == other
        assert one is not None
        assert one[0]["messageId"] == "m1"
        assert "tool-output-available" in {chunk["type"] for chunk in one}
        assert await between.holds(b"step-start")
        assert not await between.holds(b"A secret")


async def test_a_message_too_long_to_be_kept_is_told_where_it_was_asked(tmp_path: Path) -> None:
    gate = Gate()
    long = {"id": "m1", "role": "assistant", "parts": [{"type": "text", "text": "x" * LARGEST}]}
    async with pair(tmp_path, Scripted(*chat("Hel", gate, "lo"))) as (here, there, _):
        _, stream = await here.turns.begin(said(messages=[long]), {})
        await known(there)
        assert await resumed(there) is None
        gate.open()
        await stream.over()
        assert text_of(await resumed(here) or []) == "x" * LARGEST + "Hello"


async def test_a_turn_of_a_process_that_died_is_told_to_have_broken_off(tmp_path: Path) -> None:
    async with pair(tmp_path, Scripted(*chat("Hel", Gate()))) as (here, there, between):
        await half(here)
        await known(there)
        async with there.session.get(f"{there.url}/api/chat/c1/stream") as again:
            begun = await until(again, b"Hel")
            await between.processes[0].dies()
            chunks = told(begun + await again.read())
    assert text_of(chunks) == "Hel"
    assert chunks[-1] == {
        "type": "error",
        "errorText": "the process that made this answer is gone",
    }


async def test_without_redis_a_turn_is_known_where_it_was_asked_and_then_elsewhere_again(
    tmp_path: Path,
) -> None:
    gate = Gate()
    async with pair(tmp_path, Scripted(*chat("Hel", gate, "lo"))) as (here, there, between):
        await half(here)
        await between.server.kill()
        assert await resumed(there) is None
        async with here.session.get(f"{here.url}/api/chat/c1/stream") as again:
            begun = await until(again, b"Hel")
            await between.server.start()  # empty

            async def known() -> bool:
                return await there.turns.running("c1") is not None

            await until_it(known)
            gate.open()
            assert text_of(told(begun + await again.read())) == "Hello"


async def test_a_turn_is_followed_and_stopped_over_a_socket_of_another_process(
    tmp_path: Path,
) -> None:
    async with pair(tmp_path, Scripted(*chat("Hel", Gate()))) as (here, there, _):
        stream = await half(here)
        await known(there)
        async with there.session.ws_connect(f"{there.url}/api/chat/ws") as ws:
            await ws.send_json({"type": "resume", "requestId": "r1", "id": "c1"})
            while "Hel" not in (await ws.receive_str(timeout=20)):
                pass
            async with there.session.post(f"{there.url}/api/chat/c1/stop") as stopped:
                assert stopped.status == 202
            frames = [orjson.loads(await ws.receive_str(timeout=20))]
            while frames[-1]["type"] != "end":
                frames.append(orjson.loads(await ws.receive_str(timeout=20)))
            await ws.send_json({"type": "resume", "requestId": "r2", "id": "c1"})
            assert (await ws.receive_json(timeout=20))["type"] == "no-active"
        assert here.relay.store.get(stream).ended
    assert frames[-2]["chunk"]["type"] == "abort"
