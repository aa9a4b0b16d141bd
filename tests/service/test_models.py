from dataclasses import replace
from decimal import Decimal

import orjson

from adapters.contract import Endpoint, Model
from adapters.registry import COMPATIBLE, FIFTEEN, PROVIDERS
from service import models
from service.discovery import Discovery, Found
from service.endpoints import Inactive, resolve
from service.settings import load

NOON = 1_795_348_800.0  # 2026-11-22T12:00Z
NOTHING = Discovery()


def everybody() -> dict[str, Endpoint | Inactive]:
    environ = {"GROQ_API_KEY": "test-key-groq"}
    return resolve(PROVIDERS, COMPATIBLE, load(None, environ), environ)


def only(name: str) -> dict[str, Endpoint | Inactive]:
    return {name: everybody()[name]}


def found(new: tuple[str, ...] = (), gone: tuple[str, ...] = ()) -> Discovery:
    return Discovery(providers={"groq": Found(at="", ids=new, new=new, gone=gone)})


def cells(name: str, model: str, discovery: Discovery = NOTHING) -> list[str]:
    table = models.lines(models.known(only(name), discovery, NOON))
    return next(line.split() for line in table if f" {model} " in line)


def test_every_model_of_every_provider_has_its_line() -> None:
    rows = models.known(everybody(), NOTHING, NOON)
    listed = [(p.name, m.id) for p in PROVIDERS.values() for m in p.models]
    assert [(row.provider.name, row.model.id) for row in rows] == listed
    assert len(rows) >= 80
    assert {row.provider.name for row in rows if row.active} == {"groq", "demo"}
    assert len(list(models.lines(rows))) == len(rows) + 1


def test_a_line_tells_what_a_model_can_do_and_costs() -> None:
    told = " ".join(cells("claude", "claude-sonnet-5-5"))
    assert told == (
        "claude sonnet claude-sonnet-5-5 1,000,000 yes yes optional no 3 2 0.1 10"
        " genai-prices 0.2.3"
    )


def test_a_price_that_rises_with_the_request_is_marked() -> None:
    assert cells("openai", "gpt-6-astra")[9:12] == ["10+", "1+", "50+"]


def test_what_is_unknown_is_a_dash_and_what_is_free_is_0() -> None:
    assert cells("perplexity", "fast")[-4:] == ["-", "-", "-", "-"]
    assert cells("demo", "demo-slow")[-4:] == ["0", "-", "0", "stated"]


def test_what_a_refresh_found_is_marked() -> None:
    discovery = found(new=("llama-9",), gone=("openai/gpt-oss-20b",))
    assert cells("groq", "openai/gpt-oss-20b", discovery)[-1] == "gone"
    assert cells("groq", "openai/gpt-oss-120b", discovery)[-1] == "0.2.3"
    assert cells("groq", "llama-9", discovery) == [
        *("groq", "-", "llama-9"),
        *["-"] * 10,
        "unlisted",
    ]


def test_as_json_prices_are_exact_and_what_is_unknown_is_null() -> None:
    rows = models.known(only("groq"), found(new=("llama-9",)), NOON)
    first, *_, last = orjson.loads(models.as_json(rows))
    assert first["id"] == FIFTEEN["groq"].models[0].id
    assert first["active"] is True
    assert first["same_as"] == "gpt-oss-120b"
    assert Decimal(first["price"]["input"]) == Decimal("0.15")
    assert first["price"]["tiers"] == []
    assert last["status"] == "unlisted"
    assert last["context"] is last["images"] is last["quality"] is last["price"] is None


def test_as_json_prices_have_neither_exponent_nor_trailing_zeros() -> None:
    own = Model(id="own", price_input=Decimal("1E+1"), price_output=Decimal("8.0"))
    groq = replace(FIFTEEN["groq"], models=(own,))
    rows = models.known({"groq": Inactive(groq, "no_key")}, NOTHING, NOON)
    price = orjson.loads(models.as_json(rows))[0]["price"]
    assert (price["input"], price["output"]) == ("10", "8")


def test_as_json_tiers_are_told() -> None:
    rows = models.known(only("qwen"), NOTHING, NOON)
    plus = orjson.loads(models.as_json(rows))[0]
    assert plus["active"] is False
    assert plus["price"]["dated"] == "2026-11-23"
    assert plus["price"]["tiers"] == [
        {"above": 256_000, "input": "1.2", "cached": "0.24", "cache_write": None, "output": "4.8"}
    ]
