"""What all races of a process share, and what one race sees of it.

The hedger learns from every attempt, the limits are the providers', prices are the catalog's, and
the witnesses count. Every `Runner` is given the same `Shared`; what concerns its own request, the
contenders and the watch that let it hedge, is made here from its plan.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Self

from adapters.catalog.prices import Prices
from adapters.contract import Model
from adapters.request import ChatRequest, Strategy
from service.hedging.budget import BudgetSettings
from service.hedging.caches import Prompt, PromptCaches
from service.hedging.delay import MOST_KEYS, DelaySettings, Key, size_of
from service.hedging.exclusions import RequestFacts
from service.hedging.hedger import Contender, Hedger, HedgeSettings, Watch, Watched
from service.hedging.loser_cost import Price
from service.limits.provider_limits import Limits
from service.limits.shared_limits import SharedLimits
from service.routing import estimate
from service.routing.health import Health, Target
from service.routing.plan import Choice, Plan
from service.settings import Hedging
from service.telemetry.attempts import AttemptFacts, Witness
from service.usage.meter import Meter

MEDIAN_HOLDS = 10.0  # seconds
"""A median moves slowly in a record of 900 s. To read it takes 0.2 ms where the estimate has to be
made anew, as it has once a second, and a decision reads some fifteen of them."""


class Learned:
    """The hedger's record of first tokens, as routing asks for it (`routing.view.Speeds`)."""

    def __init__(self, hedger: Hedger) -> None:
        """Whose record."""
        self._hedger = hedger
        self._medians: dict[Key, tuple[float, float | None]] = {}
        """Each with the time until which it holds."""

    def usual(
        self, target: Target, input_tokens: int, now: float, *, reasoning: bool
    ) -> float | None:
        """Median time to the first token, seconds; None where too little is known."""
        key = Key(target.provider, target.model, size_of(input_tokens), reasoning)
        until, median = self._medians.get(key, _NEVER)
        if now < until:
            return median
        estimate = self._hedger.delays.estimate(key, now)
        if not estimate.learned:
            return None
        if len(self._medians) >= MOST_KEYS:
            self._medians.clear()
        median = estimate.quantile(0.5)
        self._medians[key] = now + MEDIAN_HOLDS, median
        return median


_NEVER = (-inf, None)
_DEFAULTS = Hedging()


