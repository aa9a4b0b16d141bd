"""What the README says to type exists."""

import re

import pytest

from service.cli import main
from tests.house.tree import ROOT

BLOCK = re.compile(r"^```(?:sh|bash|shell|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def typed(pattern: str) -> set[str]:
    """What a pattern finds in the README's shell blocks."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = BLOCK.findall(readme)
    return {word for block in blocks for word in re.findall(pattern, block)}


def test_the_two_commands_are_there() -> None:
    assert {"run", "test"} <= typed(r"\bmake ([a-z-]+)")


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert typed(r"\bmake ([a-z-]+)") - targets == set()


def test_every_command_exists(capsys: pytest.CaptureFixture[str]) -> None:
    for command in typed(r"(?:^|[/\s])tailrace ([a-z][a-z-]+)"):
        with pytest.raises(SystemExit) as caught:
            main([command, "--help"])
        assert caught.value.code == 0
        assert capsys.readouterr().out


def test_the_test_command_is_what_ci_runs() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
