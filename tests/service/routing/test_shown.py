"""A plan's event and its answer: the same facts twice, in units and words for others."""

from dataclasses import replace
from typing import Any

import msgspec
import orjson
import pytest

from adapters.contract import Endpoint, Model
from adapters.events import Candidate, Passed, RoutePlan, Substitution
from adapters.registry import COMPATIBLE, FIFTEEN, PROVIDERS
from adapters.request import ChatRequest, Complexity, Latency, Strategy, Tier, UseCase
from service.endpoints import resolve
from service.routing.plan import Choice, Kinship, Plan, Reason, Skipped, Substitute
from service.routing.shown import WORDS, document, route_plan, run, use_cases, words
from service.routing.table import Preference, Table, UseCaseRow
from service.settings import Settings


def choice(name: str, model: Model | None = None, **facts: Any) -> Choice:  # noqa: ANN401 - fields of all types
    endpoint = Endpoint(provider=FIFTEEN[name], base_url=f"https://{name}.invalid", key="test-key")
    return Choice(endpoint, model or Model(id=f"{name}-one"), **facts)


KEYLESS = Skipped("qwen", "qwen3.8-flash", Reason.NO_KEY)
REQUEST = ChatRequest.model_validate({"messages": [{"role": "user", "content": "Hi"}]})
RICH = Plan(
    policy="table:classification",
    request=REQUEST,
    choices=(
        choice(
            "groq",
            Model(id="qwen/qwen3.8-27b", alias="qwen"),
            cost_usd=0.000042,
            ttft_s=0.1204,
            substitute=Substitute("qwen", "qwen3.8-flash", Kinship.SAME_FAMILY),
        ),
        choice("openai"),
    ),
    skipped=(
        KEYLESS,
        Skipped("claude", "claude-opus-5", Reason.OVER_CAP, "costs $0.004, over the cap of $0.001"),
        Skipped("kimi", None, Reason.COOLING_DOWN, None, 1.5),
    ),
    preferred=KEYLESS,
    use_case=UseCase.CLASSIFICATION,
    tier=Tier.ULTRA_ECONOMY,
    cap_usd=0.001,
    latency=Latency(strategy=Strategy.HEDGE),
    max_attempts=2,
    hedge_after_s=0.85,
    input_tokens=120,
    output_tokens=16,
    route="preset:tester",
)
POOR = Plan(policy="pinned", choices=(choice("groq"),), request=REQUEST, route="conversation")


def test_the_event_tells_the_whole_decision() -> None:
    assert route_plan(RICH) == RoutePlan(
        strategy="hedge",
        policy="table:classification",
        candidates=[
            Candidate(
                "groq",
                "qwen/qwen3.8-27b",
                cost_usd="0.000042",
                ttft_ms=120,
                substitutes=Substitution(
                    provider="qwen", model="qwen3.8-flash", kinship="same_family"
                ),
            ),
            Candidate("openai", "openai-one"),
        ],
        hedge_after_ms=850,
        max_attempts=2,
        skipped=[
            Passed(provider="qwen", model="qwen3.8-flash", reason="no_key", detail="no key is set"),
            Passed(
                provider="claude",
                model="claude-opus-5",
                reason="over_cap",
                detail="costs $0.004, over the cap of $0.001",
            ),
            Passed(
                provider="kimi",
                reason="cooling_down",
                detail=WORDS[Reason.COOLING_DOWN],
                retry_after_ms=1500,
            ),
        ],
        use_case="classification",
        budget_tier="ultra_economy",
        cap_usd="0.001",
        preset="tester",
    )


def test_the_event_leaves_out_what_is_unknown() -> None:
    assert msgspec.to_builtins(route_plan(POOR)) == {
        "type": "route.plan",
        "strategy": "single",
        "policy": "pinned",
        "candidates": [{"provider": "groq", "model": "groq-one"}],
        "max_attempts": 1,
        "use_case": "conversation",
        "budget_tier": "standard",
    }


def test_the_answer_tells_the_same_with_the_estimate_it_rests_on() -> None:
    answer = document(RICH)
    assert orjson.loads(orjson.dumps(answer)) == answer
    assert answer == {
        "policy": "table:classification",
        "use_case": "classification",
        "budget_tier": "ultra_economy",
        "cap_usd": "0.001",
        "latency": {"strategy": "hedge", "width": 1, "max_attempts": 2, "hedge_after_ms": 850},
        "input_tokens": 120,
        "output_tokens": 16,
        "candidates": [
            {
                "provider": "groq",
                "model": "qwen/qwen3.8-27b",
                "alias": "qwen",
                "cost_usd": "0.000042",
                "ttft_ms": 120,
                "substitutes": {
                    "provider": "qwen",
                    "model": "qwen3.8-flash",
                    "kinship": "same_family",
                },
            },
            {"provider": "openai", "model": "openai-one", "cost_usd": None, "ttft_ms": None},
        ],
        "skipped": [
            {
                "provider": "qwen",
                "model": "qwen3.8-flash",
                "reason": "no_key",
                "detail": "no key is set",
            },
            {
                "provider": "claude",
                "model": "claude-opus-5",
                "reason": "over_cap",
                "detail": "costs $0.004, over the cap of $0.001",
            },
            {
                "provider": "kimi",
                "reason": "cooling_down",
                "detail": WORDS[Reason.COOLING_DOWN],
                "retry_after_ms": 1500,
            },
        ],
        "preferred": {
            "provider": "qwen",
            "model": "qwen3.8-flash",
            "reason": "no_key",
            "detail": "no key is set",
        },
    }