def _nobody_looks() -> None:
    """Where the event loop is not watched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """One per process."""

    prices: Prices
    hedger: Hedger
    limits: Limits
    reservations: SharedLimits
    """Under those limits: of this process alone, until it is told of an engine."""
    witnesses: tuple[Witness, ...] = ()
    continue_prompt: str = _DEFAULTS.continue_prompt
    """Asked of a model that cannot be given the beginning of its own answer."""
    caches: PromptCaches = field(default_factory=PromptCaches)
    """What was sent to whom lately."""
    unfilled: set[Target] = field(default_factory=set)
    """Models that are listed as going on with the beginning of an answer, and refused one."""
    meter: Meter = field(default_factory=Meter)
    """Where every attempt is written down."""
    look: Callable[[], None] = _nobody_looks
    """Called before a measured time is used: tells the hedger if this process itself is late."""

    @property
    def health(self) -> Health:
        """How the targets are doing."""
        return self.hedger.health

    def tell(self, facts: AttemptFacts) -> None:
        """An attempt is over: let everybody count it."""
        for witness in self.witnesses:
            witness.attempt_over(facts)

    @classmethod
    def fresh(
        cls,
        *witnesses: Witness,
        settings: Hedging = _DEFAULTS,
        meter: Meter | None = None,
        look: Callable[[], None] = _nobody_looks,
    ) -> Self:
        """For a process that has just begun: nothing is learned, limited or spent."""
        limits = Limits()
        hedger = Hedger(
            Health(),
            _policy(settings),
            headroom=lambda target, now: limits.headroom(target.provider, now, model=target.model),
        )
        return cls(
            prices=Prices(),
            hedger=hedger,
            limits=limits,
            reservations=SharedLimits(limits),
            witnesses=witnesses,
            continue_prompt=settings.continue_prompt,
            meter=meter or Meter(),
            look=look,
        )

    def filled(self, choice: Choice) -> Model:
        """A candidate's model, as far as it has shown what is listed of it."""
        if target_of(choice) in self.unfilled:
            return replace(choice.model, prefill=False)
        return choice.model

    def explored(self, plan: Plan, now: float) -> Plan:
        """The plan, or for a few hedged requests with a little known candidate in front."""
        if plan.latency.strategy is not Strategy.HEDGE or plan.latency.providers is not None:
            return plan
        keys = [key_of(choice, plan, plan.request) for choice in plan.choices]
        first = self.hedger.first(keys, now)
        if first == 0:
            return plan
        rest = (choice for index, choice in enumerate(plan.choices) if index != first)
        reordered = replace(plan, choices=(plan.choices[first], *rest))
        return replace(reordered, hedge_after_s=self.delay(reordered, now))

    def delay(self, plan: Plan, now: float) -> float:
        """Silence after which the first candidate is hedged, seconds."""
        if plan.latency.delay_ms is not None:
            return plan.latency.delay_ms / 1000
        key = key_of(plan.choices[0], plan, plan.request)
        return self.hedger.delays.estimate(key, now).delay

    def watch(
        self,
        plan: Plan,
        candidates: Sequence[Choice],
        request: ChatRequest,
        prompt: Prompt,
        *,
        arrived: float,
        at: float,
        now: float,
    ) -> Watch:
        """One request's view of the hedging; `candidates` as its race knows them."""
        latency = plan.latency
        hedged = latency.strategy is Strategy.HEDGE
        return self.hedger.watch(
            Watched(
                route=plan.route,
                hedged=hedged,
                facts=RequestFacts(
                    input_tokens=plan.input_tokens,
                    budgeted=_holds_two(plan),
                    uploads=estimate.has_images(request),
                    candidates=len({_domain(choice, plan) for choice in candidates}),
                    max_attempts=plan.max_attempts,
                ),
                expected_output=plan.output_tokens,
                ordered=latency.providers is not None,
                delay=None if latency.delay_ms is None else latency.delay_ms / 1000,
                deadline=arrived + request.first_content_ms / 1000,
            ),
            [
                Contender(
                    target=target_of(choice),
                    key=key_of(choice, plan, request),
                    domain=_domain(choice, plan),
                    price=self._price(choice, plan, at) if hedged else None,
                    billing=choice.endpoint.provider.cancel_billing,
                    cached=self.caches.share(target_of(choice), prompt, now) if hedged else 0.0,
                )
                for choice in candidates
            ],
            now,
        )

    def _price(self, choice: Choice, plan: Plan, at: float) -> Price | None:
        """Per token, at this prompt's size: a price may have tiers."""
        provider, model = choice.endpoint.provider, choice.model
        sent, said = max(1, plan.input_tokens), max(1, plan.output_tokens)
        asked = self.prices.estimate(provider, model, sent, 0, at)
        whole = self.prices.estimate(provider, model, sent, said, at)
        if asked is None or whole is None:
            return None
        return Price(asked / sent, (whole - asked) / said)


def _policy(settings: Hedging) -> HedgeSettings:
    """The operator's words in the hedger's."""
    usual = HedgeSettings()
    share = settings.cost_share
    return HedgeSettings(
        delay=DelaySettings(
            share=settings.request_share,
            least=settings.least_delay_s,
            most=settings.most_delay_s,
            cold=settings.cold_delay_s,
        ),
        budget=BudgetSettings(request_share=settings.request_share),
        cost_shares=usual.cost_shares if share is None else dict.fromkeys(usual.cost_shares, share),
        most_input=settings.most_input_tokens,
    )


def target_of(choice: Choice) -> Target:
    """What of a candidate has a health."""
    return Target(choice.endpoint.provider.name, choice.model.id)


def key_of(choice: Choice, plan: Plan, request: ChatRequest) -> Key:
    """Under what a candidate's first token is learned."""
    return Key(*target_of(choice), size_of(plan.input_tokens), _reasons(choice.model, request))


def _reasons(model: Model, request: ChatRequest) -> bool:
    return model.reasoning == "always" or (model.reasoning == "optional" and request.thinks)


def _domain(choice: Choice, plan: Plan) -> str:
    """What fails together: a provider, unless the caller names several of its models."""
    named = plan.latency.providers is not None
    return "/".join(target_of(choice)) if named else choice.endpoint.provider.name


def _holds_two(plan: Plan) -> bool:
    """Whether the tier's cap holds the first candidate and the cheapest other one together."""
    first, *others = (choice.cost_usd for choice in plan.choices)
    known = [cost for cost in others if cost is not None]
    if plan.cap_usd is None or first is None or not known:
        return True
    return first + min(known) <= plan.cap_usd
