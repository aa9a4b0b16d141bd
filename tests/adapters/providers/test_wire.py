"""What each provider is sent, field by field, for requests that touch every parameter rule.

The expectations are written by hand after docs/providers.md, provider by provider, not after the
quirks in the code. A path names a field of the body: `reasoning.effort`, `messages.0.role`.
"""

from typing import Any, Final

import pytest

from adapters.contract import Call, Encoded, Provider, dialect_for
from adapters.errors import RequestError
from adapters.events import ErrorCode
from adapters.registry import COMPATIBLE, PROVIDERS
from adapters.request import ChatRequest

TOOL: Final = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
SCHEMA: Final = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
JSON_SCHEMA: Final = {
    "type": "json_schema",
    "json_schema": {"name": "answer", "schema": SCHEMA},
}
IMAGE: Final = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}
NAMED: Final = {"type": "function", "function": {"name": "get_weather"}}

ABSENT: Final = object()


def asked(**fields: Any) -> ChatRequest:  # noqa: ANN401 - whatever a request may hold
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello", "name": "ada"},
    ]
    return ChatRequest.model_validate({"messages": messages, **fields})


def sent(name: str, model: str | None = None, **fields: Any) -> Encoded:  # noqa: ANN401 - as above
    provider = PROVIDERS[name]
    request = asked(**fields)
    chosen = provider.model(model)
    call = Call(provider=provider, model=chosen, request=request)
    return dialect_for(provider, chosen, request).encode(call)


def at(body: Any, path: str) -> Any:  # noqa: ANN401 - any JSON value
    """The value at a path of the body, or ABSENT."""
    for step in path.split("."):
        if isinstance(body, list):
            body = body[int(step)] if int(step) < len(body) else ABSENT
        elif isinstance(body, dict):
            body = body.get(step, ABSENT)
        else:
            return ABSENT
    return body


def warned(encoded: Encoded) -> set[str | None]:
    return {warning.field for warning in encoded.warnings}


CASES: list[tuple[str, str | None, dict[str, Any], dict[str, Any]]] = []


def case(
    name: str,
    model: str | None = None,
    ask: dict[str, Any] | None = None,
    **want: Any,  # noqa: ANN401 - any JSON value
) -> None:
    """Expect fields of what `name` is sent; in their names `__` stands for the dot of a path."""
    paths = {key.replace("__", "."): value for key, value in want.items()}
    CASES.append((name, model, ask or {}, paths))


# --- Where and what -------------------------------------------------------------------------

PATHS: Final = {
    "claude": "/v1/messages",
    "gemini": "/models/gemini-3.8-flash:streamGenerateContent?alt=sse",
    "perplexity": "/responses",
}
MODELS: Final = {
    "claude": "claude-sonnet-5-5",
    "openai": "gpt-6.1-terra",
    "mistral": "mistral-large-4",
    "qwen": "qwen3.7-plus",
    "deepseek": "deepseek-flash",
    "kimi": "kimi-k3.1-pro",
    "glm": "glm-5.3",
    "groq": "openai/gpt-oss-120b",
    "grok": "grok-4.3",
    "perplexity": "perplexity/sonar",
    "openrouter": "deepseek/deepseek-v4.1-flash",
    "huggingface": "zai-org/GLM-5.3-Flash",
    "github": "openai/gpt-4.1",
    "copilot": "gpt-6.1-terra",
    "demo": "demo",
}


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_plain_request_goes_to_the_providers_own_path(name: str) -> None:
    assert sent(name).path == PATHS.get(name, "/chat/completions")


@pytest.mark.parametrize(("name", "model"), MODELS.items())
def test_an_unnamed_model_is_the_providers_best_standard_one(name: str, model: str) -> None:
    assert sent(name).body["model"] == model


@pytest.mark.parametrize("name", [name for name in PROVIDERS if name != "gemini"])
def test_every_request_streams(name: str) -> None:
    # Gemini says so in its path.
    assert sent(name).body["stream"] is True


# --- Usage: who has to be asked for it ------------------------------------------------------

for asks_for_usage in ("openai", "qwen", "deepseek", "kimi", "groq", "huggingface", "copilot"):
    case(asks_for_usage, stream_options__include_usage=True)
for sends_it_anyway in ("mistral", "glm", "grok", "openrouter"):
    case(sends_it_anyway, stream_options=ABSENT)
case("perplexity", stream_options=ABSENT)
# The padding against traffic analysis is turned off where it exists.
case("openai", stream_options__include_obfuscation=False)
case("openai", "sol", {"tools": [TOOL]}, stream_options__include_obfuscation=False)

