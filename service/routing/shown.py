"""Routing as others see it: a plan as event and as answer, a skip in words, the table of use cases.

Event and answer are made from the same parts, so they cannot tell two stories. The event leaves out
what is unknown, as events do; the answer writes it as null, because there the question was asked.
Seconds become whole milliseconds here, and floats of dollars become decimal strings.

Left out: who decided (`policy`), and how an error becomes an HTTP answer.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from adapters.catalog.price import usd
from adapters.events import Candidate, Passed, RoutePlan, Substitution
from adapters.request import Strategy, Tier
from service.routing.plan import Choice, Plan, Reason, Skipped
from service.routing.roster import Known, Roster
from service.routing.table import QUALITY, Preference, Table, UseCaseRow

PRESET = "preset:"
"""How `Plan.route` begins where a preset was asked for."""

WORDS: Mapping[Reason, str] = {
    Reason.NO_KEY: "no key is set",
    Reason.NO_ADDRESS: "no address is set",
    Reason.DISABLED: "disabled by the operator",
    Reason.RETIRED: "retired by its owner",
    Reason.EXCLUDED: "excluded by the request",
    Reason.OVER_CAP: "costs more than the budget tier allows",
    Reason.CONTEXT_TOO_SMALL: "the request does not fit into its context window",
    Reason.NO_TOOLS: "takes no tools",
    Reason.NO_IMAGES: "takes no images",
    Reason.KEY_REFUSED: "its key was refused",
    Reason.QUOTA_SPENT: "its quota is spent",
    Reason.BREAKER_OPEN: "it keeps failing, and is only tried now and then",
    Reason.COOLING_DOWN: "it asked to be left alone for a while",
    Reason.LIMIT_REACHED: "its rate limit here is reached",
    Reason.OVER_LIMIT: "the request has more tokens than its limit allows in a minute",
}
"""What a reason says where nothing more exact is known."""

Run = Literal["single", "fallback", "hedge", "race"]


def route_plan(plan: Plan) -> RoutePlan:
    """The event that tells a stream's readers what was decided."""
    return RoutePlan(
        strategy=run(plan),
        policy=plan.policy,
        candidates=[_candidate(choice) for choice in plan.choices],
        hedge_after_ms=_hedge_after(plan),
        max_attempts=plan.max_attempts,
        skipped=[_passed(skip) for skip in plan.skipped] or None,
        use_case=plan.use_case,
        budget_tier=plan.tier,
        cap_usd=usd(plan.cap_usd),
        preset=plan.route.removeprefix(PRESET) if plan.route.startswith(PRESET) else None,
    )


def document(plan: Plan) -> dict[str, Any]:
    """The answer of `POST /v1/plan`: nothing but JSON types, what is unknown as None."""
    answer: dict[str, Any] = {
        "policy": plan.policy,
        "use_case": plan.use_case.value,
        "budget_tier": plan.tier.value,
        "cap_usd": usd(plan.cap_usd),
        "latency": {
            "strategy": plan.latency.strategy.value,
            "width": plan.width if run(plan) == "race" else 1,
            "max_attempts": plan.max_attempts,
            "hedge_after_ms": _hedge_after(plan),
        },
        "input_tokens": plan.input_tokens,
        "output_tokens": plan.output_tokens,
        "candidates": [_shown(choice) for choice in plan.choices],
        "skipped": [_explained(skip) for skip in plan.skipped],
    }
    if plan.preferred is not None:
        answer["preferred"] = _explained(plan.preferred)
    return answer


def use_cases(table: Table, known: Known) -> dict[str, Any]:
    """Whom each use case prefers at the usual tier, and who comes next."""
    roster = table.roster(known)
    return {use_case.value: _preferred(row, roster) for use_case, row in table.use_cases.items()}


def run(plan: Plan) -> Run:
    """What may happen, which may be less than what was asked for.

    A race of one is none, and a single candidate is neither hedged nor replaced, though it may be
    asked again where it was only silent.
    """
    most = min(plan.max_attempts, len(plan.choices))
    if most < 2:  # noqa: PLR2004 - it takes two
        return "single"
    if plan.latency.strategy is Strategy.RACE and plan.width > 1:
        return "race"
    return "hedge" if plan.latency.strategy is Strategy.HEDGE else "fallback"


def words(skip: Skipped) -> str:
    """Why somebody was passed over, fit for a client; without their name."""
    return skip.detail or WORDS[skip.reason]


def substitution(choice: Choice) -> Substitution | None:
    """Whom a candidate stands in for, as events say it."""
    stands_for = choice.substitute
    if stands_for is None:
        return None
    return Substitution(
        provider=stands_for.provider, model=stands_for.model, kinship=stands_for.kinship.value
    )


def _preferred(row: UseCaseRow, roster: Roster) -> dict[str, Any]:
    first, second = [*row.prefer[Tier.STANDARD], None, None][:2]
    wanted = QUALITY[row.complexity]
    return {
        "complexity": row.complexity.value,
        "primary": _offered(first, roster, wanted),
        "fallback": _offered(second, roster, wanted),
    }


def _offered(preference: Preference | None, roster: Roster, wanted: int) -> dict[str, str] | None:
    """What a name in the table means, by the alias that a request would use; None: nobody."""
    if preference is None:
        return None
    provider, name = preference.provider, preference.model
    offer = roster.offer(provider, name) if name else roster.fitting(provider, wanted)[0]
    return {"provider": provider, "model": offer.model.alias or offer.model.id}


def _candidate(choice: Choice) -> Candidate:
    return Candidate(
        choice.endpoint.provider.name,
        choice.model.id,
        cost_usd=usd(choice.cost_usd),
        ttft_ms=_ms(choice.ttft_s),
        substitutes=substitution(choice),
    )


def _shown(choice: Choice) -> dict[str, Any]:
    candidate = _candidate(choice)
    shown: dict[str, Any] = {"provider": candidate.provider, "model": candidate.model}
    if choice.model.alias is not None:
        shown["alias"] = choice.model.alias
    shown |= {"cost_usd": candidate.cost_usd, "ttft_ms": candidate.ttft_ms}
    if candidate.substitutes is not None:
        shown["substitutes"] = msgspec.to_builtins(candidate.substitutes)
    return shown


def _hedge_after(plan: Plan) -> int | None:
    """Milliseconds; None where nobody is there to be asked as well."""
    return _ms(plan.hedge_after_s) if run(plan) == "hedge" else None


def _passed(skip: Skipped) -> Passed:
    return Passed(
        provider=skip.provider,
        model=skip.model,
        reason=skip.reason.value,
        detail=words(skip),
        retry_after_ms=_ms(skip.retry_after_s),
    )


def _explained(skip: Skipped) -> dict[str, Any]:
    explained: dict[str, Any] = msgspec.to_builtins(_passed(skip))
    return explained


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
