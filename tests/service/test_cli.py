"""The commands as a person types them.

The installed script runs as a process of its own where the process is the point (its exit code, its
streams, a signal); the rest calls `main`, in an empty folder and an environment without keys.
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from adapters.registry import FIFTEEN
from service import remote
from service.cli import main
from tests.double.errors import Kind
from tests.double.script import http_error
from tests.double.server import Double
from tests.service.threaded import answering

TAILRACE = Path(sys.executable).with_name("tailrace")
# No keys, no settings; COVERAGE_* so that these processes are measured too.
BARE = {k: v for k, v in os.environ.items() if k == "PATH" or k.startswith("COVERAGE_")}
COMMANDS = (
    "serve",
    "ask",
    "plan",
    "providers",
    "models",
    "catalog",
    "usage",
    "demo-load",
    "check-config",
)


def run(
    folder: Path, *arguments: str, stdin: str | None = None, **environ: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own script
        [TAILRACE, *arguments],
        cwd=folder,
        env={**BARE, **environ},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def serving(folder: Path, **environ: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A real service on a free port, and its address as its start-up line gives it.

    What it logs is in `log` in its folder.
    """
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(  # noqa: S603 - our own script
            [TAILRACE, "serve", "--port", "0"],
            cwd=folder,
            env={**BARE, **environ},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://\S+", line)
            assert found is not None, line
            yield found[0], process
        finally:
            process.terminate()


def kept() -> bytes | None:
    """What a refresh kept, in the folder that one is in."""
    file = Path("data/catalog.json")
    return file.read_bytes() if file.exists() else None


def spoil() -> None:
    """Leave something else where a refresh keeps what it found."""
    Path("data").mkdir()
    Path("data/catalog.json").write_text("{", encoding="utf-8")


def interrupt_at_first_word(url: str) -> int:
    with subprocess.Popen(  # noqa: S603 - our own script
        [TAILRACE, "ask", "Hello", "--model", "demo/slow", "--url", url],
        env=BARE,
        stdout=subprocess.PIPE,
    ) as asking:
        assert asking.stdout is not None
        assert asking.stdout.read(1)
        asking.send_signal(signal.SIGINT)
        return asking.wait()


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, and an environment without providers or settings."""
    monkeypatch.chdir(tmp_path)
    variables = {name for provider in FIFTEEN.values() for name in provider.key_vars}
    for name in os.environ:
        if name in variables or name.startswith("TAILRACE_") or name.endswith("_BASE_URL"):
            monkeypatch.delenv(name)
    return tmp_path


# --- Processes ------------------------------------------------------------------------------


def test_a_served_question_is_answered_in_the_terminal_and_a_signal_ends_it_well(
    tmp_path: Path,
) -> None:
    with serving(tmp_path) as (url, process):

        def asked(*arguments: str) -> subprocess.CompletedProcess[str]:
            return run(tmp_path, *arguments, "--url", url, stdin="Hello")

        # At once, because the demo takes its time, as a provider does.
        with ThreadPoolExecutor() as together:
            plain, told, raw, listed, planned, refused = together.map(
                lambda line: asked(*line.split()),
                [
                    "ask Hello --model demo/demo",
                    "ask Hello --explain",
                    "ask - --json",
                    "providers",
                    "plan -",
                    "ask Hello --model groq/auto",
                ],
            )
        interrupted = interrupt_at_first_word(url)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert interrupted == 128 + signal.SIGINT
    # The command hangs up at `stream.end`, before the body's last chunk: no fault of anybody's.
    assert "ERROR" not in (tmp_path / "log").read_text(encoding="utf-8")
    assert (plain.returncode, plain.stderr) == (0, "")
    assert "demo" in plain.stdout.lower()
    assert (told.returncode, told.stdout) == (0, plain.stdout)
    assert "(demo) answers: first token after" in told.stderr
    assert orjson.loads(raw.stdout.splitlines()[-1])["type"] == "stream.end"
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(FIFTEEN)
    assert (planned.returncode, planned.stderr) == (0, "")
    assert "demo/" in planned.stdout
    assert re.search(r"claude.* no key is set", planned.stdout)
    assert refused.returncode == 1
    assert refused.stderr.startswith("tailrace: no_candidates: ")
    assert refused.stderr.count("\n") == 1


def test_what_was_spent_is_summed_up_watched_and_counted_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(tmp_path) as (url, process), following(url) as tail:
        remote.post(url, "/api/coordination/llm/test", {"provider": "demo"})
        line = tail.stdout.readline() if tail.stdout else ""
        while not remote.get(url, "/v1/usage")["total"]["attempts"]:
            pass  # within a second or two

        def told(*arguments: str, code: int = 0) -> str:
            assert main(["usage", *arguments]) == code
            said = capsys.readouterr()
            return said.err if code else said.out

        at = ("--url", url)
        answer = orjson.loads(told("--json", *at))
        table = told("--group-by", "role", *at)
        csv = told("summary", "--csv", "--from", "2026-01-01", *at)
        refused = told("summary", "--group-by", "price", *at, code=1)
        nowhere = told("tail", "--after", "$", *at, code=1)
        again = told("replay", "--data", str(tmp_path / "data"))
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
        left = tail.communicate()[1]
    assert re.fullmatch(
        r"\S+Z  demo/demo  conversation  primary winner  .* in, .* out  \$0\n", line
    )
    assert [row["provider"] for row in answer["rows"]] == ["demo"]
    assert [row.split()[0] for row in table.splitlines()] == ["role", "primary", "total"]
    assert csv.startswith("provider,model,attempts,")
    assert refused.startswith("tailrace: invalid_request: group_by: 'price' is not allowed")
    assert nowhere.startswith("tailrace: invalid_request: after: '$' is not a position")
    assert again == "events counted again: 1\n"
    assert tail.returncode == 1
    assert re.fullmatch(
        r"tailrace: draining\ntailrace: the service ended the stream; "
        r"`tailrace usage tail --after \d+-\d+` goes on from there\n",
        left,
    )


@contextmanager
def following(url: str) -> Iterator[subprocess.Popen[str]]:
    """A tail of all that is kept."""
    with subprocess.Popen(  # noqa: S603 - our own script
        [TAILRACE, "usage", "tail", "--after", "0", "--url", url],
        env=BARE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as tail:
        try:
            yield tail
        finally:
            tail.kill()


def test_sums_are_not_made_anew_of_less_than_is_in_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["usage", "replay"]) == 1
    assert capsys.readouterr().err == "tailrace: there is no journal in data/usage\n"
    assert main(["usage", "replay", "--since", "never"]) == 2
    assert capsys.readouterr().err.startswith("tailrace: --since: 'never' is not allowed")


@pytest.mark.usefixtures("alone")
def test_without_a_stream_there_is_nothing_to_aggregate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TAILRACE_USAGE__ENGINE", "in-process")
    assert main(["usage", "aggregate"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("tailrace: usage.engine: there is no stream to read")
    assert said.count("\n") == 1


def test_the_package_runs_like_the_command(tmp_path: Path) -> None:
    module = subprocess.run(
        [sys.executable, "-m", "service", "check-config"],
        cwd=tmp_path,
        env=BARE,
        capture_output=True,
        text=True,
        check=True,
    )
    assert module.stdout == run(tmp_path, "check-config").stdout


def test_a_bad_setting_stops_the_start_with_one_line(tmp_path: Path) -> None:
    stopped = run(tmp_path, "serve", TAILRACE_SERVER__PORT="http")
    assert (stopped.returncode, stopped.stdout) == (2, "")
    assert stopped.stderr.startswith(
        "tailrace: server.port in TAILRACE_SERVER__PORT: 'http' is not allowed; must be"
    )
    assert stopped.stderr.count("\n") == 1


def test_an_sdk_that_cannot_be_imported_stops_the_start_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "anthropic.py").write_text("raise ImportError('half of it is missing')")
    keys = {"ANTHROPIC_API_KEY": "test-key-claude", "PYTHONPATH": str(tmp_path)}
    stopped = run(tmp_path, "serve", "--port", "0", **keys)
    assert (stopped.returncode, stopped.stdout) == (2, "")
    said = "tailrace: providers: an SDK cannot be imported: anthropic: half of it is missing: "
    assert said in stopped.stderr
    assert "Traceback" not in stopped.stderr


def test_serving_beyond_loopback_must_be_asked_for(tmp_path: Path) -> None:
    stopped = run(tmp_path, "serve", "--host", "0.0.0.0")  # noqa: S104 - the point
    assert stopped.returncode == 2
    assert "unless server.insecure is true" in stopped.stderr


def test_a_reader_that_leaves_early_is_no_crash(tmp_path: Path) -> None:
    with subprocess.Popen(  # noqa: S603 - our own script
        [TAILRACE, "check-config"],
        cwd=tmp_path,
        env={**BARE, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 128 + signal.SIGPIPE


def test_a_question_to_nobody_is_one_line(tmp_path: Path, unused_tcp_port: int) -> None:
    asked = run(tmp_path, "ask", "Hello", "--url", f"http://127.0.0.1:{unused_tcp_port}")
    assert asked.returncode == 1
    assert asked.stderr.startswith("tailrace: no service answers at http://127.0.0.1:")
    assert asked.stderr.count("\n") == 1


# --- The command line -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [*COMMANDS, *(f"usage {name}" for name in ("summary", "tail", "aggregate", "replay"))],
)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*command.split(), "--help"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: tailrace {command}")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["serv"],
        ["ask"],
        ["serve", "--prot", "1"],
        ["ask", "Hi", "--tier", "gold"],
        ["ask", "Hi", "--latency", "fast"],
        ["ask", "Hi", "--latency", '{"strategy"'],
        ["plan", "Hi", "--after-commit", "fail"],
        ["demo-load", "--days", "0"],
        ["demo-load", "--seed", "-1"],
        ["demo-load", "--seed", "9" * 23],
    ],
    ids=" ".join,
)
def test_a_mistyped_command_is_one_line_and_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("tailrace")
    assert complaint.count("\n") == 1
    assert "<" not in complaint  # no enum as Python writes it


@dataclass
class Service:
    """One that answers every question with one plan, and remembers it."""

    url: str
    asked: list[tuple[str, Any]]


@pytest.fixture
def service() -> Iterator[Service]:
    """Something that speaks HTTP."""
    asked: list[tuple[str, Any]] = []

    def answer(path: str, body: bytes) -> dict[str, str]:
        asked.append((path, orjson.loads(body)))
        return {"policy": "pinned"}

    with answering(answer) as url:
        yield Service(url, asked)


def test_what_a_question_is_asked_with_reaches_the_service(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    wishes = (
        "--model", "preset:writer", "--use-case", "translation", "--tier", "premium",
        "--complexity", "expert", "--max-tokens", "9", "--provider", "groq", "--provider", "openai",
        "--latency", '{"strategy":"race","providers":["groq","openai"]}', "--json",
    )  # fmt: skip
    assert main(["plan", "Hi", *wishes, "--url", service.url]) == 0
    assert orjson.loads(capsys.readouterr().out) == {"policy": "pinned"}
    [(path, body)] = service.asked
    assert path == "/v1/plan"
    assert body == {
        "messages": [{"role": "user", "content": "Hi"}],
        "model": "preset:writer",
        "on_disconnect": "cancel_after:0",
        "use_case": "translation",
        "budget_tier": "premium",
        "complexity": "expert",
        "max_tokens": 9,
        "latency": {"strategy": "race", "providers": ["groq", "openai"]},
        "providers": {"only": ["groq", "openai"]},
    }


def test_a_strategy_is_asked_for_by_its_name(service: Service) -> None:
    assert main(["plan", "Hi", "--latency", "hedge", "--json", "--url", service.url]) == 0
    [(_, body)] = service.asked
    assert body["latency"] == "hedge"


def test_the_version_is_the_installed_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert re.fullmatch(r"tailrace \d+\.\d+\.\d+\n", capsys.readouterr().out)


# --- Configuration --------------------------------------------------------------------------


@pytest.mark.usefixtures("alone")
def test_checking_the_configuration_prints_what_is_in_force_and_from_where(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("tailrace.toml").write_text("[server]\ndrain_s = 5\n", encoding="utf-8")
    monkeypatch.setenv("TAILRACE_PROVIDERS__GROQ__KEY", "test-key-groq")
    assert main(["check-config"]) == 0
    out = capsys.readouterr().out
    assert "server.drain_s = 5.0  # tailrace.toml\n" in out
    assert 'providers.groq.key = "**********"  # TAILRACE_PROVIDERS__GROQ__KEY\n' in out
    assert "test-key-groq" not in out


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[server]\nport = -1\n", "tailrace: server.port in own.toml: -1 is not allowed"),
        ("[providers.groq]\nregion = 'x'\n", "tailrace: providers.groq.region: 'x' is not"),
        ("[providers.opnai]\nkey = 'x'\n", "tailrace: providers.opnai: not a known provider"),
        (
            "[use_cases.expert]\nprefer = ['claud']",
            "tailrace: use_cases.expert.prefer in own.toml: 'claud' is not allowed",
        ),
    ],
)
def test_a_bad_configuration_is_one_line_and_exit_code_2(
    text: str,
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "test-key-groq")
    Path("own.toml").write_text(text, encoding="utf-8")
    assert main(["check-config", "--config", "own.toml"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(complaint)
    assert captured.err.count("\n") == 1
    assert captured.out == ""


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("flag", ["--config", "--env-file"])
def test_a_file_that_was_named_must_exist(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", flag, "none"]) == 2
    assert "none" in capsys.readouterr().err


@pytest.mark.usefixtures("alone")
def test_the_environment_outranks_an_env_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("keys").write_text(
        "TAILRACE_SERVER__PORT=1111\nTAILRACE_SERVER__DRAIN_S=7\n", encoding="utf-8"
    )
    monkeypatch.setenv("TAILRACE_SERVER__PORT", "2222")
    monkeypatch.setenv("TAILRACE_SERVER__DRAIN_S", "")  # so that it is put back after the test
    monkeypatch.delenv("TAILRACE_SERVER__DRAIN_S")
    assert main(["check-config", "--env-file", "keys"]) == 0
    out = capsys.readouterr().out
    assert "server.port = 2222  #" in out
    assert "server.drain_s = 7.0  # TAILRACE_SERVER__DRAIN_S\n" in out


@pytest.mark.usefixtures("alone")
def test_providers_are_listed_from_the_configuration_with_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key-claude")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "test-key-azure")
    monkeypatch.setenv("TAILRACE_PROVIDERS__GROQ__ENABLED", "false")
    assert main(["providers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {name: " ".join(rest) for name, *rest in map(str.split, lines)}
    assert list(rows) == [*FIFTEEN, "demo"]
    assert re.match(r"active .*\bsonnet\b", rows["claude"])
    assert rows["kimi"] == "inactive no key: set KIMI_API_KEY or MOONSHOT_API_KEY"
    assert rows["copilot"] == "inactive no address: set AZURE_OPENAI_ENDPOINT"
    assert rows["github"] == "retired retired by GitHub on 2026-07-30"
    assert rows["groq"] == "disabled"
    assert rows["demo"].startswith("active demo")


@pytest.mark.usefixtures("alone")
def test_models_are_listed_with_the_configured_ones_at_the_price_that_is_stated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("tailrace.toml").write_text(
        "[providers.ollama]\nbase_url = 'http://localhost:11434/v1'\n"
        "[[providers.ollama.models]]\nid = 'qwen3:8b'\nprice_input = 0\nprice_output = 0.5\n",
        encoding="utf-8",
    )
    assert main(["models"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].startswith("PROVIDER ")
    assert [line.split()[0] for line in table if " sonnet " in line] == ["claude"]
    own = next(line.split() for line in table if line.startswith("ollama"))
    assert own[2] == "qwen3:8b"
    assert own[-4:] == ["0", "-", "0.5", "stated"]
    assert main(["models", "--provider", "ollama", "--json"]) == 0
    (row,) = orjson.loads(capsys.readouterr().out)
    assert row["price"]["output"] == "0.5"


@pytest.mark.parametrize("command", [["models"], ["catalog", "refresh"]])
@pytest.mark.usefixtures("alone")
def test_a_provider_that_nobody_knows_is_refused_with_those_that_are_known(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--provider", "closedai"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("tailrace: --provider: 'closedai' is not a provider; must be one of")
    assert said.count("\n") == 1


@pytest.mark.usefixtures("alone")
async def test_a_refresh_asks_those_with_a_key_and_what_they_said_is_listed(
    double: Double, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "test-key-groq")
    monkeypatch.setenv("GROQ_BASE_URL", double.base_url("groq"))
    double.models = ["openai/gpt-oss-120b", "qwen/qwen3.8-27b", "llama-9"]
    assert await asyncio.to_thread(main, ["catalog", "refresh"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^groq +3 listed, 1 new, 1 gone: openai/gpt-oss-20b$", said, re.MULTILINE)
    assert [seen.key for seen in double.requests] == ["test-key-groq"]
    assert kept() is not None
    assert main(["models", "--provider", "groq"]) == 0
    listed = capsys.readouterr().out
    assert re.search(r"gpt-oss-20b .* gone$", listed, re.MULTILINE)
    assert re.search(r"llama-9 .* unlisted$", listed, re.MULTILINE)


@pytest.mark.usefixtures("alone")
async def test_a_refresh_that_nobody_answers_fails_and_leaves_the_file_as_it_was(
    double: Double, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "test-key-groq")
    monkeypatch.setenv("GROQ_BASE_URL", double.base_url("groq"))
    double.script(http_error(Kind.AUTH))
    assert await asyncio.to_thread(main, ["catalog", "refresh", "--provider", "groq"]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("groq         failed: ")
    assert said.err == "tailrace: no provider gave its list of models\n"
    assert "test-key-groq" not in said.out
    assert kept() is None


@pytest.mark.usefixtures("alone")
async def test_a_spoilt_catalog_file_is_one_line_and_a_refresh_makes_it_anew(
    double: Double, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "test-key-groq")
    monkeypatch.setenv("GROQ_BASE_URL", double.base_url("groq"))
    spoil()
    assert main(["models"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("tailrace: data/catalog.json: ")
    assert said.count("\n") == 1
    double.models = ["openai/gpt-oss-120b"]
    assert await asyncio.to_thread(main, ["catalog", "refresh"]) == 0
    assert main(["models"]) == 0
