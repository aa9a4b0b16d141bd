"""Health, readiness and the event schema, over a real socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import orjson
from jsonschema import Draft202012Validator

from service.http.native import Native
from service.http.operations import Operations
from service.relay import Relay
from service.settings import Streams
from service.streams.store import Store
from service.usage.client import Address
from service.usage.engine import External, InProcess
from tests.service.http.serving import body, parsed, served
from tests.service.scripted import Piece, Scripted, chat, deployment
from tests.service.usage.notebook import Notebook


@asynccontextmanager
async def service(*pieces: Piece) -> AsyncIterator[tuple[Relay, str, aiohttp.ClientSession]]:
    relay = Relay(Store(ttl=600), deployment({"openai": Scripted(*pieces)}))
    routes = [*Operations(relay, InProcess).routes(), *Native(relay, Streams()).routes()]
    async with served(*routes) as url, aiohttp.ClientSession() as session:
        yield relay, url, session


async def test_health_names_the_engine_that_carries_the_usage_stream() -> None:
    async with service() as (_, url, session), session.get(f"{url}/healthz") as response:
        assert response.status == 200
        assert await response.json() == {
            "status": "ok",
            "engine": {"kind": "in-process", "url": None},
        }


async def test_health_says_where_another_engine_is() -> None:
    relay = Relay(Store(ttl=600), deployment({}))
    engine = External(Address.parse("redis://:test-password@127.0.0.1:6379"))
    routes = Operations(relay, lambda: engine).routes()
    async with (
        served(*routes) as url,
        aiohttp.ClientSession() as session,
        session.get(f"{url}/healthz") as response,
    ):
        assert (await response.json())["engine"] == {
            "kind": "redis",
            "url": "redis://127.0.0.1:6379",
        }


async def test_a_service_that_cannot_write_down_what_is_used_is_alive_and_not_ready() -> None:
    async with service() as (relay, url, session):
        relay.shared.meter.keep(Notebook(writable=False))
        async with session.get(f"{url}/readyz") as response:
            assert response.status == 503
            assert (await response.json())["error"]["code"] == "no_candidates"
        async with session.post(f"{url}/v1/streams", json=body()) as response:
            assert response.status == 503
            assert "Retry-After" in response.headers
        async with session.get(f"{url}/healthz") as response:
            assert response.status == 200


async def test_a_draining_service_is_alive_and_not_ready() -> None:
    async with service() as (relay, url, session):
        async with session.get(f"{url}/readyz") as response:
            assert (response.status, await response.json()) == (200, {"status": "ready"})
        relay.draining = True
        async with session.get(f"{url}/readyz") as response:
            assert response.status == 503
            assert (await response.json())["error"]["code"] == "draining"
        async with session.get(f"{url}/healthz") as response:
            assert response.status == 200


async def test_everything_a_stream_sends_is_valid_under_the_served_schema() -> None:
    async with service(*chat("Hel", "lo")) as (_, url, session):
        async with session.get(f"{url}/v1/schema.json") as response:
            assert response.content_type == "application/schema+json"
            validator = Draft202012Validator(orjson.loads(await response.read()))
        async with session.post(f"{url}/v1/streams", json=body()) as response:
            blocks = parsed(await response.read())
    assert len(blocks) > 8
    for block in blocks:
        validator.validate(block.data)
        assert not validator.is_valid(block.data | {"seq": "1"})
