"""Asks of a provider, and the fields of the request body that they are expected to become.

The expectations in the test files are written by hand after docs/providers.md, not after the quirks
in the code. A path names a field of the body: `reasoning.effort`, `messages.0.role`. What is not
named is not looked at; ABSENT says that a field must not be there.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from adapters.classify import classify
from adapters.contract import Call, Encoded, Failure, Provider, dialect_for
from adapters.errors import RequestError
from adapters.events import ErrorCode
from adapters.request import ChatRequest

Fields = dict[str, Any]

TOOL: Final[Fields] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
SCHEMA: Final[Fields] = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
}
IMAGE: Final = "https://example.com/cat.png"

# --- Asks -----------------------------------------------------------------------------------

PLAIN: Final[Fields] = {}
LIMIT: Final[Fields] = {"max_tokens": 100}
WARM: Final[Fields] = {"temperature": 0.5, "top_p": 0.9}
STOP: Final[Fields] = {"stop": ["END"]}
SEED: Final[Fields] = {"seed": 7}
USER: Final[Fields] = {"user": "u1"}
TOOLS: Final[Fields] = {"tools": [TOOL]}
FORCED: Final[Fields] = {"tools": [TOOL], "tool_choice": "required"}
CHOICE: Final[Fields] = {"type": "function", "function": {"name": "get_weather"}}
NAMED: Final[Fields] = {"tools": [TOOL], "tool_choice": CHOICE}
THINK: Final[Fields] = {"reasoning": {"effort": "high"}}
THINK_NOT: Final[Fields] = {"reasoning": {"effort": "none"}}
JSON_SCHEMA: Final[Fields] = {
    "type": "json_schema",
    "json_schema": {"name": "answer", "schema": SCHEMA},
}
SHAPED: Final[Fields] = {"response_format": JSON_SCHEMA}
LOOK: Final[Fields] = {
    "messages": [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": IMAGE}}]},
    ]
}
BEGUN: Final[Fields] = {
    "messages": [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Well"},
    ]
}
CALLED: Final[Fields] = {
    "messages": [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "call_1", "function": {"name": "get_weather", "arguments": '{"city":"Ulm"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    ]
}


def think(effort: str) -> Fields:
    return {"reasoning": {"effort": effort}}


def sent(provider: Provider, model: str | None = None, **ask: object) -> Encoded:
    """The request as it goes on the wire; the messages are an instruction and a greeting."""
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello", "name": "ada"},
    ]
    request = ChatRequest.model_validate({"messages": messages, **ask})
    chosen = provider.model(model)
    call = Call(provider=provider, model=chosen, request=request)
    return dialect_for(provider, chosen, request).encode(call)


# --- Expectations ---------------------------------------------------------------------------

ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked, and what of the body follows from it."""

    ask: Fields
    want: Fields
    model: str | None = None
    """An id or alias; the provider's first where there is none."""
    warned: frozenset[str] = field(default_factory=frozenset)
    """Fields that a warning must name."""


def each(*cases: Case) -> pytest.MarkDecorator:
    """Run a test once for each case, given to it as `case`."""
    titles = [
        "-".join((str(number), case.model or "first", *(case.ask or ("plain",))))
        for number, case in enumerate(cases)
    ]
    return pytest.mark.parametrize("case", cases, ids=titles)


def check(provider: Provider, case: Case) -> None:
    encoded = sent(provider, case.model, **case.ask)
    found = {path: _at(encoded.body, path) for path in case.want}
    assert found == case.want
    assert {warning.field for warning in encoded.warnings} >= case.warned


def _at(body: Any, path: str) -> Any:  # noqa: ANN401 - any JSON value
    for step in path.split("."):
        if isinstance(body, list):
            body = body[int(step)] if int(step) < len(body) else ABSENT
        elif isinstance(body, dict):
            body = body.get(step, ABSENT)
        else:
            return ABSENT
    return body


def check_refuses_images(provider: Provider, model: str) -> None:
    """A model without eyes refuses an image instead of losing it."""
    with pytest.raises(RequestError) as refused:
        sent(provider, model, **LOOK)
    assert refused.value.error.code is ErrorCode.UNSUPPORTED_PARAMETER
    assert refused.value.error.provider == provider.name


# --- Errors ---------------------------------------------------------------------------------

Answer = tuple[int, object, ErrorCode]
"""HTTP status, body, and what it means."""


def each_error(*answers: Answer) -> pytest.MarkDecorator:
    """Run a test once for each answer, given to it as `answer`."""
    titles = [f"{number}-{status}-{code}" for number, (status, _, code) in enumerate(answers)]
    return pytest.mark.parametrize("answer", answers, ids=titles)


def check_error(provider: Provider, answer: Answer) -> None:
    status, body, meaning = answer
    error = classify(Failure(status=status, body=body), provider)
    assert error.code is meaning
    assert error.provider == provider.name


def coded(code: str, kind: str = "invalid_request_error") -> Fields:
    """An error body as OpenAI writes it."""
    return {"error": {"code": code, "type": kind, "message": "in words"}}


def typed(kind: str) -> Fields:
    """An error body with a type alone."""
    return {"error": {"type": kind, "message": "in words"}}
