"""A page's message, put together from chunks by the rules of the AI SDK's own reader.

It refuses what that refuses: a delta or an end of a part that was not begun, an output of a call
that is not there, anything after the end.
"""

from typing import Any

import orjson

from adapters.events import BlockKind
from service.streams.fold import Fold

_PROSE = {BlockKind.TEXT, BlockKind.REFUSAL}


class Page:
    """One message as it stands."""

    def __init__(self) -> None:
        self.id = ""
        self.parts: list[dict[str, Any]] = []
        self.metadata: dict[str, Any] = {}
        self.finish: str | None = None
        self.ran: list[str] = []
        """Calls that the page was told to run."""
        self._open: dict[tuple[str, str], dict[str, Any]] = {}
        self._over = False

    @property
    def text(self) -> str:
        """All text, in its order."""
        return self._joined("text")

    @property
    def tools(self) -> dict[str, dict[str, Any]]:
        """The calls by their ids."""
        kept = ("name", "state", "input", "output")
        return {
            part["id"]: {name: part[name] for name in kept if name in part}
            for part in self.parts
            if part["type"] == "tool"
        }

    @property
    def steps(self) -> int:
        """How many have begun."""
        return sum(part["type"] == "step-start" for part in self.parts)

    def take(self, chunks: list[dict[str, Any]]) -> None:
        """The next chunks."""
        for chunk in chunks:
            assert not self._over, f"{chunk} after the end"
            self._take(chunk)

    def is_answer_of(self, fold: Fold) -> None:
        """Whether the message says what the stream did."""
        kinds = [block for block in fold.blocks.values() if block.start.kind in _PROSE]
        assert self.text == "".join(block.text for block in kinds)
        assert self._joined("reasoning") == fold.text(BlockKind.REASONING)
        calls = {call["id"]: orjson.loads(call["arguments"]) for call in fold.tool_calls()}
        own = {name: tool["input"] for name, tool in self.tools.items() if name in calls}
        assert own == calls
        assert set(calls) == set(self.ran)
        assert fold.end is not None
        assert self.finish is not None
        assert self.metadata["usage"].get("inputTokens") == fold.end.usage.input
        assert self.metadata["usage"].get("outputTokens") == fold.end.usage.output

    def _joined(self, kind: str) -> str:
        return "".join(part["text"] for part in self.parts if part["type"] == kind)

    def _take(self, chunk: dict[str, Any]) -> None:  # noqa: C901, PLR0912 - one case for each type
        kind = chunk["type"]
        match kind.split("-"):
            case ["start"]:
                self.id = chunk["messageId"]
                self.metadata |= chunk["messageMetadata"]
            case ["start", "step"]:
                self.parts.append({"type": "step-start"})
            case ["finish", "step"]:
                pass
            case ["reset", "step"]:
                while self.parts[-1]["type"] != "step-start":
                    self.parts.pop()
                self._open.clear()
                self.ran.clear()
            case ["finish"]:
                self._over, self.finish = True, chunk["finishReason"]
                self.metadata |= chunk["messageMetadata"]
            case [("text" | "reasoning") as of, "start"]:
                self._begin(of, chunk["id"], text="")
            case [("text" | "reasoning") as of, "delta"]:
                self._open[of, chunk["id"]]["text"] += chunk["delta"]
            case [("text" | "reasoning") as of, "end"]:
                del self._open[of, chunk["id"]]
            case ["tool", "input", "start"]:
                self._begin("tool", chunk["toolCallId"], name=chunk["toolName"], written="")
                self.parts[-1]["state"] = "input-streaming"
            case ["tool", "input", "delta"]:
                call = self._open["tool", chunk["toolCallId"]]
                call["written"] += chunk["inputTextDelta"]
            case ["tool", "input", "available"]:
                self._called(chunk)
            case ["tool", "output", state]:
                part = self._tool(chunk["toolCallId"])
                if "input" not in part:
                    part["input"] = orjson.loads(part["written"])
                part["state"] = f"output-{state}"
                part["output"] = chunk["output"] if state == "available" else chunk["errorText"]
            case _:
                assert kind in {"file", "source-url", "source-document"}, chunk
                self.parts.append(chunk)

    def _begin(self, kind: str, name: str, /, **fields: Any) -> None:  # noqa: ANN401 - the part's own
        self.parts.append({"type": kind, "id": name, **fields})
        self._open[kind, name] = self.parts[-1]

    def _called(self, chunk: dict[str, Any]) -> None:
        name = chunk["toolCallId"]
        if ("tool", name) not in self._open:
            self._begin("tool", name, name=chunk["toolName"])
        self._tool(name).update(state="input-available", input=chunk["input"])
        if not chunk.get("providerExecuted"):
            self.ran.append(name)

    def _tool(self, name: str) -> dict[str, Any]:
        return next(p for p in reversed(self.parts) if (p["type"], p.get("id")) == ("tool", name))
