"""Everybody who could be asked, sorted by what a decision asks for: made once per deployment.

A decision takes a fraction of a millisecond because nothing here is searched then: the models of a
provider by nearness to a class, the hosts of a model, the members of a family are tables.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from adapters.contract import Endpoint, Model, Provider
from service.endpoints import Inactive
from service.routing.health import Target

DEMO = "demo"
"""The built-in provider that answers where no key at all is set, or where it is named."""

CLASSES = (1, 2, 3, 4)

Known = Mapping[str, Endpoint | Inactive]
"""Every known provider by name, in the registry's order; replaced whole, never changed."""


@dataclass(frozen=True, slots=True, eq=False)
class Offer:
    """One model at one provider, whether or not it can be asked."""

    target: Target
    model: Model
    entry: Endpoint | Inactive
    place: int
    """The provider's, in the registry's order."""


def distance(quality: int, wanted: int) -> tuple[int, bool]:
    """How far a class is from the wanted one; of two as far, the better one is nearer."""
    return abs(quality - wanted), quality < wanted


class Roster:
    """The offers of one deployment."""

    def __init__(self, known: Known) -> None:
        """Sort everybody."""
        self.known = known
        self.names = tuple(name for name in known if name != DEMO)
        """All but the demo."""
        self.real = any(isinstance(known[name], Endpoint) for name in self.names)
        """Whether anybody but the demo can be asked."""
        self._places = {name: place for place, name in enumerate(known)}
        self._offers = {name: tuple(self._list(entry)) for name, entry in known.items()}
        self._named = {
            (name, word): offer
            for name, offers in self._offers.items()
            for offer in reversed(offers)  # of two with one name, the first listed
            for word in (offer.model.alias, offer.model.id)
            if word is not None
        }
        self._fitting = {
            (name, wanted): tuple(_by_fitness(entry.provider, self._offers[name], wanted))
            for name, entry in known.items()
            for wanted in CLASSES
        }
        everything = [offer for offers in self._offers.values() for offer in offers]
        self._hosts = _grouped(everything, "same_as")
        self._families = _grouped(everything, "family")
        self._homes = self._find_homes()
        self.kin: dict[Target, list[Offer]] = {}
        """Each one's kin, closest first, once `substitution` has sorted them."""

    def listed(self, provider: str, model: str) -> Offer | None:
        """A provider's model by id or alias, where it lists one."""
        return self._named.get((provider, model))

    def offer(self, provider: str, model: str) -> Offer:
        """The same; a model that is not listed is passed through."""
        entry = self.known[provider]
        return self.listed(provider, model) or self._make(entry, entry.provider.model(model))

    def fitting(self, provider: str, wanted: int) -> tuple[Offer, ...]:
        """A provider's models, the best for that class first.

        That is its default, unless it is below the class; then whatever is nearest.
        """
        return self._fitting[provider, wanted]

    def hosts(self, model: Model) -> tuple[Offer, ...]:
        """Everybody's offers of the same model, its own included."""
        return self._hosts.get(model.same_as, ())

    def family(self, model: Model) -> tuple[Offer, ...]:
        """Everybody's models of the same family, itself included."""
        return self._families.get(model.family, ())

    def serving(self, name: str) -> list[Offer]:
        """Who serves a model by that id, name or alias, whatever each one calls it."""
        found = [
            offer
            for offers in self._offers.values()
            for offer in offers
            if name in (offer.model.id, offer.model.same_as, offer.model.alias)
        ]
        elsewhere = [other for offer in found for other in self.hosts(offer.model)]
        return list({offer.target: offer for offer in (*found, *elsewhere)}.values())

    def at_home(self, offer: Offer) -> bool:
        """Whether a model is offered by who makes it.

        Nobody says who that is; but a maker's default is of its own family, and makers stand
        before the hubs in the registry.
        """
        return self._homes.get(offer.model.family) == offer.target.provider

    def _list(self, entry: Endpoint | Inactive) -> Iterator[Offer]:
        for model in entry.provider.models:
            yield self._make(entry, model)

    def _make(self, entry: Endpoint | Inactive, model: Model) -> Offer:
        name = entry.provider.name
        return Offer(Target(name, model.id), model, entry, self._places[name])

    def _find_homes(self) -> dict[str | None, str]:
        homes: dict[str | None, str] = {}
        for name, entry in self.known.items():
            for offer in self._offers[name]:
                if offer is _default(entry.provider, self._offers[name]) and offer.model.family:
                    homes.setdefault(offer.model.family, name)
        return homes


def _default(provider: Provider, offers: tuple[Offer, ...]) -> Offer:
    """The offer of who names no model; where the settings list others, the first of those."""
    named = (o for o in offers if provider.default in (o.model.id, o.model.alias))
    return next(named, offers[0]) if provider.default else offers[0]


def _by_fitness(provider: Provider, offers: tuple[Offer, ...], wanted: int) -> Iterable[Offer]:
    default = _default(provider, offers)

    def fitness(offer: Offer) -> tuple[bool, tuple[int, bool]]:
        chosen = offer is default and offer.model.quality >= wanted
        return not chosen, distance(offer.model.quality, wanted)

    return sorted(offers, key=fitness)


def _grouped(offers: Iterable[Offer], field: str) -> dict[str | None, tuple[Offer, ...]]:
    groups: dict[str | None, tuple[Offer, ...]] = {}
    for offer in offers:
        value = getattr(offer.model, field)
        if value is not None:
            groups[value] = (*groups.get(value, ()), offer)
    return groups
