"""What operators see of the providers and change about them, over a real socket."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import orjson
import pytest

from adapters.catalog.prices import Prices
from adapters.errors import make
from adapters.events import ErrorCode, Role
from adapters.ratelimits import RateLimits, Window
from adapters.registry import COMPATIBLE, FIFTEEN, PROVIDERS
from service import clock
from service.endpoints import resolve
from service.http.native import Native
from service.http.providers import Providers
from service.overrides import FILE, Overrides
from service.relay import Relay
from service.routing.health import Target
from service.settings import Streams, load
from service.streams.store import Store
from service.telemetry.stats import Stats
from tests.service.http.serving import body, served
from tests.service.scripted import Scripted, chat, deployed
from tests.service.telemetry.facts import completed, failed, overtaken

KEYS = {"GROQ_API_KEY": "test-key-groq", "OPENAI_API_KEY": "test-key-openai"}

GROQ = Target("groq", FIFTEEN["groq"].models[0].id)


class Admin(NamedTuple):
    """A service as its operator meets it."""

    url: str
    session: aiohttp.ClientSession
    relay: Relay
    stats: Stats

    async def get(self, path: str) -> tuple[int, Any]:
        async with self.session.get(f"{self.url}{path}") as response:
            return response.status, orjson.loads(await response.read())

    async def patch(self, name: str, change: object) -> tuple[int, Any]:
        data = change if isinstance(change, bytes) else orjson.dumps(change)
        async with self.session.patch(f"{self.url}/v1/providers/{name}", data=data) as response:
            return response.status, orjson.loads(await response.read())

    async def provider(self, name: str) -> dict[str, Any]:
        _, answer = await self.get("/v1/providers")
        return next(entry for entry in answer["providers"] if entry["name"] == name)

    async def asked(self, model: str) -> int:
        data = orjson.dumps(body(model=model))
        async with self.session.post(f"{self.url}/v1/streams", data=data) as response:
            await response.read()
            return response.status


@asynccontextmanager
async def admin(folder: Path, environ: Mapping[str, str] = KEYS) -> AsyncIterator[Admin]:
    """The routes over real providers whose clients are scripted, set up as a start sets them up."""
    relay, stats = Relay(Store(ttl=600), deployed({}, {})), Stats()
    overrides = Overrides.read(folder)

    def heed() -> None:
        merged = overrides.apply(load(None, environ), PROVIDERS)
        known = resolve(PROVIDERS, COMPATIBLE, merged, environ)
        relay.shared.limits.follow(merged.providers)
        relay.deployment = deployed(known, {name: Scripted(*chat("Hello")) for name in known})

    heed()
    providers = Providers(
        relay,
        overrides,
        limits=relay.shared.limits,
        health=relay.shared.health,
        stats=stats,
        prices=Prices(),
        heed=heed,
    )
    routes = [*providers.routes(), *Native(relay, Streams()).routes()]
    async with served(*routes) as url, aiohttp.ClientSession() as session:
        yield Admin(url, session, relay, stats)


# --- The list ---


async def test_everybody_is_listed_with_a_state_and_why_it_is_not_active(tmp_path: Path) -> None:
    environ = KEYS | {
        "TAILRACE_PROVIDERS__OLLAMA__BASE_URL": "http://127.0.0.1:11434/v1",
        "TAILRACE_PROVIDERS__OLLAMA__MODELS": "qwen3:8b",
        "TAILRACE_PROVIDERS__KIMI__ENABLED": "false",
        "AZURE_OPENAI_API_KEY": "test-key-azure",
    }
    async with admin(tmp_path, environ) as service:
        status, answer = await service.get("/v1/providers")
    assert status == 200
    listed = {entry["name"]: entry for entry in answer["providers"]}
    assert list(listed) == [*FIFTEEN, "demo", "ollama"]
    active = {name for name, entry in listed.items() if entry["state"] == "active"}
    assert active == {"groq", "openai", "demo", "ollama"}
    assert all(
        (entry["reason"] is None) == (entry["state"] == "active") for entry in listed.values()
    )
    said = {name: (listed[name]["state"], listed[name]["reason"]) for name in listed}
    assert said["glm"] == ("inactive", "no key: set GLM_API_KEY or ZAI_API_KEY or ZHIPUAI_API_KEY")
    assert said["copilot"] == ("inactive", "no address: set AZURE_OPENAI_ENDPOINT")
    assert said["kimi"] == ("disabled", "disabled in the configuration")
    assert said["github"][0] == "retired"
    assert listed["claude"]["title"] == "Anthropic Claude"
    assert "test-key" not in orjson.dumps(answer).decode()


async def test_a_model_is_listed_with_what_it_can_and_what_it_costs(tmp_path: Path) -> None:
    async with admin(tmp_path) as service:
        model = (await service.provider("openai"))["models"][0]
    listed = FIFTEEN["openai"].models[0]
    assert (model["id"], model["alias"], model["context"]) == (
        listed.id,
        listed.alias,
        listed.context,
    )
    assert (model["quality"], model["family"]) == (listed.quality, listed.family)
    assert model["capabilities"] == {
        "images": listed.images,
        "tools": listed.tools,
        "reasoning": listed.reasoning,
        "prefill": listed.prefill,
    }
    assert model["price"]["usd_per_million"]["input"] == "1"
    assert model["price"]["source"]
    assert model["breaker"] == {"state": "closed", "cause": None, "over_in_ms": None}


async def test_an_unknown_price_and_a_breaker_that_nobody_needs_are_null(tmp_path: Path) -> None:
    environ = {
        "TAILRACE_PROVIDERS__OLLAMA__BASE_URL": "http://127.0.0.1:11434/v1",
        "TAILRACE_PROVIDERS__OLLAMA__MODELS": "qwen3:8b",
    }
    async with admin(tmp_path, environ) as service:
        assert (await service.provider("ollama"))["models"][0]["price"] is None
        assert (await service.provider("groq"))["models"][0]["breaker"] is None


async def test_a_price_with_tiers_names_them(tmp_path: Path) -> None:
    async with admin(tmp_path) as service:
        haiku = next(
            model
            for model in (await service.provider("claude"))["models"]
            if model["alias"] == "haiku"
        )
    assert haiku["price"]["tiers"] == [
        {
            "above_input_tokens": 100_000,
            "usd_per_million": {
                "input": "0.5",
                "output": "2.5",
                "cached": "0.05",
                "cache_write": haiku["price"]["tiers"][0]["usd_per_million"]["cache_write"],
            },
        }
    ]


async def test_a_provider_with_an_open_breaker_is_degraded(tmp_path: Path) -> None:
    async with admin(tmp_path) as service:
        now = clock.monotonic()
        for _ in range(10):
            error = make(ErrorCode.UPSTREAM_5XX, "it broke")
            service.relay.shared.health.failed(GROQ, error, now)
        groq = await service.provider("groq")
    alias = FIFTEEN["groq"].models[0].alias
    assert (groq["state"], groq["reason"]) == ("degraded", f"{alias} is failing")
    assert groq["models"][0]["breaker"]["state"] == "open"
    assert 0 < groq["models"][0]["breaker"]["over_in_ms"] <= 5_000
    assert groq["models"][1]["breaker"]["state"] == "closed"


async def test_what_is_used_of_the_limits_is_shown_and_what_the_provider_says(
    tmp_path: Path,
) -> None:
    environ = KEYS | {
        "TAILRACE_PROVIDERS__GROQ__REQUESTS_PER_MINUTE": "10",
        "TAILRACE_PROVIDERS__GROQ__CONCURRENT_STREAMS": "2",
    }
    async with admin(tmp_path, environ) as service:
        limits, now = service.relay.shared.limits, clock.monotonic()
        assert limits.reserve("groq", 300, now) is not None
        said = RateLimits(tokens=Window(limit=6_000, remaining=5_000, reset=30.0))
        limits.observe("groq", said, now, model="one")
        shown = (await service.provider("groq"))["limits"]
    assert 59_000 < shown["requests_per_minute"].pop("full_in_ms") <= 60_250
    assert shown["requests_per_minute"] == {"limit": 10, "used": 1, "left": 9}
    assert shown["tokens_per_minute"]["used"] == 300
    assert shown["tokens_per_minute"]["left"] is None
    assert shown["concurrent_streams"] == {"limit": 2, "used": 1, "left": 1, "full_in_ms": None}
    assert shown["shared"] is False
    assert 29_000 < shown["provider_says"]["one"]["tokens"].pop("reset_ms") <= 30_000
    assert shown["provider_says"] == {"one": {"tokens": {"limit": 6_000, "remaining": 5_000}}}


# --- Changing ---


async def test_a_disabled_provider_is_asked_no_more_and_a_restart_keeps_it_so(
    tmp_path: Path,
) -> None:
    async with admin(tmp_path) as service:
        assert await service.asked("groq/auto") == 200
        status, groq = await service.patch("groq", {"enabled": False})
        assert (status, groq["name"]) == (200, "groq")
        assert (groq["state"], groq["reason"]) == ("disabled", "disabled over the API")
        assert await service.asked("groq/auto") == 422
    async with admin(tmp_path) as service:
        assert (await service.provider("groq"))["state"] == "disabled"
        _, groq = await service.patch("groq", {"enabled": True})
        assert groq["state"] == "active"
        assert await service.asked("groq/auto") == 200


async def test_a_limit_is_heeded_at_once_kept_and_lifted_by_null(tmp_path: Path) -> None:
    environ = KEYS | {"TAILRACE_PROVIDERS__GROQ__TOKENS_PER_MINUTE": "1000000"}
    async with admin(tmp_path, environ) as service:
        limits = service.relay.shared.limits
        change = {"requests_per_minute": 1, "tokens_per_minute": None, "concurrent_streams": 7}
        status, groq = await service.patch("groq", change)
        assert status == 200
        shown = {name: groq["limits"][name]["limit"] for name in change}
        assert shown == change
        assert await service.asked("groq/auto") == 200
        assert limits.wait("groq", 1, clock.monotonic()) > 50
    async with admin(tmp_path, environ) as service:
        groq = await service.provider("groq")
        assert {name: groq["limits"][name]["limit"] for name in change} == change
        _, groq = await service.patch("groq", {"requests_per_minute": None})
        limited = {name: groq["limits"][name]["limit"] for name in change}
        assert limited == change | {"requests_per_minute": None}


async def test_enabling_a_provider_again_forgives_a_refused_key(tmp_path: Path) -> None:
    async with admin(tmp_path) as service:
        refused = make(ErrorCode.AUTH_PROVIDER, "no such key")
        service.relay.shared.health.failed(GROQ, refused, clock.monotonic())
        groq = await service.provider("groq")
        assert groq["state"] == "disabled"
        assert groq["reason"] == "its key was refused; it is asked again once it is enabled anew"
        assert groq["models"][0]["breaker"]["cause"] == "auth_provider"
        _, groq = await service.patch("groq", {"requests_per_minute": 5})
        assert groq["state"] == "disabled"
        _, groq = await service.patch("groq", {"enabled": True})
        assert groq["state"] == "active"


@pytest.mark.parametrize(
    ("change", "param", "said"),
    [
        ({"enabled": "no"}, "enabled", 'enabled: "no" is not allowed; must be true or false'),
        ({"requests_per_minute": 0}, "requests_per_minute", "0 is not allowed; must be a whole"),
        ({"rpm": 5}, "rpm", "rpm: no such field; known are enabled, requests_per_minute"),
        ([], "body", "[] is not allowed; must be an object"),
        (b"{", None, "the body: not JSON"),
    ],
)
async def test_a_bad_change_is_refused_by_name_and_changes_nothing(
    tmp_path: Path, change: object, param: str | None, said: str
) -> None:
    async with admin(tmp_path) as service:
        status, answer = await service.patch("groq", change)
    assert status == 400
    assert answer["error"]["code"] == "invalid_request"
    assert answer["error"].get("param") == param
    assert said in answer["error"]["message"]
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("method", ["get", "patch"])
async def test_a_provider_that_does_not_exist_is_a_404(tmp_path: Path, method: str) -> None:
    async with admin(tmp_path) as service:
        if method == "get":
            status, answer = await service.get("/v1/providers/nobody/stats")
        else:
            status, answer = await service.patch("nobody", {"enabled": False})
    assert status == 404
    assert answer["error"]["code"] == "not_found"
    assert answer["error"]["message"].startswith("no provider is called 'nobody'; there are claude")


async def test_a_provider_whose_settings_do_not_stand_cannot_be_enabled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    environ = {
        "TAILRACE_PROVIDERS__GROQ__ENABLED": "false",
        "TAILRACE_PROVIDERS__GROQ__KEY_FILE": "/run/secrets/missing",
    }
    async with admin(tmp_path, environ) as service:
        status, answer = await service.patch("groq", {"enabled": True})
        assert (status, answer["error"]["code"]) == (409, "conflict")
        assert "/run" not in answer["error"]["message"]
        assert (await service.provider("groq"))["state"] == "disabled"
    assert "/run/secrets/missing cannot be read" in caplog.text
    assert not (tmp_path / FILE).exists()


async def test_a_change_that_cannot_be_kept_is_an_error_and_not_in_force(tmp_path: Path) -> None:
    async with admin(tmp_path / "missing") as service:
        status, answer = await service.patch("groq", {"enabled": False})
        assert (status, answer["error"]["code"]) == (500, "internal")
        assert answer["error"]["message"] == (
            "the change of groq could not be kept: No such file or directory"
        )
        assert (await service.provider("groq"))["state"] == "active"


# --- Statistics ---


async def test_the_statistics_are_those_of_the_attempts(tmp_path: Path) -> None:
    one = {"provider": "groq", "model": GROQ.model}
    async with admin(tmp_path) as service:
        start = clock.monotonic() - 10
        for facts in (
            completed(**one, started=start),
            completed(**one, started=start, role=Role.HEDGE, hedged=True),
            overtaken(**one, started=start, role=Role.HEDGE),
            failed(ErrorCode.OVERLOADED, **one, started=start),
        ):
            service.stats.attempt_over(facts)
        status, answer = await service.get("/v1/providers/groq/stats")
    assert status == 200
    assert (answer["name"], answer["state"], answer["reason"]) == ("groq", "active", None)
    assert answer["window_ms"] == 900_000
    total = answer["total"]
    assert (total["attempts"], total["error_rate"]) == (4, 0.25)
    assert total["outcomes"] == {"completed": 2, "lost_race": 1, "failed": 1}
    assert total["errors"] == {"overloaded": {"count": 1, "rate": 0.25}}
    assert total["first_token_ms"]["count"] == 2
    assert total["first_token_ms"]["p50"] == pytest.approx(500, rel=0.025)
    assert total["inter_token_ms"]["p99"] == pytest.approx(100, rel=0.025)
    assert total["hedges"] == {"won": 1, "lost": 1}
    assert total["cost_usd"] is None
    [model] = answer["models"]
    assert model.pop("id") == GROQ.model
    assert model.pop("breaker")["state"] == "closed"
    assert model == total
    assert answer["limits"]["requests_per_minute"]["limit"] is None


async def test_the_statistics_of_a_provider_that_nobody_asked_are_empty(tmp_path: Path) -> None:
    async with admin(tmp_path) as service:
        _, answer = await service.get("/v1/providers/claude/stats")
    assert (answer["state"], answer["models"]) == ("inactive", [])
    total = answer["total"]
    assert (total["attempts"], total["error_rate"], total["first_token_ms"]) == (0, None, None)