# --- Instructions ---------------------------------------------------------------------------

case("openai", messages__0__role="developer")
case("openai", "sol", {"tools": [TOOL]}, input__0__role="developer")
case("claude", system="Be brief.", messages__0__role="user")
case("gemini", systemInstruction__parts__0__text="Be brief.", contents__0__role="user")
case("mistral", messages__0__role="system")
case("copilot", messages__0__role="system")
for says_system in ("qwen", "deepseek", "kimi", "glm", "groq", "grok", "openrouter", "demo"):
    case(says_system, messages__0__role="system", messages__0__content="Be brief.")
case("perplexity", input__0__type="message", input__0__role="system")

# --- Names of authors: a 400 at Groq, unknown to Mistral ------------------------------------

case("groq", messages__1__name=ABSENT)
case("mistral", messages__1__name=ABSENT)
case("openai", messages__1__name="ada")
case("deepseek", messages__1__name="ada")

# --- The limit of the answer ----------------------------------------------------------------

LIMIT: Final = {"max_tokens": 100}
for completion_limit in ("openai", "copilot", "groq"):
    case(completion_limit, None, LIMIT, max_completion_tokens=100, max_tokens=ABSENT)
for plain_limit in ("mistral", "qwen", "deepseek", "kimi", "glm", "openrouter", "huggingface"):
    case(plain_limit, None, LIMIT, max_tokens=100, max_completion_tokens=ABSENT)
case("claude", None, LIMIT, max_tokens=100)
case("claude", max_tokens=128_000)  # mandatory: the model's own limit where nobody asks
case("gemini", None, LIMIT, generationConfig__maxOutputTokens=100)
case("perplexity", None, LIMIT, max_output_tokens=100, max_tokens=ABSENT)
case("openai", "sol", {"tools": [TOOL], **LIMIT}, max_output_tokens=100)
case("openai", "sol", {"tools": [TOOL], "max_tokens": 3}, max_output_tokens=16)
case("claude", None, {"max_tokens": 900_000}, max_tokens=128_000)

# --- Sampling -------------------------------------------------------------------------------

WARM: Final = {"temperature": 0.5, "top_p": 0.9}
for takes_sampling in ("mistral", "qwen", "deepseek", "groq", "grok", "openrouter", "huggingface"):
    case(takes_sampling, None, WARM, temperature=0.5, top_p=0.9)
for takes_none in ("openai", "copilot", "claude"):
    case(takes_none, None, WARM, temperature=ABSENT, top_p=ABSENT)
NOT_THINKING: Final = {"reasoning": {"effort": "none"}}
case("openai", None, {**WARM, **NOT_THINKING}, temperature=0.5, top_p=0.9, reasoning_effort="none")
# A model that always thinks is asked to think least, and takes no temperature even so.
case("openai", "sol", {**WARM, **NOT_THINKING}, temperature=ABSENT, reasoning_effort="low")
case(
    "openai",
    "sol",
    {**WARM, **NOT_THINKING, "tools": [TOOL]},
    temperature=ABSENT,
    reasoning__effort="low",
)
case("kimi", None, WARM, temperature=ABSENT, top_p=ABSENT)
case("kimi", None, {"temperature": 1.0}, temperature=1.0)
case("kimi", "k2.6", WARM, temperature=ABSENT)
case("gemini", None, WARM, generationConfig__temperature=ABSENT, generationConfig__topP=ABSENT)
case("gemini", "pro", WARM, generationConfig__temperature=0.5, generationConfig__topP=0.9)
case("perplexity", None, WARM, temperature=0.5, top_p=0.9)

# --- Stop sequences, seeds, users -----------------------------------------------------------

STOP: Final = {"stop": ["END"]}
for takes_stop in ("openai", "mistral", "qwen", "deepseek", "kimi", "groq", "openrouter"):
    case(takes_stop, None, STOP, stop=["END"])
case("claude", None, STOP, stop_sequences=["END"])
case("gemini", None, STOP, generationConfig__stopSequences=["END"])
for grok_model in ("grok-4.3", "grok-4.7", "grok-build"):
    case("grok", grok_model, STOP, stop=ABSENT)
case("perplexity", None, STOP, stop=ABSENT)
case("groq", None, {"stop": list("abcdef")}, stop=list("abcd"))

