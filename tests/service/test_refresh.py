"""Against a server that answers as any provider, over real sockets."""

from dataclasses import replace
from pathlib import Path

from adapters.contract import Endpoint
from adapters.registry import FIFTEEN
from service import discovery
from service.discovery import Discovery, Found
from service.endpoints import Inactive
from service.refresh import refresh
from tests.double.errors import Kind
from tests.double.script import http_error
from tests.double.server import Double

AT = "2026-11-23T08:00:00Z"


def endpoint(name: str, double: Double) -> Endpoint:
    return Endpoint(provider=FIFTEEN[name], base_url=double.base_url(name), key=f"test-key-{name}")


async def test_what_is_new_and_gone_is_found_against_the_listed_models(double: Double) -> None:
    double.models = ["openai/gpt-oss-120b", "qwen/qwen3.8-27b", "whisper-large-v4"]
    refreshed = await refresh({"groq": endpoint("groq", double)}, Discovery(), at=AT)
    assert refreshed.succeeded
    assert refreshed.discovery.new("groq") == ("whisper-large-v4",)
    assert refreshed.discovery.providers["groq"].gone == ("openai/gpt-oss-20b",)
    assert refreshed.lines() == ["groq         3 listed, 1 new, 1 gone: openai/gpt-oss-20b"]


async def test_who_cannot_be_asked_is_told_in_a_line_and_the_others_go_on(double: Double) -> None:
    double.models = ["gpt-6.1-terra"]
    nowhere = replace(endpoint("mistral", double), base_url=f"{double.url}/nowhere")
    refreshed = await refresh(
        {
            "mistral": nowhere,
            "openai": endpoint("openai", double),
            "glm": endpoint("glm", double),
            "qwen": Inactive(FIFTEEN["qwen"], "no_key"),
        },
        Discovery(),
        at=AT,
    )
    assert list(refreshed.discovery.providers) == ["openai"]
    assert refreshed.succeeded
    mistral, openai, glm, qwen = refreshed.lines()
    assert mistral.startswith("mistral      failed: ")
    assert openai.startswith("openai       1 listed, 0 new, 3 gone: ")
    assert glm == "glm          not asked: it has no list that tells what it serves"
    assert qwen == "qwen         not asked: no key: set QWEN_API_KEY or DASHSCOPE_API_KEY"


async def test_a_fault_with_one_provider_does_not_stop_the_others(double: Double) -> None:
    double.models = ["gpt-6.1-terra"]
    unreachable = replace(endpoint("mistral", double), base_url="http://127.0.0.1:99999/v1")
    refreshed = await refresh(
        {"mistral": unreachable, "openai": endpoint("openai", double)}, Discovery(), at=AT
    )
    assert list(refreshed.discovery.providers) == ["openai"]
    assert refreshed.lines()[0] == (
        "mistral      failed: its list cannot be asked for (ValueError)"
    )


async def test_what_was_known_of_who_fails_is_kept(double: Double, tmp_path: Path) -> None:
    known = Discovery(
        providers={"groq": Found(at="2026-11-01T00:00:00Z", ids=("a",), new=("a",), gone=())}
    )
    double.script(http_error(Kind.SERVER))
    refreshed = await refresh({"groq": endpoint("groq", double)}, known, at=AT)
    assert not refreshed.succeeded
    assert refreshed.discovery == known
    assert "test-key" not in refreshed.lines()[0]
    discovery.save(tmp_path / discovery.FILE, refreshed.discovery)
    assert discovery.load(tmp_path / discovery.FILE) == known
