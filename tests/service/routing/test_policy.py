"""Who answers, who does not, and why."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.catalog.prices import Prices
from adapters.contract import Endpoint
from adapters.errors import RequestError, make
from adapters.events import Error, ErrorCode
from adapters.registry import PROVIDERS
from adapters.request import Complexity, Strategy, Tier, UseCase
from service.endpoints import Inactive
from service.routing.health import State, Target
from service.routing.plan import Kinship, Plan, Reason, Skipped, Substitute
from service.routing.policy import plan
from service.routing.roster import Known
from service.routing.table import build
from service.routing.view import View
from tests.service.routing.market import (
    PACKAGED,
    Moment,
    market,
    model,
    order,
    planned,
    provider,
    reasons,
    request,
    table,
)

SIX = ("claude", "openai", "groq", "deepseek", "mistral", "gemini")

A = provider("a", model("a1", 1), model("a2", 2), model("a3", 3), default="a2")
B = provider("b", model("b2", 2))
C = provider("c", model("c3", 3))
D = provider("d", model("d1", 1))
ABCD = market(A, B, C, D)
PREFERS_C_THEN_B = table(ABCD, conversation={"prefer": ["c", "b"]})


def real(*with_key: str, **others: str) -> Known:
    """The registry with keys for some; the others lack one, unless `others` says else."""
    entries: dict[str, Endpoint | Inactive] = {}
    for name, entry in PROVIDERS.items():
        if name in with_key or name == "demo":
            entries[name] = Endpoint(provider=entry, base_url="https://x.invalid", key="test-key")
        else:
            entries[name] = Inactive(entry, others.get(name, "no_key"))  # type: ignore[arg-type]
    return entries


def refused(known: Known, *args: object, **fields: object) -> Error:
    with pytest.raises(RequestError) as refusal:
        planned(known, *args, **fields)  # type: ignore[arg-type]
    return refusal.value.error


def providers(decided: Plan) -> list[str]:
    return [choice.endpoint.provider.name for choice in decided.choices]


def first(decided: Plan) -> tuple[str, str | None]:
    choice = decided.choices[0]
    return choice.endpoint.provider.name, choice.model.alias


def breaks(moment: Moment, name: str, model_id: str, times: int = 10) -> None:
    for _ in range(times):
        failure = make(ErrorCode.UPSTREAM_5XX, "it broke")
        moment.health.failed(Target(name, model_id), failure, moment.now)


def fails(moment: Moment, name: str, model_id: str, code: ErrorCode, **fields: int) -> None:
    moment.health.failed(Target(name, model_id), make(code, "no", **fields), moment.now)  # type: ignore[arg-type]


# --- What callers of the coordination API expect --------------------------------------------


@pytest.mark.parametrize(
    ("use_case", "tier", "name", "alias"),
    [
        ("conversation", "standard", "groq", None),
        ("code_generation", "economy", "deepseek", None),
        ("analysis", "premium", "claude", "sonnet"),
        ("summarization", "standard", "gemini", "flash"),
        ("expert", "premium", "claude", "opus"),
    ],
)
def test_with_the_six_keys_each_use_case_goes_where_its_callers_expect(
    use_case: str, tier: str, name: str, alias: str | None
) -> None:
    decided = planned(real(*SIX), use_case=use_case, budget_tier=tier)
    assert first(decided)[0] == name
    assert alias is None or first(decided)[1] == alias
    assert decided.preferred is None


def test_classification_without_a_qwen_key_goes_to_the_qwen_that_groq_hosts() -> None:
    decided = planned(real(*SIX), use_case="classification", budget_tier="ultra_economy")
    assert order(decided)[0] == "groq/qwen/qwen3.8-27b"
    assert decided.preferred == Skipped("qwen", None, Reason.NO_KEY)
    assert decided.choices[0].substitute == Substitute("qwen", "qwen3.8-flash", Kinship.SAME_FAMILY)


@pytest.mark.parametrize("hour", [3, 14], ids=["peak", "off-peak"])
@pytest.mark.parametrize("words", [10, 2_000])
def test_these_expectations_hold_at_the_catalog_s_prices_at_any_hour(hour: int, words: int) -> None:
    known, moment = real(*SIX), Moment()
    view = View(prices=Prices(), health=moment.health, speeds=moment, limits=moment)
    at = datetime(2026, 11, 23, hour, tzinfo=UTC).timestamp()
    messages = [{"role": "user", "content": "word " * words}]
    expected = {
        ("conversation", "standard"): "groq",
        ("code_generation", "economy"): "deepseek",
        ("analysis", "premium"): "claude/claude-sonnet-5-5",
        ("summarization", "standard"): "gemini/gemini-3.8-flash",
        ("expert", "premium"): "claude/claude-opus-5-5",
    }
    for (use_case, tier), who in expected.items():
        asked = request(use_case=use_case, budget_tier=tier, messages=messages)
        decided = plan(asked, build(PACKAGED, known), known, view, 0.0, at, shift=True)
        assert order(decided)[0].startswith(who)
        assert decided.preferred is None


@pytest.mark.parametrize(
    ("use_case", "name"), [("long_context", "kimi"), ("web_search", "perplexity")]
)
def test_specialists_answer_where_their_keys_are_set(use_case: str, name: str) -> None:
    decided = planned(real(*SIX, name), use_case=use_case, budget_tier="premium")
    assert first(decided)[0] == name


# --- The table ------------------------------------------------------------------------------


def test_the_row_comes_in_its_order_then_everybody_else() -> None:
    decided = planned(ABCD, PREFERS_C_THEN_B)
    assert order(decided) == ["c/c3", "b/b2", "a/a2", "d/d1"]
    assert decided.policy == "table:conversation"
    assert (decided.preferred, decided.skipped) == (None, ())
    assert all(choice.substitute is None for choice in decided.choices)


def test_the_table_ranks_and_never_restricts() -> None:
    for use_case in UseCase:
        decided = planned(
            real(*SIX, "kimi", "perplexity"), use_case=use_case.value, budget_tier="enterprise"
        )
        assert set(providers(decided)) == {*SIX, "kimi", "perplexity"}


def test_a_tier_may_have_a_row_of_its_own() -> None:
    rules = table(ABCD, conversation={"prefer": ["b"], "premium": {"prefer": ["d", "c"]}})
    assert order(planned(ABCD, rules))[0] == "b/b2"
    assert order(planned(ABCD, rules, budget_tier="premium"))[:2] == ["d/d1", "c/c3"]


def test_a_name_without_a_model_means_the_default_or_what_is_nearest_to_the_wanted_class() -> None:
    rows = {"prefer": ["a"], "complexity": Complexity.SIMPLE}
    assert order(planned(ABCD, table(ABCD, conversation=rows)))[0] == "a/a2"
    rows = {"prefer": ["a"], "complexity": Complexity.COMPLEX}
    assert order(planned(ABCD, table(ABCD, conversation=rows)))[0] == "a/a3"


def test_a_row_that_names_nobody_who_is_known_leaves_it_to_the_others() -> None:
    decided = planned(ABCD, table(ABCD, conversation={"prefer": ["nobody"]}))
    assert order(decided) == ["a/a2", "b/b2", "c/c3", "d/d1"]
    assert decided.preferred is None


def test_a_complexity_moves_those_below_it_behind_those_that_reach_it() -> None:
    rules = table(ABCD, conversation={"prefer": ["d", "b", "c"]})
    assert order(planned(ABCD, rules)) == ["d/d1", "b/b2", "c/c3", "a/a2"]
    decided = planned(ABCD, rules, complexity="complex")
    assert order(decided) == ["c/c3", "a/a3", "d/d1", "b/b2"]
    assert decided.preferred is None


def test_the_unnamed_are_ordered_by_class_then_speed_then_cost() -> None:
    known = market(*(provider(name, model(name, 2)) for name in "vwxyz"), D)
    moment = Moment(
        speeds={"x": 0.2, "w": 0.4},
        prices={"v": 0.02, "w": 0.03, "x": 0.04, "y": 0.01},
    )
    rules = table(known, conversation={"prefer": ["nobody"]})
    assert providers(planned(known, rules, moment)) == ["x", "w", "y", "v", "z", "d"]


def test_the_unnamed_who_are_slow_come_after_those_who_are_well() -> None:
    known = market(B, provider("x", model("x", 2)))
    moment = Moment()
    for _ in range(40):
        moment.health.expect(Target("b", "b2"), -10.0, 1.0).heard = -5.0
    assert moment.health.standing(Target("b", "b2"), 0.0).state is State.SLOW
    rules = table(known, conversation={"prefer": ["nobody"]})
    assert providers(planned(known, rules, moment)) == ["x", "b"]


# --- Same model, same family ----------------------------------------------------------------

HOME = provider(
    "home",
    model("big", 3, family="fam", same_as="big", open_weights=True),
    model("little", 1, family="fam"),
)
CLOSED = provider("closed", model("shut", 3, family="shut", same_as="shut"))
HUB = provider(
    "hub",
    model("x/other", 2, family="third"),
    model("x/big", 3, family="fam", same_as="big", open_weights=True),
    model("x/shut", 3, family="shut", same_as="shut"),
)
NAMESAKE = provider("namesake", model("big-q4", 3, family="fam", same_as="big", open_weights=False))
SIBLING = provider("sibling", model("n/plain", 3), model("n/fam", 2, family="fam"))
EQUAL = provider("equal", model("peer", 3, family="peer"))
LESS = provider("less", model("low", 1))
EVERYBODY = (LESS, EQUAL, SIBLING, NAMESAKE, HUB, HOME, CLOSED)


def test_where_the_first_choice_runs_the_hosts_of_its_model_come_right_behind_it() -> None:
    known = market(*EVERYBODY)
    rules = table(known, conversation={"prefer": ["home/big", "equal"]})
    moment = Moment(speeds={"big-q4": 0.1})
    decided = planned(known, rules, moment)
    assert order(decided)[:4] == ["home/big", "namesake/big-q4", "hub/x/big", "equal/peer"]
    assert {choice.substitute for choice in decided.choices} == {None}


def test_who_stands_in_is_the_same_model_then_the_family_then_the_class_then_anybody() -> None:
    known = market(*EVERYBODY, home="no_key")
    rules = table(known, conversation={"prefer": ["home/big", "less"], "complexity": "complex"})
    decided = planned(known, rules)
    assert [
        (
            choice.endpoint.provider.name,
            choice.model.id,
            choice.substitute and choice.substitute.kinship,
        )
        for choice in decided.choices
    ] == [
        ("hub", "x/big", Kinship.SAME_WEIGHTS),
        ("namesake", "big-q4", Kinship.SAME_NAME),
        ("sibling", "n/fam", Kinship.SAME_FAMILY),
        ("equal", "peer", Kinship.SAME_CLASS),
        ("closed", "shut", Kinship.SAME_CLASS),
        ("less", "low", Kinship.OTHER),
    ]
    assert decided.preferred == Skipped("home", None, Reason.NO_KEY)
    assert decided.choices[0].substitute == Substitute("home", "big", Kinship.SAME_WEIGHTS)


def test_a_first_choice_that_cools_down_has_its_own_siblings_among_its_family() -> None:
    known = market(HOME, HUB, EQUAL)
    moment = Moment()
    fails(moment, "home", "big", ErrorCode.RATE_LIMIT_PROVIDER, retry_after_ms=4_000)
    rules = table(known, conversation={"prefer": ["home", "equal"], "complexity": "complex"})
    decided = planned(known, rules, moment)
    assert order(decided) == ["hub/x/big", "home/little", "equal/peer"]
    assert decided.preferred == Skipped("home", "big", Reason.COOLING_DOWN, retry_after_s=4.0)


def test_what_the_request_excludes_is_not_its_first_choice() -> None:
    decided = planned(ABCD, PREFERS_C_THEN_B, providers={"exclude": ["c"]})
    assert order(decided)[0] == "b/b2"
    assert decided.preferred is None
    assert reasons(decided) == {"c": "excluded"}


# --- The cap --------------------------------------------------------------------------------


def test_over_the_cap_a_provider_s_nearest_model_under_it_takes_the_place() -> None:
    moment = Moment(prices={"a3": 0.06, "a2": 0.04, "a1": 0.01})
    rules = table(ABCD, conversation={"prefer": ["a/a3", "b"], "complexity": "complex"})
    decided = planned(ABCD, rules, moment)
    assert order(decided)[:2] == ["a/a2", "b/b2"]
    assert decided.skipped == (
        Skipped("a", "a3", Reason.OVER_CAP, "estimated $0.06, standard allows $0.05"),
    )
    assert decided.preferred is None
    assert (decided.cap_usd, decided.choices[0].cost_usd) == (0.05, 0.04)


def test_preference_outranks_price_under_the_cap() -> None:
    moment = Moment(prices={"c3": 0.0499, "b2": 0.0001})
    assert order(planned(ABCD, PREFERS_C_THEN_B, moment))[0] == "c/c3"


def test_an_unknown_price_is_not_over_the_cap() -> None:
    decided = planned(market(B), budget_tier="ultra_economy")
    assert decided.choices[0].cost_usd is None


def test_nobody_under_the_cap_is_over_budget_and_names_the_cheapest() -> None:
    moment = Moment(prices={"a1": 0.4, "a2": 0.3, "a3": 0.5, "b2": 0.2, "c3": 9, "d1": 0.9})
    error = refused(ABCD, PREFERS_C_THEN_B, moment)
    assert (error.code, error.http) == (ErrorCode.OVER_BUDGET, 422)
    assert error.message == (
        "budget_tier standard allows $0.05 a request; the cheapest that could answer, b/b2, is "
        "estimated at $0.2"
    )


def test_a_pinned_model_is_capped_only_where_the_tier_is_given() -> None:
    moment = Moment(prices={"c3": 0.5})
    decided = planned(ABCD, None, moment, model="c/c3")
    assert (order(decided), decided.cap_usd) == (["c/c3"], None)
    error = refused(ABCD, None, moment, model="c/c3", budget_tier="standard")
    assert error.code is ErrorCode.OVER_BUDGET
    assert order(planned(ABCD, None, moment, model="c3")) == ["c/c3"]
    assert refused(ABCD, None, moment, model="c3", budget_tier="standard").http == 422


def test_a_race_starts_as_many_as_fit_under_the_cap_together() -> None:
    moment = Moment(prices={"c3": 0.03, "b2": 0.015, "a2": 0.01})
    assert planned(ABCD, PREFERS_C_THEN_B, moment, latency="race").width == 2
    wide = {"strategy": "race", "max_attempts": 3}
    assert planned(ABCD, PREFERS_C_THEN_B, moment, latency=wide).width == 2
    rich = planned(ABCD, PREFERS_C_THEN_B, moment, latency=wide, budget_tier="premium")
    assert rich.width == 3
    named = {"strategy": "race", "providers": ["a", "b", "c", "d"]}
    assert planned(ABCD, None, moment, latency=named, budget_tier="premium").width == 4


def test_an_unknown_price_takes_nothing_from_what_a_race_may_cost() -> None:
    moment = Moment(prices={"c3": 0.04, "a2": 0.005})
    wide = {"strategy": "race", "max_attempts": 3}
    assert planned(ABCD, PREFERS_C_THEN_B, moment, latency=wide).width == 3


def test_a_race_has_one_runner_where_two_are_too_dear_and_no_other_strategy_has_more() -> None:
    moment = Moment(prices={"c3": 0.04, "b2": 0.04})
    assert planned(ABCD, PREFERS_C_THEN_B, moment, latency="race").width == 1
    assert planned(ABCD, PREFERS_C_THEN_B, latency="hedge").width == 1


# --- Filters --------------------------------------------------------------------------------


def test_only_and_exclude_are_kept_to_and_named_as_reasons() -> None:
    decided = planned(ABCD, providers={"only": ["a", "b"], "exclude": ["a"]})
    assert order(decided) == ["b/b2"]
    assert reasons(decided) == dict.fromkeys("acd", "excluded")


def test_what_a_model_cannot_take_sends_the_request_to_one_that_can() -> None:
    blind = provider("blind", model("dark", 3, images=False), model("light", 2))
    lame = provider("lame", model("plain", tools=False))
    short = provider("short", model("brief", context=150))
    known = market(blind, lame, short)
    rules = table(known, conversation={"prefer": ["blind/dark", "lame", "short"]})
    picture = {"type": "image_url", "image_url": {"url": "https://x.invalid/y.png"}}
    tool = {"type": "function", "function": {"name": "look"}}
    decided = planned(known, rules, messages=[{"role": "user", "content": [picture]}], tools=[tool])
    assert order(decided) == ["blind/light"]
    assert reasons(decided) == {
        "blind/dark": "no_images",
        "lame/plain": "no_tools",
        "short/brief": "context_too_small",
    }


def test_a_window_must_hold_the_prompt_and_what_is_asked_for_or_expected() -> None:
    known = market(provider("short", model("brief", context=150, max_output=120)))
    rules = table(known, conversation={"prefer": ["short"]})
    assert order(planned(known, rules, max_tokens=140)) == ["short/brief"]
    assert order(planned(known, rules)) == ["short/brief"]
    error = refused(known, rules, messages=[{"role": "user", "content": "x" * 400}])
    assert (error.code, error.http) == (ErrorCode.NO_CANDIDATES, 422)
    assert "short/brief: needs 204 tokens, its window is 150" in error.message


def test_expected_output_is_the_use_case_s_but_never_more_than_asked_for() -> None:
    rules = table(ABCD, conversation={"prefer": ["a"], "expected_output_tokens": 300})
    assert planned(ABCD, rules).output_tokens == 300
    assert planned(ABCD, rules, max_tokens=20).output_tokens == 20
    assert planned(ABCD, rules, max_tokens=2000).output_tokens == 300


@pytest.mark.parametrize(
    ("code", "reason"),
    [(ErrorCode.AUTH_PROVIDER, "key_refused"), (ErrorCode.QUOTA_PROVIDER, "quota_spent")],
)
def test_a_disabled_key_stops_the_whole_provider(code: ErrorCode, reason: str) -> None:
    moment = Moment()
    fails(moment, "a", "a2", code)
    decided = planned(ABCD, table(ABCD, conversation={"prefer": ["a"]}), moment)
    assert "a" not in providers(decided)
    assert reasons(decided) == {"a": reason}
    assert decided.preferred is not None
    assert decided.preferred.provider == "a"


def test_a_limit_that_is_reached_sends_the_request_elsewhere() -> None:
    moment = Moment(waits={"c": 12.5, "b/b2": 3.0})
    decided = planned(ABCD, PREFERS_C_THEN_B, moment)
    assert order(decided) == ["a/a2", "d/d1"]
    assert decided.skipped == (
        Skipped("c", None, Reason.LIMIT_REACHED, retry_after_s=12.5),
        Skipped("b", "b2", Reason.LIMIT_REACHED, retry_after_s=3.0),
    )


def test_an_open_breaker_is_passed_over_while_others_are_left() -> None:
    moment = Moment()
    breaks(moment, "c", "c3")
    moment.now = 1.0
    decided = planned(ABCD, PREFERS_C_THEN_B, moment)
    assert order(decided) == ["b/b2", "a/a2", "d/d1"]
    assert decided.preferred == Skipped("c", "c3", Reason.BREAKER_OPEN, retry_after_s=4.0)
    assert decided.choices[0].substitute == Substitute("c", "c3", Kinship.OTHER)


def test_an_open_breaker_that_is_due_for_a_trial_is_the_last_resort() -> None:
    moment = Moment()
    breaks(moment, "c", "c3")
    moment.now = 6.0
    decided = planned(ABCD, PREFERS_C_THEN_B, moment)
    assert order(decided)[-1] == "c/c3"
    assert decided.skipped == ()


def test_where_nobody_else_is_left_the_open_are_asked() -> None:
    moment = Moment()
    breaks(moment, "c", "c3")
    breaks(moment, "b", "b2")
    known = market(B, C)
    assert order(planned(known, PREFERS_C_THEN_B, moment)) == ["c/c3", "b/b2"]
    assert order(planned(market(B), None, moment, model="b/b2")) == ["b/b2"]


def test_a_request_that_is_carried_out_tries_an_open_target_now_and_then() -> None:
    moment = Moment()
    breaks(moment, "c", "c3")
    tried = [
        order(planned(ABCD, PREFERS_C_THEN_B, moment, shift=True))[0] for _ in range(100)
    ].count("c/c3")
    assert 1 <= tried <= 5


def test_a_plan_that_is_only_shown_moves_no_traffic() -> None:
    moment = Moment()
    breaks(moment, "c", "c3")
    for _ in range(50):
        assert order(planned(ABCD, PREFERS_C_THEN_B, moment))[0] == "b/b2"
    assert order(planned(ABCD, PREFERS_C_THEN_B, moment, shift=True))[0] == "c/c3"


# --- Nobody ---------------------------------------------------------------------------------


def test_where_everybody_lacks_a_key_the_refusal_is_final_and_says_so() -> None:
    error = refused(market(A, B, a="no_key", b="retired"))
    assert (error.code, error.http, error.retryable) == (ErrorCode.NO_CANDIDATES, 422, False)
    assert error.message == "nobody can answer: a has no key; b is retired"


def test_where_it_is_only_for_the_moment_the_refusal_says_when_to_come_back() -> None:
    moment = Moment(waits={"b": 2.5})
    fails(moment, "d", "d1", ErrorCode.RATE_LIMIT_PROVIDER, retry_after_ms=9_000)
    error = refused(market(B, D), None, moment)
    assert (error.code, error.http, error.retryable) == (ErrorCode.NO_CANDIDATES, 503, True)
    assert error.retry_after_ms == 2_500
    assert "b: its rate limit here is reached" in error.message


def test_the_demo_answers_only_where_no_key_at_all_is_set_or_when_named() -> None:
    assert first(planned(real()))[0] == "demo"
    assert providers(planned(real("groq"))) == ["groq"]
    assert first(planned(real("groq"), model="demo/auto"))[0] == "demo"
    assert refused(real(), providers={"exclude": ["demo"]}).code is ErrorCode.NO_CANDIDATES
    assert refused(real("groq"), providers={"exclude": ["groq"]}).http == 422


# --- The caller's own choice ----------------------------------------------------------------


def test_a_pinned_provider_without_a_key_is_a_422_that_names_it() -> None:
    error = refused(real("groq"), model="qwen/auto")
    assert (error.code, error.http, error.retryable) == (ErrorCode.NO_CANDIDATES, 422, False)
    assert error.message == "nobody can answer: qwen has no key"
    assert (error.param, error.provider) == ("model", "qwen")


def test_a_retired_provider_is_never_routed_to() -> None:
    assert (
        "github is retired" in refused(real("groq", github="retired"), model="github/auto").message
    )


def test_a_pinned_provider_answers_with_its_best_for_use_case_and_tier() -> None:
    rules = table(ABCD, conversation={"prefer": ["b", "a/a1"]}, expert={"prefer": ["b"]})
    assert order(planned(ABCD, rules, model="a/auto")) == ["a/a1"]
    assert order(planned(ABCD, rules, model="a/auto", use_case="expert")) == ["a/a3"]
    moment = Moment(prices={"a3": 0.06})
    decided = planned(ABCD, rules, moment, model="a/auto", use_case="expert")
    assert (order(decided), decided.cap_usd) == (["a/a2"], 0.05)


def test_an_unlisted_model_of_a_named_provider_is_passed_through() -> None:
    decided = planned(ABCD, model="b/made/up")
    assert (order(decided), decided.policy) == (["b/made/up"], "pinned")


def test_nobody_stands_in_for_a_pinned_request() -> None:
    moment = Moment()
    fails(moment, "home", "big", ErrorCode.RATE_LIMIT_PROVIDER, retry_after_ms=4_000)
    error = refused(market(*EVERYBODY), None, moment, model="home/big")
    assert (error.http, error.retry_after_ms) == (503, 4_000)
    assert (error.provider, error.param) == ("home", None)


@pytest.mark.parametrize("name", ["big", "x/big", "big-q4"])
def test_a_bare_model_is_served_by_everybody_who_has_it_its_home_first(name: str) -> None:
    decided = planned(market(HUB, HOME, NAMESAKE), None, Moment(speeds={"big-q4": 0.1}), model=name)
    assert order(decided) == ["home/big", "namesake/big-q4", "hub/x/big"]
    assert (decided.policy, decided.preferred) == ("model", None)


def test_a_bare_model_s_real_home_comes_before_the_hubs() -> None:
    decided = planned(real("kimi", "groq", "openrouter", "huggingface"), model="kimi-k3")
    assert providers(decided)[0] == "kimi"
    assert "groq" not in providers(decided)


def test_a_model_that_nobody_lists_is_not_found() -> None:
    error = refused(real(*SIX), model="gpt-99-imaginary")
    assert (error.code, error.param) == (ErrorCode.NOT_FOUND, "model")


def test_a_bare_model_whose_providers_all_lack_keys_is_refused_with_their_names() -> None:
    assert "kimi has no key" in refused(real("groq"), model="kimi-k3").message


def test_the_callers_own_order_is_kept_and_only_what_cannot_run_is_skipped() -> None:
    known = market(A, B, C, D, d="no_key")
    moment = Moment(speeds={"b2": 0.1}, prices={"c3": 0.04})
    decided = planned(
        known, PREFERS_C_THEN_B, moment, latency={"providers": ["a/a1", "d", "c", "b/auto"]}
    )
    assert order(decided) == ["a/a1", "c/c3", "b/b2"]
    assert decided.skipped == (Skipped("d", None, Reason.NO_KEY),)
    assert (decided.policy, decided.preferred) == ("ordered", None)


def test_in_the_callers_order_an_open_breaker_is_tried_in_its_place_when_it_is_due() -> None:
    moment = Moment()
    breaks(moment, "c", "c3")
    latency = {"providers": ["c", "b"]}
    assert order(planned(ABCD, None, moment, latency=latency, shift=True)) == ["b/b2"]
    moment.now = 6.0
    assert order(planned(ABCD, None, moment, latency=latency, shift=True)) == ["c/c3", "b/b2"]


def test_a_provider_may_stand_twice_in_the_callers_order_with_two_models() -> None:
    decided = planned(ABCD, latency={"providers": ["a/a1", "a/a3", "a/a1"]})
    assert order(decided) == ["a/a1", "a/a3"]


def test_a_bare_model_goes_along_with_the_callers_order() -> None:
    decided = planned(ABCD, model="new", latency={"providers": ["a", "b/b2"]})
    assert order(decided) == ["a/new", "b/b2"]


def test_an_order_of_others_than_the_pinned_provider_is_refused() -> None:
    error = refused(ABCD, model="a/auto", latency={"providers": ["b"]})
    assert (error.code, error.param) == (ErrorCode.INVALID_REQUEST, "latency.providers")


def test_an_order_of_providers_that_cannot_run_is_refused_with_the_reasons() -> None:
    error = refused(market(A, B, C, a="no_key", b="no_key"), latency={"providers": ["a", "b"]})
    assert error.message == "nobody can answer: a has no key; b has no key"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"providers": {"only": ["nobody"]}}, "providers.only"),
        ({"providers": {"exclude": ["nobody"]}}, "providers.exclude"),
        ({"latency": {"providers": ["nobody/x"]}}, "latency.providers"),
        ({"latency": {"providers": ["nobody/"]}}, "latency.providers"),
    ],
)
def test_a_provider_that_does_not_exist_is_refused_by_its_field(
    fields: dict[str, object], param: str
) -> None:
    error = refused(ABCD, **fields)
    assert (error.code, error.param) == (ErrorCode.INVALID_REQUEST, param)
    assert "'nobody" in error.message


@pytest.mark.parametrize("field", ["only", "exclude"])
@pytest.mark.parametrize("name", ["a/a1", "a/auto", "a/", ""])
def test_a_filter_takes_the_names_of_providers_and_nothing_else(field: str, name: str) -> None:
    error = refused(ABCD, providers={field: [name]})
    assert (error.code, error.param) == (ErrorCode.INVALID_REQUEST, f"providers.{field}")
    assert error.message.startswith(f"providers.{field}: {name!r} is not one of a, b, c, d")


@pytest.mark.parametrize("name", ["a/", "a/auto:analysis"])
def test_an_order_takes_the_forms_that_model_takes(name: str) -> None:
    error = refused(ABCD, latency={"providers": [name]})
    assert (error.code, error.param) == (ErrorCode.INVALID_REQUEST, "latency.providers")
    assert error.message.startswith(f"latency.providers: {name!r} ")
    assert "<provider>/<model> or <provider>/auto" in error.message


# --- Attempts -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "most"),
    [
        ({}, 4),
        ({"latency": "hedge"}, 6),
        ({"latency": "race"}, 6),
        ({"latency": {"strategy": "race", "max_attempts": 2}}, 2),
        ({"latency": {"max_attempts": 3}}, 3),
        ({"latency": {"max_attempts": 16}}, 4),
        ({"latency": {"strategy": "race", "max_attempts": 16}}, 8),
        ({"latency": {"strategy": "hedge", "max_attempts": 16}}, 8),
        ({"fallback": False}, 1),
        ({"fallback": False, "latency": "hedge"}, 6),
        ({"model": "a/a1"}, 1),
        ({"model": "a/a1", "latency": "hedge"}, 2),
    ],
)
def test_attempts_are_no_more_than_are_asked_for_and_can_come_about(
    fields: dict[str, object], most: int
) -> None:
    assert planned(ABCD, **fields).max_attempts == most


def test_the_plan_carries_the_request_in_effect_and_whose_budget_it_shares() -> None:
    decided = planned(ABCD, model="auto:expert@premium")
    assert (decided.use_case, decided.tier) == (UseCase.EXPERT, Tier.PREMIUM)
    assert decided.request.use_case is UseCase.EXPERT
    assert decided.route == "expert"
    preset = planned(ABCD, model="preset:tester")
    assert (preset.route, preset.use_case) == ("preset:tester", UseCase.CODE_GENERATION)
    assert preset.request.messages[0].role == "system"


# --- Everything at once ---------------------------------------------------------------------

NAMES = [entry.name for entry in EVERYBODY]
TARGETS = [(entry.name, m.id) for entry in EVERYBODY for m in entry.models]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    inactive: dict[str, str]
    prefer: list[str]
    prices: dict[str, float]
    waits: dict[str, float]
    broken: list[tuple[str, str]]
    cooling: list[tuple[str, str]]
    exclude: list[str]
    complexity: Complexity | None
    model: str
    shift: bool

    def decide(self) -> Plan | Error:
        known = market(*EVERYBODY, **self.inactive)
        moment = Moment(prices=self.prices, waits=self.waits)
        for name, model_id in self.broken:
            breaks(moment, name, model_id)
        for name, model_id in self.cooling:
            fails(moment, name, model_id, ErrorCode.RATE_LIMIT_PROVIDER, retry_after_ms=3_000)
        fields: dict[str, object] = {"providers": {"exclude": self.exclude}, "model": self.model}
        if self.complexity is not None:
            fields["complexity"] = self.complexity.value
        rules = table(known, conversation={"prefer": self.prefer})
        try:
            return planned(known, rules, moment, shift=self.shift, **fields)
        except RequestError as refusal:
            return refusal.error


SCENARIOS = st.builds(
    Scenario,
    inactive=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["no_key", "disabled"])),
    prefer=st.lists(st.sampled_from([*NAMES, "home/big", "hub/x/big"]), min_size=1, unique=True),
    prices=st.dictionaries(
        st.sampled_from([name for _, name in TARGETS]), st.sampled_from([0.001, 0.02, 0.04, 0.9])
    ),
    waits=st.dictionaries(st.sampled_from(NAMES), st.just(2.0), max_size=3),
    broken=st.lists(st.sampled_from(TARGETS), unique=True, max_size=5),
    cooling=st.lists(st.sampled_from(TARGETS), unique=True, max_size=3),
    exclude=st.lists(st.sampled_from(NAMES), unique=True, max_size=3),
    complexity=st.sampled_from([None, *Complexity]),
    model=st.sampled_from(["auto", "big", "home/auto"]),
    shift=st.booleans(),
)


@given(SCENARIOS)
def test_everybody_is_a_candidate_once_or_is_skipped_for_a_reason(scenario: Scenario) -> None:
    decided = scenario.decide()
    if isinstance(decided, Error):
        assert decided.code in {ErrorCode.NO_CANDIDATES, ErrorCode.OVER_BUDGET}
        assert decided.http in {422, 503}
        return
    candidates, skipped = order(decided), reasons(decided)
    assert len(candidates) == len(set(candidates))
    assert len(skipped) == len(decided.skipped)
    assert not set(candidates) & set(skipped)
    if scenario.model == "auto":
        assert {name.partition("/")[0] for name in (*candidates, *skipped)} == set(NAMES)
    barred = {*scenario.inactive, *scenario.exclude, *scenario.waits}
    assert not barred & set(providers(decided))
    assert (decided.preferred is None) == (decided.choices[0].substitute is None)
    assert decided.preferred is None or decided.preferred in decided.skipped
    assert 1 <= decided.width <= len(candidates)
    several = decided.latency.strategy is not Strategy.NORMAL
    assert 1 <= decided.max_attempts <= len(candidates) * (2 if several else 1)


@given(SCENARIOS)
def test_the_same_question_has_the_same_answer(scenario: Scenario) -> None:
    assert scenario.decide() == scenario.decide()
