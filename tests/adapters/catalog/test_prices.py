"""Prices against figures that were written down apart, as they were on 2026-11-22 at noon UTC."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import genai_prices
import msgspec
import pytest

from adapters.catalog import snapshot
from adapters.catalog.prices import MOST_MODELS, STATED, Prices
from adapters.contract import Model, Provider
from adapters.events import Usage, UsageSource
from adapters.registry import COMPATIBLE, FIFTEEN, PROVIDERS
from service.usage.cost import cost_of


def unix(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NOON = unix("2026-11-22T12:00")

# US dollars per million: input, cached input, output. `-`: none stated.
FIGURES = """
claude      claude-haiku-5-5                 0.1    0.01    0.5
claude      claude-sonnet-5-5                2      0.1     10
claude      claude-opus-5-5                  4      0.2     20
claude      claude-fable-5-2                 8      0.2     40
openai      gpt-6-luna                       0.1    0.01    0.5
openai      gpt-6.1-terra                    1      0.05    5
openai      gpt-6.1-sol                      2      0.1     10
openai      gpt-6-astra                      10     1       50
mistral     mistral-small-latest             0.15   0.015   0.6
mistral     mistral-large-4                  0.7    0.07    2.1
mistral     mistral-medium-3-5               1.5    0.15    7.5
gemini      gemini-3.1-flash-lite            0.25   0.025   1.5
gemini      gemini-3.8-flash                 0.75   0.075   3.75
gemini      gemini-4-argon                   2      0.1     10
qwen        qwen3.8-flash                    0.15   0.016   0.47
qwen        qwen3.8-max                      2      0.25    6
deepseek    deepseek-flash                   0.15   0.003   0.6
deepseek    deepseek-v4-pro                  0.66   0.022   1.98
kimi        kimi-k2.6                        0.95   0.16    4
kimi        kimi-k3.1-pro                    2      0.2     10
kimi        kimi-k3                          3      0.3     15
glm         glm-5.3-flash                    0.15   0.03    0.5
glm         glm-5.3-flashx                   0.37   0.075   1.25
glm         glm-5.3                          1.4    0.26    4.4
groq        openai/gpt-oss-20b               0.075  0.0375  0.3
groq        openai/gpt-oss-120b              0.15   0.075   0.6
groq        qwen/qwen3.8-27b                 0.8    -       4
grok        grok-4.3                         1.25   0.2     2.5
grok        grok-4.7                         2      0.5     6
perplexity  perplexity/sonar                 0.25   0.0625  2.5
openrouter  openai/gpt-oss-20b               0.03   0.009   0.14
openrouter  deepseek/deepseek-v4.1-flash     0.21   0.0042  0.84
openrouter  moonshotai/kimi-k3.1-pro         2      0.2     10
openrouter  z-ai/glm-5.3                     1.4    0.26    4.4
huggingface openai/gpt-oss-120b:novita       0.05   -       0.25
huggingface zai-org/GLM-5.3-Flash            0.15   -       0.5
huggingface moonshotai/Kimi-K3               3      -       15
copilot     deepseek-v4-flash                0.19   0.028   0.51
copilot     gpt-6.1-terra                    1      0.05    5
copilot     FW-Kimi-K3                       3      0.3     15
"""


@pytest.fixture
def prices() -> Prices:
    return Prices()


def model_at(provider: str, model: str) -> tuple[Provider, Model]:
    return PROVIDERS[provider], PROVIDERS[provider].model(model)


def used(**counts: int | None) -> Usage:
    fields: dict[str, int | None] = {
        "input": 1_000_000,
        "input_cached": None,
        "input_cache_write": None,
        "output": 1_000_000,
        "output_reasoning": None,
        "total": None,
    }
    return Usage(**{**fields, **counts}, requests=1, source=UsageSource.PROVIDER)  # type: ignore[arg-type] - counts only


def cost(
    prices: Prices, provider: Provider, model: Model, usage: Usage, at: float
) -> Decimal | None:
    """US dollars, as an attempt that was sent then is charged."""
    price = prices.price(provider, model, at)
    found = cost_of(usage, price, target=model.id, searches=provider.searches)
    return None if found.nano_usd is None else Decimal(found.nano_usd).scaleb(-9)


@pytest.mark.parametrize("line", FIGURES.strip().splitlines())
def test_a_price_is_the_one_that_the_provider_asks(line: str, prices: Prices) -> None:
    provider, model, fresh, cached, output = line.split()
    price = prices.price(*model_at(provider, model), NOON)
    assert price is not None
    assert price.base.input == Decimal(fresh)
    assert price.base.cached == (None if cached == "-" else Decimal(cached))
    assert price.base.output == Decimal(output)


@pytest.mark.parametrize(
    ("hour", "peak"),
    [
        ("00:59:59", False),
        ("01:00", True),
        ("03:59:59", True),
        ("04:00", False),
        ("05:59:59", False),
        ("06:00", True),
        ("09:59:59", True),
        ("10:00", False),
        ("23:59:59", False),
    ],
)
@pytest.mark.parametrize("model", ["deepseek-flash", "deepseek-v4-pro"])
def test_deepseek_doubles_in_its_peak_hours(model: str, hour: str, *, peak: bool) -> None:
    prices = Prices()
    provider, listed = model_at("deepseek", model)
    usual = prices.price(provider, listed, NOON)
    price = prices.price(provider, listed, unix(f"2026-11-23T{hour}"))
    assert usual is not None
    assert price is not None
    factor = 2 if peak else 1
    assert price.base.input == usual.base.input * factor
    assert price.base.output == usual.base.output * factor


def test_a_resolved_price_holds_until_its_hour_turns_and_no_longer(prices: Prices) -> None:
    provider, model = model_at("deepseek", "deepseek-flash")
    at = unix("2026-11-23T00:00")
    seen = [prices.estimate(provider, model, 1_000_000, 0, at + 3600 * h) for h in range(25)]
    peak = {*range(1, 4), *range(6, 10)}
    assert seen == [pytest.approx(0.3 if h in peak else 0.15) for h in range(25)]


def test_a_new_price_counts_from_its_day_on(prices: Prices) -> None:
    gemini = model_at("gemini", "gemini-3.8-flash")
    assert prices.estimate(*gemini, 1_000_000, 0, unix("2026-12-31T23:59:59")) == 0.75
    assert prices.estimate(*gemini, 1_000_000, 0, unix("2027-01-01T00:00")) == 1.5


@pytest.mark.parametrize(
    ("provider", "model", "most", "below", "above"),
    [
        ("claude", "claude-haiku-5-5", 100_000, ("0.1", "0.5"), ("0.5", "2.5")),
        ("openai", "gpt-6-astra", 272_000, ("10", "50"), ("20", "75")),
        ("grok", "grok-4.7", 199_999, ("2", "6"), ("4", "12")),
        ("qwen", "qwen3.7-plus", 256_000, ("0.4", "1.6"), ("1.2", "4.8")),
    ],
)
def test_a_large_request_pays_the_larger_rate_for_all_of_its_tokens(
    provider: str,
    model: str,
    most: int,
    below: tuple[str, str],
    above: tuple[str, str],
    prices: Prices,
) -> None:
    for tokens, (fresh, output) in ((most, below), (most + 1, above)):
        expected = (tokens * Decimal(fresh) + 1000 * Decimal(output)) / 1_000_000
        paid = cost(prices, *model_at(provider, model), used(input=tokens, output=1000), NOON)
        assert paid == expected
        estimate = prices.estimate(*model_at(provider, model), tokens, 1000, NOON)
        assert estimate == pytest.approx(float(expected))


def test_cached_and_cache_written_tokens_are_part_of_the_input_and_cost_their_own(
    prices: Prices,
) -> None:
    usage = used(input=1000, input_cached=600, input_cache_write=300, output=10)
    sonnet = model_at("claude", "sonnet")
    # 100 at 2, 600 at 0.1, 300 at 2.5, 10 at 10
    assert cost(prices, *sonnet, usage, NOON) == Decimal("0.00111")


def test_a_cached_token_costs_what_others_do_where_no_rate_is_stated(prices: Prices) -> None:
    qwen = model_at("groq", "qwen3.8-27b")
    usage = used(input=1000, input_cached=1000, output=0)
    assert cost(prices, *qwen, usage, NOON) == Decimal("0.0008")


def test_a_provider_that_counts_more_cached_tokens_than_tokens_does_not_earn_money(
    prices: Prices,
) -> None:
    usage = used(input=10, input_cached=1_000_000, output=0)
    assert cost(prices, *model_at("claude", "sonnet"), usage, NOON) == Decimal("0.1")


def test_what_the_provider_states_wins_over_the_price(prices: Prices) -> None:
    usage = msgspec.structs.replace(used(), cost_usd="0.1234")
    assert cost(prices, *model_at("openrouter", "glm-5.3"), usage, NOON) == Decimal("0.1234")
    nobody_knows = msgspec.structs.replace(used(input=None, output=None), cost_usd="0.5")
    assert cost(prices, *model_at("groq", "who-knows"), nobody_knows, NOON) == Decimal("0.5")


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-99"),
        ("qwen", "qwen-of-tomorrow"),
        ("perplexity", "fast"),  # whichever model Perplexity chooses
        ("github", "openai/gpt-4.1"),
        ("openrouter", "openai/gpt-oss-20b:free"),  # listed, without a price
        ("huggingface", "openai/gpt-oss-120b:fastest"),
    ],
)
def test_an_unknown_price_is_unknown_and_never_0(provider: str, model: str, prices: Prices) -> None:
    known = model_at(provider, model)
    assert prices.price(*known, NOON) is None
    assert prices.estimate(*known, 1000, 1000, NOON) is None
    assert cost(prices, *known, used(), NOON) is None


@pytest.mark.parametrize("missing", ["input", "output"])
def test_the_cost_of_what_was_not_counted_is_unknown(missing: str, prices: Prices) -> None:
    assert cost(prices, *model_at("groq", "gpt-oss-20b"), used(**{missing: None}), NOON) is None


def test_the_demo_costs_nothing_and_that_is_known(prices: Prices) -> None:
    demo = model_at("demo", "demo")
    assert prices.estimate(*demo, 1000, 1000, NOON) == 0
    assert cost(prices, *demo, used(), NOON) == 0


def test_the_operators_price_beats_the_catalogs(prices: Prices) -> None:
    provider, listed = model_at("claude", "sonnet")
    own = replace(listed, price_input=Decimal("1.5"), price_output=Decimal("7.5"))
    price = prices.price(provider, own, NOON)
    assert price is not None
    assert price.source == STATED
    assert prices.estimate(provider, own, 1_000_000, 1_000_000, NOON) == 9
    assert cost(prices, provider, own, used(), NOON) == 9
    assert prices.estimate(provider, listed, 1_000_000, 1_000_000, NOON) == 12


def test_another_deployment_of_a_provider_keeps_its_prices(prices: Prices) -> None:
    second = replace(PROVIDERS["openai"], name="openai_eu", prices="openai")
    assert prices.estimate(second, second.model("terra"), 1_000_000, 0, NOON) is not None


def test_an_own_server_whose_name_holds_a_makers_is_not_charged_for_it(prices: Prices) -> None:
    own = replace(COMPATIBLE, name="my_openai_proxy")
    assert prices.price(own, own.model("gpt-6.1-terra"), NOON) is None


def test_perplexity_is_asked_for_a_search_each_time_and_that_is_counted(prices: Prices) -> None:
    sonar = model_at("perplexity", "sonar")
    search = Decimal("0.0025")
    assert prices.estimate(*sonar, 1_000_000, 0, NOON) == pytest.approx(0.25 + float(search))
    assert cost(prices, *sonar, used(output=0), NOON) == Decimal("0.25") + search
    # Claude's own search has a price too, and nobody asks for it.
    assert prices.estimate(*model_at("claude", "sonnet"), 1_000_000, 0, NOON) == 2


def test_the_overlay_counts_only_where_the_list_has_nothing_of_its_own(prices: Prices) -> None:
    sources = {
        (provider, model): price.source
        for provider, model in [
            ("claude", "sonnet"),
            ("copilot", "gpt-6.1-terra"),  # at OpenAI's price, which the list knows
            ("copilot", "deepseek-v4-pro"),  # the list has only DeepSeek's own
            ("qwen", "qwen3.8-max"),
        ]
        if (price := prices.price(*model_at(provider, model), NOON))
    }
    assert list(sources.values()) == [
        "genai-prices 0.2.3",
        "genai-prices 0.2.3",
        "litellm 1.109.1",
        "litellm 1.109.1",
    ]


def test_a_price_is_resolved_once_for_its_period(prices: Prices) -> None:
    flash = model_at("deepseek", "deepseek-flash")
    first = prices.price(*flash, NOON)
    assert prices.price(*flash, NOON + 3600) is first
    at_its_peak = prices.price(*flash, unix("2026-11-23T02:00"))
    assert at_its_peak is not first
    assert prices.price(*flash, unix("2026-11-23T03:00")) is at_its_peak


def test_of_names_that_clients_make_up_only_so_many_are_remembered(prices: Prices) -> None:
    # A memory that is bounded shows from outside only in its size.
    remembered = prices._periods
    provider, known = model_at("deepseek", "deepseek-flash")
    first = prices.price(provider, known, NOON)
    for number in range(MOST_MODELS - 1):
        assert prices.price(COMPATIBLE, Model(id=f"made-up-{number}"), NOON) is None
    assert prices.price(provider, known, NOON) is first
    assert prices.price(COMPATIBLE, Model(id="made-up-0"), NOON) is None
    assert prices.price(COMPATIBLE, Model(id="one-more"), NOON) is None
    assert len(remembered) == MOST_MODELS
    assert prices.price(provider, known, NOON) == first
    assert len(remembered) == MOST_MODELS


USAGES = [  # input, cached, cache-written, output
    (1_000, 0, 0, 500),
    (150_000, 100_000, 2_000, 3_000),
    (199_999, 0, 0, 1),
    (200_000, 5, 0, 1),
    (300_000, 1_000, 1_000, 10),
]


@pytest.mark.parametrize("moment", ["2026-11-22T12:00", "2026-11-23T06:00", "2027-02-01T03:59"])
def test_a_cost_is_to_the_last_digit_what_the_lists_own_calculation_says(
    moment: str, prices: Prices
) -> None:
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    compared = 0
    for provider in FIFTEEN.values():
        for model in provider.models:
            price = prices.price(provider, model, at.timestamp())
            if price is None or price.source != snapshot.SOURCE:
                continue
            for tokens, cached, written, output in USAGES:
                usage = used(
                    input=tokens, input_cached=cached, input_cache_write=written, output=output
                )
                theirs = genai_prices.calc_price(
                    genai_prices.Usage(
                        input_tokens=tokens,
                        cache_read_tokens=cached,
                        cache_write_tokens=written,
                        output_tokens=output,
                    ),
                    model.id,
                    provider_id=provider.prices or provider.name,
                    genai_request_timestamp=at,
                )
                ours = cost(prices, provider, model, usage, at.timestamp())
                expected = theirs.total_price + price.per_request(provider.searches)
                assert ours is not None
                assert abs(ours - expected) <= Decimal("2.5e-9")  # half a nano-USD for each part
                compared += 1
    assert compared > 300
