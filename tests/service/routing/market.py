"""A small market to decide in: providers of one's own making, and a moment with fixed figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from adapters.contract import Endpoint, Model, Provider
from adapters.dialects.openai_chat import OpenAIChat
from adapters.request import ChatRequest, UseCase
from service.endpoints import Inactive
from service.routing.health import Health, Target
from service.routing.plan import Plan
from service.routing.policy import plan
from service.routing.roster import Known
from service.routing.table import Table, build
from service.routing.view import View
from service.settings import Settings, UseCaseSettings

AT = 1_790_000_000.0
PACKAGED = Settings()


def model(name: str, quality: int = 2, **facts: object) -> Model:
    return Model(id=name, quality=quality, **({"images": True} | facts))  # type: ignore[arg-type]


def provider(name: str, *models: Model, default: str | None = None) -> Provider:
    return Provider(
        name=name,
        title=name.title(),
        key_vars=(f"{name.upper()}_API_KEY",),
        address_var=f"{name.upper()}_BASE_URL",
        base_url=f"https://{name}.invalid/v1",
        client="openai",
        dialect=OpenAIChat(),
        models=models or (model(f"{name}-one"),),
        default=default,
    )


def active(entry: Provider) -> Endpoint:
    return Endpoint(provider=entry, base_url=f"https://{entry.name}.invalid", key="test-key")


def market(*providers: Provider, **inactive: str) -> Known:
    """Everybody has a key, unless `inactive` gives the reason why one cannot be asked."""
    return {
        entry.name: Inactive(entry, inactive[entry.name])  # type: ignore[arg-type]
        if entry.name in inactive
        else active(entry)
        for entry in providers
    }


def table(known: Known, **rows: Mapping[str, object]) -> Table:
    """The packaged table with these use cases' fields replaced; every tier has the same row."""
    replaced = {
        UseCase(name): UseCaseSettings.model_validate(
            {
                "complexity": PACKAGED.use_cases[UseCase(name)].complexity,
                "expected_output_tokens": 100,
                "prefer": ["nobody"],
            }
            | changes
        )
        for name, changes in rows.items()
    }
    return build(PACKAGED.model_copy(update={"use_cases": PACKAGED.use_cases | replaced}), known)


@dataclass
class Moment:
    """Fixed figures; what is not given is unknown, or without limit."""

    prices: Mapping[str, float] = field(default_factory=dict)
    """US dollars of any request, by model id."""
    speeds: Mapping[str, float] = field(default_factory=dict)
    """Usual seconds to the first token, by model id."""
    waits: Mapping[str, float] = field(default_factory=dict)
    """Seconds until a provider, or `<provider>/<model>`, may be asked."""
    health: Health = field(default_factory=Health)
    now: float = 0.0

    def estimate(
        self, provider: Provider, model: Model, input_tokens: int, output_tokens: int, at: float
    ) -> float | None:
        assert (provider.name, at) == (provider.name, AT)
        assert input_tokens >= 0
        assert output_tokens >= 0
        return self.prices.get(model.id)

    def usual(
        self, target: Target, input_tokens: int, now: float, *, reasoning: bool
    ) -> float | None:
        assert (input_tokens > 0, now, reasoning) == (True, self.now, reasoning)
        return self.speeds.get(target.model)

    def wait(self, provider: str, tokens: int, now: float, *, model: str | None = None) -> float:
        assert (tokens > 0, now) == (True, self.now)
        whole = self.waits.get(provider, 0.0)
        return max(whole, self.waits.get(f"{provider}/{model}", 0.0))

    @property
    def view(self) -> View:
        return View(prices=self, health=self.health, speeds=self, limits=self)


def request(**fields: object) -> ChatRequest:
    body = {"messages": [{"role": "user", "content": "hi"}], **fields}
    return ChatRequest.model_validate(body)


def planned(
    known: Known,
    rules: Table | None = None,
    moment: Moment | None = None,
    *,
    shift: bool = False,
    **fields: object,
) -> Plan:
    moment = moment or Moment()
    rules = rules or table(known)
    return plan(request(**fields), rules, known, moment.view, moment.now, AT, shift=shift)


def order(decided: Plan) -> list[str]:
    return [f"{c.endpoint.provider.name}/{c.model.id}" for c in decided.choices]


def reasons(decided: Plan) -> dict[str, str]:
    """By provider, or by `<provider>/<model>`."""
    return {
        s.provider if s.model is None else f"{s.provider}/{s.model}": s.reason.value
        for s in decided.skipped
    }
