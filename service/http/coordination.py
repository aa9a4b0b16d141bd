"""The coordination API: whole answers in the fixed shapes that its callers depend on.

Every answer but the health is an object with `success`; it is true exactly where the status is 200,
and otherwise `error` says in words why not. Bodies are read as JSON whatever their Content-Type
says, and fields that are not known are passed over, in messages too. Behind that is the native API:
a body becomes a `ChatRequest`, goes through the same relay, and its stream is waited for and
folded. It is cancelled when its caller leaves.

An answer says so where it is not the first choice's: that one could not be asked, or was asked and
failed. A hedge or a rival in a race that was merely faster is no such thing.

The words for a missing key are French because they always were: callers show and compare them.
Shapes and examples: docs/coordination.md.

What was spent is told twice: `total_session_cost` of this process, from its start and at once; the
summary of everything that was ever counted, from the sums, some moments later.
"""

from typing import Any, cast

import msgspec
from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from adapters.catalog.price import Rates
from adapters.catalog.prices import Prices
from adapters.contract import Endpoint, Provider
from adapters.errors import RequestError, make
from adapters.events import BlockKind, Error, ErrorCode, Outcome, Phase, Status, StreamEnd
from adapters.registry import FIFTEEN, PROVIDERS
from adapters.request import ChatRequest
from service import clock, validation
from service.endpoints import Inactive
from service.http import body, problems, usage
from service.http.json_answer import json_answer
from service.http.native import Native
from service.http.problems import Shape
from service.overrides import Overrides
from service.relay import Ask, Relay
from service.routing.plan import Plan, Skipped
from service.routing.roster import Known
from service.routing.shown import use_cases, words
from service.routing.status import status_of, why_inactive
from service.streams.stream import Stream
from service.telemetry.spending import Spending
from service.usage.cost import NANO
from service.usage.database import UnavailableError
from service.usage.report import Summary, summary
from service.usage.sums import Reading

TEST_PROMPT = "Reply with the word ok."
TEST_MAX_TOKENS = 64
"""Enough for a model that thinks a little before its one word; next to nothing in money."""

TEST_LIMIT_MS = 60_000
"""As long as a first token may take, and so the whole of a test."""

_PASSED_ON = (
    "messages",
    "use_case",
    "complexity",
    "budget_tier",
    "temperature",
    "max_tokens",
    "latency",
)

ROOT = "/api/coordination"

_BROKEN = frozenset({Outcome.FAILED, Outcome.TIMEOUT, Outcome.SUPERSEDED})
"""Outcomes of attempts that could not, as opposed to those that were only slower."""

_MISSING_KEY = "API key manquante"

BASELINE = "claude"
"""The provider whose dearest model would otherwise have answered everything."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, hide_input_in_errors=True)


class GenerateBody(_Body):
    """What `generate` takes; what is only passed on is validated as the native request's."""

    messages: Any
    use_case: Any = None
    complexity: Any = None
    budget_tier: Any = None
    temperature: Any = None
    max_tokens: Any = None
    latency: Any = None
    provider: str | None = None
    model: str | None = None
    stream: bool | None = None


class TestBody(_Body):
    """What `test` takes."""

    provider: str


