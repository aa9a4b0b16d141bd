"""Of all the places a key and an address can stand, the documented one wins."""

from decimal import Decimal
from pathlib import Path

import pytest

from adapters.contract import Endpoint
from adapters.registry import COMPATIBLE, FIFTEEN, PROVIDERS
from service.endpoints import Inactive, resolve
from service.settings import SettingsError, load

Found = dict[str, Endpoint | Inactive]


def found(environ: dict[str, str] | None = None, path: Path | None = None) -> Found:
    environ = environ or {}
    return resolve(PROVIDERS, COMPATIBLE, load(path, environ), environ)


def endpoint(name: str, environ: dict[str, str], path: Path | None = None) -> Endpoint:
    entry = found(environ, path)[name]
    assert isinstance(entry, Endpoint)
    return entry


def refusal(environ: dict[str, str] | None = None, path: Path | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        found(environ, path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "tailrace.toml"


def test_without_any_key_all_fifteen_say_why_and_the_demo_is_there() -> None:
    entries = found()
    assert list(entries) == [*FIFTEEN, "demo"]
    reasons = {name: e.reason for name, e in entries.items() if isinstance(e, Inactive)}
    assert reasons.pop("github") == "retired"
    assert set(reasons.values()) == {"no_key"}
    assert [name for name, e in entries.items() if isinstance(e, Endpoint)] == ["demo"]


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        (provider.name, variable)
        for provider in FIFTEEN.values()
        if provider.base_url and not provider.retired
        for variable in provider.key_vars
    ],
)
def test_each_documented_variable_activates_its_provider_and_no_other(
    name: str, variable: str
) -> None:
    active = {
        provider: entry
        for provider, entry in found({variable: "test-key"}).items()
        if isinstance(entry, Endpoint) and provider != "demo"
    }
    assert list(active) == [name]
    assert active[name].key == "test-key"
    assert active[name].base_url == FIFTEEN[name].base_url


def test_of_several_variables_the_first_that_is_set_wins() -> None:
    environ = {"ZHIPUAI_API_KEY": "third", "ZAI_API_KEY": "second", "GLM_API_KEY": ""}
    assert endpoint("glm", environ).key == "second"


@pytest.mark.parametrize(
    "value", ["", "  ", "your-moonshot-kimi-key-here", "pplx-your-key-here", "your-here"]
)
def test_what_a_template_left_in_place_is_no_key(value: str) -> None:
    entries = found({"KIMI_API_KEY": value, "MOONSHOT_API_KEY": value})
    assert isinstance(entries["kimi"], Inactive)
    assert endpoint("kimi", {"KIMI_API_KEY": value, "MOONSHOT_API_KEY": "real"}).key == "real"


@pytest.mark.parametrize("value", ["yours-is-here", "your-key", "a-key-from-here"])
def test_a_key_that_only_resembles_a_placeholder_is_a_key(value: str) -> None:
    assert endpoint("kimi", {"KIMI_API_KEY": value}).key == value


def test_a_key_may_come_from_a_file_without_its_last_newline(tmp_path: Path) -> None:
    secret = tmp_path / "openai"
    secret.write_text("test-key-openai\n", encoding="utf-8")
    assert endpoint("openai", {"OPENAI_API_KEY_FILE": str(secret)}).key == "test-key-openai"


def test_a_variable_outranks_its_file_which_is_not_even_opened() -> None:
    environ = {"OPENAI_API_KEY": "test-key-openai", "OPENAI_API_KEY_FILE": "/nowhere"}
    assert endpoint("openai", environ).key == "test-key-openai"


def test_a_key_file_that_cannot_be_read_is_named(tmp_path: Path, config: Path) -> None:
    missing = tmp_path / "none"
    assert refusal({"GROQ_API_KEY_FILE": str(missing)}) == (
        f"GROQ_API_KEY_FILE: {missing} cannot be read: No such file or directory"
    )
    secret = tmp_path / "latin"
    secret.write_bytes(b"\xe9")
    config.write_text(f"[providers.groq]\nkey_file = '{secret}'\n", encoding="utf-8")
    assert refusal(path=config) == f"{config}: {secret} cannot be read: not UTF-8"


