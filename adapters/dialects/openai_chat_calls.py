"""Whose fragment is it: tool-call deltas of chat completions, put to the calls they belong to.

OpenAI sends an index with every fragment, and id and name with the first. Others leave the index
out (Mistral, Kimi), repeat the id, send an empty one later (Qwen), repeat the name or an empty one
(GLM at Mistral), give every call the same index, or send calls whole. So a fragment is placed by
the best it has, in this order:

1. an id that is known, unless the fragment's index is another call's, or a new one that comes with
   a name: two calls that were given the same id stay two, and the second is without its id;
2. an index that is known, unless the fragment brings a new id and a name: then the index is used
   again for another call;
3. any id, index or name of its own: it opens a call;
4. nothing: it goes on with the last call, and several such fragments in one chunk go on with as
   many last calls, in order (moonshotai-stream-indexless-tool-calls.json).

Ids and indexes are looked up, not searched for, so a fragment costs the same however many calls
came before it; and an answer has at most `MAX_CALLS` of them.

No events here: the decoder opens a call's block once its name has come.
"""

from typing import Any, Final, NamedTuple

import orjson

MAX_CALLS: Final = 1_024
"""Calls of one answer. No model makes as many, and each costs its reader a block that stays open to
the end: beyond it a provider is broken, or wants our memory."""

_NO_ID = (None, "", "null")  # "null" is what Mistral's schema says of a call without an id


class TooManyCallsError(ValueError):
    """An answer has more than `MAX_CALLS` tool calls; the text says so."""


class ToolCall:
    """One call of the answer."""

    __slots__ = ("call_id", "held", "index", "number", "open")

    def __init__(self, number: int, index: int | None) -> None:
        """The `number`-th call of the answer, from 0, with the provider's own index."""
        self.number = number
        self.index = index
        self.call_id = ""
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
        self._by_id: dict[str, ToolCall] = {}
        self._by_index: dict[int, ToolCall] = {}
        """The newest call of each index."""

    @property
    def unnamed(self) -> int:
        """How many calls never got a name, and so were never shown."""
        return sum(1 for call in self._calls if not call.open)

    def place(self, deltas: list[dict[str, Any]]) -> list[Fragment]:
        """The fragments of one chunk's `tool_calls`, each with its call.

        Raises TooManyCallsError where they open more than `MAX_CALLS`.
        """
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
        known = self._by_id.get(call_id)
        if known is not None:
            if not self._is_another(known, index, name):
                return known
            call_id = ""
        call = None if index is None else self._by_index.get(index)
        if call is None or (call_id and call.call_id and name):
            return self._new(index, call_id)
        if not call.call_id:
            self._identify(call, call_id)
        return call

    def _is_another(self, known: ToolCall, index: int | None, name: str) -> bool:
        """Whether a fragment with a call's id belongs to another one all the same."""
        if index is None or known.index is None or index == known.index:
            return False
        return bool(name) or index in self._by_index

    def _new(self, index: int | None, call_id: str) -> ToolCall:
        if len(self._calls) == MAX_CALLS:
            message = f"the answer has more than {MAX_CALLS} tool calls"
            raise TooManyCallsError(message)
        call = ToolCall(len(self._calls), index)
        self._calls.append(call)
        self._identify(call, call_id)
        if index is not None:
            self._by_index[index] = call
        return call

    def _identify(self, call: ToolCall, call_id: str) -> None:
        if call_id:
            call.call_id = call_id
            self._by_id[call_id] = call


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
