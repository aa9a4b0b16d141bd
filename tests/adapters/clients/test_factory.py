import asyncio
import importlib
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from adapters.clients import factory
from adapters.clients.transport import Connections
from adapters.contract import Call, Encoded, Endpoint, Provider, dialect_for
from adapters.errors import UpstreamError
from adapters.events import ErrorCode
from adapters.registry import COMPATIBLE, FIFTEEN, PROVIDERS
from adapters.request import ChatRequest
from tests.adapters.clients.calls import BODY, ONE_OF_EACH, ask, client, encoded, endpoint
from tests.adapters.clients.conftest import idle, in_use
from tests.adapters.clients.peer import PATIENCE, Asked, Peer, Talk, hello
from tests.double.errors import Kind
from tests.double.script import http_error, reply
from tests.double.server import Double
from tests.double.steps import Gate, Wait

each = pytest.mark.parametrize("name", ONE_OF_EACH)


# --- The wire ---

WIRE_PATHS = {
    "claude": "/v1/messages",
    "openai": "/v1/chat/completions",
    "mistral": "/v1/chat/completions",
    "gemini": "/v1beta/models/{model}:streamGenerateContent?alt=sse",
    "qwen": "/compatible-mode/v1/chat/completions",
    "deepseek": "/chat/completions",
    "kimi": "/v1/chat/completions",
    "glm": "/api/paas/v4/chat/completions",
    "groq": "/openai/v1/chat/completions",
    "grok": "/v1/chat/completions",
    "perplexity": "/v1/responses",
    "openrouter": "/api/v1/chat/completions",
    "huggingface": "/v1/chat/completions",
    "github": "/inference/chat/completions",
    "copilot": "/openai/v1/chat/completions",
}


def question(provider: Provider) -> tuple[Call, Encoded]:
    request = ChatRequest.model_validate({"messages": [{"role": "user", "content": "hi"}]})
    call = Call(provider=provider, model=provider.model(None), request=request)
    return call, dialect_for(provider, call.model, request).encode(call)


@pytest.mark.parametrize("name", FIFTEEN)
@pytest.mark.parametrize("slash", ["", "/"])
async def test_every_provider_is_asked_at_its_own_full_path_with_its_own_key(
    connections: Connections, double: Double, name: str, slash: str
) -> None:
    sdk = client(name, double.base_url(name) + slash, connections)
    upstream = await sdk.send(question(FIFTEEN[name])[1], connect_timeout=PATIENCE)
    assert [part async for part in upstream.chunks()]
    await sdk.close()
    (seen,) = double.requests
    path = WIRE_PATHS[name].replace("{model}", seen.model)
    assert (seen.method, seen.path, seen.key) == ("POST", path, f"test-key-{name}")
    assert seen.finished


@each
async def test_every_sdk_hands_out_the_bytes_as_they_were_sent(
    connections: Connections, peer: Peer, name: str
) -> None:
    events = [b"data: %d\r\n\r\n" % number for number in range(500)] + [b": \xff\n", b"odd"]

    async def answer(_asked: Asked, talk: Talk) -> None:
        await talk.stream(*events)

    peer.answer = answer
    _, body = await ask(name, peer.url, connections)
    assert body == b"".join(events)
    assert peer.asked[0].body == BODY


@each
async def test_ten_answers_of_one_client_share_a_connection(
    connections: Connections, peer: Peer, name: str
) -> None:
    sdk = client(name, peer.url, connections)
    for _ in range(10):
        upstream = await sdk.send(encoded(name), connect_timeout=PATIENCE)
        assert [part async for part in upstream.chunks()]
        upstream.close()
    await sdk.close()
    assert (peer.accepted, in_use(connections), idle(connections)) == (1, 0, 1)


