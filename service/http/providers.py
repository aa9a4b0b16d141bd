"""Who can be asked, how each provider is doing, and what an operator changes while it runs.

`GET /v1/providers` lists everybody: the fifteen, the demo, and who is configured besides.
`PATCH /v1/providers/{name}` switches one off or on and sets its limits; what it answers is in force
for the next plan and kept over a restart (`service.overrides`). `GET /v1/providers/{name}/stats`
says how its attempts of the last while went.

Times are whole milliseconds, from now where they lie ahead; money is in decimal strings; what is
unknown is null. Shapes and examples: docs/providers-admin.md. Left out: who may change things,
since whoever reaches the service may use all of it (`service.http.origins`).
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from aiohttp import web
from pydantic import RootModel

from adapters.catalog.price import Price, usd
from adapters.contract import Endpoint, Model, Provider
from adapters.errors import RequestError, make
from adapters.events import ErrorCode, Outcome, Phase
from service import clock
from service.change import Change, ChangeError
from service.endpoints import Inactive
from service.http import body
from service.http.json_answer import json_answer
from service.limits.provider_limits import Left, Limits, Standing
from service.overrides import Overrides
from service.relay import Relay
from service.routing.health import Health, Target
from service.routing.status import status_of
from service.settings import SettingsError
from service.telemetry.stats import Contests, Figures, Percentiles, Stats

_log = logging.getLogger(__name__)


class Prices(Protocol):
    """Who knows what a model costs."""

    def price(self, provider: Provider, model: Model, at: float) -> Price | None:
        """What it costs at that moment, Unix seconds; None where nobody says."""


class Providers:
    """Routes under /v1/providers."""

    def __init__(
        self,
        relay: Relay,
        overrides: Overrides,
        *,
        limits: Limits,
        health: Health,
        stats: Stats,
        prices: Prices,
        heed: Callable[[], None],
    ) -> None:
        """`heed` puts what `overrides` holds into force, or raises SettingsError."""
        self._relay = relay
        self._overrides = overrides
        self._limits = limits
        self._health = health
        self._stats = stats
        self._prices = prices
        self._heed = heed

    def routes(self) -> list[web.RouteDef]:
        """The routes to mount."""
        return [
            web.get("/v1/providers", self.everybody),
            web.patch("/v1/providers/{name}", self.change),
            web.get("/v1/providers/{name}/stats", self.stats),
        ]

    async def everybody(self, _request: web.Request) -> web.Response:
        """GET /v1/providers: all of them, in their order."""
        known = self._relay.deployment.known
        return json_answer({"providers": [self._listed(entry) for entry in known.values()]})

    async def change(self, request: web.Request) -> web.Response:
        """PATCH /v1/providers/{name}: change what is given; the provider as it is then.

        Raises RequestError: not_found, invalid_request, conflict where the provider's settings do
        not let it be enabled, internal where the change cannot be kept.
        """
        name = self._entry(request).provider.name
        change = await _change_of(request)
        try:
            await self._overrides.change(name, change, self._heed)
        except SettingsError as refusal:
            # Its text may name files, which are nobody's business outside.
            _log.warning("%s was not changed: %s", name, refusal)
            message = f"{name} cannot be set up as it is configured; the service's log says why"
            raise _refused(ErrorCode.CONFLICT, message) from None
        except OSError as failure:
            message = f"the change of {name} could not be kept: {failure.strerror}"
            raise _refused(ErrorCode.INTERNAL, message) from failure
        if change.given().get("enabled"):
            self._health.key_changed(name)
        return json_answer(self._listed(self._entry(request)))

    async def stats(self, request: web.Request) -> web.Response:
        """GET /v1/providers/{name}/stats: how its attempts went; raises RequestError: not_found."""
        entry = self._entry(request)
        name, now = entry.provider.name, clock.monotonic()
        stats = self._stats.of(name, now)
        state, reason = self._state(entry, now)
        return json_answer(
            {
                "name": name,
                "state": state,
                "reason": reason,
                "window_ms": _ms(stats.window_s),
                "total": _figures(stats.total),
                "models": [
                    {
                        "id": known.model,
                        "breaker": self._breaker(Target(name, known.model), now),
                        **_figures(known.figures),
                    }
                    for known in stats.models
                ],
                "limits": _limits(self._limits.left(name, now)),
            }
        )

    # --- One provider ---

    def _entry(self, request: web.Request) -> Endpoint | Inactive:
        known, name = self._relay.deployment.known, request.match_info["name"]
        entry = known.get(name)
        if entry is None:
            message = f"no provider is called {name[:64]!r}; there are {', '.join(known)}"
            raise _refused(ErrorCode.NOT_FOUND, message, param="name")
        return entry

    def _listed(self, entry: Endpoint | Inactive) -> dict[str, Any]:
        provider, now = entry.provider, clock.monotonic()
        state, reason = self._state(entry, now)
        return {
            "name": provider.name,
            "title": provider.title,
            "state": state,
            "reason": reason,
            "models": [self._model(entry, model, now) for model in provider.models],
            "limits": _limits(self._limits.left(provider.name, now)),
        }

    def _state(self, entry: Endpoint | Inactive, now: float) -> tuple[str, str | None]:
        """Its status, and in words why it is not active."""
        over_api = self._overrides.switched_off(entry.provider.name)
        return status_of(entry, self._health, now, over_api=over_api)

    def _model(self, entry: Endpoint | Inactive, model: Model, now: float) -> dict[str, Any]:
        provider, target = entry.provider, Target(entry.provider.name, model.id)
        price = self._prices.price(provider, model, clock.now_ms() / 1000)
        asked = isinstance(entry, Endpoint)
        return {
            "id": model.id,
            "alias": model.alias,
            "context": model.context,
            "max_output": model.max_output,
            "quality": model.quality,
            "family": model.family,
            "capabilities": {
                "images": model.images,
                "tools": model.tools,
                "reasoning": model.reasoning,
                "prefill": model.prefill,
            },
            "price": None if price is None else _price(price),
            "breaker": self._breaker(target, now) if asked else None,
        }

    def _breaker(self, target: Target, now: float) -> dict[str, Any]:
        standing = self._health.standing(target, now)
        ahead = None if standing.until is None else max(0.0, standing.until - now)
        return {"state": standing.state, "cause": standing.cause, "over_in_ms": _ms(ahead)}


async def _change_of(request: web.Request) -> Change:
    asked = await body.read(request, RootModel[Any])
    try:
        return Change.of(asked.root)
    except ChangeError as refusal:
        message, param = str(refusal), refusal.field or "body"
        raise _refused(ErrorCode.INVALID_REQUEST, message, param=param) from None


def _refused(code: ErrorCode, message: str, *, param: str | None = None) -> RequestError:
    return RequestError(make(code, message, param=param, phase=Phase.BEFORE_STREAM))


# --- Shapes ---------------------------------------------------------------------------------


def _price(price: Price) -> dict[str, Any]:
    return {
        "usd_per_million": price.base.shown(),
        "tiers": [
            {"above_input_tokens": tier.above, "usd_per_million": tier.rates.shown()}
            for tier in price.tiers
        ],
        "usd_per_thousand_searches": usd(price.search),
        "usd_per_thousand_requests": usd(price.request),
        "source": price.source,
        "dated": price.dated,
    }


def _limits(standing: Standing) -> dict[str, Any]:
    return {
        "requests_per_minute": _left(standing.requests),
        "tokens_per_minute": _left(standing.tokens),
        "concurrent_streams": _left(standing.streams),
        "shared": standing.shared,
        "provider_says": {
            model: {
                account: {
                    "limit": window.limit,
                    "remaining": window.remaining,
                    "reset_ms": _ms(window.reset),
                }
                for account, window in accounts.items()
            }
            for model, accounts in standing.said.items()
        },
    }


def _left(left: Left) -> dict[str, int | None]:
    return {
        "limit": left.limit,
        "used": left.used,
        "left": left.left,
        "full_in_ms": _ms(left.full_in),
    }


def _figures(figures: Figures) -> dict[str, Any]:
    return {
        "attempts": figures.attempts,
        "outcomes": figures.outcomes,
        "error_rate": _share(_failures(figures.outcomes), figures.attempts),
        "errors": {
            code: {"count": count, "rate": _share(count, figures.attempts)}
            for code, count in figures.errors.items()
        },
        "first_token_ms": _percentiles(figures.first_token),
        "inter_token_ms": _percentiles(figures.per_output_token),
        "hedges": _contests(figures.hedges),
        "races": _contests(figures.races),
        "challenged": _contests(figures.challenged),
        "input_tokens": figures.input_tokens,
        "output_tokens": figures.output_tokens,
        "cost_usd": usd(figures.cost_usd),
        "unknown_cost_attempts": figures.unknown_cost,
        "estimated_share": figures.estimated_share,
    }


def _failures(outcomes: Mapping[Outcome, int]) -> int:
    """Attempts that are the provider's own failures: not those that were overtaken or cancelled."""
    return outcomes.get(Outcome.FAILED, 0) + outcomes.get(Outcome.TIMEOUT, 0)


def _share(count: int, of: int) -> float | None:
    return round(count / of, 4) if of else None


def _percentiles(times: Percentiles | None) -> dict[str, float] | None:
    """Milliseconds with their tenths: from one token to the next there are few of them."""
    if times is None:
        return None
    shown = {name: round(1000 * getattr(times, name), 1) for name in ("p50", "p90", "p99")}
    return {**shown, "count": times.count}


def _contests(contests: Contests) -> dict[str, int]:
    return {"won": contests.won, "lost": contests.lost}


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(1000 * seconds)
