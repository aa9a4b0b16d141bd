"""The page on others' clients names the versions that are pinned and tests that are there."""

import ast
import re

import orjson
import pytest

from tests.house.tree import ROOT, parsed

PAGE = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
CLIENTS = ROOT / "tests" / "clients"
HEAD = (
    "| client | version | file | a streamed answer | a tool called and answered "
    "| a provider that breaks | a cancel |\n"
)
PINNED = re.compile(r"^([\w.-]+)==([\w.]+)", re.MULTILINE)
NONE = "none: "
"""What stands where a client cannot do something."""


def rows() -> list[list[str]]:
    """The cells of the page's table."""
    assert PAGE.count(HEAD) == 1
    _, *lines = PAGE.partition(HEAD)[2].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def in_python() -> dict[str, set[str]]:
    """Every version that is pinned for Python: the service's environment, and the clients' own."""
    locks = (ROOT / "requirements-dev.lock", CLIENTS / "python" / "requirements.lock")
    versions: dict[str, set[str]] = {}
    for name, version in (pin for lock in locks for pin in PINNED.findall(lock.read_text("utf-8"))):
        versions.setdefault(name, set()).add(version)
    return versions


def in_node() -> dict[str, set[str]]:
    """The same for Node."""
    manifest = orjson.loads((CLIENTS / "node" / "package.json").read_bytes())
    return {name: {version} for name, version in manifest["dependencies"].items()}


def pinned(client: str) -> set[str]:
    """The versions of a client, called by its package, and its language where both have one."""
    package = client.split("`")[1]
    pins = [in_python()] if "Python" in client else [in_node()] if "Node" in client else []
    found = [versions.get(package, set()) for versions in pins or [in_python(), in_node()]]
    return set().union(*found)


def names(file: str) -> list[str]:
    """The tests of a file."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = parsed(CLIENTS / f"test_{file}.py")
    found = [node.name for node in tree.body if isinstance(node, functions)]
    return [name for name in found if name.startswith("test_")]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[2])
def test_each_client_s_version_is_the_one_that_is_pinned(row: list[str]) -> None:
    client, version = row[:2]
    assert pinned(client) == {version}


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[2])
def test_each_behaviour_is_a_test_that_is_there(row: list[str]) -> None:
    for cell in row[3:]:
        if cell.startswith(NONE):
            continue
        part = cell.strip("`")
        assert [name for name in names(row[2]) if part in name], part


def test_the_tests_that_the_text_names_are_there() -> None:
    """They are in lower case, unlike the names of others' functions."""
    known = {row[2] for row in rows()}
    every = [name for file in known for name in names(file)]
    text = PAGE.partition("\n\n`streamText`")[2].partition("\n\n`test_")[0]
    told = set(re.findall(r"`([a-z_]+)`", text)) - known
    assert told
    assert [part for part in told if not any(part in name for name in every)] == []
