from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from math import inf

from genai_prices import types

from adapters.catalog import snapshot

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
BEIJING = timezone(timedelta(hours=8))


def listed(*prices: types.ConditionalPrice) -> types.ModelInfo:
    return types.ModelInfo(id="m", match=types.ClauseEquals("m"), prices=list(prices))


def test_a_price_without_conditions_holds_for_ever() -> None:
    found = snapshot.look_up("anthropic", "claude-opus-5-5", NOON)
    assert found is not None
    assert (found.since, found.until, found.own) == (-inf, inf, True)


def test_a_makers_price_at_a_seller_is_told_from_the_sellers_own() -> None:
    azure = snapshot.look_up("azure", "gpt-6.1-sol", NOON)
    assert azure is not None
    assert not azure.own


def test_a_model_without_a_price_per_token_is_listed_without_one() -> None:
    free = snapshot.look_up("openrouter", "openai/gpt-oss-20b:free", NOON)
    assert free is not None
    assert free.price is None


def test_a_host_after_a_colon_is_asked_for_its_own_price() -> None:
    novita = snapshot.look_up("huggingface", "openai/gpt-oss-120b:novita", NOON)
    assert novita is not None
    assert novita.price is not None
    assert novita.price.base.input == Decimal("0.05")
    assert snapshot.look_up("huggingface", "openai/gpt-oss-120b:nobody", NOON) is None
    assert snapshot.look_up("huggingface", "openai/gpt-oss-120b", NOON) is None


def test_deepseeks_price_holds_to_the_next_turn_of_its_day() -> None:
    def hours(at: float) -> tuple[float, float]:
        found = snapshot.look_up("deepseek", "deepseek-flash", at)
        assert found is not None
        midnight = datetime(2026, 11, 22, tzinfo=UTC).timestamp()
        return (found.since - midnight) / 3600, (found.until - midnight) / 3600

    assert hours(NOON) == (10, 25)
    assert hours(NOON - 9 * 3600) == (1, 4)
    assert hours(NOON - 2 * 3600) == (10, 25)
    assert hours(NOON - 2 * 3600 - 1) == (6, 10)


def test_an_hour_in_another_time_zone_turns_at_its_moment() -> None:
    price = types.ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(1))
    dear = types.ConditionalPrice(
        types.TimeOfDateConstraint(time(9, tzinfo=BEIJING), time(12, tzinfo=BEIJING)), prices=price
    )
    info = listed(types.ConditionalPrice(prices=price), dear)
    at = datetime(2026, 11, 22, 0, 30, tzinfo=UTC)
    since, until = snapshot.period(info, at)
    assert datetime.fromtimestamp(until, UTC).hour == 1
    assert datetime.fromtimestamp(since, UTC) == datetime(2026, 11, 21, 4, tzinfo=UTC)
