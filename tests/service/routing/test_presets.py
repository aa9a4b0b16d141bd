"""What a preset and the configuration add to a request."""

import pytest

from adapters.errors import RequestError
from adapters.events import ErrorCode
from adapters.request import ChatRequest, Strategy, Tier, UseCase
from service.routing.presets import Effective, apply
from service.routing.table import build
from service.routing.target import parse
from service.settings import PresetSettings, Settings, UseCaseSettings
from tests.service.routing.market import PACKAGED, request

ROLES = (
    "analyst",
    "product_manager",
    "architect",
    "developer",
    "tester",
    "scrum_master",
    "writer",
)
HASTY = PresetSettings(
    use_case=UseCase.TRANSLATION, tier=Tier.PREMIUM, latency=Strategy.RACE, system="Translate."
)
PLAIN = PresetSettings(use_case=UseCase.EXPERT)


def settings() -> Settings:
    rows = dict(PACKAGED.use_cases)
    rows[UseCase.EXPERT] = UseCaseSettings.model_validate(
        rows[UseCase.EXPERT].model_dump() | {"latency": "hedge"}
    )
    return PACKAGED.model_copy(
        update={"presets": {"hasty": HASTY, "plain": PLAIN}, "use_cases": rows}
    )


def applied(asked: ChatRequest, rules: Settings | None = None) -> Effective:
    return apply(asked, parse(asked.model, ()), build(rules or settings(), {}))


def test_a_preset_sets_use_case_tier_latency_and_system_prompt() -> None:
    effective = applied(request(model="preset:hasty"))
    done = effective.request
    assert (done.use_case, done.budget_tier) == (UseCase.TRANSLATION, Tier.PREMIUM)
    assert done.latency.strategy is Strategy.RACE
    assert [(m.role, m.content) for m in done.messages] == [
        ("system", "Translate."),
        ("user", "hi"),
    ]
    assert effective.route == "preset:hasty"


def test_what_the_request_itself_sets_wins_even_where_it_is_the_default() -> None:
    messages = [{"role": "developer", "content": "Mine."}, {"role": "user", "content": "hi"}]
    asked = request(
        model="preset:hasty",
        use_case="conversation",
        budget_tier="standard",
        latency="normal",
        messages=messages,
    )
    done = applied(asked).request
    assert (done.use_case, done.budget_tier) == (UseCase.CONVERSATION, Tier.STANDARD)
    assert done.latency.strategy is Strategy.NORMAL
    assert [m.content for m in done.messages] == ["Mine.", "hi"]


def test_latency_comes_from_the_request_then_the_preset_then_the_use_case() -> None:
    assert applied(request(use_case="expert")).request.latency.strategy is Strategy.HEDGE
    assert applied(request(model="preset:plain")).request.latency.strategy is Strategy.HEDGE
    both = request(model="preset:hasty", use_case="expert")
    assert applied(both).request.latency.strategy is Strategy.RACE
    own = request(use_case="expert", latency="normal")
    assert applied(own).request.latency.strategy is Strategy.NORMAL


def test_the_use_case_and_tier_in_the_model_beat_the_fields() -> None:
    asked = request(model="auto:expert@premium", use_case="translation", budget_tier="economy")
    effective = applied(asked)
    assert effective.request.use_case is UseCase.EXPERT
    assert effective.request.budget_tier is Tier.PREMIUM
    assert effective.route == "expert"
    assert applied(request(model="auto:expert")).request.budget_tier is Tier.STANDARD


def test_a_request_that_nothing_is_added_to_stays_as_it_is() -> None:
    asked = request(model="auto")
    assert applied(asked) == Effective(asked, "conversation")


def test_an_unknown_preset_is_not_found_and_the_known_ones_are_named() -> None:
    with pytest.raises(RequestError) as refusal:
        applied(request(model="preset:poet"))
    error = refusal.value.error
    assert (error.code, error.param) == (ErrorCode.NOT_FOUND, "model")
    assert error.message == "no preset is called 'poet'; there are hasty, plain"


@pytest.mark.parametrize("name", [*ROLES, "product-manager", "scrum-master"])
def test_every_role_of_a_pipeline_of_agents_comes_with_a_prompt_of_its_own(name: str) -> None:
    effective = applied(request(model=f"preset:{name}"), PACKAGED)
    prompt = effective.request.messages[0]
    assert prompt.role == "system"
    assert isinstance(prompt.content, str)
    assert prompt.content.startswith("You are a")
    assert "\n\n" not in prompt.content
    assert effective.route == f"preset:{name.replace('-', '_')}"


def test_no_two_roles_share_a_prompt() -> None:
    assert {*PACKAGED.presets} == {*ROLES}
    assert len({preset.system for preset in PACKAGED.presets.values()}) == len(ROLES)
