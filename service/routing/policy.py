"""Which provider answers: a table of preferences, then any that is active.

For `auto` the use case's row comes in its order, then every other active provider with the model
nearest to the class that is wanted. The table ranks, it never restricts. Behind the first choice
come the hosts of the same model, so that a hedge or a failover stays with it; where it cannot
serve, others stand in by how close they are (`substitution`). A `complexity` in the request moves
those below that class behind those that reach it. Live health has the last word on the order,
except where the caller gave one.

Preference outranks price, because a cap already bounds the price: what is cheapest under the cap
is seldom what was wanted, and what is wanted is seldom what is cheapest. Everything passed over is
named with its reason: "why not that one" is the first question anybody asks of a router.

Deciding only: the moment comes in as a `View` and two times. Nothing is kept between decisions but
what `Health` keeps of those that are carried out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from adapters.errors import RequestError, make
from adapters.events import ErrorCode, Phase
from adapters.request import ChatRequest, Strategy
from service.routing import presets
from service.routing.health import State, Target
from service.routing.plan import Choice, Plan, Skipped, Substitute
from service.routing.refusal import nobody
from service.routing.roster import DEMO, Known, Offer, Roster, distance
from service.routing.sieve import Able, Sieve, needs
from service.routing.substitution import closest_first, kinship, relatives
from service.routing.table import QUALITY, Preference, Table
from service.routing.target import Bare, Pinned, Wanted, misnamed, parse
from service.routing.view import View

MOST_ATTEMPTS = 6
"""Of a request that does not say: the first, a hedge, and four that may fail."""

RACERS = 2
"""How many a race starts that does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One request to decide about."""

    request: ChatRequest
    """In effect."""
    row: tuple[Preference, ...]
    quality: int
    """The class that is wanted."""
    roster: Roster
    sieve: Sieve
    view: View
    now: float
    shift: bool


@dataclass(frozen=True, slots=True)
class _Verdict:
    """Who may answer, in order; empty: nobody."""

    policy: str
    ables: Sequence[Able]
    capped: bool = True
    first: Offer | None = None
    """The first choice, where it cannot serve."""


def plan(
    request: ChatRequest,
    table: Table,
    known: Known,
    view: View,
    now: float,
    at: float,
    *,
    shift: bool,
) -> Plan:
    """Decide who may answer.

    Args:
        request: As the client sent it.
        table: The configuration.
        known: Everybody there is; where it is replaced, all that was derived from it is made anew.
        view: The moment.
        now: Monotonic seconds.
        at: Unix seconds, for prices.
        shift: Whether the request is carried out, and so counts for how live health shares traffic
            out; False for a plan that is only shown.

    Raises:
        RequestError: `no_candidates` (422 naming what is missing, or 503 with a time to come back),
            `over_budget` (422), `not_found` for a model that nobody lists or an unknown preset,
            `invalid_request` for a `model` form or provider name that does not exist.
    """
    _check_names(request, known)
    wanted = parse(request.model, known)
    effective = presets.apply(request, wanted, table)
    request = effective.request
    entry = table.use_cases[request.use_case]
    tier = request.budget_tier
    sieve = Sieve(request, needs(request, entry.output_tokens, table.caps[tier]), view, now, at)
    case = _Case(
        request=request,
        row=entry.prefer[tier],
        quality=QUALITY[request.complexity or entry.complexity],
        roster=table.roster(known),
        sieve=sieve,
        view=view,
        now=now,
        shift=shift,
    )
    verdict = _decide(wanted, case)
    if not verdict.ables:
        raise nobody(sieve)
    return _written(verdict, case, effective.route)


def _decide(wanted: Wanted, case: _Case) -> _Verdict:
    if case.request.latency.providers is not None:
        return _ordered(case.request.latency.providers, wanted, case)
    match wanted:
        case Pinned(provider, model):
            return _pinned(provider, model, case)
        case Bare(model):
            return _bare(model, case)
        case _:
            return _auto(case)


# --- The table ------------------------------------------------------------------------------


def _auto(case: _Case) -> _Verdict:
    policy = f"table:{case.request.use_case}"
    row = _row(case)
    if not row:
        return _Verdict(policy, _in_live_order(_unnamed((), case), case) or _demo(case))
    # One that cannot for the moment is not replaced by its sibling yet: closer kin come first.
    leader, *others = (case.sieve.first(offers, waits=True) for offers in row)
    first = row[0][0]
    ranked = _ranked(first, leader, [able for able in others if able is not None], case)
    if case.request.complexity is not None:
        ranked.sort(key=lambda able: able.offer.model.quality < case.quality)
    ables = _in_live_order(ranked, case) or _demo(case)
    return _Verdict(policy, ables, first=None if leader in ables else first)


def _ranked(first: Offer, leader: Able | None, others: Sequence[Able], case: _Case) -> list[Able]:
    """In order of preference: who leads the row, its kin, who else the row names, all others."""
    if leader is not None and not leader.open:
        named = [leader, *_hosts(leader, case), *others]
        return _unique([*named, *_unnamed(named, case)])
    named = [*others, *_stand_ins(first, others, case)]
    front = [] if leader is None else [leader]
    ranked = closest_first(first.model, [*named, *_unnamed([*front, *named], case)])
    return _unique([*front, *ranked])


def _row(case: _Case) -> list[tuple[Offer, ...]]:
    """For each permitted preference, its provider's offers, the one that is meant first."""
    row = [
        _offers(preference.provider, preference.model, case)
        for preference in case.row
        if preference.provider in case.roster.known and not case.sieve.excluded(preference.provider)
    ]
    if case.request.complexity is not None:
        row.sort(key=lambda offers: offers[0].model.quality < case.quality)
    return row


