"""GET /metrics over a socket: Prometheus' own parsers can read it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from adapters.errors import UpstreamError, make
from adapters.events import ErrorCode
from service.hedging.shared import Shared
from service.http.metrics import Scrapes
from service.http.native import Native
from service.relay import Relay
from service.settings import Streams
from service.streams.store import Store
from service.telemetry.metrics import Metrics, Readings
from tests.service.http.serving import body, served
from tests.service.scripted import Scripted, chat, deployment
from tests.service.telemetry.facts import completed


@asynccontextmanager
async def scraped(accept: str | None = None) -> AsyncIterator[aiohttp.ClientResponse]:
    """A scrape of a service that has answered once."""
    metrics = Metrics(listed=lambda *_: True, readings=Readings(streams=lambda: 1))
    metrics.attempt_over(completed())
    headers = {} if accept is None else {"Accept": accept}
    async with (
        served(*Scrapes(metrics).routes()) as url,
        aiohttp.ClientSession() as session,
        session.get(f"{url}/metrics", headers=headers) as response,
    ):
        yield response


async def test_a_scrape_is_in_prometheus_text_format() -> None:
    async with scraped() as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        families = {
            family.name: family for family in text_string_to_metric_families(await response.text())
        }
    (attempts,) = families["tailrace_attempts"].samples
    assert (attempts.labels["provider"], attempts.value) == ("openai", 1)
    (streams,) = families["tailrace_streams"].samples
    assert streams.value == 1


async def test_a_scraper_that_asks_for_openmetrics_gets_it() -> None:
    async with scraped("application/openmetrics-text;version=1.0.0;q=0.5") as response:
        assert response.headers["Content-Type"].startswith("application/openmetrics-text; ver")
        assert (await response.read()).endswith(b"# EOF\n")


async def test_an_accept_header_that_makes_no_sense_is_answered_all_the_same() -> None:
    async with scraped("text/plain;version=x") as response:
        assert response.status == 200
        assert response.content_type == "text/plain"


async def test_nothing_of_a_prompt_an_answer_an_error_or_a_key_is_told() -> None:
    metrics = Metrics(listed=lambda *_: False)
    refusal = UpstreamError(make(ErrorCode.OVERLOADED, "CANARY error with test-key-openai"))
    provider = Scripted()
    relay = Relay(Store(ttl=600), deployment({"openai": provider}), Shared.fresh(metrics))
    routes = [*Native(relay, Streams()).routes(), *Scrapes(metrics).routes()]
    asked = body("CANARY prompt", model="openai/CANARY-model")
    async with served(*routes) as url, aiohttp.ClientSession() as session:
        for pieces in (chat("CANARY answer"), [refusal]):
            provider.pieces = pieces
            async with session.post(f"{url}/v1/streams", json=asked) as response:
                assert b"CANARY" in await response.read()
        async with session.get(f"{url}/metrics") as response:
            told = await response.text()
    assert 'tailrace_attempts_total{model="unlisted",outcome="completed",provider="openai"' in told
    assert 'tailrace_errors_total{code="overloaded",provider="openai"} 1.0' in told
    assert "CANARY" not in told
    assert "test-key" not in told