@each
async def test_requests_of_one_client_run_side_by_side(
    connections: Connections, peer: Peer, name: str
) -> None:
    everyone = asyncio.Barrier(20)

    async def together(asked: Asked, talk: Talk) -> None:
        await everyone.wait()
        await hello(asked, talk)

    async def one() -> bytes:
        upstream = await sdk.send(encoded(name), connect_timeout=PATIENCE)
        return b"".join([part async for part in upstream.chunks()])

    peer.answer = together
    sdk = client(name, peer.url, connections)
    assert set(await asyncio.gather(*(one() for _ in range(20)))) == {b"data: hello\n\n"}
    await sdk.close()


@each
async def test_a_dead_connection_costs_one_more_request_and_no_error(
    connections: Connections, peer: Peer, name: str
) -> None:
    async def dies_once(asked: Asked, talk: Talk) -> None:
        if asked.turn == 2:
            await talk.reset()
        else:
            await hello(asked, talk)

    peer.answer = dies_once
    for _ in range(2):
        _, body = await ask(name, peer.url, connections)
        assert body == b"data: hello\n\n"
    assert [asked.body for asked in peer.asked] == [BODY] * 3


# --- Errors ---

CODES = {
    Kind.RATE_LIMIT: ErrorCode.RATE_LIMIT_PROVIDER,
    Kind.AUTH: ErrorCode.AUTH_PROVIDER,
    Kind.CONTEXT_LENGTH: ErrorCode.CONTEXT_LENGTH,
    Kind.OVERLOADED: ErrorCode.OVERLOADED,
}


@pytest.mark.parametrize("name", FIFTEEN)
@pytest.mark.parametrize("kind", CODES)
async def test_every_providers_errors_are_typed(
    connections: Connections, double: Double, name: str, kind: Kind
) -> None:
    double.script(http_error(kind).spoken_by(name))
    sdk = client(name, double.base_url(name), connections)
    with pytest.raises(UpstreamError) as refusal:
        await sdk.send(question(FIFTEEN[name])[1], connect_timeout=PATIENCE)
    await sdk.close()
    assert refusal.value.error.code is CODES[kind]
    assert refusal.value.error.provider == name
    assert len(double.requests) == 1


NO_ERRORS = (b"", b"not JSON", b"null", b"[]", b'{"error":null}', b"\xff", b"[" * 60_000)


@each
@pytest.mark.parametrize("status", ["302 Found", "400 No", "404 No", "500 No", "529 Busy"])
async def test_no_sdks_own_error_leaves_it(
    connections: Connections, peer: Peer, name: str, status: str
) -> None:
    async def answer(_asked: Asked, talk: Talk) -> None:
        body = NO_ERRORS[len(peer.asked) - 1]
        await talk.whole(body, status=status, headers="Content-Type: application/json\r\n")

    peer.answer = answer
    for _ in NO_ERRORS:
        with pytest.raises(UpstreamError):
            await ask(name, peer.url, connections)
    assert len(peer.asked) == len(NO_ERRORS)


@each
async def test_no_sdk_fails_over_an_address_where_nobody_listens(
    connections: Connections, name: str
) -> None:
    with pytest.raises(UpstreamError) as refusal:
        await ask(name, "http://127.0.0.1:1", connections)
    assert refusal.value.error.code is ErrorCode.UPSTREAM_CONNECT


# --- Leaving ---


@each
async def test_cancelling_before_the_headers_is_seen_by_the_provider(
    connections: Connections, double: Double, name: str
) -> None:
    gate = Gate()
    double.script(reply("never", before_headers=Wait(gate)))
    sdk = client(name, double.base_url(name), connections)
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(sdk.send(question(FIFTEEN[name])[1], connect_timeout=PATIENCE))
        seen = await double.seen(1)
        await gate.reached()
        sending.cancel()
    assert in_use(connections) == 0
    await seen.left()
    await sdk.close()
    gate.open()


@each
async def test_closing_in_mid_stream_is_seen_by_the_provider(
    connections: Connections, double: Double, name: str
) -> None:
    gate = Gate()
    double.script(reply("Hello", Wait(gate), "never"))
    sdk = client(name, double.base_url(name), connections)
    upstream = await sdk.send(question(FIFTEEN[name])[1], connect_timeout=PATIENCE)
    assert await anext(upstream.chunks())
    await gate.reached()
    upstream.close()
    assert in_use(connections) == 0
    await double.requests[0].left()
    await sdk.close()
    gate.open()