def _offers(provider: str, model: str | None, case: _Case) -> tuple[Offer, ...]:
    """A provider's offers, a named one first, then the nearest to the class that is wanted."""
    fitting = case.roster.fitting(provider, case.quality)
    named = None if model is None else case.roster.listed(provider, model)
    if named is None:
        return fitting
    return (named, *(offer for offer in fitting if offer is not named))


def _hosts(leader: Able, case: _Case) -> list[Able]:
    """Others who host the first choice's model, the best off first."""
    offers = (o for o in case.roster.hosts(leader.offer.model) if o is not leader.offer)
    ables = (case.sieve.first((offer,)) for offer in offers)
    return sorted((able for able in ables if able is not None), key=Able.merit)


def _stand_ins(first: Offer, others: Sequence[Able], case: _Case) -> list[Able]:
    """The kin of a first choice that cannot serve: one of each provider's, the closest.

    Between hosts that are as close, the better off comes first.
    """
    kin = relatives(first, case.roster)
    related = {offer.target for offer in kin}
    served = {able.offer.target.provider for able in others if able.offer.target in related}
    found: list[Able] = []
    for offer in kin:
        if offer.target.provider not in served:
            able = case.sieve.first((offer,))
            if able is not None:
                served.add(offer.target.provider)
                found.append(able)
    quality = first.model.quality
    return sorted(found, key=lambda a: (distance(a.offer.model.quality, quality), a.merit()))


def _unnamed(seated: Iterable[Able], case: _Case) -> list[Able]:
    """Everybody who has no place yet, by nearness of class, health, speed and cost."""
    served = {able.offer.target.provider for able in seated}
    ables = (
        case.sieve.first(case.roster.fitting(name, case.quality))
        for name in case.roster.names
        if name not in served
    )
    found = [able for able in ables if able is not None]
    found.sort(key=lambda a: (distance(a.offer.model.quality, case.quality), a.merit()))
    return found


def _unique(ables: Iterable[Able]) -> list[Able]:
    """Each target once, where it comes first."""
    unique: dict[Target, Able] = {}
    for able in ables:
        unique.setdefault(able.offer.target, able)
    return list(unique.values())


def _demo(case: _Case) -> Sequence[Able]:
    """The built-in answer, for where no key at all is set."""
    if case.roster.real or DEMO not in case.roster.known:
        return ()
    able = case.sieve.first(case.roster.fitting(DEMO, case.quality))
    return () if able is None else (able,)


# --- The caller's own choice ----------------------------------------------------------------


def _pinned(provider: str, model: str | None, case: _Case) -> _Verdict:
    able = _named(provider, model, case)
    ables = () if able is None else (able,)
    return _Verdict("pinned", ables, capped=model is None or _tier_given(case))


def _bare(model: str, case: _Case) -> _Verdict:
    """Everybody who serves a model, its home first, then the best off."""
    offers = case.roster.serving(model)
    if not offers:
        raise RequestError(
            make(
                ErrorCode.NOT_FOUND,
                f"no provider lists the model {model[:128]!r}; an unlisted one is asked for as "
                "<provider>/<model>",
                param="model",
                phase=Phase.BEFORE_STREAM,
            )
        )
    capped = _tier_given(case)
    found = [case.sieve.first((offer,), capped=capped, named=True) for offer in offers]
    ables = [able for able in found if able is not None]
    ables.sort(key=lambda able: (not case.roster.at_home(able.offer), able.merit()))
    return _Verdict("model", _in_live_order(ables, case), capped=capped)


def _ordered(providers: Sequence[str], wanted: Wanted, case: _Case) -> _Verdict:
    """The caller's own order: no reordering, skipping only what cannot run.

    A `model` that pins a provider says the opposite of an order with others in it.
    """
    found: list[Able | None] = []
    pinned = True
    for name in providers:
        provider, slash, named = name.partition("/")
        if isinstance(wanted, Pinned) and provider != wanted.provider:
            raise _contradiction(name, wanted)
        model = named if slash and named != "auto" else None
        if model is None and isinstance(wanted, Pinned | Bare):
            model = wanted.model
        pinned = pinned and model is not None
        found.append(_named(provider, model, case))
    ables = _unique(able for able in found if able is not None)
    return _Verdict("ordered", _without_open(ables, case), capped=not pinned or _tier_given(case))


