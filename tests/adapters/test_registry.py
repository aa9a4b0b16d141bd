import re
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from adapters.contract import Model, Provider
from adapters.registry import COMPATIBLE, FIFTEEN, PROVIDERS

# The table of the public interface: name, keys (the first that is set wins), address, SDK.
TABLE = [
    ("claude", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "anthropic"),
    ("openai", "OPENAI_API_KEY", "OPENAI_BASE_URL", "openai"),
    ("mistral", "MISTRAL_API_KEY", "MISTRAL_BASE_URL", "mistral"),
    ("gemini", "GOOGLE_API_KEY GEMINI_API_KEY", "GOOGLE_BASE_URL", "google"),
    ("qwen", "QWEN_API_KEY DASHSCOPE_API_KEY", "QWEN_BASE_URL", "openai"),
    ("deepseek", "DEEPSEEK_API_KEY", "DEEPSEEK_BASE_URL", "openai"),
    ("kimi", "KIMI_API_KEY MOONSHOT_API_KEY", "KIMI_BASE_URL", "openai"),
    ("glm", "GLM_API_KEY ZAI_API_KEY ZHIPUAI_API_KEY", "GLM_BASE_URL", "openai"),
    ("groq", "GROQ_API_KEY", "GROQ_BASE_URL", "groq"),
    ("grok", "GROK_API_KEY XAI_API_KEY", "GROK_BASE_URL", "openai"),
    ("perplexity", "PERPLEXITY_API_KEY", "PERPLEXITY_BASE_URL", "openai"),
    ("openrouter", "OPENROUTER_API_KEY", "OPENROUTER_BASE_URL", "openai"),
    ("huggingface", "HUGGINGFACE_API_KEY HF_TOKEN", "HUGGINGFACE_BASE_URL", "openai"),
    ("github", "GITHUB_TOKEN", "GITHUB_BASE_URL", "openai"),
    ("copilot", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "openai"),
]

ADDRESSES = {
    "claude": "https://api.anthropic.com",
    "openai": "https://api.openai.com/v1",
    "mistral": "https://api.mistral.ai/v1",
    "gemini": "https://generativelanguage.googleapis.com/v1beta",
    "qwen": "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
    "deepseek": "https://api.deepseek.com",
    "kimi": "https://api.moonshot.ai/v1",
    "glm": "https://api.z.ai/api/paas/v4",
    "groq": "https://api.groq.com/openai/v1",
    "grok": "https://api.x.ai/v1",
    "perplexity": "https://api.perplexity.ai/v1",
    "openrouter": "https://openrouter.ai/api/v1",
    "huggingface": "https://router.huggingface.co/v1",
    "github": "https://models.github.ai/inference",
    "copilot": None,
}

DIALECTS = {
    "claude": "anthropic_messages",
    "gemini": "gemini",
    "mistral": "mistral_chat",
    "perplexity": "openai_responses",
}

REGIONS = {
    "mistral": {"global", "eu", "us"},
    "qwen": {"intl", "cn", "us"},
    "kimi": {"intl", "cn"},
    "glm": {"intl", "cn", "coding"},
    "grok": {"global", "us"},
}

EVERY_MODEL = [
    pytest.param(provider, model, id=f"{provider.name}/{model.id}")
    for provider in PROVIDERS.values()
    for model in provider.models
]


def test_the_fifteen_stand_in_the_order_of_the_public_interface() -> None:
    assert list(FIFTEEN) == [name for name, *_ in TABLE]


@pytest.mark.parametrize(("name", "keys", "address", "client"), TABLE)
def test_each_provider_has_its_documented_keys_address_variable_and_sdk(
    name: str, keys: str, address: str, client: str
) -> None:
    provider = FIFTEEN[name]
    assert provider.name == name
    assert provider.key_vars == tuple(keys.split())
    assert provider.address_var == address
    assert provider.client == client


@pytest.mark.parametrize(("name", "address"), ADDRESSES.items())
def test_each_provider_is_at_its_documented_address(name: str, address: str | None) -> None:
    assert FIFTEEN[name].base_url == address


@pytest.mark.parametrize("name", FIFTEEN)
def test_each_provider_speaks_its_documented_format(name: str) -> None:
    assert FIFTEEN[name].dialect.name == DIALECTS.get(name, "openai_chat")


def test_openai_azure_and_grok_alone_have_responses_beside_chat() -> None:
    beside = {name for name, provider in FIFTEEN.items() if provider.responses is not None}
    assert beside == {"openai", "copilot", "grok"}


@pytest.mark.parametrize("name", FIFTEEN)
def test_regions_are_the_documented_ones_and_the_usual_address_is_one_of_them(name: str) -> None:
    provider = FIFTEEN[name]
    assert set(provider.regions) == REGIONS.get(name, set())
    if provider.regions:
        assert provider.base_url in provider.regions.values()


