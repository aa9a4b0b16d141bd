"""What is installed, how, and what a stranger's machine would find in the files."""

import re
import tomllib
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from tests.house.tree import ROOT, files, shown

LOCKS = ("requirements.lock", "requirements-dev.lock")
CLIENTS = "tests/clients/python/requirements"
PIN = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>\S+)", re.MULTILINE)

WEB_SOURCES = re.compile(r"service/web/(?!dist/)")
"""What the web app is built from; a wheel holds what was built."""

# Written in two parts, so that this file is not its own finding.
FOLDERS_OF_ONE_MACHINE = re.compile(r"(?<![\w.}])/(?:" + "work|root|home|Users" + r")/\w")
# What is scrubbed from error messages must look like the real thing in its test.
KEYS_ON_PURPOSE = {"tests/adapters/test_classify.py"}
KEYS = re.compile(r"\b(?:" + "sk|xai|gsk|hf|pplx|AIza" + r")[-_][A-Za-z0-9_-]{20,}")


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / lock).read_text(encoding="utf-8")
    return {found["name"]: found["version"] for found in PIN.finditer(text)}


def commands(text: str) -> list[str]:
    """The targets of a Makefile, or a Dockerfile's instructions, with continuations joined."""
    return re.sub(r"\\\n\s*", "", text).splitlines()


def test_what_must_be_covered_whole_is_what_the_import_contract_calls_deciding() -> None:
    project = tomllib.loads(_text(ROOT / "pyproject.toml"))
    contracts = {c["id"]: c for c in project["tool"]["importlinter"]["contracts"]}
    folders = [name.replace(".", "/") for name in contracts["deciding"]["source_modules"]]
    (covered,) = (
        line.partition(" := ")[2].split()
        for line in commands(_text(ROOT / "Makefile"))
        if line.startswith("DECIDING :=")
    )
    assert covered == [f"{f}/*" if (ROOT / f).is_dir() else f"{f}.py" for f in folders]


@pytest.mark.parametrize("lock", [*LOCKS, f"{CLIENTS}.lock"])
def test_a_lock_names_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert re.findall(r"\w+://\S*|^\s*-\w.*|\s@\s.*", text, re.MULTILINE) == []


@pytest.mark.parametrize("lock", [path for path in files() if path.name == "package-lock.json"])
def test_what_npm_locks_names_no_address_not_even_a_sponsor_s(lock: Path) -> None:
    assert re.findall(r"\w+://[^\"]*", _text(lock)) == []


@pytest.mark.parametrize("lock", [*LOCKS, f"{CLIENTS}.lock"])
def test_every_pin_has_hashes(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    requirements = re.sub(r"\\\n\s*", "", text).splitlines()
    bare = [line for line in requirements if PIN.match(line) and "--hash=sha256:" not in line]
    assert bare == []


def test_the_image_gets_a_part_of_what_is_tested() -> None:
    run, everything = (pins(lock) for lock in LOCKS)
    assert run.items() < everything.items()


def test_both_locks_hold_what_pyproject_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    asked = {
        "requirements.lock": [*project["project"]["dependencies"], *groups["build"]],
        "requirements-dev.lock": [g for g in groups["dev"] if isinstance(g, str)],
    }
    for lock, requirements in asked.items():
        names = {re.split(r"[^A-Za-z0-9-]", requirement)[0] for requirement in requirements}
        assert names - set(pins(lock)) == set()


def test_the_clients_lock_holds_what_they_ask_for() -> None:
    asked = re.findall(r"^([a-z-]+)", _text(ROOT / f"{CLIENTS}.in"), re.MULTILINE)
    assert asked
    assert set(asked) - set(pins(f"{CLIENTS}.lock")) == set()


def test_a_wheel_holds_what_is_read_beside_a_module() -> None:
    packed = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    beside = {
        shown(path)
        for package in ("adapters", "service")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }
    assert "service/defaults.toml" in beside
    sources = {name for name in beside if WEB_SOURCES.match(name)}
    assert sources & packed == set()
    assert beside - sources - packed == set()


def test_no_file_names_a_folder_of_one_machine_or_holds_a_key() -> None:
    found = [
        f"{shown(path)}: {match}"
        for path in files()
        if shown(path) not in KEYS_ON_PURPOSE
        for pattern in (FOLDERS_OF_ONE_MACHINE, KEYS)
        for match in pattern.findall(_text(path))
    ]
    assert found == []


def test_the_image_is_built_by_commands_that_the_makefile_runs_too() -> None:
    """So `make image-steps` exercises the build stage where no container engine is."""
    build_stage = _text(ROOT / "Dockerfile").split("\nFROM ")[1]
    steps = [line[4:] for line in commands(build_stage) if line.startswith("RUN ")]
    recipe = _text(ROOT / "Makefile").partition("\nimage-steps:")[2].partition("\n\n")[0]
    assert steps
    for step in steps:
        assert step.replace("/opt/tailrace", "build/image") in recipe


def test_the_image_serves_beyond_loopback_only_when_told_to_and_not_as_root() -> None:
    image = _text(ROOT / "Dockerfile")
    assert "ENV TAILRACE_SERVER__INSECURE" not in image
    assert "It needs TAILRACE_SERVER__INSECURE=true" in image
    assert re.search(r"^USER tailrace$", image, re.MULTILINE)


def test_what_the_build_stage_copies_is_not_ignored() -> None:
    allowed = {line[1:] for line in _text(ROOT / ".dockerignore").splitlines() if line[:1] == "!"}
    build_stage = _text(ROOT / "Dockerfile").split("\nFROM ")[1]
    copied = {
        source
        for line in commands(build_stage)
        if line.startswith("COPY ")
        for source in line.split()[1:-1]
    }
    assert copied == allowed


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
