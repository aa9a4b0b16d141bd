"""Tools of others are looked for where the configuration says, and missed in one line."""

import signal
from pathlib import Path

import aiohttp
import pytest

from service.cli import main
from service.integrations import Look, look
from service.settings import SettingsError, load
from tests.e2e.process import serving


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder with one program in it, `archon`, and a file that is none, `notes`."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "archon").write_text("#!/bin/sh\n", encoding="utf-8")
    (folder / "archon").chmod(0o755)
    (folder / "notes").write_text("nothing to run\n", encoding="utf-8")
    return folder


def configured(folder: Path, text: str) -> Path:
    file = folder / "tailrace.toml"
    file.write_text(text, encoding="utf-8")
    return file


def looked(folder: Path, text: str, search: object = "") -> Look:
    """For the one integration that the text configures, with that PATH."""
    settings = load(configured(folder, f"[integrations.archon]\n{text}\n"), {})
    (found,) = look(settings.integrations, {"PATH": str(search)})
    return found


# --- Looking --------------------------------------------------------------------------------


def test_a_command_is_found_in_path_by_its_name(tools: Path) -> None:
    assert looked(tools, 'command = "archon"', tools) == Look(
        found=(f"integrations.archon.command: {tools / 'archon'}",), missing=()
    )


def test_a_command_and_a_folder_are_found_by_their_paths(tools: Path) -> None:
    found = looked(tools, f'command = "{tools / "archon"}"\nfolder = "{tools}"')
    assert found.warning is None
    assert found.found == (
        f"integrations.archon.command: {tools / 'archon'}",
        f"integrations.archon.folder: {tools}",
    )


def test_a_relative_path_begins_where_the_service_was_started(
    tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tools)
    # It is a path although PATH has one of that name, too: as in a shell.
    assert looked(tools, 'command = "./archon"').found == ("integrations.archon.command: ./archon",)
    assert looked(tools, 'folder = "../tools"').warning is None


def test_a_path_may_begin_at_home(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tools))
    assert looked(tools, 'command = "~/archon"\nfolder = "~"').warning is None


@pytest.mark.parametrize(
    ("text", "value", "sought"),
    [
        ('command = "other"', "'other'", "no program of that name is in PATH ('{tools}')"),
        ('command = "notes"', "'notes'", "no program of that name is in PATH ('{tools}')"),
        ('command = "a\\nb"', r"'a\nb'", "no program of that name is in PATH ('{tools}')"),
        ('command = "/no/such"', "'/no/such'", "there is no file that can be run"),
        ('folder = "/no/such"', "'/no/such'", "there is no folder"),
        ('folder = "~no-one/bmad"', "'~no-one/bmad'", "there is no folder"),
        ('folder = "a\\u0000b"', r"'a\x00b'", "there is no folder"),
    ],
)
def test_what_is_missing_is_told_with_key_value_and_what_was_looked_for(
    tools: Path, text: str, value: str, sought: str
) -> None:
    (missing,) = looked(tools, text, tools).missing
    key = f"integrations.archon.{text.partition(' ')[0]}"
    assert missing == f"{key}: {value} is missing: {sought.format(tools=tools)}"
    assert "\n" not in missing


def test_all_that_one_integration_misses_is_one_line(tools: Path) -> None:
    found = looked(tools, 'command = "/no/such"\nfolder = "/no/such"')
    assert len(found.missing) == 2
    assert found.warning == "; ".join(found.missing)


def test_a_file_is_no_folder(tools: Path) -> None:
    warning = looked(tools, f'folder = "{tools / "notes"}"').warning
    assert warning is not None
    assert warning.endswith("is missing: there is no folder")


def test_what_cannot_even_be_looked_at_is_missing_with_the_system_s_reason(tools: Path) -> None:
    warning = looked(tools, f'folder = "{"x" * 300}"').warning
    assert warning is not None
    assert warning.endswith("no folder can be seen there (File name too long)")


def test_without_a_path_to_search_no_name_is_found(tools: Path) -> None:
    settings = load(configured(tools, '[integrations.shell]\ncommand = "sh"\n'), {})
    (found,) = look(settings.integrations, {})
    assert found.warning is not None


def test_nobody_looks_for_what_is_switched_off(tools: Path) -> None:
    file = configured(tools, '[integrations.archon]\ncommand = "other"\nenabled = false\n')
    assert look(load(file, {}).integrations, {}) == []