@pytest.mark.parametrize("provider", FIFTEEN.values(), ids=lambda provider: provider.name)
def test_addresses_are_https_and_end_without_a_slash(provider: Provider) -> None:
    for address in filter(None, (provider.base_url, *provider.regions.values())):
        parts = urlsplit(address)
        assert parts.scheme == "https"
        assert not address.endswith("/")
        assert parts.query == parts.fragment == ""


def test_no_variable_holds_the_key_or_address_of_two_providers() -> None:
    used = Counter(
        variable
        for provider in FIFTEEN.values()
        for variable in (*provider.key_vars, provider.address_var)
    )
    assert [variable for variable, times in used.items() if times > 1] == []


def test_github_models_alone_is_retired_and_says_since_when() -> None:
    retired = {name: provider.retired for name, provider in FIFTEEN.items() if provider.retired}
    assert list(retired) == ["github"]
    assert "2026-07-30" in str(retired["github"])


def test_azure_alone_takes_its_key_in_a_header_of_its_own() -> None:
    own = {name: provider.auth for name, provider in FIFTEEN.items() if provider.auth != "bearer"}
    assert own == {"copilot": "api-key"}


def test_the_demo_needs_no_key_and_is_not_one_of_the_fifteen() -> None:
    assert PROVIDERS["demo"].key_vars == ()
    assert PROVIDERS["demo"].client == "demo"
    assert "demo" not in FIFTEEN
    assert list(PROVIDERS) == [*FIFTEEN, "demo"]


def test_a_server_of_ones_own_reads_no_variable_and_has_no_address_until_configured() -> None:
    assert COMPATIBLE.key_vars == ()
    assert COMPATIBLE.address_var == ""
    assert COMPATIBLE.base_url is None
    assert COMPATIBLE.name not in PROVIDERS
    model = COMPATIBLE.model("qwen3:8b")
    assert (model.id, model.images, model.tools, model.reasoning) == (
        "qwen3:8b",
        True,
        True,
        "optional",
    )


# --- Models ---------------------------------------------------------------------------------


def test_routing_finds_the_models_it_names() -> None:
    aliases = [model.alias for model in FIFTEEN["claude"].models if model.alias is not None]
    assert aliases == ["opus", "sonnet", "haiku"]
    for provider, alias in [
        ("mistral", "large"),
        ("mistral", "medium"),
        ("mistral", "small"),
        ("gemini", "pro"),
        ("gemini", "flash"),
    ]:
        assert FIFTEEN[provider].model(alias).alias == alias
    assert FIFTEEN["groq"].model("qwen/qwen3.8-27b") in FIFTEEN["groq"].models


def test_an_unnamed_claude_is_sonnet() -> None:
    assert FIFTEEN["claude"].model(None).alias == "sonnet"


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=lambda provider: provider.name)
def test_every_provider_lists_an_alias_and_no_name_means_two_models(provider: Provider) -> None:
    aliases = [model.alias for model in provider.models if model.alias]
    ids = [model.id for model in provider.models]
    assert aliases
    assert len(set(ids)) == len(ids)
    names = Counter(name for model in provider.models for name in {model.id, model.alias} if name)
    assert [name for name, times in names.items() if times > 1] == []


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=lambda provider: provider.name)
def test_an_alias_is_short_and_has_no_slash(provider: Provider) -> None:
    for model in provider.models:
        assert model.alias is None or re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,23}", model.alias)


@pytest.mark.parametrize(("provider", "model"), EVERY_MODEL)
def test_a_model_states_nothing_that_contradicts_itself(provider: Provider, model: Model) -> None:
    del provider
    assert model.id
    if model.context is not None and model.max_output is not None:
        assert model.max_output <= model.context
    if model.reasoning == "none":
        assert model.efforts is None
    if model.reasoning == "always":
        assert "none" not in (model.efforts or ())


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=lambda provider: provider.name)
def test_error_codes_are_written_in_lower_case_as_they_are_looked_up(provider: Provider) -> None:
    assert [code for code in provider.error_codes if code != code.lower()] == []


# --- What the documents say -----------------------------------------------------------------

PAGE = (Path(__file__).parents[2] / "docs" / "providers.md").read_text(encoding="utf-8")
SDKS = {
    "anthropic": "anthropic",
    "openai": "openai",
    "mistral": "mistralai",
    "google": "google-genai",
    "groq": "groq",
}


def rows(heading: str) -> dict[str, list[str]]:
    """The cells after the name, of the first table under a heading."""
    section = PAGE.split(f"# {heading}\n")[1]
    table = re.findall(r"^\|.*\|$(?:\n^\|.*\|$)+", section, re.MULTILINE)[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.split("\n")]
    return {name: rest for name, *rest in cells[2:]}