@each
async def test_a_first_request_cancelled_at_any_step_leaves_nothing(
    connections: Connections, peer: Peer, name: str
) -> None:
    for steps in range(12):
        sdk = client(name, peer.url, connections)
        task = asyncio.ensure_future(  # noqa: TID251 - the test owns it to its end
            sdk.send(encoded(name), connect_timeout=PATIENCE)
        )
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result().close()
        assert in_use(connections) == 0
        await sdk.close()


# --- Logging ---


@each
async def test_no_sdk_logs_a_key_or_a_prompt_at_any_level(
    connections: Connections, peer: Peer, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        await ask(name, peer.url, connections)
    assert "test-key" not in caplog.text
    assert "unknown_to_every_sdk" not in caplog.text
    assert peer.url not in caplog.text


# --- Building ---


@pytest.mark.parametrize("name", ["claude", "groq", "mistral", "gemini"])
async def test_an_sdk_that_would_look_for_a_key_of_its_own_is_not_built_without_one(
    connections: Connections, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in FIFTEEN[name].key_vars:
        monkeypatch.setenv(variable, "test-key-of-the-environment")
    with pytest.raises(ValueError, match=f"{name} needs a key"):
        factory.build(endpoint(name, "http://127.0.0.1:1", key=""), connections)


def test_an_sdk_is_imported_when_it_is_wanted_and_no_other_is() -> None:
    script = """
import sys
import service.app
from adapters.clients import factory
sdks = {"anthropic", "google.genai", "groq", "mistralai", "openai"}
for clients in [], ["demo"], ["groq", "demo"]:
    factory.load(clients)
    print(*sdks & set(sys.modules))
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)  # noqa: S603 - the script above
    assert ran.stdout.decode().splitlines() == ["", "", "groq"]


async def test_the_demo_needs_neither_key_nor_connection() -> None:
    demo = factory.build(Endpoint(provider=PROVIDERS["demo"], base_url="", key=""), Connections())
    await demo.close()


# --- What no variable of the environment may do ---

PACKAGES = (
    "openai",
    "anthropic",
    "groq",
    "mistralai.client",
    "mistralai.extra",
    "google.genai",
    "google.auth",
    "httpx",
    "httpx2",
)
VARIABLE = re.compile(
    r"""["']((?:OPENAI|ANTHROPIC|GROQ|MISTRAL|GOOGLE|GEMINI|AZURE|AWS|CLOUD|GCLOUD|GCE)_[A-Z0-9_]+)["']"""
    r"""|(?:environ(?:\.get)?[\[(]|getenv\()\s*["']([A-Z][A-Z0-9_]+)["']"""
)
OF_THE_MACHINE = {"PATH", "HOME", "APPDATA", "SSL_CERT_FILE", "SSL_CERT_DIR", "PYTEST_CURRENT_TEST"}
PROXIES = {
    prefix + end for prefix in ("HTTP", "HTTPS", "ALL", "http", "https", "all")
    for end in ("_PROXY", "_proxy")
}  # fmt: skip

HEADERS = "\n".join(
    f"{name}: canary"
    for name in (
        *("Authorization", "authorization", "User-Agent", "user-agent", "X-Canary", "Cookie"),
        *("OpenAI-Organization", "openai-project", "X-Api-Key", "api-key", "anthropic-version"),
        *("Accept", "content-type", "X-Stainless-Lang", "x-stainless-retry-count", "Host"),
    )
)
SPECIAL = {
    "GOOGLE_GENAI_USE_VERTEXAI": "true",
    "GOOGLE_GENAI_USE_ENTERPRISE": "true",
    "GOOGLE_GENAI_CLIENT_MODE": "replay",
    "GOOGLE_GENAI_HTTP_CLIENT": "httpx",
    "GOOGLE_API_USE_MTLS_ENDPOINT": "always",
    "GOOGLE_API_USE_CLIENT_CERTIFICATE": "true",
    "MISTRAL_SDK_TELEMETRY": "true",
    "ANTHROPIC_OPEN_TELEMETRY_PROPAGATION": "true",
}


def sources(package: str) -> Iterator[Path]:
    for folder in importlib.import_module(package).__path__:
        # `types` describes the API in thousands of small files and reads nothing.
        files = Path(folder).rglob("*.py")
        yield from (file for file in files if not {"tests", "types"} & set(file.parts))


@cache
def variables() -> set[str]:
    """Every variable of the environment that the SDKs' sources name."""
    found = {
        one or other
        for package in PACKAGES
        for file in sources(package)
        for one, other in VARIABLE.findall(file.read_text("utf-8"))
    }
    return (found | PROXIES) - OF_THE_MACHINE


def value_of(variable: str, canaries: Path) -> str:
    if variable in SPECIAL:
        return SPECIAL[variable]
    if variable.endswith("CUSTOM_HEADERS"):
        return HEADERS
    if variable.endswith(("_FILE", "_PATH", "_CREDENTIALS", "NETRC")):
        return str(canaries / "file")
    if variable.endswith(("_URL", "_ENDPOINT", "_HOST", "_proxy", "_PROXY", "_ROOT")):
        return "http://canary.invalid:9"
    if variable.endswith("_DIR"):
        return str(canaries)
    return "canary"


def poison(monkeypatch: pytest.MonkeyPatch, canaries: Path) -> None:
    (canaries / "file").write_text("default login canary password canary\n")
    (canaries / "configs").mkdir()
    (canaries / "active_config").write_text("canary")
    (canaries / "configs" / "canary.json").write_text('{"base_url":"http://canary.invalid:9"}')
    for variable in (*variables(), "NETRC"):
        monkeypatch.setenv(variable, value_of(variable, canaries))


def test_the_variables_that_matter_are_among_those_found() -> None:
    assert variables() >= {
        "OPENAI_API_KEY",
        "OPENAI_ADMIN_KEY",
        "OPENAI_ORG_ID",
        "OPENAI_PROJECT_ID",
        "OPENAI_CUSTOM_HEADERS",
        "OPENAI_BASE_URL",
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "ANTHROPIC_CUSTOM_HEADERS",
        "ANTHROPIC_CONFIG_DIR",
        "ANTHROPIC_IDENTITY_TOKEN",
        "GROQ_CUSTOM_HEADERS",
        "MISTRAL_API_KEY",
        "MISTRAL_SA_TOKEN_PATH",
        "MISTRAL_SDK_TELEMETRY",
        "GOOGLE_API_KEY",
        "GEMINI_API_KEY",
        "GOOGLE_GENAI_USE_VERTEXAI",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "HTTPS_PROXY",
    }


@pytest.mark.filterwarnings("ignore:Warning. Both GOOGLE")
@pytest.mark.parametrize("when", ["before it is built", "after it was built"])
@pytest.mark.parametrize("name", [*ONE_OF_EACH, "copilot", "perplexity", "one's own"])
async def test_nothing_of_the_environment_reaches_an_address(
    connections: Connections,
    peer: Peer,
    name: str,
    when: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    if when == "before it is built":
        poison(monkeypatch, tmp_path)
    keyless = Endpoint(provider=COMPATIBLE, base_url=peer.url, key="")
    own = name == "one's own"
    sdk = factory.build(keyless if own else endpoint(name, peer.url), connections)
    if when == "after it was built":
        poison(monkeypatch, tmp_path)
    call = encoded("openai" if own else name)
    upstream = await sdk.send(call, connect_timeout=PATIENCE)
    assert [part async for part in upstream.chunks()] == [b"data: hello\n\n"]
    await sdk.close()
    (asked,) = peer.asked
    assert b"canary" not in (asked.head + asked.body).lower()
    assert asked.body == BODY
    assert ("authorization" in asked.stated) == (name not in {"gemini", "copilot", "one's own"})
