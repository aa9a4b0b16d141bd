from adapters.events import ErrorCode
from adapters.providers.gemini import PROVIDER
from tests.adapters.providers import wire
from tests.adapters.providers.wire import ABSENT, Case

CONFIG = "generationConfig"


def test_a_request_goes_to_the_models_own_stream() -> None:
    path = "/models/gemini-3.8-flash:streamGenerateContent?alt=sse"
    assert wire.sent(PROVIDER).path == path


@wire.each(
    Case(wire.PLAIN, {"systemInstruction.parts.0.text": "Be brief.", "contents.0.role": "user"}),
    Case(wire.LIMIT, {f"{CONFIG}.maxOutputTokens": 100}),
    Case(
        wire.WARM,
        {f"{CONFIG}.temperature": ABSENT, f"{CONFIG}.topP": ABSENT},
        warned=frozenset({"temperature", "top_p"}),
    ),
    Case(wire.WARM, {f"{CONFIG}.temperature": 0.5, f"{CONFIG}.topP": 0.9}, "pro"),
    Case(wire.STOP, {f"{CONFIG}.stopSequences": ["END"]}),
    Case(wire.SEED, {f"{CONFIG}.seed": 7}),
    Case(
        wire.FORCED,
        {
            "tools.0.functionDeclarations.0.name": "get_weather",
            "toolConfig.functionCallingConfig.mode": "ANY",
        },
    ),
    Case(wire.NAMED, {"toolConfig.functionCallingConfig.allowedFunctionNames": ["get_weather"]}),
    Case(wire.THINK, {f"{CONFIG}.thinkingConfig.thinkingLevel": "HIGH"}),
    # It always thinks; `none` is its least.
    Case(
        wire.THINK_NOT,
        {f"{CONFIG}.thinkingConfig.thinkingLevel": "LOW"},
        warned=frozenset({"reasoning.effort"}),
    ),
    Case(wire.THINK_NOT, {f"{CONFIG}.thinkingConfig.thinkingLevel": "MINIMAL"}, "flash-lite"),
    Case(wire.THINK_NOT, {f"{CONFIG}.thinkingConfig.thinkingBudget": 0}, "gemini-2.5-flash"),
    Case(
        wire.SHAPED,
        {
            f"{CONFIG}.responseMimeType": "application/json",
            f"{CONFIG}.responseJsonSchema": wire.SCHEMA,
        },
    ),
    Case(wire.SHAPED | wire.TOOLS, {f"{CONFIG}.responseMimeType": "application/json"}),
    Case(
        wire.SHAPED | wire.TOOLS,
        {f"{CONFIG}.responseMimeType": ABSENT},
        "gemini-2.5-flash",
        frozenset({"response_format"}),
    ),
    Case(wire.LOOK, {"contents.0.parts.0.fileData.fileUri": wire.IMAGE}),
    # A call that another model made has no signature of Google's.
    Case(
        wire.CALLED,
        {
            "contents.1.role": "model",
            "contents.1.parts.0.thoughtSignature": "skip_thought_signature_validator",
        },
    ),
)
def test_each_field_goes_where_gemini_takes_it(case: Case) -> None:
    wire.check(PROVIDER, case)


@wire.each_error(
    (
        400,
        {
            "error": {
                "code": 400,
                "status": "INVALID_ARGUMENT",
                "message": "API key not valid. Please pass a valid API key.",
                "details": [{"reason": "API_KEY_INVALID"}],
            }
        },
        ErrorCode.AUTH_PROVIDER,
    ),
    (503, {"error": {"code": 503, "status": "UNAVAILABLE", "message": "m"}}, ErrorCode.OVERLOADED),
)
def test_an_error_means_what_gemini_means_by_it(answer: wire.Answer) -> None:
    wire.check_error(PROVIDER, answer)
