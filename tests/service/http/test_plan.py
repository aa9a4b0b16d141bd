"""The decision over HTTP, beside the stream that follows from the same body."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from service.endpoints import Inactive
from service.http.native import Native
from service.http.plan import Plans
from service.relay import Relay
from service.settings import Streams
from service.streams.store import Store
from tests.service.http.serving import Bench, body, parsed, served
from tests.service.scripted import Scripted, chat, deployment, provider


@asynccontextmanager
async def bench(client: Scripted) -> AsyncIterator[Bench]:
    keyless = Inactive(provider("qwen"), "no_key")
    relay = Relay(Store(ttl=600), deployment({"openai": client, "groq": client}, keyless))
    routes = [*Plans(relay).routes(), *Native(relay, Streams()).routes()]
    async with served(*routes, max_body=4_096) as url, aiohttp.ClientSession() as session:
        yield Bench(relay, url, session)


async def post(b: Bench, path: str, asked: object) -> tuple[int, dict[str, Any]]:
    headers = {"Accept": "application/json"}
    async with b.session.post(f"{b.url}{path}", json=asked, headers=headers) as response:
        assert response.content_type == "application/json"
        return response.status, await response.json()


async def test_the_decision_is_answered_and_nobody_is_called() -> None:
    client = Scripted(*chat("Hi"))
    async with bench(client) as b:
        status, answer = await post(b, "/v1/plan", body(model="openai/auto"))
        assert b.relay.store.live == []
    assert status == 200
    assert client.sent == []
    assert [entry["provider"] for entry in answer["candidates"]] == ["openai"]
    assert answer["policy"] == "pinned"
    assert answer["latency"]["strategy"] == "normal"


async def test_a_stream_of_the_same_body_follows_the_plan_and_tells_it() -> None:
    asked = body(model="auto", latency={"providers": ["qwen", "groq", "openai"]})
    async with bench(Scripted(*chat("Hi"))) as b:
        _, answer = await post(b, "/v1/plan", asked)
        async with b.session.post(f"{b.url}/v1/streams", json=asked) as response:
            events = {block.event: block.data for block in parsed(await response.read())}
    planned = [(entry["provider"], entry["model"]) for entry in answer["candidates"]]
    assert planned == [("groq", "groq-one"), ("openai", "openai-one")]
    told = events["route.plan"]["candidates"]
    assert [(entry["provider"], entry["model"]) for entry in told] == planned
    assert (events["stream.end"]["provider"], events["stream.end"]["model"]) == planned[0]
    assert [entry["reason"] for entry in answer["skipped"]] == ["no_key"]
    assert events["route.plan"]["skipped"] == answer["skipped"]


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({}, 400, "invalid_request"),
        (body(nonsense=1), 400, "invalid_request"),
        (body(latency="fast"), 400, "invalid_request"),
        (body(model="auto:cooking"), 400, "invalid_request"),
        (body(model="preset:nobody"), 404, "not_found"),
        (body("x" * 5_000), 413, "payload_too_large"),
        (body(model="qwen/auto"), 422, "no_candidates"),
    ],
)
async def test_what_cannot_be_planned_is_refused_as_its_stream_would_be(
    asked: dict[str, Any], status: int, code: str
) -> None:
    async with bench(Scripted(*chat("Hi"))) as b:
        planned = await post(b, "/v1/plan", asked)
        assert planned == await post(b, "/v1/streams", asked)
    assert planned[0] == status
    assert planned[1]["error"]["code"] == code
