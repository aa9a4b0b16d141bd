"""Who could be asked, by what a decision asks for."""

from adapters.registry import PROVIDERS
from service.routing.roster import Offer, Roster, distance
from tests.service.routing.market import market, model, provider

MAKER = provider(
    "maker",
    model("small", 1, family="fam"),
    model("mid", 2, family="fam", alias="m"),
    model("large", 3, family="fam", same_as="large"),
    model("huge", 4, family="fam"),
    default="m",
)
HUB = provider(
    "hub", model("y/else", 2, family="else"), model("x/large", 3, family="fam", same_as="large")
)


def names(offers: tuple[Offer, ...] | list[Offer]) -> list[str]:
    return ["/".join(offer.target) for offer in offers]


def test_of_two_classes_as_far_away_the_better_one_is_nearer() -> None:
    assert sorted([1, 2, 3, 4], key=lambda quality: distance(quality, 2)) == [2, 3, 1, 4]


def test_a_default_that_reaches_the_class_comes_first_else_whatever_is_nearest() -> None:
    roster = Roster(market(MAKER))
    assert names(roster.fitting("maker", 1)) == [
        "maker/mid",
        "maker/small",
        "maker/large",
        "maker/huge",
    ]
    assert names(roster.fitting("maker", 3))[:3] == ["maker/large", "maker/huge", "maker/mid"]


def test_where_the_settings_list_other_models_the_first_of_those_is_the_default() -> None:
    changed = provider("maker", model("own"), model("other"), default="m")
    assert names(Roster(market(changed)).fitting("maker", 2))[0] == "maker/own"


def test_a_model_is_found_by_id_and_alias_and_an_unlisted_one_passed_through() -> None:
    roster = Roster(market(MAKER))
    assert roster.offer("maker", "m") is roster.offer("maker", "mid")
    assert roster.listed("maker", "new") is None
    assert roster.offer("maker", "new").model.id == "new"


def test_a_model_is_at_home_with_who_has_the_family_for_a_default() -> None:
    roster = Roster(market(HUB, MAKER))
    home, hub = roster.offer("maker", "large"), roster.offer("hub", "x/large")
    assert (roster.at_home(home), roster.at_home(hub)) == (True, False)
    assert names(roster.hosts(home.model)) == ["hub/x/large", "maker/large"]
    assert len(roster.family(home.model)) == 5


def test_a_model_without_a_name_of_its_own_has_no_hosts_and_no_family_means_none() -> None:
    roster = Roster(market(provider("a", model("one")), provider("b", model("one"))))
    assert roster.hosts(model("one")) == ()
    assert roster.family(model("one")) == ()


def test_who_serves_a_model_is_found_by_whatever_anybody_calls_it() -> None:
    roster = Roster(market(HUB, MAKER))
    assert sorted(names(roster.serving("x/large"))) == ["hub/x/large", "maker/large"]
    assert sorted(names(roster.serving("large"))) == ["hub/x/large", "maker/large"]
    assert names(roster.serving("m")) == ["maker/mid"]
    assert roster.serving("nothing") == []


def test_the_makers_of_the_registry_are_at_home() -> None:
    roster = Roster(market(*PROVIDERS.values()))
    makers = ("claude", "openai", "mistral", "gemini", "qwen", "deepseek", "kimi", "glm", "grok")
    for name in makers:
        assert roster.at_home(roster.fitting(name, 1)[0]), name
    for name in ("openrouter", "huggingface", "copilot"):
        assert not any(roster.at_home(offer) for offer in roster.fitting(name, 1)), name


def test_the_demo_is_nobody_real() -> None:
    demo = PROVIDERS["demo"]
    assert not Roster(market(demo)).real
    roster = Roster(market(HUB, demo))
    assert (roster.real, roster.names) == (True, ("hub",))
