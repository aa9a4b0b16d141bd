from adapters.providers.compatible import PROVIDER
from tests.adapters.providers import wire
from tests.adapters.providers.wire import Case


def test_it_reads_no_variable_and_has_no_address_until_configured() -> None:
    assert PROVIDER.key_vars == ()
    assert PROVIDER.address_var == ""
    assert PROVIDER.base_url is None
    assert PROVIDER.models == ()


@wire.each(
    Case(
        wire.PLAIN, {"model": "qwen3:8b", "stream": True, "messages.0.role": "system"}, "qwen3:8b"
    ),
    Case(
        wire.LIMIT | wire.WARM | wire.STOP | wire.SEED,
        {"max_tokens": 100, "temperature": 0.5, "top_p": 0.9, "stop": ["END"], "seed": 7},
        "qwen3:8b",
    ),
    Case(wire.FORCED, {"tool_choice": "required"}, "qwen3:8b"),
    Case(wire.THINK, {"reasoning_effort": "high"}, "qwen3:8b"),
    Case(wire.SHAPED, {"response_format": wire.JSON_SCHEMA}, "qwen3:8b"),
    Case(wire.LOOK, {"messages.0.content.0.image_url.url": wire.IMAGE}, "qwen3:8b"),
)
def test_everything_asked_for_is_passed_on_as_plain_chat_completions(case: Case) -> None:
    encoded = wire.sent(PROVIDER, case.model, **case.ask)
    assert encoded.path == "/chat/completions"
    assert encoded.warnings == ()
    wire.check(PROVIDER, case)
