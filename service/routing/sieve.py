"""Who can serve one request now, and for everybody else the reason.

A sieve is made for one decision. It asks of an offer, the cheapest questions first: is the provider
permitted and configured; can the model take the request; does it fit under the cap; what do its
health and its limits say. The first answer that speaks against it is the reason that is given.
A breaker that is open speaks against nobody here: whether such a target is tried depends on who
else is left, which is the policy's to see.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from adapters.catalog.price import usd
from adapters.contract import Endpoint, Model
from adapters.events import ErrorCode
from adapters.request import ChatRequest, Tier
from service.endpoints import Inactive
from service.routing import estimate
from service.routing.health import Standing, State
from service.routing.plan import FOR_THE_MOMENT, Reason, Skipped
from service.routing.roster import Offer
from service.routing.view import View


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a request asks of whoever answers it."""

    input_tokens: int
    """Estimated."""
    output_tokens: int
    """Expected."""
    max_tokens: int | None
    tools: bool
    images: bool
    thinks: bool
    """Whether a model that may reason is to."""
    tier: Tier
    cap: float
    """US dollars."""


def needs(request: ChatRequest, usual_output: int, cap: float) -> Needs:
    """Read a request; `usual_output` is what its use case expects, tokens."""
    asked = request.reasoning
    return Needs(
        input_tokens=estimate.input_tokens(request),
        output_tokens=min(usual_output, request.max_tokens or usual_output),
        max_tokens=request.max_tokens,
        tools=bool(request.tools),
        images=estimate.has_images(request),
        thinks=asked is not None and asked.effort != "none",
        tier=request.budget_tier,
        cap=cap,
    )


@dataclass(slots=True, eq=False)
class Able:
    """An offer that can serve the request.

    Not frozen: a decision makes some fifteen, and freezing costs 1 us each.
    """

    offer: Offer
    endpoint: Endpoint
    cost: float | None
    """Estimated, US dollars; None: unknown."""
    ttft: float | None
    """Usual time to the first token, seconds; None: unknown."""
    standing: Standing

    @property
    def open(self) -> bool:
        """Whether its breaker is open."""
        return self.standing.state is State.OPEN

    def merit(self) -> tuple[bool, float, float, int]:
        """What decides between equals, least first: health, speed, cost; the unknown comes last."""
        slow = self.standing.state is not State.CLOSED
        ttft = inf if self.ttft is None else self.ttft
        return slow, ttft, inf if self.cost is None else self.cost, self.offer.place


_ASKED = frozenset({State.CLOSED, State.SLOW, State.OPEN})
"""The states in which a target may be asked at all."""