def test_the_answer_writes_what_is_unknown_as_null() -> None:
    answer = document(POOR)
    assert answer["cap_usd"] is None
    assert answer["latency"]["hedge_after_ms"] is None
    assert answer["skipped"] == []
    assert "preferred" not in answer


@pytest.mark.parametrize(
    ("strategy", "choices", "max_attempts", "width", "shown"),
    [
        (Strategy.NORMAL, 1, 3, 1, "single"),
        (Strategy.NORMAL, 3, 1, 1, "single"),
        (Strategy.NORMAL, 3, 2, 1, "fallback"),
        (Strategy.HEDGE, 1, 2, 1, "single"),
        (Strategy.HEDGE, 2, 2, 1, "hedge"),
        (Strategy.RACE, 1, 3, 3, "single"),
        (Strategy.RACE, 3, 3, 1, "fallback"),
        (Strategy.RACE, 3, 3, 2, "race"),
    ],
)
def test_the_strategy_is_what_may_happen(
    strategy: Strategy, choices: int, max_attempts: int, width: int, shown: str
) -> None:
    plan = replace(
        POOR,
        choices=POOR.choices * choices,
        latency=Latency(strategy=strategy),
        max_attempts=max_attempts,
        width=width,
    )
    assert run(plan) == shown
    assert route_plan(plan).strategy == shown


KNOWN = resolve(PROVIDERS, COMPATIBLE, Settings(), {})


def row(*names: str, complexity: Complexity = Complexity.MODERATE) -> UseCaseRow:
    preferences = (Preference(*name.split("/")) for name in names)
    prefer = {Tier.STANDARD: tuple(preferences), Tier.PREMIUM: (Preference("kimi"),)}
    return UseCaseRow(complexity=complexity, output_tokens=100, latency=None, prefer=prefer)


def test_a_use_case_shows_who_answers_it_and_who_comes_next() -> None:
    rows = {
        UseCase.ANALYSIS: row("claude/sonnet", "openai/luna", "groq"),
        UseCase.EXPERT: row("claude/opus", "openai", complexity=Complexity.EXPERT),
    }
    shown = use_cases(Table(use_cases=rows, caps={}, presets={}), KNOWN)
    assert list(shown) == ["analysis", "expert"]
    assert shown["analysis"] == {
        "complexity": "moderate",
        "primary": {"provider": "claude", "model": "sonnet"},
        "fallback": {"provider": "openai", "model": "luna"},
    }
    assert shown["expert"]["complexity"] == "expert"
    assert shown["expert"]["fallback"]["provider"] == "openai"
    assert shown["expert"]["fallback"]["model"] in {
        model.alias or model.id for model in FIFTEEN["openai"].models
    }


def test_a_row_without_a_second_has_no_fallback_and_a_model_without_an_alias_shows_its_id() -> None:
    rows = {UseCase.ANALYSIS: row("groq/nobody-lists-this")}
    assert use_cases(Table(use_cases=rows, caps={}, presets={}), KNOWN)["analysis"] == {
        "complexity": "moderate",
        "primary": {"provider": "groq", "model": "nobody-lists-this"},
        "fallback": None,
    }


def test_what_cannot_happen_is_not_announced() -> None:
    alone = replace(POOR, latency=Latency(strategy=Strategy.HEDGE), hedge_after_s=2.0, width=3)
    assert route_plan(alone).hedge_after_ms is None
    assert document(alone)["latency"] == {
        "strategy": "hedge",
        "width": 1,
        "max_attempts": 1,
        "hedge_after_ms": None,
    }
    three = replace(alone, choices=POOR.choices * 3, max_attempts=3)
    raced = replace(three, latency=Latency(strategy=Strategy.RACE))
    assert document(raced)["latency"]["width"] == 3


def test_every_reason_has_words() -> None:
    assert set(WORDS) == set(Reason)
    assert words(KEYLESS) == "no key is set"
    assert words(replace(KEYLESS, detail="set QWEN_API_KEY")) == "set QWEN_API_KEY"