class Coordination:
    """Routes under /api/coordination."""

    def __init__(
        self,
        relay: Relay,
        native: Native,
        spending: Spending,
        overrides: Overrides,
        sums: Reading,
    ) -> None:
        """`native` delivers where a caller asks for the event stream; `spending` hears of all.

        `overrides`: who knows which providers were switched off over the API; `sums`: what was
        spent ever, only read here.
        """
        self._relay = relay
        self._native = native
        self._spending = spending
        self._overrides = overrides
        self._sums = sums

    def routes(self) -> list[web.RouteDef]:
        """The routes to mount."""
        return [
            web.get(f"{ROOT}/health", self.health),
            web.get(f"{ROOT}/llm/providers", self.providers),
            web.get(f"{ROOT}/llm/use-cases", self.use_cases),
            web.get(f"{ROOT}/llm/cost-summary", self.cost_summary),
            web.post(f"{ROOT}/llm/generate", self.generate),
            web.post(f"{ROOT}/llm/test", self.test),
        ]

    def shapes(self) -> dict[str, Shape]:
        """`{"success": false, "error"}` for everything of this API."""
        return {ROOT: _failed}

    async def health(self, _request: web.Request) -> web.Response:
        """GET health."""
        return json_answer({"status": "ok"})

    async def providers(self, _request: web.Request) -> web.Response:
        """GET llm/providers: all fifteen, in their order."""
        known, now = self._relay.deployment.known, clock.monotonic()
        listed = [self._listed(known[name], now) for name in FIFTEEN]
        return json_answer({"success": True, "providers": listed})

    async def use_cases(self, _request: web.Request) -> web.Response:
        """GET llm/use-cases: the table, as it stands."""
        deployment = self._relay.deployment
        shown = use_cases(deployment.table, deployment.known)
        return json_answer({"success": True, "use_cases": shown})

    async def cost_summary(self, _request: web.Request) -> web.StreamResponse:
        """GET llm/cost-summary: what was spent, against the dearest model of one provider."""
        rates = _dearest(PROVIDERS[BASELINE], self._relay.shared.prices, clock.now_ms() / 1000)
        try:
            spent = await self._sums.ask(summary, rates)
        except UnavailableError as failure:
            raise usage.unavailable(failure) from failure
        return json_answer(_spent(spent))

    async def generate(self, request: web.Request) -> web.StreamResponse:
        """POST llm/generate: the whole answer, or with `stream` the native event stream."""
        arrived = clock.monotonic()
        asked = await body.read(request, GenerateBody)
        known = self._relay.deployment.known
        chat = _chat(asked, known)
        if asked.stream:
            stream, _ = self._open(chat, known, arrived, dialect="native")
            return await self._native.respond(
                request, stream, json=False, open_early_ms=chat.open_early_ms
            )
        stream, plan = self._open(chat, known, arrived)
        end = await _finished(stream)
        answer = _generated(stream, end, known)
        answer["total_session_cost"] = float(self._spending.total_usd)
        answer |= _fallen_back(plan, end, known)
        return json_answer(answer)

    async def test(self, request: web.Request) -> web.StreamResponse:
        """POST llm/test: a short real request to one provider and to no other."""
        arrived = clock.monotonic()
        asked = await body.read(request, TestBody)
        known = self._relay.deployment.known
        _check_name(asked.provider, known)
        chat = ChatRequest.model_validate(
            {
                "messages": [{"role": "user", "content": TEST_PROMPT}],
                "model": f"{asked.provider}/auto",
                "max_tokens": TEST_MAX_TOKENS,
                "fallback": False,
                "deadlines": {"total_ms": TEST_LIMIT_MS},
            }
        )
        stream, _ = self._open(chat, known, arrived)
        end = await _over(stream)
        failed = _failure_of(end)
        result = {
            "success": failed is None,
            "provider": asked.provider,
            "model": _alias(asked.provider, _model_of(end), known),
            "latency_ms": end.timing.total_ms,
            "ttft_ms": end.timing.ttft_ms,
        }
        if failed is None:
            return json_answer(result)
        return json_answer(result | {"error": failed.message}, status=failed.http)

    def _listed(self, entry: Endpoint | Inactive, now: float) -> dict[str, Any]:
        provider = entry.provider
        health, over_api = self._relay.shared.health, self._overrides.switched_off(provider.name)
        status, why = status_of(entry, health, now, over_api=over_api)
        listed: dict[str, Any] = {"name": provider.name, "status": status}
        if isinstance(entry, Inactive):
            missing = entry.reason == "no_key"
            return listed | {"reason": _MISSING_KEY if missing else why}
        aliases = [model.alias for model in provider.models if model.alias]
        listed["models"] = aliases or [model.id for model in provider.models]
        return listed if why is None else listed | {"reason": why}

    def _open(
        self, chat: ChatRequest, known: Known, arrived: float, dialect: str = "coordination"
    ) -> tuple[Stream, Plan | None]:
        """Start a stream that ends when its caller leaves."""
        ask = Ask(
            request=chat,
            dialect=dialect,
            cancel_after=0,
            arrived=arrived,
            whole=dialect == "coordination",
        )
        try:
            return self._relay.open(ask)
        except RequestError as refusal:
            raise RequestError(_worded(refusal.error, known)) from None


# --- Requests -------------------------------------------------------------------------------


def _chat(asked: GenerateBody, known: Known) -> ChatRequest:
    """The native request of a body. Raises RequestError naming the field."""
    values = ((name, getattr(asked, name)) for name in _PASSED_ON)
    fields = {name: value for name, value in values if value is not None}
    fields["model"] = _target(asked, known)
    try:
        return ChatRequest.model_validate(fields, extra="ignore")
    except ValidationError as failure:
        raise RequestError(validation.of_validation(failure)) from None


def _target(asked: GenerateBody, known: Known) -> str:
    """The native `model` of the two fields; `model` may repeat the provider before its name."""
    wanted = asked.model or "auto"
    if asked.provider is None:
        return wanted
    _check_name(asked.provider, known)
    repeated, slash, name = wanted.partition("/")
    provider = known[asked.provider].provider
    listed = name == "auto" or any(name in (model.id, model.alias) for model in provider.models)
    if slash and repeated == asked.provider and listed:
        return wanted
    return f"{asked.provider}/{wanted}"