@pytest.mark.parametrize("key", ["two words", "line\nline", "caf\u00e9", "a\x00b"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(key: str) -> None:
    line = refusal({"OPENAI_API_KEY": key})
    assert line == "providers.openai.key in OPENAI_API_KEY: holds what no header can carry"


def test_for_keys_the_environment_outranks_the_file(config: Path) -> None:
    config.write_text("[providers.openai]\nkey = 'in-file'\n", encoding="utf-8")
    own = {"TAILRACE_PROVIDERS__OPENAI__KEY": "own"}
    shared = {"OPENAI_API_KEY": "shared"}
    assert endpoint("openai", {**own, **shared}, config).key == "own"
    assert endpoint("openai", shared, config).key == "shared"
    assert endpoint("openai", {}, config).key == "in-file"


def test_for_addresses_the_environment_outranks_the_file_and_the_file_the_region(
    config: Path,
) -> None:
    config.write_text(
        "[providers.qwen]\nregion = 'cn'\nbase_url = 'https://file.example'\n", encoding="utf-8"
    )
    key = {"QWEN_API_KEY": "test-key-qwen"}
    own = {"TAILRACE_PROVIDERS__QWEN__BASE_URL": "https://own.example"}
    shared = {"QWEN_BASE_URL": "https://shared.example"}
    hosts = [
        endpoint("qwen", {**key, **more}, config).base_url.split("/")[2]
        for more in ({**own, **shared}, shared, {})
    ]
    assert hosts == ["own.example", "shared.example", "file.example"]


def test_a_region_is_one_of_the_providers_own(config: Path) -> None:
    config.write_text("[providers.qwen]\nregion = 'cn'\n", encoding="utf-8")
    key = {"QWEN_API_KEY": "test-key-qwen"}
    assert endpoint("qwen", key, config).base_url == FIFTEEN["qwen"].regions["cn"]
    environ = {**key, "TAILRACE_PROVIDERS__QWEN__REGION": "mars"}
    assert refusal(environ) == (
        "providers.qwen.region: 'mars' is not allowed; must be one of intl, cn, us"
    )
    environ = {"GROQ_API_KEY": "x", "TAILRACE_PROVIDERS__GROQ__REGION": "eu"}
    assert "none: it has no regions" in refusal(environ)


@pytest.mark.parametrize(
    "address", ["api.example.com", "ftp://a.example", "https://", "https://a.example/?x=1", "h:x"]
)
def test_a_bad_address_is_one_line_that_shows_it(address: str) -> None:
    line = refusal({"OPENAI_API_KEY": "x", "OPENAI_BASE_URL": address})
    assert line.startswith(f"providers.openai.base_url in OPENAI_BASE_URL: {address!r} is not")


def test_an_address_with_credentials_is_refused_without_showing_it() -> None:
    line = refusal({"OPENAI_API_KEY": "x", "OPENAI_BASE_URL": "https://me:secret@a.example"})
    assert "secret" not in line
    assert "credentials" in line


def test_azure_needs_an_address_beside_its_key() -> None:
    key = {"AZURE_OPENAI_API_KEY": "test-key-azure"}
    entry = found(key)["copilot"]
    assert isinstance(entry, Inactive)
    assert entry.reason == "no_address"
    address = {"AZURE_OPENAI_ENDPOINT": "https://mine.openai.azure.com"}
    assert endpoint("copilot", {**key, **address}).base_url.startswith("https://mine.openai")


def test_a_retired_provider_needs_key_and_address_both() -> None:
    key = {"GITHUB_TOKEN": "test-key-github"}
    address = {"GITHUB_BASE_URL": "https://models.example/inference"}
    for environ in (key, address):
        entry = found(environ)["github"]
        assert isinstance(entry, Inactive)
        assert entry.reason == "retired"
    assert endpoint("github", {**key, **address}).base_url == "https://models.example/inference"


def test_a_disabled_provider_is_not_asked_whatever_its_key() -> None:
    environ = {"GROQ_API_KEY": "test-key-groq", "TAILRACE_PROVIDERS__GROQ__ENABLED": "false"}
    entry = found(environ)["groq"]
    assert isinstance(entry, Inactive)
    assert entry.reason == "disabled"


def test_configured_models_replace_the_listed_ones_and_keep_what_is_known_of_them() -> None:
    environ = {"ANTHROPIC_API_KEY": "x", "TAILRACE_PROVIDERS__CLAUDE__MODELS": "haiku, claude-9"}
    haiku, unlisted = endpoint("claude", environ).provider.models
    assert haiku == FIFTEEN["claude"].model("haiku")
    assert unlisted.id == "claude-9"


def test_a_configured_model_says_what_is_different_about_it(config: Path) -> None:
    config.write_text(
        "[providers.copilot]\nmodels = [{id = 'prod-gpt', alias = 'gpt', context = 9000}]\n",
        encoding="utf-8",
    )
    environ = {"AZURE_OPENAI_API_KEY": "x", "AZURE_OPENAI_ENDPOINT": "https://a.example"}
    (model,) = endpoint("copilot", environ, config).provider.models
    assert (model.id, model.alias, model.context) == ("prod-gpt", "gpt", 9000)
    assert model.images == FIFTEEN["copilot"].unlisted.images


# --- Providers of one's own -----------------------------------------------------------------


def test_what_a_provider_charges_for_a_cancelled_answer_can_be_said() -> None:
    environ = {"GROQ_API_KEY": "test-key", "TAILRACE_PROVIDERS__GROQ__CANCEL_BILLING": "stops"}
    assert FIFTEEN["groq"].cancel_billing == "full"
    assert endpoint("groq", environ).provider.cancel_billing == "stops"


def test_a_server_of_ones_own_needs_a_name_an_address_and_models(config: Path) -> None:
    config.write_text(
        "[providers.ollama]\nbase_url = 'http://127.0.0.1:11434/v1'\nmodels = ['qwen3:8b']\n",
        encoding="utf-8",
    )
    ollama = endpoint("ollama", {}, config)
    assert ollama.provider.name == "ollama"
    assert ollama.provider.client == "openai"
    assert ollama.base_url == "http://127.0.0.1:11434/v1"
    assert ollama.key == ""
    assert list(found({}, config))[-1] == "ollama"


def test_it_may_have_a_key_and_gets_nobody_elses() -> None:
    own = "TAILRACE_PROVIDERS__VLLM__"
    environ = {
        f"{own}BASE_URL": "http://vllm.example/v1",
        f"{own}MODELS": "m",
        "OPENAI_API_KEY": "test-key-openai",
        "OPENAI_BASE_URL": "https://openai.example/v1",
    }
    assert endpoint("vllm", environ).key == ""
    assert endpoint("vllm", environ).base_url == "http://vllm.example/v1"
    assert endpoint("vllm", {**environ, f"{own}KEY": "test-key-vllm"}).key == "test-key-vllm"


def test_another_deployment_is_like_the_provider_it_belongs_to_with_a_key_of_its_own() -> None:
    own = "TAILRACE_PROVIDERS__AZURE_WEST__"
    environ = {
        f"{own}LIKE": "copilot",
        f"{own}BASE_URL": "https://west.openai.azure.com",
        "AZURE_OPENAI_API_KEY": "test-key-east",
        "AZURE_OPENAI_ENDPOINT": "https://east.openai.azure.com",
    }
    entry = found(environ)["azure_west"]
    assert isinstance(entry, Inactive)
    assert entry.reason == "no_key"
    assert entry.provider.key_vars == (f"{own}KEY",)
    west = endpoint("azure_west", {**environ, f"{own}KEY": "test-key-west"})
    east = endpoint("copilot", environ)
    assert (west.key, east.key) == ("test-key-west", "test-key-east")
    assert west.provider.dialect is east.provider.dialect
    assert west.base_url == east.base_url.replace("east", "west")


def test_another_deployment_may_be_another_region() -> None:
    own = "TAILRACE_PROVIDERS__QWEN_CN__"
    environ = {f"{own}LIKE": "qwen", f"{own}REGION": "cn", f"{own}KEY": "test-key-cn"}
    assert endpoint("qwen_cn", environ).base_url == FIFTEEN["qwen"].regions["cn"]


def test_a_left_over_address_never_sends_a_new_providers_key_to_the_one_it_is_like() -> None:
    own = "TAILRACE_PROVIDERS__MINE__"
    environ = {f"{own}LIKE": "openai", f"{own}BASE_URL": "your-address-here", f"{own}KEY": "x"}
    entry = found(environ)["mine"]
    assert isinstance(entry, Inactive)
    assert entry.reason == "no_address"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[providers.opnai]\nkey = 'x'", "providers.opnai: not a known provider (claude, openai,"),
        (
            "[providers.mine]\nbase_url = 'http://a.example'",
            "providers.mine.models: missing; name at least one model",
        ),
        (
            "[providers.mine]\nbase_url = 'http://a.example'\nlike = 'opnai'",
            "providers.mine.like: 'opnai' is not allowed; must be one of claude, openai,",
        ),
    ],
)
def test_a_new_provider_that_says_too_little_is_refused_in_a_line(
    config: Path, text: str, line: str
) -> None:
    config.write_text(text, encoding="utf-8")
    assert refusal(path=config).startswith(line)


def test_a_price_that_the_operator_states_comes_with_the_model_to_the_cent(config: Path) -> None:
    config.write_text(
        '[[providers.groq.models]]\nid = "gpt-oss-20b"\nprice_input = 0.1\nprice_output = 0.35\n'
    )
    (model,) = endpoint("groq", {"GROQ_API_KEY": "test-key-groq"}, config).provider.models
    assert model.id == "openai/gpt-oss-20b"
    assert (model.price_input, model.price_output) == (Decimal("0.1"), Decimal("0.35"))