def _named(provider: str, model: str | None, case: _Case) -> Able | None:
    """A provider that the caller names: its best for the request, or the model they name."""
    if model is not None:
        offer = case.roster.offer(provider, model)
        return case.sieve.first((offer,), capped=_tier_given(case), named=True)
    preferred = next((p.model for p in case.row if p.provider == provider), None)
    return case.sieve.first(_offers(provider, preferred, case))


def _tier_given(case: _Case) -> bool:
    return "budget_tier" in case.request.model_fields_set


# --- Live order -----------------------------------------------------------------------------


def _in_live_order(ables: Sequence[Able], case: _Case) -> list[Able]:
    """The order of preference as health has it now, without those whose breaker is open.

    Health itself sends an open one a part of the requests, to see whether it is well again: then
    it stands first.
    """
    if not ables:
        return []
    if case.shift:
        order = case.view.health.order([able.offer.target for able in ables], case.now)
        ables = [ables[index] for index in order]
    else:
        ables = sorted(ables, key=lambda able: _UNWELL.index(able.standing.state))
    tried = ables[0] if case.shift else None
    return _without_open(ables, case, tried)


_UNWELL = (State.CLOSED, State.SLOW, State.OPEN)


def _without_open(ables: Sequence[Able], case: _Case, tried: Able | None = None) -> list[Able]:
    """Pass over whose breaker is open, unless it is due for a trial or nobody else is left."""
    if all(able.open for able in ables):
        return list(ables)
    left = []
    for able in ables:
        if able.open and able is not tried and not able.standing.usable(case.now):
            case.sieve.skip_open(able)
        else:
            left.append(able)
    return left


# --- The plan -------------------------------------------------------------------------------


def _written(verdict: _Verdict, case: _Case, route: str) -> Plan:
    request, sieve = case.request, case.sieve
    cap = sieve.needs.cap if verdict.capped else None
    width = _width(verdict.ables, request, cap)
    return Plan(
        policy=verdict.policy,
        choices=tuple(_choice(able, verdict.first) for able in verdict.ables),
        request=request,
        skipped=tuple(sieve.skipped.values()),
        preferred=_preferred(verdict, sieve),
        use_case=request.use_case,
        tier=request.budget_tier,
        cap_usd=cap,
        latency=request.latency,
        width=width,
        max_attempts=_max_attempts(request, width, len(verdict.ables)),
        input_tokens=sieve.needs.input_tokens,
        output_tokens=sieve.needs.output_tokens,
        route=route,
    )


def _choice(able: Able, first: Offer | None) -> Choice:
    model = able.offer.model
    substitute = None
    if first is not None:
        substitute = Substitute(*first.target, kinship(first.model, model))
    return Choice(able.endpoint, model, able.cost, able.ttft, substitute)


def _preferred(verdict: _Verdict, sieve: Sieve) -> Skipped | None:
    return None if verdict.first is None else sieve.why(verdict.first)


def _width(ables: Sequence[Able], request: ChatRequest, cap: float | None) -> int:
    """How many a race starts: the first ones, as many as the cap allows together.

    An unknown price is no more over the cap here than it is for a single one, and adds nothing.
    """
    latency = request.latency
    if latency.strategy is not Strategy.RACE:
        return 1
    asked = latency.max_attempts or len(latency.providers or ()) or RACERS
    width, sum_usd = 0, 0.0
    for able in ables[:asked]:
        sum_usd += able.cost or 0.0
        if width and cap is not None and sum_usd > cap:
            break
        width += 1
    return width


def _max_attempts(request: ChatRequest, width: int, candidates: int) -> int:
    """Attempts of the whole request: what is asked for, as far as it can come to that.

    Each candidate is asked once; where several run at once, one that was only slower may be asked
    again.
    """
    strategy = request.latency.strategy
    if strategy is Strategy.NORMAL and not request.fallback:
        return 1
    asked = request.latency.max_attempts or max(width, MOST_ATTEMPTS)
    return min(asked, candidates * (1 if strategy is Strategy.NORMAL else 2))


# --- Names ----------------------------------------------------------------------------------


def _check_names(request: ChatRequest, known: Known) -> None:
    """Refuse a provider name that does not exist, by the field it stands in.

    A filter takes names alone: `claude/opus` there could mean nobody, or all of Claude.
    """
    for param, names in (
        ("providers.only", request.providers.only),
        ("providers.exclude", request.providers.exclude),
    ):
        for name in names:
            if name not in known:
                raise _refusal(f"{name[:64]!r} is not one of {', '.join(known)}", param)
    for name in request.latency.providers or ():
        provider, slash, model = name.partition("/")
        if provider not in known:
            raise _refusal(f"{name[:64]!r} is not one of {', '.join(known)}", "latency.providers")
        fault = misnamed(provider, model) if slash else None
        if fault is not None:
            raise _refusal(fault, "latency.providers")


def _contradiction(name: str, wanted: Pinned) -> RequestError:
    message = f"{name[:64]!r} is not {wanted.provider}, which model pins"
    return _refusal(message, "latency.providers")


def _refusal(message: str, param: str) -> RequestError:
    return RequestError(
        make(
            ErrorCode.INVALID_REQUEST,
            f"{param}: {message}",
            param=param,
            phase=Phase.BEFORE_STREAM,
        )
    )
