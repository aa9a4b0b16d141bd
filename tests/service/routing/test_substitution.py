"""How close one model is to another."""

import pytest

from adapters.contract import Model
from adapters.registry import PROVIDERS
from service.routing.plan import Kinship
from service.routing.roster import Roster
from service.routing.substitution import kinship, relatives
from tests.service.routing.market import market, model

FIRST = model("first", 3, family="fam", same_as="name", open_weights=True)


@pytest.mark.parametrize(
    ("other", "kin"),
    [
        (model("x", 1, family="fam", same_as="name", open_weights=True), Kinship.SAME_WEIGHTS),
        (model("x", 3, family="fam", same_as="name"), Kinship.SAME_NAME),
        (model("x", 1, family="fam", same_as="another"), Kinship.SAME_FAMILY),
        (model("x", 3, family="else"), Kinship.SAME_CLASS),
        (model("x", 2), Kinship.OTHER),
    ],
)
def test_the_closest_thing_that_two_models_share_is_their_kinship(
    other: Model, kin: Kinship
) -> None:
    assert kinship(FIRST, other) is kin
    assert kinship(other, FIRST) is kin


def test_two_models_of_which_nothing_is_known_share_neither_name_nor_family() -> None:
    assert kinship(model("x", 1), model("x", 2)) is Kinship.OTHER


def test_the_same_model_comes_before_the_family_and_of_that_the_nearest_in_class() -> None:
    roster = Roster(market(*PROVIDERS.values()))
    first = roster.offer("kimi", "kimi-k3")
    kin = relatives(first, roster)
    assert first not in kin
    kinds = [kinship(first.model, offer.model) for offer in kin]
    assert kinds == sorted(kinds, key=list(Kinship).index)
    assert kinds[0] is Kinship.SAME_WEIGHTS
    family = [o.model.quality for o in kin if o.model.same_as != first.model.same_as]
    assert [abs(q - first.model.quality) for q in family] == sorted(
        abs(q - first.model.quality) for q in family
    )


def test_the_qwen_that_groq_hosts_is_of_the_family_of_qwen_s_own() -> None:
    roster = Roster(market(*PROVIDERS.values()))
    kin = relatives(roster.offer("qwen", "flash"), roster)
    assert ("groq", "qwen/qwen3.8-27b") in [offer.target for offer in kin]