@pytest.mark.parametrize("name", FIFTEEN)
def test_the_documents_give_each_providers_variables_address_and_sdk(name: str) -> None:
    keys, address_var, address, _, sdk = rows("Providers")[name]
    provider = FIFTEEN[name]
    assert keys.split(", ") == list(provider.key_vars)
    assert address_var == provider.address_var
    assert address == (provider.base_url or "your resource's own, required")
    assert sdk == SDKS[provider.client]


def test_the_documents_list_every_provider_and_no_other() -> None:
    assert list(rows("Providers")) == list(FIFTEEN)
    assert list(rows("Models")) == list(FIFTEEN)


def test_the_documents_name_every_region() -> None:
    documented = {name: set(cells[0].split(", ")) for name, cells in rows("Regions").items()}
    assert documented == REGIONS


@pytest.mark.parametrize("name", FIFTEEN)
def test_the_documents_name_every_listed_model_in_order(name: str) -> None:
    documented = re.sub(r"(?:hosted|presets): ", "", rows("Models")[name][0]).replace(";", ",")
    assert documented.split(", ") == [model.alias or model.id for model in FIFTEEN[name].models]


def test_models_of_one_name_are_of_one_family_one_class_and_as_open_everywhere() -> None:
    facts: dict[str, set[tuple[int, str | None, bool]]] = {}
    for provider in FIFTEEN.values():
        for model in provider.models:
            if model.same_as is not None:
                fact = (model.quality, model.family, model.open_weights)
                facts.setdefault(model.same_as, set()).add(fact)
    assert {name: found for name, found in facts.items() if len(found) > 1} == {}


def test_a_name_that_several_have_is_at_two_providers_at_least() -> None:
    """Else it would promise a substitute that nobody offers."""
    hosts = Counter(
        model.same_as
        for provider in FIFTEEN.values()
        for model in provider.models
        if model.same_as is not None
    )
    assert [name for name, number in hosts.items() if number < 2] == []
    assert hosts["kimi-k3"] == 5
    assert hosts["glm-5.3"] == 6
    assert hosts["qwen3.8-27b"] == 3


def test_groq_hosts_one_qwen_and_gpt_oss_but_no_kimi_and_no_glm() -> None:
    assert {model.family for model in FIFTEEN["groq"].models} == {"qwen", "gpt-oss"}


def test_only_models_that_are_known_to_go_on_from_a_prefill_are_asked_to() -> None:
    """All others answer 400 to it, or answer it: Claude since 4.6, OpenAI, Azure, Grok, GLM."""
    known = {
        f"{provider.name}/{model.alias}"
        for provider in FIFTEEN.values()
        for model in provider.models
        if model.prefill
    }
    assert known == {
        "deepseek/flash",
        "deepseek/pro",
        "gemini/flash-lite",
        "groq/qwen3.8-27b",
        "kimi/k2.6",
        "mistral/large",
        "mistral/medium",
        "mistral/small",
        "qwen/flash",
        "qwen/max",
        "qwen/plus",
    }


@pytest.mark.parametrize(("provider", "model"), EVERY_MODEL)
def test_every_models_class_is_one_of_four(provider: Provider, model: Model) -> None:
    assert model.quality in (1, 2, 3, 4), provider.name


def test_nobody_but_the_demo_states_a_price_in_its_file() -> None:
    stating = {p.name for p in PROVIDERS.values() for m in p.models if m.price_input is not None}
    assert stating == {"demo"}


CATALOG = (Path(__file__).parents[2] / "docs" / "catalog.md").read_text(encoding="utf-8")


def named(row: str) -> list[tuple[str, ...]]:
    """The cells of the catalog page's rows that look like that."""
    return [tuple(found.groups()) for found in re.finditer(row, CATALOG, re.MULTILINE)]


def test_the_catalogs_page_has_every_model_in_its_class() -> None:
    told = {
        (name, int(quality))
        for quality, names in named(r"^\| ([1-4]) \| (.+) \|$")
        for name in names.split(", ")
    }
    assert told == {
        (model.same_as or model.id, model.quality)
        for provider in FIFTEEN.values()
        for model in provider.models
        if model.listed
    }


def test_the_catalogs_page_tells_who_else_serves_a_model() -> None:
    told = {
        (name, weights == "open", host)
        for name, weights, hosts in named(r"^\| (\S+) \| (open|closed) \| (.+) \|$")
        for host in hosts.split(", ")
    }
    assert told == {
        (model.same_as, model.open_weights, provider.name)
        for provider in FIFTEEN.values()
        for model in provider.models
        if model.same_as is not None
    }
