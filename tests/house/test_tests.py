"""The tests themselves: beside what they test, with real parts, never sleeping to wait."""

import ast
from pathlib import Path

from tests.house.tree import ROOT, modules, parsed, shown

# Modules without a test file of their own, by the file that tests them instead.
TESTED_ELSEWHERE = {
    # Only structs, which their decoder fills.
    "adapters/dialects/anthropic_messages_wire.py": (
        "tests/adapters/dialects/test_anthropic_messages.py"
    ),
    "adapters/dialects/gemini_wire.py": "tests/adapters/dialects/test_gemini.py",
    # Only facts, which the policy states.
    "service/routing/plan.py": "tests/service/routing/test_policy.py",
    # Only protocols and facts: what a view shows, and who counts attempts.
    "service/routing/view.py": "tests/service/routing/test_policy.py",
    "service/telemetry/attempts.py": "tests/service/telemetry/test_stats.py",
    # Only protocols and facts: what dialects are to who serves them.
    "service/dialects/projection.py": "tests/service/http/test_borrowed.py",
    # What one race sees of what all share: told by what races do.
    "service/hedging/shared.py": "tests/service/hedging/test_runner.py",
    # Everything together, over sockets, and as a process.
    "service/app.py": "tests/e2e/test_drain.py",
    # Four lines, run as a process.
    "service/__main__.py": "tests/service/test_cli.py",
}


def test_every_module_has_its_test_file_where_one_looks_for_it() -> None:
    missing = [
        shown(path)
        for path in modules("adapters", "service")
        if path.name != "__init__.py"
        and not _mirror(path).exists()
        and not any(path.match(pattern) for pattern in TESTED_ELSEWHERE)
    ]
    assert missing == []


def test_every_exception_from_that_is_one() -> None:
    for pattern, tests in TESTED_ELSEWHERE.items():
        assert (ROOT / tests).exists()
        assert not any(_mirror(path).exists() for path in ROOT.glob(pattern))
        assert any(ROOT.glob(pattern))


def test_no_test_sleeps_to_wait() -> None:
    sleeping = [
        f"{shown(path)}:{node.lineno}"
        for path in modules("tests")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and _sleeps(node)
    ]
    assert sleeping == []


def test_no_test_replaces_a_part_of_what_it_tests() -> None:
    patching = [
        f"{shown(path)}:{node.lineno}"
        for path in modules("tests")
        for node in ast.walk(parsed(path))
        if _patches(node)
    ]
    assert patching == []


def _mirror(path: Path) -> Path:
    inside = path.relative_to(ROOT)
    return ROOT / "tests" / inside.parent / f"test_{inside.name}"


def _sleeps(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    if name == "time.sleep":
        return True
    if name not in {"asyncio.sleep", "anyio.sleep"}:
        return False
    # Zero yields to the loop; a variable is a script's own delay. A second is waiting.
    duration = call.args[0]
    return isinstance(duration, ast.Constant) and float(str(duration.value)) >= 1


def _patches(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").startswith("unittest.mock")
    if isinstance(node, ast.Import):
        return any(alias.name.startswith("unittest.mock") for alias in node.names)
    return isinstance(node, ast.Attribute) and ast.unparse(node) == "monkeypatch.setattr"
