"""The repository as files, for the tests that read it. Git is not asked: a copy may have none."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]

_MADE = {"__pycache__", "build", "data", "dist", "htmlcov", "node_modules"}
_HIDDEN_BUT_OURS = {".ci", ".dockerignore", ".editorconfig", ".env.example", ".gitignore"}


def files() -> Iterator[Path]:
    """Every file that belongs to the project: neither made by a tool nor anybody's own."""
    return _walk(ROOT)


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith(".") and path.name not in _HIDDEN_BUT_OURS
        if hidden or path.name in _MADE or path.suffix == ".egg-info":
            continue
        if path.is_dir():
            yield from _walk(path)
        else:
            yield path


def modules(*packages: str) -> list[Path]:
    """The Python files of these top-level folders."""
    return [path for name in packages for path in sorted((ROOT / name).rglob("*.py"))]


@cache
def parsed(path: Path) -> ast.Module:
    """A module's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def shown(path: Path) -> str:
    """A path as it reads in a failure."""
    return path.relative_to(ROOT).as_posix()
