import pytest

from adapters.clients.addresses import normalise
from adapters.contract import Provider
from adapters.registry import COMPATIBLE, FIFTEEN

AZURE = "https://res.openai.azure.com"


@pytest.mark.parametrize(
    "provider", [p for p in FIFTEEN.values() if p.base_url], ids=lambda p: p.name
)
def test_a_bare_host_and_the_whole_base_url_mean_the_same(provider: Provider) -> None:
    assert provider.base_url is not None
    scheme, _, rest = provider.base_url.partition("://")
    host = f"{scheme}://{rest.split('/')[0]}"
    whole = provider.base_url.rstrip("/")
    for form in (host, f"{host}/", whole, f"{whole}/", f"{whole}//"):
        assert normalise(provider, form) == whole


@pytest.mark.parametrize(
    ("name", "address", "base_url"),
    [
        ("openai", "http://127.0.0.1:8080", "http://127.0.0.1:8080/v1"),
        ("openai", "https://proxy.example/team-a/v1/", "https://proxy.example/team-a/v1"),
        ("openai", "https://proxy.example/team-a", "https://proxy.example/team-a"),
        ("openai", "http://[::1]:8080/v1", "http://[::1]:8080/v1"),
        ("openai", "HTTPS://api.openai.com", "https://api.openai.com/v1"),
        ("claude", "https://proxy.example/anthropic/", "https://proxy.example/anthropic"),
        ("deepseek", "https://api.deepseek.com/beta", "https://api.deepseek.com/beta"),
        ("groq", "https://api.groq.com/openai", "https://api.groq.com/openai/v1"),
        ("groq", "https://proxy.example/groq/openai/v1", "https://proxy.example/groq/openai/v1"),
        ("gemini", "https://proxy.example/v1", "https://proxy.example/v1"),
        ("openrouter", "https://openrouter.ai/api", "https://openrouter.ai/api/v1"),
        # A beginning of the path is whole segments: /open is not the start of /openai/v1.
        ("groq", "https://proxy.example/open", "https://proxy.example/open"),
        ("copilot", AZURE, f"{AZURE}/openai/v1"),
        ("copilot", f"{AZURE}/", f"{AZURE}/openai/v1"),
        ("copilot", f"{AZURE}/openai", f"{AZURE}/openai/v1"),
        ("copilot", f"{AZURE}/openai/v1", f"{AZURE}/openai/v1"),
        ("copilot", f"{AZURE}/openai/v1/", f"{AZURE}/openai/v1"),
        ("copilot", "https://gate.example/az/openai/v1", "https://gate.example/az/openai/v1"),
    ],
)
def test_an_address_becomes_the_base_url_it_means(name: str, address: str, base_url: str) -> None:
    assert normalise(FIFTEEN[name], address) == base_url


@pytest.mark.parametrize("address", ["http://localhost:11434/v1", "http://localhost:8000"])
def test_a_server_of_ones_own_is_taken_at_its_word(address: str) -> None:
    assert normalise(COMPATIBLE, address) == address


@pytest.mark.parametrize(
    ("address", "wrong"),
    [
        ("", "http:// or https://"),
        ("api.openai.com/v1", "http:// or https://"),
        ("localhost:11434", "http:// or https://"),
        ("ftp://api.openai.com", "http:// or https://"),
        ("https://", "no host"),
        ("https:///v1", "no host"),
        ("https://:8080/v1", "no host"),
        ("https://host:0/v1", "port 0"),
        ("https://host:99999/v1", "host or port"),
        ("https://host:v1", "host or port"),
        ("https://[::1/v1", "host or port"),
        ("https://host..example/v1", "host or port"),
        (f"https://{'a' * 64}.example/v1", "host or port"),
        ("https://key@host/v1", "credentials"),
        ("https://user:hunter2@host/v1", "credentials"),
        ("https://host/v1?key=hunter2", "query"),
        ("https://host/v1#hunter2", "fragment"),
        ("https://host/v1\n", "blank or a character"),
        ("https://host /v1", "blank or a character"),
        ("https://hóst/v1", "blank or a character"),
    ],
)
def test_a_refused_address_is_told_what_is_wrong_and_not_repeated(address: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong) as refusal:
        normalise(FIFTEEN["openai"], address)
    assert "hunter2" not in str(refusal.value)