SEED: Final = {"seed": 7}
case("openai", None, SEED, seed=7)
case("mistral", None, SEED, random_seed=7, seed=ABSENT)
case("gemini", None, SEED, generationConfig__seed=7)
case("claude", None, SEED, seed=ABSENT)
case("perplexity", None, SEED, seed=ABSENT)

case("openai", None, {"user": "u1"}, user="u1")
case("mistral", None, {"user": "u1"}, user=ABSENT)
case("claude", None, {"user": "u1"}, metadata__user_id="u1")
case("perplexity", None, {"user": "u1"}, user=ABSENT, safety_identifier=ABSENT)

# --- Tools ----------------------------------------------------------------------------------

TOOLS: Final = {"tools": [TOOL], "tool_choice": "required"}
for forces_tools in ("openrouter", "huggingface", "grok", "groq", "demo"):
    quiet = NOT_THINKING if forces_tools == "grok" else {}
    case(
        forces_tools,
        None,
        {**TOOLS, **quiet},
        tools__0__function__name="get_weather",
        tool_choice="required",
    )
case("mistral", None, TOOLS, tool_choice="any")
case("mistral", None, {**TOOLS, "tool_choice": NAMED}, tool_choice=NAMED)
# Thinking models that are on unless turned off take no forced choice.
case("kimi", None, TOOLS, tool_choice=ABSENT, tools__0__function__name="get_weather")
case("deepseek", None, TOOLS, tool_choice=ABSENT)
case("deepseek", None, {**TOOLS, **NOT_THINKING}, tool_choice="required")
case("kimi", "k2.6", {**TOOLS, **NOT_THINKING}, tool_choice="required")
case("qwen", None, {**TOOLS, "tool_choice": NAMED}, tool_choice=ABSENT)
case("glm", None, TOOLS, tool_choice=ABSENT, tool_stream=True)
case("glm", None, {**TOOLS, "tool_choice": "none"}, tools=ABSENT)
case("claude", "haiku", TOOLS, tools__0__name="get_weather", tool_choice__type="any")
case("claude", "sonnet", TOOLS, tools__0__name="get_weather", tool_choice=ABSENT)
case("claude", "opus", {**TOOLS, "tool_choice": NAMED}, tool_choice=ABSENT)
case(
    "gemini",
    None,
    TOOLS,
    tools__0__functionDeclarations__0__name="get_weather",
    toolConfig__functionCallingConfig__mode="ANY",
)
case("openrouter", None, TOOLS, provider__require_parameters=True)
case("openrouter", provider=ABSENT)
case("perplexity", tools=[{"type": "web_search"}])
case(
    "perplexity",
    None,
    {"tools": [TOOL]},
    tools__0__type="web_search",
    tools__1__name="get_weather",
)

# --- Reasoning ------------------------------------------------------------------------------

HIGH: Final = {"reasoning": {"effort": "high"}}
for by_effort in ("openai", "mistral", "groq", "grok", "huggingface", "copilot", "demo"):
    case(by_effort, None, HIGH, reasoning_effort="high")
