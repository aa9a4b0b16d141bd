"""Who answers, who does not, and why: over the fifteen providers as they are."""

import pytest

from adapters.contract import Endpoint
from adapters.errors import RequestError
from adapters.events import ErrorCode
from adapters.registry import PROVIDERS
from adapters.request import ChatRequest, UseCase
from service.endpoints import Inactive
from service.routing.plan import Plan, Skipped
from service.routing.policy import EXPECTED, Known, plan

SIX = ("claude", "openai", "groq", "deepseek", "mistral", "gemini")


def known(*active: str, **inactive: str) -> Known:
    """The registry with keys for `active`; the others lack one, unless `inactive` says else."""
    entries: dict[str, Endpoint | Inactive] = {}
    for name, provider in PROVIDERS.items():
        if name in active or name == "demo":
            entries[name] = Endpoint(provider=provider, base_url="https://x.invalid", key="k")
        else:
            entries[name] = Inactive(provider, inactive.get(name, "no_key"))  # type: ignore[arg-type]
    return entries


def planned(entries: Known, **fields: object) -> Plan:
    body = {"messages": [{"role": "user", "content": "hi"}], **fields}
    return plan(ChatRequest.model_validate(body), entries)


def first(decided: Plan) -> tuple[str, str | None]:
    choice = decided.choices[0]
    return choice.endpoint.provider.name, choice.model.alias


def refused(entries: Known, **fields: object) -> RequestError:
    with pytest.raises(RequestError) as refusal:
        planned(entries, **fields)
    return refusal.value


@pytest.mark.parametrize(
    ("use_case", "tier", "provider", "alias"),
    [
        ("conversation", "standard", "groq", None),
        ("code_generation", "economy", "deepseek", None),
        ("analysis", "premium", "claude", "sonnet"),
        ("summarization", "standard", "gemini", "flash"),
        ("expert", "premium", "claude", "opus"),
    ],
)
def test_with_the_six_keys_each_use_case_goes_where_its_callers_expect(
    use_case: str, tier: str, provider: str, alias: str | None
) -> None:
    decided = planned(known(*SIX), use_case=use_case, budget_tier=tier)
    assert first(decided)[0] == provider
    assert alias is None or first(decided)[1] == alias
    assert decided.preferred is None


def test_classification_without_a_qwen_key_goes_to_the_qwen_that_groq_hosts() -> None:
    decided = planned(known(*SIX), use_case="classification", budget_tier="ultra_economy")
    assert decided.choices[0].endpoint.provider.name == "groq"
    assert decided.choices[0].model.id == "qwen/qwen3.8-27b"
    assert decided.preferred == Skipped("qwen", None, "no_key")


@pytest.mark.parametrize(
    ("use_case", "name"), [("long_context", "kimi"), ("web_search", "perplexity")]
)
def test_specialists_answer_where_their_keys_are_set(use_case: str, name: str) -> None:
    assert first(planned(known(*SIX, name), use_case=use_case))[0] == name


def test_the_table_ranks_and_never_restricts() -> None:
    for use_case in UseCase:
        decided = planned(known(*SIX, "kimi", "perplexity"), use_case=use_case)
        names = [choice.endpoint.provider.name for choice in decided.choices]
        assert set(names) == {*SIX, "kimi", "perplexity"}


def test_every_use_case_has_a_row_whose_names_exist() -> None:
    assert set(EXPECTED) == set(UseCase)
    for row in EXPECTED.values():
        for name, alias in row:
            assert alias is None or PROVIDERS[name].model(alias).alias == alias


def test_the_demo_answers_only_where_no_key_at_all_is_set_or_when_named() -> None:
    assert first(planned(known()))[0] == "demo"
    everybody = [choice.endpoint.provider.name for choice in planned(known("groq")).choices]
    assert everybody == ["groq"]
    assert first(planned(known("groq"), model="demo/auto"))[0] == "demo"