# --- Settings -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[integrations.a]\ncommand = 5", "integrations.a.command in {}: 5 is not allowed; must"),
        ("[integrations.a]\nfolder = ''", "integrations.a.folder in {}: '' is not allowed; must"),
        ("[integrations.a]\nfolder = ['x']", "integrations.a.folder in {}: ['x'] is not allowed"),
        (
            "[integrations.a]\ncommand = 'x'\nenabled = 'perhaps'",
            "integrations.a.enabled in {}: 'perhaps' is not allowed; must be true or false",
        ),
        (
            "[integrations.a]\nurl = 'http://127.0.0.1'",
            "integrations.a.url in {}: unknown key; known are enabled, command, folder",
        ),
        (
            "[integrations.a]\nenabled = true",
            "integrations.a in {}: that table is not allowed; must be a table with command, folder",
        ),
        ("[integrations]\na = 'x'", "integrations.a in {}: that string is not allowed; must be a"),
        ("[integrations.A]\ncommand = 'x'", "integrations.A in {}: 'A' is not a name"),
    ],
)
def test_what_is_written_wrong_is_refused_as_any_other_setting(
    tmp_path: Path, text: str, line: str
) -> None:
    file = configured(tmp_path, text)
    with pytest.raises(SettingsError) as refused:
        load(file, {})
    assert str(refused.value).startswith(line.format(file))


def test_a_variable_configures_one_too() -> None:
    settings = load(None, {"TAILRACE_INTEGRATIONS__ARCHON__COMMAND": "archon"})
    assert settings.integrations["archon"].command == "archon"


# --- Telling --------------------------------------------------------------------------------


def test_check_config_shows_what_is_there_and_warns_of_what_is_not(
    tools: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tools))
    text = '[integrations.archon]\ncommand = "archon"\nfolder = "/no/such"\n'
    file = configured(tools, text)
    assert main(["check-config", "--config", str(file)]) == 0
    said = capsys.readouterr()
    assert f'integrations.archon.command = "archon"  # {file}' in said.out.splitlines()
    assert f"# integrations.archon.command: {tools / 'archon'}" in said.out.splitlines()
    assert said.err == (
        "tailrace: warning: integrations.archon.folder: '/no/such' is missing: there is no folder\n"
    )


async def alive(url: str) -> bool:
    async with aiohttp.ClientSession() as client, client.get(f"{url}/readyz") as ready:
        return ready.status == 200


def warnings(log: list[str]) -> list[str]:
    return [line.partition("WARNING ")[2] for line in log if "integrations." in line]


MISSING = """
[integrations.archon]
command = "{name}"

[integrations.bmad]
folder = "/no/such/folder"
"""
NO_FOLDER = "integrations.bmad.folder: '/no/such/folder' is missing: there is no folder\n"


async def test_a_service_starts_without_them_and_says_so_again_when_it_reads_its_configuration(
    tools: Path,
) -> None:
    file = configured(tools, MISSING.format(name="other"))
    environ = {"PATH": str(tools), "TAILRACE_USAGE__ENGINE": "in-process"}
    async with serving(tools, "--config", str(file), environ=environ) as served:
        assert await alive(served.url)
        await served.logs("integrations.bmad")
        command, folder = warnings(served.log)
        assert command.startswith("integrations.archon.command: 'other' is missing: no program")
        assert folder == NO_FOLDER

        configured(tools, MISSING.format(name="archon"))
        served.tell(signal.SIGHUP)
        await served.logs("configuration read again")
        assert warnings(served.log)[2:] == [NO_FOLDER]

        configured(tools, MISSING.format(name=""))
        served.tell(signal.SIGHUP)
        refusal = await served.logs("configuration not changed")
        assert "integrations.archon.command" in refusal
        assert await alive(served.url)


async def test_several_workers_warn_once(tools: Path) -> None:
    file = configured(tools, '[integrations.bmad]\nfolder = "/no/such/folder"\n')
    flags = ("--config", str(file), "--workers", "2")
    async with serving(tools, *flags, environ={}) as served:
        served.tell(signal.SIGTERM)
        assert await served.ends() == 0
    assert warnings(served.log) == [f"worker 0: {NO_FOLDER}"]
