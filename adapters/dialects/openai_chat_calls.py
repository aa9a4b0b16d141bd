"""Whose fragment is it: tool-call deltas of chat completions, put to the calls they belong to.

OpenAI sends an index with every fragment, and id and name with the first. Others leave the index
out (Mistral, Kimi), repeat the id, send an empty one later (Qwen), repeat the name or an empty one
(GLM at Mistral), give every call the same index, or send calls whole. So a fragment is placed by
the best it has, in this order:

1. an id that is known;
2. an index that is known, unless the fragment brings a new id and a name: then the index is used
   again for another call;
3. any id, index or name of its own: it opens a call;
4. nothing: it goes on with the last call, and several such fragments in one chunk go on with as
   many last calls, in order (moonshotai-stream-indexless-tool-calls.json).

No events here: the decoder opens a call's block once its name has come.
"""

from typing import Any, NamedTuple

import orjson

_NO_ID = (None, "", "null")  # "null" is what Mistral's schema says of a call without an id


class ToolCall:
    """One call of the answer."""

    __slots__ = ("call_id", "held", "index", "number", "open")

    def __init__(self, number: int, index: int | None, call_id: str) -> None:
        """The `number`-th call of the answer, from 0."""
        self.number = number
        self.index = index
        self.call_id = call_id
        """The provider's id; empty while it gave none."""
        self.held = ""
        """Argument text that came before the name."""
        self.open = False
        """Its block has started."""


class Fragment(NamedTuple):
    """What one delta adds to a call; either may be empty."""

    call: ToolCall
    name: str
    arguments: str


class ToolCalls:
    """The calls of one answer, oldest first."""

    def __init__(self) -> None:
        """None yet."""
        self._calls: list[ToolCall] = []

    @property
    def unnamed(self) -> int:
        """How many calls never got a name, and so were never shown."""
        return sum(1 for call in self._calls if not call.open)

    def place(self, deltas: list[dict[str, Any]]) -> list[Fragment]:
        """The fragments of one chunk's `tool_calls`, each with its call."""
        read = [_read(delta) for delta in deltas]
        bare = sum(1 for index, call_id, name, _ in read if index is None and not call_id + name)
        fragments: list[Fragment] = []
        for index, call_id, name, arguments in read:
            if index is None and not call_id + name:
                call = self._calls[-bare] if bare <= len(self._calls) else self._new(None, "")
                bare -= 1
            else:
                call = self._named(index, call_id, name)
            fragments.append(Fragment(call, name, arguments))
        return fragments

    def _named(self, index: int | None, call_id: str, name: str) -> ToolCall:
        newest_first = self._calls[::-1]
        for call in newest_first:
            if call_id and call.call_id == call_id:
                return call
        for call in newest_first:
            if index is not None and call.index == index:
                if call_id and call.call_id and name:
                    break
                call.call_id = call.call_id or call_id
                return call
        return self._new(index, call_id)

    def _new(self, index: int | None, call_id: str) -> ToolCall:
        call = ToolCall(len(self._calls), index, call_id)
        self._calls.append(call)
        return call


def _read(delta: dict[str, Any]) -> tuple[int | None, str, str, str]:
    """(index, id, name, argument text) of a delta, whatever it holds."""
    index, call_id = delta.get("index"), delta.get("id")
    function = delta.get("function")
    if not isinstance(function, dict):
        function = {}
    name, arguments = function.get("name"), function.get("arguments")
    if isinstance(arguments, dict):
        arguments = orjson.dumps(arguments).decode()  # Mistral's schema allows an object
    return (
        index if isinstance(index, int) else None,
        call_id if isinstance(call_id, str) and call_id not in _NO_ID else "",
        name if isinstance(name, str) else "",
        arguments if isinstance(arguments, str) else "",
    )