case("qwen", None, HIGH, enable_thinking=True, reasoning_effort="high")
case("qwen", None, NOT_THINKING, enable_thinking=False, reasoning_effort=ABSENT)
case("qwen", None, {"reasoning": {"max_tokens": 500}}, thinking_budget=500)
case("deepseek", None, HIGH, thinking__type="enabled", reasoning_effort="high")
case("deepseek", None, NOT_THINKING, thinking__type="disabled", reasoning_effort=ABSENT)
case("deepseek", None, {"reasoning": {"effort": "medium"}}, reasoning_effort="high")
case("kimi", None, HIGH, thinking=ABSENT, reasoning_effort="high")
case("kimi", "k2.7-code", NOT_THINKING, thinking=ABSENT, reasoning_effort=ABSENT)
case("kimi", "k2.6", NOT_THINKING, thinking__type="disabled")
case("glm", None, NOT_THINKING, thinking=ABSENT, reasoning_effort="low")
case("glm", None, {"reasoning": {"effort": "xhigh"}}, reasoning_effort="max")
case("groq", "qwen/qwen3.8-27b", HIGH, reasoning_effort="high", reasoning_format="parsed")
case("groq", "qwen/qwen3.8-27b", NOT_THINKING, reasoning_effort="none")
case("groq", None, HIGH, reasoning_format=ABSENT)
case("groq", None, {"reasoning": {"effort": "max"}}, reasoning_effort="high")
case("mistral", None, {"reasoning": {"effort": "low"}}, reasoning_effort="high")
case("mistral", None, NOT_THINKING, reasoning_effort="none")
case("openrouter", None, HIGH, reasoning__effort="high", reasoning_effort=ABSENT)
case("openrouter", None, {"reasoning": {"max_tokens": 500}}, reasoning__max_tokens=500)
case("grok", None, NOT_THINKING, reasoning_effort="none")
case("grok", "grok-4.7", {"reasoning": {"effort": "xhigh"}}, reasoning_effort="xhigh")
case("grok", "grok-build", HIGH, reasoning_effort=ABSENT)
case("claude", None, HIGH, thinking__type="adaptive", output_config__effort="high")
case("claude", "sonnet", NOT_THINKING, thinking__type="between_tools")
case("claude", "haiku", NOT_THINKING, thinking__type="disabled")
case("claude", "opus", NOT_THINKING, thinking=ABSENT)
case("claude", "claude-haiku-4-5", HIGH, thinking__type="enabled", output_config=ABSENT)
case("gemini", None, HIGH, generationConfig__thinkingConfig__thinkingLevel="HIGH")
case("gemini", None, NOT_THINKING, generationConfig__thinkingConfig__thinkingLevel="LOW")
case(
    "gemini", "flash-lite", NOT_THINKING, generationConfig__thinkingConfig__thinkingLevel="MINIMAL"
)
case(
    "gemini",
    "gemini-2.5-flash",
    NOT_THINKING,
    generationConfig__thinkingConfig__thinkingBudget=0,
)
case("perplexity", "kimi-k3", HIGH, reasoning={"effort": "high"}, include=ABSENT)
case("perplexity", "sonar", HIGH, reasoning=ABSENT)
# Chat completions knows no `max`; Responses does.
case("openai", None, {"reasoning": {"effort": "max"}}, reasoning_effort="xhigh")
case("openai", None, {"reasoning": {"effort": "max"}, "tools": [TOOL]}, reasoning__effort="max")

# --- Formats --------------------------------------------------------------------------------

SHAPED: Final = {"response_format": JSON_SCHEMA}
for enforces_schemas in ("openai", "mistral", "qwen", "groq", "grok", "openrouter", "huggingface"):
    case(enforces_schemas, None, SHAPED, response_format__json_schema__schema=SCHEMA)
for json_mode_only in ("deepseek", "glm"):
    case(json_mode_only, None, SHAPED, response_format={"type": "json_object"})
case("openrouter", None, SHAPED, provider__require_parameters=True)
case("claude", None, SHAPED, output_config__format__schema=SCHEMA)
case(
    "gemini",
    None,
    SHAPED,
    generationConfig__responseMimeType="application/json",
    generationConfig__responseJsonSchema=SCHEMA,
)
case("perplexity", None, SHAPED, text=ABSENT, response_format__json_schema__schema=SCHEMA)
case("openai", "sol", {**SHAPED, "tools": [TOOL]}, text__format__schema=SCHEMA)


def _titles() -> list[str]:
    return [
        f"{number}-{name}-{model or 'default'}-{'+'.join(ask) or 'plain'}"
        for number, (name, model, ask, _) in enumerate(CASES)
    ]


@pytest.mark.parametrize(("name", "model", "ask", "want"), CASES, ids=_titles())
def test_a_provider_is_sent_what_it_takes(
    name: str, model: str | None, ask: dict[str, Any], want: dict[str, Any]
) -> None:
    body = sent(name, model, **ask).body
    assert {path: at(body, path) for path in want} == want


def test_all_fifteen_and_the_demo_are_covered() -> None:
    assert {name for name, *_ in CASES} >= set(PROVIDERS) - {"github"}


# --- Which of two formats -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["openai", "copilot", "grok"])
def test_tools_meeting_reasoning_go_over_responses(name: str) -> None:
    assert sent(name, tools=[TOOL]).path == "/responses"
    assert sent(name).path == "/chat/completions"
    assert sent(name, reasoning={"effort": "high"}).path == "/chat/completions"


@pytest.mark.parametrize("name", ["openai", "grok"])
def test_tools_without_reasoning_stay_with_chat_completions(name: str) -> None:
    assert sent(name, tools=[TOOL], reasoning={"effort": "none"}).path == "/chat/completions"


@pytest.mark.parametrize("name", ["openai", "copilot", "grok"])
def test_over_responses_nothing_is_stored_and_reasoning_comes_back_encrypted(name: str) -> None:
    body = sent(name, tools=[TOOL]).body
    assert body["store"] is False
    assert body["include"] == ["reasoning.encrypted_content"]


# --- What is given up is said ---------------------------------------------------------------

