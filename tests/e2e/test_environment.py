"""What the SDKs would read from the environment reaches nobody: not as a header, not as an address.

The service takes its keys and addresses from the environment as well, but from a mapping it is
given; here that mapping names the double, and the process's own environment is full of canaries.
Each client's own tests cover every variable that an SDK's source names; these are the ones that are
known to put something on the wire, all at once and through the whole service.
"""

from collections.abc import Mapping
from pathlib import Path

import orjson
import pytest

from tests.double.answer import tool_call
from tests.double.script import reply
from tests.double.server import Double
from tests.e2e.stack import NAMES, key_of, stack

CANARY = "canary"

HEADERS = f"Authorization: Bearer {CANARY}\nX-Canary: {CANARY}\nUser-Agent: {CANARY}"

CREDENTIALS = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "AZURE_OPENAI_AD_TOKEN",
    "AZURE_OPENAI_API_KEY",
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
    "GOOGLE_GENAI_ACCESS_TOKEN",
    "GOOGLE_GENAI_API_KEY",
    "GROQ_API_KEY",
    "MISTRAL_API_KEY",
    "OPENAI_ADMIN_KEY",
    "OPENAI_API_KEY",
    "OPENAI_ORG_ID",
    "OPENAI_PROJECT_ID",
    "OPENAI_WEBHOOK_SECRET",
)
CUSTOM_HEADERS = ("ANTHROPIC_CUSTOM_HEADERS", "GROQ_CUSTOM_HEADERS", "OPENAI_CUSTOM_HEADERS")
ADDRESSES = (
    "ALL_PROXY",
    "ANTHROPIC_BASE_URL",
    "AZURE_OPENAI_ENDPOINT",
    "GOOGLE_GEMINI_BASE_URL",
    "GOOGLE_VERTEX_BASE_URL",
    "GROQ_BASE_URL",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "MISTRAL_BASE_URL",
    "OPENAI_BASE_URL",
    "all_proxy",
    "http_proxy",
    "https_proxy",
)
SWITCHES = {
    "GOOGLE_CLOUD_LOCATION": "europe-west4",
    "GOOGLE_CLOUD_PROJECT": CANARY,
    "GOOGLE_GENAI_USE_VERTEXAI": "true",
    "OPENAI_API_TYPE": "azure",
    "OPENAI_API_VERSION": CANARY,
}


def poisoned(trap: str) -> Mapping[str, str]:
    """Every variable with its canary; addresses and proxies lead into the trap."""
    return {
        **dict.fromkeys(CREDENTIALS, CANARY),
        **dict.fromkeys(CUSTOM_HEADERS, HEADERS),
        **dict.fromkeys(ADDRESSES, trap),
        **SWITCHES,
    }


async def test_nothing_of_the_process_s_environment_reaches_any_provider(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"default login {CANARY} password {CANARY}\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    tool = {"type": "function", "function": {"name": "now"}}
    async with Double() as trap:
        for variable, value in poisoned(trap.url).items():
            monkeypatch.setenv(variable, value)
        async with stack() as running:
            for name in NAMES:
                told = await running.ask(f"{name}/auto", reply("Hello"))
                assert told.text == "Hello"
                told = await running.ask(f"{name}/auto", reply(tool_call("now")), tools=[tool])
                assert told.end["finish"] == "tool_calls"
        assert trap.accepted == 0

    assert len(running.double.requests) == 2 * len(NAMES)
    for seen in running.double.requests:
        sent = [seen.path, *seen.headers.keys(), *seen.headers.values()]
        assert not any(CANARY in part.lower() for part in sent)
        assert CANARY.encode() not in orjson.dumps(seen.body)
        assert seen.key == key_of(NAMES[(seen.number - 1) // 2])