class Sieve:
    """Sifts the offers for one request."""

    def __init__(
        self, request: ChatRequest, wants: Needs, view: View, now: float, at: float
    ) -> None:
        """`now` in monotonic seconds, `at` in Unix seconds."""
        self.needs = wants
        self._tokens = wants.input_tokens + wants.output_tokens
        self.skipped: dict[tuple[str, str | None], Skipped] = {}
        """By provider and, where it is about one, model; in the order they were met."""
        self.cheapest: tuple[float, Offer] | None = None
        """Of those over the cap, with its estimate in US dollars."""
        self._filter = request.providers
        self._now = now
        self._at = at
        # Looked up once: each is asked some fifteen times a decision.
        self._estimate = view.prices.estimate
        self._standing = view.health.standing
        self._usual = view.speeds.usual
        self._wait = view.limits.wait
        self._doors: dict[str, Endpoint | Skipped] = {}

    def excluded(self, provider: str) -> bool:
        """Whether the request does not permit a provider."""
        only, exclude = self._filter.only, self._filter.exclude
        return provider in exclude or bool(only and provider not in only)

    def first(
        self,
        offers: Iterable[Offer],
        *,
        capped: bool = True,
        waits: bool = False,
        named: bool = False,
    ) -> Able | None:
        """The first of a provider's offers that can serve; the first that cannot is noted.

        Where none can, those that cannot only for the moment are noted, too: waiting for one of
        them helps, whatever speaks against the first.

        `waits`: one that cannot for the moment is not passed over for another model. `named`: the
        caller named the model, so it is asked for even where its provider no longer lists it.
        """
        against: list[Skipped] = []
        for offer in offers:
            verdict = self._judge(offer, capped=capped, named=named)
            if isinstance(verdict, Able):
                self._note(*against[:1])
                return verdict
            against.append(verdict)
            if verdict.model is None or (waits and verdict.reason in FOR_THE_MOMENT):
                break
        self._note(*against[:1], *(one for one in against[1:] if one.reason in FOR_THE_MOMENT))
        return None

    def skip_open(self, able: Able) -> None:
        """Note that somebody is passed over because its breaker is open."""
        provider, model = able.offer.target
        self._note(self._passing(provider, model, Reason.BREAKER_OPEN, able.standing.until))

    def why(self, offer: Offer) -> Skipped | None:
        """The reason that was noted against an offer or its provider."""
        provider, model = offer.target
        return self.skipped.get((provider, model)) or self.skipped.get((provider, None))

    def _note(self, *skipped: Skipped) -> None:
        for one in skipped:
            self.skipped.setdefault((one.provider, one.model), one)

    # --- Questions ---

    def _judge(self, offer: Offer, *, capped: bool, named: bool) -> Able | Skipped:
        provider = offer.target.provider
        if provider not in self._doors:
            self._doors[provider] = self._door(offer)
        endpoint = self._doors[provider]
        if isinstance(endpoint, Skipped):
            return endpoint
        needs, model = self.needs, offer.model
        if model.gone and not named:
            return self._about(offer, Reason.RETIRED, "its provider no longer lists it")
        cost = self._estimate(
            endpoint.provider, model, needs.input_tokens, needs.output_tokens, self._at
        )
        unfit = self._unfit(offer, cost, capped=capped)
        if unfit is not None:
            return unfit
        standing = self._standing(offer.target, self._now)
        unwell = self._unwell(offer, standing)
        if unwell is not None:
            return unwell
        ttft = self._usual(
            offer.target, needs.input_tokens, self._now, reasoning=self._reasons(model)
        )
        return Able(offer, endpoint, cost, ttft, standing)

    def _door(self, offer: Offer) -> Endpoint | Skipped:
        """Where to ask, or what speaks against all that this provider offers."""
        provider, entry = offer.target.provider, offer.entry
        if self.excluded(provider):
            return Skipped(provider, None, Reason.EXCLUDED)
        if isinstance(entry, Inactive):
            return Skipped(provider, None, Reason(entry.reason))
        return entry

    def _unfit(self, offer: Offer, cost: float | None, *, capped: bool) -> Skipped | None:
        """What speaks against the model, whatever the moment."""
        needs, model = self.needs, offer.model
        if needs.tools and not model.tools:
            return self._about(offer, Reason.NO_TOOLS)
        if needs.images and not model.images:
            return self._about(offer, Reason.NO_IMAGES)
        room = needs.input_tokens + self._room(model)
        if model.context is not None and room > model.context:
            detail = f"needs {room:,} tokens, its window is {model.context:,}"
            return self._about(offer, Reason.CONTEXT_TOO_SMALL, detail)
        if capped and cost is not None and cost > needs.cap:
            if self.cheapest is None or cost < self.cheapest[0]:
                self.cheapest = cost, offer
            detail = f"estimated ${usd(cost)}, {needs.tier} allows ${usd(needs.cap)}"
            return self._about(offer, Reason.OVER_CAP, detail)
        return None

    def _room(self, model: Model) -> int:
        """Tokens of the window that the answer wants; a limit above the model's own is lowered."""
        if self.needs.max_tokens is None:
            return self.needs.output_tokens
        return min(self.needs.max_tokens, model.max_output or self.needs.max_tokens)

    def _unwell(self, offer: Offer, standing: Standing) -> Skipped | None:
        """What speaks against the target for now."""
        provider, model = offer.target
        if standing.state in _ASKED:
            return self._limited(provider, model)
        match standing.state:
            case State.DISABLED if standing.cause is ErrorCode.QUOTA_PROVIDER:
                return self._passing(provider, None, Reason.QUOTA_SPENT, standing.until)
            case State.DISABLED:
                return self._passing(provider, None, Reason.KEY_REFUSED, standing.until)
            case _:
                return self._passing(provider, model, Reason.COOLING_DOWN, standing.until)

    def _limited(self, provider: str, model: str) -> Skipped | None:
        """Whether a limit is reached: the provider's own, or what it said of this model."""
        wait = self._wait(provider, self._tokens, self._now, model=model)
        if wait <= 0:
            return None
        whole = self._wait(provider, self._tokens, self._now)
        about, wait = (None, whole) if whole > 0 else (model, wait)
        if wait == inf:
            detail = f"needs about {self._tokens:,} tokens, more than its limit allows in a minute"
            return Skipped(provider, about, Reason.OVER_LIMIT, detail)
        return Skipped(provider, about, Reason.LIMIT_REACHED, retry_after_s=wait)

    def _passing(
        self, provider: str, model: str | None, reason: Reason, until: float | None
    ) -> Skipped:
        wait = None if until is None else max(0.0, until - self._now)
        return Skipped(provider, model, reason, retry_after_s=wait)

    def _about(self, offer: Offer, reason: Reason, detail: str | None = None) -> Skipped:
        return Skipped(*offer.target, reason, detail)

    def _reasons(self, model: Model) -> bool:
        return model.reasoning == "always" or (model.reasoning == "optional" and self.needs.thinks)
