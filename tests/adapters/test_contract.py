"""What a provider's data answers, and over which dialect a request goes."""

import pytest

from adapters.contract import Call, Decoder, Encoded, Model, Provider, dialect_for
from adapters.request import ChatRequest


class Named:
    """A dialect that only has a name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def encode(self, call: Call) -> Encoded:
        """Nobody asks it here."""

    def decoder(self, call: Call) -> Decoder:
        """Nobody asks it here."""


CHAT, RESPONSES = Named("chat"), Named("responses")
PLAIN = Model(id="plain-1", alias="plain")
THINKING = Model(id="thinking-1", reasoning="optional")
ALWAYS = Model(id="always-1", reasoning="always")
ONLY = Model(id="only-1", api="responses")
TOOL = {"type": "function", "function": {"name": "f"}}


def provider(*, both: bool = True, default: str | None = None) -> Provider:
    return Provider(
        name="acme",
        title="Acme",
        key_vars=("ACME_API_KEY",),
        address_var="ACME_BASE_URL",
        base_url="https://acme.invalid",
        client="openai",
        dialect=CHAT,
        responses=RESPONSES if both else None,
        models=(PLAIN, THINKING),
        default=default,
    )


def asked(**fields: object) -> ChatRequest:
    body = {"messages": [{"role": "user", "content": "hi"}], **fields}
    return ChatRequest.model_validate(body)


def test_a_model_is_found_by_id_or_alias_and_an_unlisted_one_is_passed_through() -> None:
    acme = provider()
    assert acme.model("plain") is acme.model("plain-1") is PLAIN
    unlisted = acme.model("new-9")
    assert (unlisted.id, unlisted.alias, unlisted.context) == ("new-9", None, None)


def test_the_unnamed_model_is_the_default_or_else_the_first() -> None:
    assert provider().model(None) is PLAIN
    assert provider(default="thinking-1").model(None) is THINKING


@pytest.mark.parametrize(
    ("model", "fields", "dialect"),
    [
        (PLAIN, {}, CHAT),
        (PLAIN, {"tools": [TOOL]}, CHAT),
        (THINKING, {}, CHAT),
        (THINKING, {"tools": [TOOL]}, RESPONSES),
        (THINKING, {"tools": [TOOL], "reasoning": {"effort": "none"}}, CHAT),
        (ALWAYS, {"tools": [TOOL], "reasoning": {"effort": "none"}}, RESPONSES),
        (ONLY, {}, RESPONSES),
    ],
)
def test_tools_that_meet_reasoning_go_over_responses(
    model: Model, fields: dict[str, object], dialect: Named
) -> None:
    assert dialect_for(provider(), model, asked(**fields)) is dialect


def test_a_provider_with_one_dialect_is_asked_over_that_one() -> None:
    assert dialect_for(provider(both=False), ALWAYS, asked(tools=[TOOL])) is CHAT
