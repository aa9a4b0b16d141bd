"""What every module has and none is called, so that a reader finds the concept by its name."""

import ast
from collections.abc import Iterator
from pathlib import Path

from adapters.registry import PROVIDERS
from tests.house.tree import ROOT, modules, parsed, shown

ATTICS = {"base", "common", "helpers", "manager", "managers", "misc", "util", "utils"}

# A provider's name is compared nowhere else: everywhere else it is a key into data.
PROVIDER_ROOMS = ("adapters/providers/", "adapters/registry.py")


def test_no_module_or_folder_is_an_attic() -> None:
    names = {
        part.removesuffix(".py")
        for path in modules("adapters", "service", "tests", "bench")
        for part in path.relative_to(ROOT).parts
    }
    assert names & ATTICS == set()


def test_every_module_opens_by_saying_what_it_is() -> None:
    silent = [shown(m) for m in modules("adapters", "service", "bench") if not _opens(m)]
    assert silent == []


def test_a_rooms_init_explains_the_room_and_does_nothing() -> None:
    working = [
        shown(path)
        for path in modules("adapters", "service", "bench")
        if path.name == "__init__.py" and len(parsed(path).body) != 1
    ]
    assert working == []


def test_provider_is_data_so_its_name_is_compared_nowhere() -> None:
    branches = [
        f"{shown(path)}:{node.lineno} {node.value!r}"
        for path in modules("adapters", "service")
        if not shown(path).startswith(PROVIDER_ROOMS)
        for node in _compared(parsed(path))
        if node.value in PROVIDERS
    ]
    assert branches == []


def test_only_the_application_and_its_http_room_know_the_server() -> None:
    """aiohttp's client and server are one package, which import-linter cannot tell apart."""
    knowing = [
        shown(path)
        for path in modules("adapters", "service")
        if not shown(path).startswith(("service/app.py", "service/http/"))
        for node in ast.walk(parsed(path))
        if _imports_server(node)
    ]
    assert knowing == []


def test_imports_are_absolute_and_stand_at_the_top_unless_a_reason_stands_beside() -> None:
    hidden = [
        f"{shown(path)}:{node.lineno}"
        for path in modules("adapters", "service")
        for function in ast.walk(parsed(path))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    # The commands that only talk to a service do not wait for what others need to be imported.
    assert {place.partition(":")[0] for place in hidden} == {"service/cli.py"}


def _opens(path: Path) -> bool:
    return bool(ast.get_docstring(parsed(path)))


def _compared(tree: ast.Module) -> Iterator[ast.Constant]:
    """Constants that something is compared or matched with, in a container or not."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            yield from (c for side in (node.left, *node.comparators) for c in _constants(side))
        elif isinstance(node, ast.MatchValue):
            yield from _constants(node.value)


def _constants(node: ast.expr) -> Iterator[ast.Constant]:
    parts = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]
    yield from (part for part in parts if isinstance(part, ast.Constant))


def _imports_server(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        from_package = node.module == "aiohttp" and any(a.name == "web" for a in node.names)
        return from_package or (node.module or "").startswith("aiohttp.web")
    return isinstance(node, ast.Import) and any(a.name == "aiohttp.web" for a in node.names)