def _check_name(provider: str, known: Known) -> None:
    if provider not in known:
        message = f"provider: {provider[:64]!r} is not one of {', '.join(known)}"
        raise RequestError(
            make(ErrorCode.INVALID_REQUEST, message, param="provider", phase=Phase.BEFORE_STREAM)
        )


# --- Answers --------------------------------------------------------------------------------


async def _over(stream: Stream) -> StreamEnd:
    """Wait for a stream's end, and hold on to it as long as the caller waits."""
    holder = object()
    stream.attach(holder)
    try:
        await stream.over()
    finally:
        stream.detach(holder)
    return cast("StreamEnd", stream.log.end)  # it is there when `over` returns


async def _finished(stream: Stream) -> StreamEnd:
    """The end of a stream that has an answer.

    Raises RequestError for one that has not, or only half of one: it would pass for whole here.
    """
    end = await _over(stream)
    failure = _failure_of(end)
    if failure is not None:
        raise RequestError(failure)
    return end


def _failure_of(end: StreamEnd) -> Error | None:
    return end.error if end.status in {Status.FAILED, Status.CANCELLED} else None


def _generated(stream: Stream, end: StreamEnd, known: Known) -> dict[str, Any]:
    fold = stream.log.fold()
    return {
        "success": True,
        "content": fold.text(BlockKind.TEXT) or fold.text(BlockKind.REFUSAL),
        "provider": end.provider,
        "model": _alias(end.provider, end.model, known),
        "model_id": end.model,
        "tokens_used": end.usage.total,
        "cost": None if end.usage.cost_usd is None else float(end.usage.cost_usd),
        "latency_ms": end.timing.total_ms,
    }


def _fallen_back(plan: Plan | None, end: StreamEnd, known: Known) -> dict[str, Any]:
    """What is said where the first choice could not serve."""
    why = None if plan is None else _why_not_first(plan, end, known)
    return {} if why is None else {"fallback_used": True, "primary_error": why}


def _why_not_first(plan: Plan, end: StreamEnd, known: Known) -> str | None:
    """Why the first choice did not answer; None where it did, or was only slower than another."""
    if plan.preferred is not None:
        return _words_of(plan.preferred, known)
    first = plan.choices[0]
    asked = (first.endpoint.provider.name, first.model.id)
    if asked == (end.provider, end.model):
        return None
    broken = (
        f"{attempt.provider}: {attempt.error.message}"
        for attempt in end.attempts
        if (attempt.provider, attempt.model) == asked
        and attempt.error is not None
        and attempt.outcome in _BROKEN
    )
    return next(broken, None)


def _alias(provider: str | None, model: str | None, known: Known) -> str | None:
    """The short name of a provider's model, where it has one."""
    if provider is None or model is None:
        return model
    return known[provider].provider.model(model).alias or model


def _model_of(end: StreamEnd) -> str | None:
    """The model that was asked, whether it answered or not."""
    return end.attempts[0].model if end.attempts else None


# --- Costs ----------------------------------------------------------------------------------


def _dearest(provider: Provider, prices: Prices, at: float) -> Rates | None:
    """The rates of the model in the catalog whose output costs most; None: no price is known."""
    known = (prices.price(provider, model, at) for model in provider.models)
    rates = [price.base for price in known if price is not None]
    return max(rates, key=lambda each: each.output, default=None)


def _spent(spent: Summary) -> dict[str, Any]:
    return {
        "success": True,
        "total_cost": _usd(spent.cost),
        "requests": spent.requests,
        "by_provider": {name: _usd(cost) for name, cost in spent.by_provider.items()},
        "by_use_case": {name: _usd(cost) for name, cost in spent.by_use_case.items()},
        "savings": _usd(spent.savings),
        "baseline": _usd(spent.baseline),
    }


def _usd(nano_usd: int | None) -> float | None:
    return None if nano_usd is None else nano_usd / NANO


# --- Words ----------------------------------------------------------------------------------


def _words(entry: Inactive) -> str:
    """Why a provider cannot serve, with its name."""
    name = entry.provider.name
    if entry.reason == "no_key":
        return f"{_MISSING_KEY} pour {name}"
    return f"{name}: {why_inactive(entry)}"


def _words_of(skip: Skipped, known: Known) -> str:
    """Why a first choice was passed over, with its name."""
    entry = known.get(skip.provider)
    if isinstance(entry, Inactive):
        return _words(entry)
    return f"{skip.provider}: {words(skip)}"


def _worded(error: Error, known: Known) -> Error:
    """A refusal because of one provider, in this API's words."""
    entry = known.get(error.provider or "")
    if error.code is ErrorCode.NO_CANDIDATES and isinstance(entry, Inactive):
        return msgspec.structs.replace(error, message=_words(entry))
    return error


def _failed(error: Error) -> web.Response:
    response = json_answer({"success": False, "error": error.message}, status=error.http)
    response.headers.update(problems.retry_after(error))
    return response