def test_a_pinned_provider_without_a_key_is_a_422_that_names_it() -> None:
    error = refused(known("groq"), model="qwen/auto").error
    assert (error.code, error.http, error.retryable) == (ErrorCode.NO_CANDIDATES, 422, False)
    assert error.message == "nobody can answer: qwen has no key"
    assert (error.param, error.provider) == ("model", "qwen")


def test_a_retired_provider_is_never_routed_to() -> None:
    error = refused(known("groq", github="retired"), model="github/auto").error
    assert "github is retired" in error.message


def test_a_bare_model_is_served_by_whoever_lists_it_its_home_first() -> None:
    everywhere = known("kimi", "groq", "openrouter", "huggingface")
    decided = planned(everywhere, model="kimi-k3")
    served_by = [choice.endpoint.provider.name for choice in decided.choices]
    assert served_by[0] == "kimi"
    assert "groq" not in served_by


def test_a_model_that_nobody_lists_is_not_found() -> None:
    error = refused(known(*SIX), model="gpt-99-imaginary").error
    assert (error.code, error.param) == (ErrorCode.NOT_FOUND, "model")


def test_only_and_exclude_are_kept_to_and_named_as_reasons() -> None:
    decided = planned(known(*SIX), providers={"only": ["openai", "claude"], "exclude": ["claude"]})
    assert [choice.endpoint.provider.name for choice in decided.choices] == ["openai"]
    assert Skipped("claude", None, "excluded") in decided.skipped
    assert Skipped("groq", None, "excluded") in decided.skipped


def test_the_callers_own_order_is_kept() -> None:
    decided = planned(
        known(*SIX), latency={"providers": ["mistral/small", "qwen", "claude", "groq/auto"]}
    )
    assert [choice.endpoint.provider.name for choice in decided.choices] == [
        "mistral",
        "claude",
        "groq",
    ]
    assert decided.choices[0].model.alias == "small"
    assert decided.skipped == (Skipped("qwen", None, "no_key"),)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"providers": {"only": ["nobody"]}}, "providers.only"),
        ({"providers": {"exclude": ["nobody"]}}, "providers.exclude"),
        ({"latency": {"providers": ["nobody/x"]}}, "latency.providers"),
    ],
)
def test_a_provider_that_does_not_exist_is_refused_by_its_field(
    fields: dict[str, object], param: str
) -> None:
    error = refused(known(*SIX), **fields).error
    assert (error.code, error.param) == (ErrorCode.INVALID_REQUEST, param)
    assert "'nobody" in error.message


def test_when_everybody_is_excluded_the_reasons_say_so() -> None:
    error = refused(known("groq"), providers={"exclude": ["groq", "demo"]}).error
    assert error.code is ErrorCode.NO_CANDIDATES
    assert "groq is excluded by the request" in error.message


def test_an_excluded_demo_does_not_answer_either() -> None:
    assert refused(known(), providers={"exclude": ["demo"]}).error.code is ErrorCode.NO_CANDIDATES


def test_an_order_of_others_than_the_pinned_provider_is_refused() -> None:
    order = {"providers": ["openai", "groq"]}
    error = refused(known(*SIX), model="groq/auto", latency=order).error
    assert (error.code, error.param) == (ErrorCode.INVALID_REQUEST, "latency.providers")


def test_a_bare_model_goes_along_with_the_callers_order() -> None:
    decided = planned(known(*SIX), model="gpt-x", latency={"providers": ["openai", "groq/fast"]})
    assert [choice.model.id for choice in decided.choices] == ["gpt-x", "fast"]


def test_a_bare_model_whose_providers_all_lack_keys_is_refused_with_their_names() -> None:
    error = refused(known("groq"), model="kimi-k3").error
    assert error.code is ErrorCode.NO_CANDIDATES
    assert "kimi has no key" in error.message


def test_an_order_of_providers_that_cannot_run_is_refused_with_the_reasons() -> None:
    error = refused(known("groq"), latency={"providers": ["qwen", "kimi"]}).error
    assert error.message == "nobody can answer: qwen has no key; kimi has no key"
