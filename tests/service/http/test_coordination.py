"""The coordination API's shapes over the real registry, scripted providers and real sockets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import orjson
import pytest

from adapters.catalog.price import Rates
from adapters.catalog.prices import Prices
from adapters.contract import Endpoint
from adapters.errors import UpstreamError, make
from adapters.events import ErrorCode
from adapters.registry import COMPATIBLE, FIFTEEN, PROVIDERS
from adapters.request import UseCase
from service import clock, endpoints, tasks
from service.hedging.shared import Shared
from service.http.coordination import Coordination
from service.http.native import Native
from service.overrides import Change, Overrides
from service.relay import Relay
from service.routing.health import Target
from service.routing.plan import Reason
from service.routing.shown import WORDS
from service.settings import Settings, Streams
from service.streams.store import Store
from service.telemetry.spending import Spending
from service.usage.database import connect
from service.usage.rollups import Rollups
from service.usage.sums import Reading
from tests.double.steps import Gate
from tests.service.http.serving import becomes, parsed, served
from tests.service.scripted import DONE, Piece, Scripted, chat, delta, deployed
from tests.service.usage.attempts import arrivals
from tests.service.usage.attempts import body as event

KEYS = {"GROQ_API_KEY": "test-key-groq", "OPENAI_API_KEY": "test-key-openai"}


class Bench(NamedTuple):
    """The API over one script that every active provider plays."""

    relay: Relay
    client: Scripted
    url: str
    session: aiohttp.ClientSession

    async def post(self, path: str, body: object) -> tuple[int, dict[str, Any]]:
        """As `curl -d` does it: JSON under the content type of a form."""
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        url = f"{self.url}/api/coordination/llm/{path}"
        async with self.session.post(url, data=data, headers=headers) as response:
            return response.status, await response.json()

    async def get(self, path: str) -> dict[str, Any]:
        async with self.session.get(f"{self.url}/api/coordination/{path}") as response:
            assert response.status == 200
            answer: dict[str, Any] = await response.json()
            return answer


@asynccontextmanager
async def bench(
    *pieces: Piece,
    keys: dict[str, str] = KEYS,
    providers: dict[str, Any] | None = None,
    others: dict[str, Scripted] | None = None,
    switched: dict[str, Change] | None = None,
    sums: Path = Path(":memory:"),
) -> AsyncIterator[Bench]:
    """`pieces` are what everybody says but the `others`; `switched` over the admin API."""
    settings = Settings.model_validate({"providers": providers or {}})
    known = endpoints.resolve(PROVIDERS, COMPATIBLE, settings, keys)
    client = Scripted(*pieces)
    active = [name for name, entry in known.items() if isinstance(entry, Endpoint)]
    spending = Spending()
    everybody = deployed(known, {name: (others or {}).get(name, client) for name in active})
    relay = Relay(Store(ttl=600), everybody, Shared.fresh(spending))
    native = Native(relay, Streams())
    overrides = Overrides(Path("providers.json"), switched or {})
    rollups = Rollups(partial(connect, str(sums)))
    room = Coordination(relay, native, spending, overrides, Reading(rollups))
    async with (
        served(*room.routes(), max_body=4_096, shapes=room.shapes()) as url,
        aiohttp.ClientSession() as session,
    ):
        yield Bench(relay, client, url, session)
    rollups.close()
    await tasks.settle(patience=1)


def asking(**fields: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": "hi"}], **fields}


# --- Health and providers -------------------------------------------------------------------


async def test_health_is_ok() -> None:
    async with bench() as b:
        assert await b.get("health") == {"status": "ok"}


async def test_all_fifteen_providers_are_listed_in_their_order_with_status_and_reason() -> None:
    keys = {
        **KEYS,
        "ANTHROPIC_API_KEY": "test-key-claude",
        "AZURE_OPENAI_API_KEY": "test-key-azure",
        "MOONSHOT_API_KEY": "your-moonshot-kimi-key-here",
    }
    async with bench(keys=keys, providers={"openai": {"enabled": False}}) as b:
        answer = await b.get("llm/providers")
    assert answer["success"] is True
    listed = {entry["name"]: entry for entry in answer["providers"]}
    assert list(listed) == list(FIFTEEN)
    assert listed["claude"]["status"] == "active"
    assert listed["claude"]["models"] == ["opus", "sonnet", "haiku"]
    assert "reason" not in listed["claude"]
    assert listed["kimi"] == {
        "name": "kimi", "status": "inactive", "reason": "API key manquante"
    }  # fmt: skip
    assert listed["copilot"] == {
        "name": "copilot", "status": "inactive", "reason": "no address: set AZURE_OPENAI_ENDPOINT"
    }  # fmt: skip
    assert listed["openai"] == {
        "name": "openai", "status": "disabled", "reason": "disabled in the configuration"
    }  # fmt: skip
    assert listed["github"] == {
        "name": "github", "status": "retired", "reason": FIFTEEN["github"].retired
    }  # fmt: skip


async def test_a_provider_that_was_switched_off_over_the_api_says_so() -> None:
    off = {"openai": Change(enabled=False)}
    async with bench(providers={"openai": {"enabled": False}}, switched=off) as b:
        answer = await b.get("llm/providers")
    openai = next(entry for entry in answer["providers"] if entry["name"] == "openai")
    assert (openai["status"], openai["reason"]) == ("disabled", "disabled over the API")


async def test_a_provider_that_is_not_well_says_so_and_why() -> None:
    keys = {**KEYS, "MISTRAL_API_KEY": "test-key-mistral", "XAI_API_KEY": "test-key-grok"}
    async with bench(keys=keys) as b:
        health, now = b.relay.shared.health, clock.monotonic()

        def target(name: str) -> Target:
            return Target(name, FIFTEEN[name].models[0].id)

        health.cool(target("groq"), 60, now)
        for _ in range(20):
            health.failed(target("mistral"), make(ErrorCode.UPSTREAM_5XX, "no"), now)
        health.failed(target("grok"), make(ErrorCode.AUTH_PROVIDER, "no"), now)
        answer = await b.get("llm/providers")
    listed = {entry["name"]: entry for entry in answer["providers"]}
    shown = {name: (entry["status"], entry.get("reason")) for name, entry in listed.items()}
    alias = {name: FIFTEEN[name].models[0].alias for name in listed}
    assert shown["groq"] == ("degraded", f"{alias['groq']} is cooling down")
    assert shown["mistral"] == ("degraded", f"{alias['mistral']} is failing")
    refused = "its key was refused; it is asked again once it is enabled anew"
    assert shown["grok"] == ("disabled", refused)
    assert shown["openai"] == ("active", None)
    assert alias["groq"] in listed["groq"]["models"]


async def test_every_listed_model_is_one_that_generate_takes() -> None:
    async with bench(*chat("x")) as b:
        listed = {entry["name"]: entry for entry in (await b.get("llm/providers"))["providers"]}
        for model in listed["groq"]["models"]:
            _, answer = await b.post("generate", asking(model=f"groq/{model}"))
            assert (answer["provider"], answer["model"]) == ("groq", model)


# --- Use cases ------------------------------------------------------------------------------


async def test_every_use_case_is_listed_with_whom_it_prefers_and_who_comes_next() -> None:
    async with bench() as b:
        answer = await b.get("llm/use-cases")
    assert answer["success"] is True
    assert sorted(answer["use_cases"]) == sorted(UseCase)
    analysis = answer["use_cases"]["analysis"]
    assert analysis["complexity"] == "complex"
    assert analysis["primary"] == {"provider": "claude", "model": "sonnet"}
    assert analysis["fallback"]["provider"] == "openai"
    for row in answer["use_cases"].values():
        assert sorted(row) == ["complexity", "fallback", "primary"]
        for named in (row["primary"], row["fallback"]):
            models = FIFTEEN[named["provider"]].models
            assert named["model"] in {model.alias or model.id for model in models}


# --- Costs ----------------------------------------------------------------------------------


async def test_costs_are_summed_up_beside_what_the_dearest_claude_would_have_cost(
    tmp_path: Path,
) -> None:
    rollups = Rollups(partial(connect, str(tmp_path / "sums.db")))
    rollups.take(arrivals(range(100)), 0)
    rollups.close()
    async with bench(sums=tmp_path / "sums.db") as b:
        answer = await b.get("llm/cost-summary")
    told = [orjson.loads(event(number))["data"] for number in range(100)]
    priced = [one for one in told if one["cost_nano_usd"] is not None]
    rates = dearest_claude()
    baseline = (
        sum(
            (
                5 * rates.input
                + 4_735 * (rates.cache_write or 0)
                + one["usage"]["output_tokens"] * rates.output
            )
            for one in priced
            if one["outcome"] in {"winner", "cancelled", "interrupted"}
        )
        / 10**6
    )
    spent = Decimal(sum(one["cost_nano_usd"] for one in priced)) / 10**9
    assert answer == {
        "success": True,
        "total_cost": pytest.approx(float(spent)),
        "requests": sum(one["role"] == "primary" for one in told),
        "by_provider": {
            provider: pytest.approx(
                sum(one["cost_nano_usd"] for one in priced if one["provider"] == provider) / 1e9
            )
            for provider in ("claude", "demo", "groq")
        },
        "by_use_case": {"analysis": pytest.approx(float(spent))},
        "savings": pytest.approx(float(baseline - spent)),
        "baseline": pytest.approx(float(baseline)),
    }


def dearest_claude() -> Rates:
    """By its output."""
    claude, prices = FIFTEEN["claude"], Prices()
    found = [prices.price(claude, model, clock.now_ms() / 1000) for model in claude.models]
    return max((price.base for price in found if price), key=lambda rates: rates.output)


async def test_before_anything_was_spent_the_summary_is_of_zeros(tmp_path: Path) -> None:
    async with bench(sums=tmp_path / "sums.db") as b:
        answer = await b.get("llm/cost-summary")
    assert answer == {
        "success": True,
        "total_cost": 0,
        "requests": 0,
        "by_provider": {},
        "by_use_case": {},
        "savings": 0,
        "baseline": 0,
    }


async def test_a_cost_that_nobody_knows_is_null_in_the_summary(tmp_path: Path) -> None:
    rollups = Rollups(partial(connect, str(tmp_path / "sums.db")))
    rollups.take(arrivals([0, 5]), 0)  # of unknown cost, as every fifth is
    rollups.close()
    async with bench(sums=tmp_path / "sums.db") as b:
        answer = await b.get("llm/cost-summary")
    assert answer["total_cost"] is None
    assert answer["by_use_case"] == {"analysis": None}


async def test_sums_that_cannot_be_read_are_a_failure_in_this_shape(tmp_path: Path) -> None:
    url = "/api/coordination/llm/cost-summary"
    async with bench(sums=tmp_path) as b, b.session.get(f"{b.url}{url}") as response:
        assert response.status == 503
        assert response.headers["Retry-After"] == "1"
        answer = await response.json()
    assert answer["success"] is False
    assert "cannot be read now" in answer["error"]


# --- Generate -------------------------------------------------------------------------------


async def test_generate_answers_the_whole_text_in_the_fixed_shape() -> None:
    async with bench(*chat("Hel", "lo")) as b:
        status, answer = await b.post("generate", asking(use_case="conversation"))
    assert status == 200
    assert isinstance(answer.pop("latency_ms"), int)
    cost = answer.pop("cost")
    assert isinstance(cost, float)
    assert answer.pop("total_session_cost") == cost > 0
    model = FIFTEEN["groq"].models[0]
    assert answer == {
        "success": True,
        "content": "Hello",
        "provider": "groq",
        "model": model.alias,
        "model_id": model.id,
        "tokens_used": 5,
    }


async def test_fields_it_does_not_know_are_passed_over_in_messages_too() -> None:
    messages = [{"role": "user", "content": "hi", "timestamp": 5, "id": "m1"}]
    body = {"messages": messages, "session": "s", "use_case": None, "max_tokens": None}
    async with bench(*chat("x")) as b:
        status, answer = await b.post("generate", body)
        assert (status, answer["content"]) == (200, "x")
        [sent] = b.client.sent
        assert sent.body["messages"] == [{"role": "user", "content": "hi"}]


async def test_what_is_asked_reaches_the_provider() -> None:
    async with bench(*chat("x")) as b:
        await b.post("generate", asking(temperature=1, max_tokens=7, model="openai/luna"))
        [sent] = b.client.sent
    assert sent.body["model"] == FIFTEEN["openai"].model("luna").id
    assert 7 in sent.body.values()


@pytest.mark.parametrize(
    ("fields", "provider", "model"),
    [
        ({"provider": "openai"}, "openai", None),
        ({"provider": "openai", "model": "auto"}, "openai", None),
        ({"provider": "openai", "model": "luna"}, "openai", "luna"),
        ({"provider": "openai", "model": "openai/luna"}, "openai", "luna"),
        ({"provider": "openai", "model": "openai/auto"}, "openai", None),
        ({"provider": "groq", "model": "openai/gpt-oss-20b"}, "groq", "gpt-oss-20b"),
        ({"model": "openai/luna"}, "openai", "luna"),
        ({"model": "luna"}, "openai", "luna"),
        ({"model": "auto:conversation@economy"}, "groq", None),
    ],
)
async def test_provider_and_model_name_who_answers(
    fields: dict[str, str], provider: str, model: str | None
) -> None:
    async with bench(*chat("x")) as b:
        _, answer = await b.post("generate", asking(**fields))
    expected = FIFTEEN[provider].model(model)
    assert (answer["provider"], answer["model_id"]) == (provider, expected.id)
    assert answer["model"] == expected.alias


async def test_the_first_choice_that_has_no_key_is_named_beside_the_answer() -> None:
    async with bench(*chat("x")) as b:
        _, answer = await b.post(
            "generate", asking(use_case="classification", budget_tier="ultra_economy")
        )
    assert answer["success"] is True
    assert answer["provider"] == "groq"
    assert answer["fallback_used"] is True
    assert answer["primary_error"] == "API key manquante pour qwen"


async def test_another_reason_is_named_too() -> None:
    async with bench(*chat("x"), providers={"groq": {"enabled": False}}) as b:
        _, answer = await b.post("generate", asking(use_case="conversation"))
    assert answer["fallback_used"] is True
    assert answer["primary_error"] == "groq: disabled by the operator"


async def test_a_first_choice_that_is_left_alone_for_a_while_is_named_too() -> None:
    async with bench(*chat("x")) as b:
        target = Target("groq", FIFTEEN["groq"].models[0].id)
        b.relay.shared.health.cool(target, 60, clock.monotonic())
        _, answer = await b.post("generate", asking())
        assert answer["fallback_used"] is True
        assert answer["primary_error"] == f"groq: {WORDS[Reason.COOLING_DOWN]}"
        _, answer = await b.post("generate", asking(provider="openai"))
        assert "fallback_used" not in answer


async def test_a_first_choice_that_was_asked_and_failed_is_named_in_the_words_of_its_error() -> (
    None
):
    full = make(ErrorCode.OVERLOADED, "no capacity", provider="groq")
    async with bench(*chat("x"), others={"groq": Scripted(UpstreamError(full))}) as b:
        _, answer = await b.post("generate", asking())
    assert (answer["success"], answer["content"], answer["provider"]) == (True, "x", "openai")
    assert answer["fallback_used"] is True
    assert answer["primary_error"] == "groq: no capacity"


async def test_an_answer_that_broke_off_and_was_given_anew_is_whole_and_a_fallback() -> None:
    cut = make(ErrorCode.STREAM_INTERRUPTED, "it was cut off", provider="groq")
    broken = Scripted(delta("half an "), UpstreamError(cut))
    async with bench(*chat("whole"), others={"groq": broken}) as b:
        _, answer = await b.post("generate", asking())
    assert (answer["success"], answer["content"]) == (True, "whole")
    assert answer["fallback_used"] is True
    assert answer["primary_error"] == "groq: it was cut off"


async def test_a_rival_that_was_merely_faster_is_no_fallback() -> None:
    slow = Scripted(Gate(), *chat("slow"))
    async with bench(*chat("fast"), others={"groq": slow}) as b:
        _, answer = await b.post("generate", asking(latency="race"))
    assert (answer["content"], answer["provider"]) == ("fast", "openai")
    assert "fallback_used" not in answer
    assert "primary_error" not in answer


async def test_nobody_who_could_is_a_failure_that_names_them_all() -> None:
    full = UpstreamError(make(ErrorCode.OVERLOADED, "no capacity"))
    async with bench(full) as b:
        status, answer = await b.post("generate", asking())
    assert (status, answer["success"]) == (502, False)
    assert "fallback_used" not in answer


async def test_what_the_process_has_spent_grows_with_every_request() -> None:
    async with bench(*chat("x")) as b:
        answers = [(await b.post("generate", asking()))[1] for _ in range(3)]
    costs = [answer["cost"] for answer in answers]
    assert [answer["total_session_cost"] for answer in answers] == pytest.approx(
        [costs[0], sum(costs[:2]), sum(costs)]
    )


async def test_a_cost_that_nobody_knows_is_null_and_adds_nothing() -> None:
    async with bench(*chat("x")) as b:
        _, answer = await b.post("generate", asking(model="groq/nobody-prices-this"))
    assert (answer["model_id"], answer["cost"]) == ("nobody-prices-this", None)
    assert answer["total_session_cost"] == 0


async def test_a_pinned_provider_without_a_key_is_a_422_in_the_same_words() -> None:
    async with bench() as b:
        expected = {"success": False, "error": "API key manquante pour qwen"}
        assert await b.post("generate", asking(provider="qwen")) == (422, expected)
        assert await b.post("generate", asking(model="qwen/max")) == (422, expected)


async def test_a_refusal_to_answer_is_the_content() -> None:
    refusal = delta("").replace(b'"content":""', b'"refusal":"I cannot."')
    async with bench(refusal, *chat()) as b:
        _, answer = await b.post("generate", asking())
    assert (answer["success"], answer["content"]) == (True, "I cannot.")


async def test_usage_that_nobody_reported_is_estimated() -> None:
    finish = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    async with bench(delta("x"), finish, DONE) as b:
        _, answer = await b.post("generate", asking())
    assert answer["success"] is True
    assert answer["tokens_used"] > 0


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (ErrorCode.AUTH_PROVIDER, 502),
        (ErrorCode.RATE_LIMIT_PROVIDER, 429),
        (ErrorCode.OVERLOADED, 503),
        (ErrorCode.TIMEOUT_FIRST_TOKEN, 504),
    ],
)
async def test_a_provider_s_failure_is_ours_to_answer_for(code: ErrorCode, status: int) -> None:
    come_back = None if code is ErrorCode.AUTH_PROVIDER else "2"
    failure = UpstreamError(make(code, "the provider said no", retry_after_ms=1_500))
    async with bench(failure) as b:
        url = f"{b.url}/api/coordination/llm/generate"
        async with b.session.post(url, json=asking(provider="groq")) as response:
            assert response.status == status
            assert response.headers.get("Retry-After") == come_back
            assert await response.json() == {"success": False, "error": "the provider said no"}


async def test_half_an_answer_is_a_failure() -> None:
    async with bench(delta("half an ")) as b:
        status, answer = await b.post("generate", asking())
    assert status == 502
    assert answer["success"] is False
    assert "content" not in answer


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "JSON"),
        (b"\xff", 400, "JSON"),
        ([], 400, "object"),
        ({}, 400, "messages"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "user"}]}, 400, "messages[0].content"),
        ({"messages": [{"role": "king", "content": "x"}]}, 400, "messages[0]"),
        (asking(use_case="cooking"), 400, "use_case"),
        (asking(budget_tier=5), 400, "budget_tier"),
        (asking(temperature="hot"), 400, "temperature"),
        (asking(max_tokens=0), 400, "max_tokens"),
        (asking(latency="fast"), 400, "latency"),
        (asking(provider=5), 400, "provider"),
        (asking(provider="nobody"), 400, "'nobody'"),
        (asking(model="auto:cooking"), 400, "cooking"),
        (asking(model="no-such-model"), 404, "no-such-model"),
        (asking(stream="yes"), 400, "stream"),
        ({"messages": [{"role": "user", "content": "x" * 5_000}]}, 413, "4096 bytes"),
    ],
)
async def test_a_bad_body_is_refused_in_the_api_s_shape_naming_the_field(
    body: object, status: int, words: str
) -> None:
    async with bench() as b:
        answered, answer = await b.post("generate", body)
        assert b.client.sent == []
    assert answered == status
    assert sorted(answer) == ["error", "success"]
    assert answer["success"] is False
    assert words in answer["error"]


async def test_stream_true_answers_the_native_event_stream() -> None:
    async with (
        bench(*chat("Hel", "lo")) as b,
        b.session.post(
            f"{b.url}/api/coordination/llm/generate", json=asking(stream=True)
        ) as response,
    ):
        assert response.content_type == "text/event-stream"
        blocks = parsed(await response.read())
    assert blocks[0].data["dialect"] == "native"
    assert blocks[-1].event == "stream.end"
    texts = [block.data["delta"] for block in blocks if block.event == "text.delta"]
    assert "".join(texts) == "Hello"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_who_leaves_ends_the_generation(stream: bool) -> None:  # noqa: FBT001
    gate = Gate()
    async with bench(*chat("x", gate)) as b:
        url = f"{b.url}/api/coordination/llm/generate"
        asking_ = tasks.spawn(_posted(b.session, url, asking(stream=stream)), name="caller")
        await gate.reached()
        [running] = b.relay.store.live
        asking_.cancel()
        await running.over()
        await b.client.quiet()
        assert running.log.end is not None
        assert running.log.end.status == "cancelled"


async def _posted(session: aiohttp.ClientSession, url: str, body: object) -> None:
    async with session.post(url, json=body) as response:
        await response.read()


async def test_a_draining_service_takes_nothing_new() -> None:
    async with bench() as b:
        b.relay.draining = True
        status, answer = await b.post("generate", asking())
        assert (status, answer["success"]) == (503, False)


# --- Test -----------------------------------------------------------------------------------


async def test_a_test_asks_that_provider_something_short() -> None:
    async with bench(*chat("ok")) as b:
        status, answer = await b.post("test", {"provider": "openai", "more": 1})
        [sent] = b.client.sent
    assert status == 200
    assert isinstance(answer.pop("latency_ms"), int)
    assert isinstance(answer.pop("ttft_ms"), int)
    model = FIFTEEN["openai"].models[0]
    assert answer == {"success": True, "provider": "openai", "model": model.alias}
    assert sent.body["model"] == model.id
    assert len(orjson.dumps(sent.body["messages"])) < 100


async def test_a_failed_test_says_why_and_which_model_was_asked() -> None:
    async with bench(UpstreamError(make(ErrorCode.AUTH_PROVIDER, "bad key"))) as b:
        status, answer = await b.post("test", {"provider": "groq"})
    assert status == 502
    assert isinstance(answer.pop("latency_ms"), int)
    assert answer == {
        "success": False,
        "provider": "groq",
        "model": FIFTEEN["groq"].models[0].alias,
        "ttft_ms": None,
        "error": "bad key",
    }


async def test_the_demo_can_be_tested_without_a_key() -> None:
    async with bench(*chat("ok"), keys={}) as b:
        _, answer = await b.post("test", {"provider": "demo"})
    assert (answer["success"], answer["provider"]) == (True, "demo")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"provider": "nobody"}, 400, "'nobody'"),
        ({}, 400, "provider"),
        ({"provider": None}, 400, "provider"),
        ({"provider": "qwen"}, 422, "API key manquante pour qwen"),
        ({"provider": "github"}, 422, "github: retired"),
        (b"", 400, "JSON"),
    ],
)
async def test_what_cannot_be_tested_is_refused(body: object, status: int, words: str) -> None:
    async with bench() as b:
        answered, answer = await b.post("test", body)
    assert answered == status
    assert answer["success"] is False
    assert words in answer["error"]


async def test_a_test_ends_with_its_caller() -> None:
    gate = Gate()
    async with bench(gate, *chat("x")) as b:
        url = f"{b.url}/api/coordination/llm/test"
        caller = tasks.spawn(_posted(b.session, url, {"provider": "groq"}), name="caller")
        await gate.reached()
        caller.cancel()
        await becomes(lambda: not b.relay.store.live)


# --- Nothing else ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        ("GET", "/llm/generate", 405, "POST"),
        ("DELETE", "/llm/test", 405, "POST"),
        ("POST", "/llm/providers", 405, "GET,HEAD"),
        ("PUT", "/health", 405, "GET,HEAD"),
        ("GET", "/llm/nothing", 404, None),
        ("POST", "/llm/generate/", 404, None),
        ("GET", "", 404, None),
    ],
)
async def test_a_wrong_path_or_method_is_refused_in_the_api_s_shape(
    method: str, path: str, status: int, allowed: str | None
) -> None:
    async with (
        bench() as b,
        b.session.request(method, f"{b.url}/api/coordination{path}") as response,
    ):
        assert response.status == status
        assert response.headers.get("Allow") == allowed
        answer = await response.json()
    assert sorted(answer) == ["error", "success"]
    assert answer["success"] is False