CONCESSIONS: Final = [
    ("openai", None, WARM, {"temperature", "top_p"}),
    ("claude", None, {**WARM, **SEED}, {"temperature", "top_p", "seed"}),
    ("kimi", None, WARM, {"temperature", "top_p"}),
    ("kimi", None, TOOLS, {"tool_choice"}),
    ("grok", None, STOP, {"stop"}),
    ("deepseek", None, SHAPED, {"response_format"}),
    ("glm", None, NOT_THINKING, {"reasoning.effort"}),
    ("claude", "opus", NOT_THINKING, {"reasoning.effort"}),
    ("mistral", None, {"user": "u1"}, {"user"}),
]


@pytest.mark.parametrize(("name", "model", "ask", "fields"), CONCESSIONS)
def test_what_a_provider_cannot_take_is_warned_of(
    name: str, model: str | None, ask: dict[str, Any], fields: set[str]
) -> None:
    assert warned(sent(name, model, **ask)) >= fields


@pytest.mark.parametrize(
    "name", ["openai", "qwen", "deepseek", "kimi", "openrouter", "huggingface"]
)
def test_a_request_that_asks_for_nothing_special_is_warned_of_nothing(name: str) -> None:
    assert sent(name, max_tokens=100).warnings == ()


@pytest.mark.parametrize(
    ("name", "model"),
    [("deepseek", "pro"), ("glm", "glm-5.3"), ("groq", "gpt-oss-120b"), ("mistral", "glm-5.3")],
)
def test_a_model_without_eyes_refuses_an_image_instead_of_losing_it(name: str, model: str) -> None:
    look = [{"role": "user", "content": [IMAGE]}]
    with pytest.raises(RequestError) as refused:
        sent(name, model, messages=look)
    assert refused.value.error.code is ErrorCode.UNSUPPORTED_PARAMETER
    assert refused.value.error.provider == name


@pytest.mark.parametrize("name", ["claude", "openai", "gemini", "mistral", "kimi", "copilot"])
def test_an_image_reaches_a_model_with_eyes(name: str) -> None:
    encoded = sent(name, messages=[{"role": "user", "content": [IMAGE]}])
    assert "https://example.com/cat.png" in str(encoded.body)


# --- Histories ------------------------------------------------------------------------------

CALLED: Final = [
    {"role": "user", "content": "Weather?"},
    {
        "role": "assistant",
        "tool_calls": [
            {"id": "call_1", "function": {"name": "get_weather", "arguments": '{"city":"Ulm"}'}}
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
]


@pytest.mark.parametrize("name", ["deepseek", "kimi"])
def test_a_past_call_goes_back_with_reasoning_where_the_provider_demands_it(name: str) -> None:
    body = sent(name, messages=CALLED).body
    assert body["messages"][1]["reasoning_content"]


@pytest.mark.parametrize("name", ["qwen", "groq", "glm", "huggingface"])
def test_a_past_call_goes_back_without_it_elsewhere(name: str) -> None:
    assert "reasoning_content" not in sent(name, messages=CALLED).body["messages"][1]


def test_mistral_gets_call_ids_of_nine_letters_or_digits_that_still_pair() -> None:
    body = sent("mistral", messages=CALLED).body
    call_id = body["messages"][1]["tool_calls"][0]["id"]
    assert len(call_id) == 9
    assert call_id.isalnum()
    assert body["messages"][2]["tool_call_id"] == call_id


@pytest.mark.parametrize("name", ["openai", "openrouter", "grok"])
def test_call_ids_stay_as_they_are_elsewhere(name: str) -> None:
    body = sent(name, messages=CALLED, reasoning={"effort": "none"}).body
    assert body["messages"][1]["tool_calls"][0]["id"] == "call_1"


# --- A server of one's own ------------------------------------------------------------------


def test_a_server_of_ones_own_is_sent_plain_chat_completions() -> None:
    request = asked(
        max_tokens=5, temperature=0.1, tools=[TOOL], response_format=JSON_SCHEMA, **HIGH
    )
    provider: Provider = COMPATIBLE
    call = Call(provider=provider, model=provider.model("qwen3:8b"), request=request)
    encoded = dialect_for(provider, call.model, request).encode(call)
    assert encoded.path == "/chat/completions"
    assert encoded.warnings == ()
    assert encoded.body["model"] == "qwen3:8b"
    assert encoded.body["max_tokens"] == 5
    assert encoded.body["reasoning_effort"] == "high"
    assert encoded.body["response_format"] == JSON_SCHEMA
