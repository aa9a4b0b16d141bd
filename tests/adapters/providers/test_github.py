from adapters.events import ErrorCode
from adapters.providers.github import PROVIDER
from tests.adapters.providers import wire
from tests.adapters.providers.wire import Case


def test_it_is_retired_and_says_since_when() -> None:
    assert PROVIDER.retired is not None
    assert "2026-07-30" in PROVIDER.retired


def test_whoever_serves_its_api_elsewhere_is_asked_as_github_was() -> None:
    encoded = wire.sent(PROVIDER)
    assert encoded.path == "/chat/completions"
    assert encoded.body["model"] == "openai/gpt-4.1"
    assert PROVIDER.headers == {"X-GitHub-Api-Version": "2026-03-10"}


@wire.each(
    Case(wire.LIMIT | wire.WARM, {"max_tokens": 100, "temperature": 0.5}),
    Case(wire.FORCED, {"tools.0.function.name": "get_weather", "tool_choice": "required"}),
    Case(wire.SHAPED, {"response_format.json_schema.schema": wire.SCHEMA}),
    Case(wire.THINK, {}, warned=frozenset({"reasoning"})),
)
def test_each_field_goes_where_github_took_it(case: Case) -> None:
    wire.check(PROVIDER, case)


@wire.each_error((410, "", ErrorCode.MODEL_UNAVAILABLE))
def test_its_410_means_that_the_models_are_gone(answer: wire.Answer) -> None:
    wire.check_error(PROVIDER, answer)
