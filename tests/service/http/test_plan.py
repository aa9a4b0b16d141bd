"""The decision over HTTP, beside the stream that follows from the same body."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from adapters.registry import COMPATIBLE, PROVIDERS
from service import clock
from service.endpoints import Inactive, resolve
from service.http.native import Native
from service.http.plan import Plans
from service.relay import Relay
from service.routing.health import Target
from service.settings import Settings, Streams
from service.streams.store import Store
from tests.service.http.serving import Bench, body, parsed, served
from tests.service.scripted import Scripted, chat, deployed, deployment, provider


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


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        (body(model="openai/sol", budget_tier="ultra_economy"), 422, "over_budget"),
        (body(model="groq/auto"), 503, "no_candidates"),
    ],
)
async def test_nobody_under_the_cap_and_nobody_at_the_moment_are_told_apart(
    asked: dict[str, Any], status: int, code: str
) -> None:
    client = Scripted(*chat("Hi"))
    keys = {"GROQ_API_KEY": "test-key-groq", "OPENAI_API_KEY": "test-key-openai"}
    known = resolve(PROVIDERS, COMPATIBLE, Settings(), keys)
    relay = Relay(Store(ttl=600), deployed(known, {"openai": client, "groq": client}))
    for model in PROVIDERS["groq"].models:
        relay.shared.health.cool(Target("groq", model.id), 60, clock.monotonic())
    async with served(*Plans(relay).routes()) as url, aiohttp.ClientSession() as session:
        answered, answer = await post(Bench(relay, url, session), "/v1/plan", asked)
    assert (answered, answer["error"]["code"]) == (status, code)
    assert ("retry_after_ms" in answer["error"]) is (status == 503)
    assert client.sent == []
