"""Who stands in for a first choice that cannot serve, the closest first.

What is closest is what the caller would notice least: the same weights at another host, then what
only has the same name (quantisation, context and price may differ), then a sibling of its family
(for Qwen the one that Groq hosts), then whoever answers in the same class, then anybody. Within
each of these the order that they had holds.
"""

from collections.abc import Iterable

from adapters.contract import Model
from service.routing.plan import Kinship
from service.routing.roster import Offer, Roster, distance
from service.routing.sieve import Able

_CLOSE = {kinship: place for place, kinship in enumerate(Kinship)}


def kinship(first: Model, other: Model) -> Kinship:
    """What two models have in common."""
    if first.same_as is not None and first.same_as == other.same_as:
        open_weights = first.open_weights and other.open_weights
        return Kinship.SAME_WEIGHTS if open_weights else Kinship.SAME_NAME
    if first.family is not None and first.family == other.family:
        return Kinship.SAME_FAMILY
    # The class of a model that no catalog lists is an assumption.
    alike = other.family is not None and first.quality == other.quality
    return Kinship.SAME_CLASS if alike else Kinship.OTHER


def relatives(first: Offer, roster: Roster) -> list[Offer]:
    """Its kin by name or family, closest first, itself left out; of a family nearest in class.

    Sorted once per deployment.
    """
    kin = roster.kin.get(first.target)
    if kin is None:
        kin = roster.kin[first.target] = _sorted_kin(first, roster)
    return kin


def _sorted_kin(first: Offer, roster: Roster) -> list[Offer]:
    quality = first.model.quality
    kin = {
        offer.target: offer
        for offer in (*roster.hosts(first.model), *roster.family(first.model))
        if offer is not first
    }

    def closeness(offer: Offer) -> tuple[int, tuple[int, bool]]:
        return _CLOSE[kinship(first.model, offer.model)], distance(offer.model.quality, quality)

    return sorted(kin.values(), key=closeness)


def closest_first(first: Model, ables: Iterable[Able]) -> list[Able]:
    """Those that can serve, by how close they are to what they stand in for."""
    return sorted(ables, key=lambda able: _CLOSE[kinship(first, able.offer.model)])
