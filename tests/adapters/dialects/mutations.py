"""Streams with one thing wrong: every value of every payload, replaced by values nobody expects.

A decoder has to survive all of them: it may skip, it may end the answer as unreadable, it may not
raise, and what it emits stays within the grammar.
"""

from collections.abc import Iterator
from typing import Any

import orjson

DEEP: Any = 1
for _ in range(90):
    DEEP = [DEEP]

ODD: tuple[Any, ...] = (
    None,
    -1,
    1.5,
    True,
    "",
    "x",
    [],
    {},
    [None],
    [{}],
    {"error": {"code": 5}},
    DEEP,
)
BEYOND_64_BITS = b"1180591620717411303424"


def mutations(stream: bytes) -> Iterator[bytes]:
    """The stream, once for each value in it and each odd value in that one's place."""
    lines = stream.splitlines()
    for at, line in enumerate(lines):
        if not line.startswith(b"data:"):
            continue
        payload = orjson.loads(line.removeprefix(b"data:"))
        for path in list(_paths(payload)):
            for odd in ODD:
                changed = orjson.dumps(_replaced(payload, path, odd))
                yield _framed([*lines[:at], b"data: " + changed, *lines[at + 1 :]])
            marked = orjson.dumps(_replaced(payload, path, "\x00"))
            huge = marked.replace(b'"\\u0000"', BEYOND_64_BITS)
            yield _framed([*lines[:at], b"data: " + huge, *lines[at + 1 :]])


def _framed(lines: list[bytes]) -> bytes:
    return b"\n".join(lines) + b"\n\n"


def _paths(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    children: Any = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    for name, child in children:
        yield from _paths(child, (*path, name))


def _replaced(value: Any, path: tuple[Any, ...], odd: object) -> Any:  # noqa: ANN401 - any JSON
    if not path:
        return odd
    copy = value.copy()
    copy[path[0]] = _replaced(value[path[0]], path[1:], odd)
    return copy
