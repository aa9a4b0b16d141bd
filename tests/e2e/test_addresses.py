"""Where requests go: every form an address is written in, regions, and providers of one's own."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from adapters.contract import Endpoint
from adapters.registry import COMPATIBLE, FIFTEEN, PROVIDERS
from service import endpoints
from service.settings import ProviderSettings, Settings, load
from tests.double.paths import BASE_PATHS, route_of
from tests.double.script import reply
from tests.double.server import Double
from tests.e2e.stack import NAMES, speaks, stack
from tests.e2e.wire import WIRE


@pytest.fixture
async def elsewhere() -> AsyncIterator[Double]:
    """Where the addresses lead to."""
    async with Double(speaks=speaks) as double:
        yield double


every_provider = pytest.mark.parametrize("name", NAMES)


# --- Forms of an address --------------------------------------------------------------------

FORMS: Mapping[str, str] = {
    "as documented": "{host}{path}",
    "with a slash": "{host}{path}/",
    "the bare host": "{host}",
    "the bare host and a slash": "{host}/",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@every_provider
async def test_every_form_of_an_address_leads_to_the_provider_s_own_path(
    name: str, form: str, elsewhere: Double
) -> None:
    address = form.format(host=elsewhere.url, path=BASE_PATHS[name])
    given = {FIFTEEN[name].address_var: address}
    async with stack(name, environ=given) as running:
        told = await running.ask(f"{name}/auto")
        assert told.end["status"] == "completed"
    (seen,) = elsewhere.requests
    assert seen.path == WIRE[name].path


PARTIAL = {"groq": "/openai", "openrouter": "/api", "qwen": "/compatible-mode", "glm": "/api/paas"}


@pytest.mark.parametrize("name", PARTIAL)
async def test_a_beginning_of_the_path_becomes_the_whole(name: str, elsewhere: Double) -> None:
    given = {FIFTEEN[name].address_var: elsewhere.url + PARTIAL[name]}
    async with stack(name, environ=given) as running:
        assert (await running.ask(f"{name}/auto")).end["status"] == "completed"
    assert elsewhere.requests[0].path == WIRE[name].path


AZURE = ("", "/", "/openai", "/openai/v1", "/openai/v1/")


@pytest.mark.parametrize("path", AZURE)
async def test_azure_is_reached_with_and_without_its_path_over_both_its_apis(
    path: str, elsewhere: Double
) -> None:
    tool = {"type": "function", "function": {"name": "now"}}
    given = {"AZURE_OPENAI_ENDPOINT": elsewhere.url + path}
    async with stack("copilot", environ=given) as running:
        await running.ask("copilot/auto")
        await running.ask("copilot/auto", tools=[tool])
    paths = [seen.path for seen in elsewhere.requests]
    assert paths == ["/openai/v1/chat/completions", "/openai/v1/responses"]


OTHERS: Mapping[str, tuple[str, str]] = {
    "a plan with an address of its own": ("glm", "/api/coding/paas/v4"),
    "a beta": ("deepseek", "/beta"),
    "Claude at Foundry": ("claude", "/anthropic"),
}


@pytest.mark.parametrize(("name", "path"), OTHERS.values(), ids=OTHERS)
async def test_another_path_is_the_operator_s_word(name: str, path: str, elsewhere: Double) -> None:
    given = {FIFTEEN[name].address_var: elsewhere.url + path}
    async with stack(name, environ=given) as running:
        assert (await running.ask(f"{name}/auto")).end["status"] == "completed"
    own = WIRE[name].path.removeprefix(BASE_PATHS[name])
    assert elsewhere.requests[0].path == path + own


# --- Regions --------------------------------------------------------------------------------

REGIONS = [(name, region) for name in NAMES for region in FIFTEEN[name].regions]


@pytest.mark.parametrize(("name", "region"), REGIONS)
async def test_a_region_is_another_host_with_a_path_the_provider_has(
    name: str, region: str, elsewhere: Double
) -> None:
    """Its host cannot be asked here, so its path is, at the double."""
    settings = Settings(providers={name: ProviderSettings(region=region)})
    key = {FIFTEEN[name].key_vars[0]: "test-key"}
    known = endpoints.resolve(PROVIDERS, COMPATIBLE, settings, key)[name]
    assert isinstance(known, Endpoint)
    address = urlsplit(known.base_url)
    assert address.scheme == "https"

    given = {FIFTEEN[name].address_var: elsewhere.url + address.path}
    async with stack(name, environ=given) as running:
        assert (await running.ask(f"{name}/auto")).end["status"] == "completed"
    (seen,) = elsewhere.requests
    assert seen.path.startswith(f"{address.path}/")
    assert route_of(seen.path, {}) is not None


# --- Providers of one's own -----------------------------------------------------------------

CONFIGURATION = """
[providers.ollama]
base_url = "{host}/v1"
models = ["llama3.3"]

