"""What every dialect reads alike."""

from typing import Any

import pytest

from adapters.errors import RequestError
from adapters.request import Latency, Strategy, Tier, UseCase
from service.dialects.reading import chat_request, flag, picture, routing_in

SAID: dict[str, Any] = {"messages": [{"role": "user", "content": "x"}]}


def refusal(
    fields: dict[str, Any],
    routing: dict[str, str] | None = None,
    names: dict[str, str] | None = None,
) -> str:
    with pytest.raises(RequestError) as failure:
        chat_request(SAID | fields, routing or {}, names)
    assert failure.value.error.param is not None
    assert failure.value.error.message.startswith(failure.value.error.param + ": ")
    return failure.value.error.message


def test_routing_is_taken_out_of_metadata_whose_rest_is_the_clients() -> None:
    metadata = {
        "tailrace_use_case": "analysis",
        "tailrace_budget_tier": "premium",
        "tailrace_latency": "hedge",
        "ticket": "T-1",
    }
    chat = chat_request(SAID | {"metadata": metadata}, {})
    assert (chat.use_case, chat.budget_tier) == (UseCase.ANALYSIS, Tier.PREMIUM)
    assert chat.latency.strategy is Strategy.HEDGE
    assert chat.metadata == {"ticket": "T-1"}


def test_headers_name_each_field_of_routing_and_others_are_passed_over() -> None:
    headers = {"tailrace-use-case": "code", "tailrace-latency": "hedged", "use_case": "chat"}
    assert routing_in(headers) == {"use_case": "code", "latency": "hedged"}


def test_headers_win_over_metadata() -> None:
    metadata = {"tailrace_use_case": "analysis", "tailrace_budget_tier": "premium"}
    chat = chat_request(SAID | {"metadata": metadata}, {"use_case": "expert"})
    assert (chat.use_case, chat.budget_tier) == (UseCase.EXPERT, Tier.PREMIUM)


@pytest.mark.parametrize("where", ["header", "metadata"])
def test_the_object_form_of_latency_is_a_json_string(where: str) -> None:
    latency = '{"strategy": "race", "providers": ["groq", "openai"]}'
    metadata = {"metadata": {"tailrace_latency": latency}} if where == "metadata" else {}
    chat = chat_request(SAID | metadata, {"latency": latency} if where == "header" else {})
    assert chat.latency == Latency(strategy=Strategy.RACE, providers=["groq", "openai"])


def test_a_latency_that_is_no_json_is_refused_by_name() -> None:
    assert refusal({}, routing={"latency": "{race"}) == (
        "Tailrace-Latency: the object form must be JSON"
    )


def test_null_is_as_good_as_left_out_and_unknown_fields_are_passed_over() -> None:
    assert chat_request(SAID | {"stop": None, "colour": 1, "metadata": None}, {}).stop is None


def test_an_unknown_use_case_is_refused_by_name() -> None:
    assert refusal({}, routing={"use_case": "poetry"}).startswith("Tailrace-Use-Case: 'poetry' is")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("use_case", "poetry", "metadata.tailrace_use_case: 'poetry' is not allowed"),
        ("latency", "{", "metadata.tailrace_latency: the object form must be JSON"),
        ("latency", '{"strategy": "x"}', "metadata.tailrace_latency.strategy: 'x' is not"),
    ],
)
def test_routing_is_refused_by_the_place_where_it_was_given(
    name: str, value: str, told: str
) -> None:
    assert refusal({"metadata": {f"tailrace_{name}": value}}).startswith(told)
    header = {"use_case": "Tailrace-Use-Case", "latency": "Tailrace-Latency"}[name]
    assert refusal({}, routing={name: value}).startswith(
        told.replace(f"metadata.tailrace_{name}", header)
    )


def test_a_refusal_is_told_with_the_name_that_the_client_knows() -> None:
    names = {"max_tokens": "max_completion_tokens", "tools": "functions"}
    told = refusal({"max_tokens": 0}, names=names)
    assert told == "max_completion_tokens: 0 is not allowed; must be at least 1"
    assert refusal({"tools": [1]}, names=names).startswith("functions[0]: ")
    assert refusal({"top_p": 2}, names=names).startswith("top_p: ")


def test_a_name_holds_for_every_item_and_for_what_is_in_it_but_for_no_longer_name() -> None:
    names = {"tools[].function": "tools[]", "max": "least"}
    tool = {"type": "function", "function": {"name": "f"}}
    bad = {"type": "function", "function": {"name": "a b"}}
    assert refusal({"tools": [tool, bad]}, names=names).startswith("tools[1].name: 'a b' is not")
    assert refusal({"max_tokens": 0}, names=names).startswith("max_tokens: 0 is not allowed")


def test_a_picture_is_an_address_that_is_taken_or_refused_where_it_stands() -> None:
    assert picture("https://a.test/x.png", "at") == "https://a.test/x.png"
    with pytest.raises(RequestError, match=r"^at: that string is not allowed; must be an http"):
        picture("ftp://a.test", "at")


def test_a_flag_may_be_null_or_missing() -> None:
    given = {"yes": True, "no": False, "null": None}
    assert {name: flag(given, name) for name in (*given, "missing")} == {
        "yes": True,
        "no": False,
        "null": False,
        "missing": False,
    }


def test_a_flag_may_be_true_unless_it_is_given() -> None:
    assert flag({}, "generate", unset=True)
    assert not flag({"generate": False}, "generate", unset=True)


def test_a_flag_that_is_none_is_refused() -> None:
    with pytest.raises(RequestError, match="stream: 'yes' is not allowed; must be true or false"):
        flag({"stream": "yes"}, "stream")