[providers.vllm]
base_url = "{host}/v1"
key = "test-key-vllm"
models = [{{ id = "Qwen/Qwen3.8-27B", alias = "qwen", reasoning = "optional" }}]

[providers.groq_too]
like = "groq"
base_url = "{host}"
key = "test-key-groq-too"
"""


def configured(host: str, folder: Path) -> Settings:
    file = folder / "tailrace.toml"
    file.write_text(CONFIGURATION.format(host=host), encoding="utf-8")
    return load(file, {})


async def test_a_server_of_one_s_own_streams_from_configuration_alone_and_without_a_key(
    elsewhere: Double, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the SDK would send in the place of a key that is not there.
    monkeypatch.setenv("OPENAI_API_KEY", "test-key-of-the-environment")
    settings = configured(elsewhere.url, tmp_path)
    async with stack("openai", settings=settings) as running:
        elsewhere.script(reply("Hel", "lo"))
        told = await running.ask("ollama/llama3.3")
    assert (told.text, told.end["status"]) == ("Hello", "completed")
    assert (told.end["provider"], told.end["model"]) == ("ollama", "llama3.3")
    (seen,) = elsewhere.requests
    assert seen.path == "/v1/chat/completions"
    assert seen.key is None
    assert not {"authorization", "api-key", "x-api-key"} & {name.lower() for name in seen.headers}
    assert seen.body["model"] == "llama3.3"


async def test_a_configured_provider_has_its_own_key_its_alias_and_what_it_is_like(
    elsewhere: Double, tmp_path: Path
) -> None:
    settings = configured(elsewhere.url, tmp_path)
    async with stack("openai", "groq", settings=settings) as running:
        qwen = await running.ask("vllm/qwen")
        groq = await running.ask("groq_too/auto")
    first, second = elsewhere.requests
    assert (qwen.end["provider"], qwen.end["model"]) == ("vllm", "Qwen/Qwen3.8-27B")
    assert (first.path, first.key) == ("/v1/chat/completions", "test-key-vllm")
    assert (groq.end["provider"], second.key) == ("groq_too", "test-key-groq-too")
    assert second.path == "/openai/v1/chat/completions"


async def test_a_configured_provider_is_none_of_the_fifteen(
    elsewhere: Double, tmp_path: Path
) -> None:
    settings = configured(elsewhere.url, tmp_path)
    async with stack("openai", settings=settings) as running:
        address = f"{running.url}/api/coordination/llm/providers"
        async with running.client.get(address) as response:
            listed = [provider["name"] for provider in (await response.json())["providers"]]
    assert listed == list(NAMES)


async def test_a_configured_provider_answers_where_no_other_has_a_key(
    elsewhere: Double, tmp_path: Path
) -> None:
    settings = configured(elsewhere.url, tmp_path)
    async with stack("openai", settings=settings, environ={"OPENAI_API_KEY": ""}) as running:
        told = await running.ask("auto")
    assert told.status == 200
    assert told.end["provider"] in settings.providers
