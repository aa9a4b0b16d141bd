"""The account of a Responses answer's items: what was passed on of each, and what is still to be.

An item becomes its blocks: a message one for each part of text or refusal, a reasoning item one for
its summary or its text (the parts of a summary are set apart by an empty line), a function call
one, a tool that the provider runs one `server_tool`.

The same text comes up to four times: as deltas, in the `done` events of its part and of its item,
and in the last event. The deltas are what is passed on; of the later copies only what the deltas
had left out, so nothing is lost where a server sends fewer deltas, or none, and nothing is said
twice. Texts are named by the item's index, the field they are in and their index in that field:
`content`, `refusal`, `summary`, `reasoning` (a reasoning item's content) or `arguments`.
"""

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from adapters.contract import Call
from adapters.dialects import openai_responses_wire as wire
from adapters.dialects.blocks import Blocks, OpenBlock
from adapters.dialects.openai_responses_quirks import ResponsesQuirks
from adapters.dialects.openai_responses_request import ENCRYPTED, THOUGHT
from adapters.events import (
    AttemptEvent,
    BlockKind,
    Citation,
    CitationAdd,
    Meta,
    ReasoningSignature,
    ServerToolUpdate,
)

Field = Literal["content", "refusal", "summary", "reasoning", "arguments"]

_KINDS: Final[dict[Field, tuple[BlockKind, Literal["raw", "summary"] | None]]] = {
    "content": (BlockKind.TEXT, None),
    "refusal": (BlockKind.REFUSAL, None),
    "summary": (BlockKind.REASONING, "summary"),
    "reasoning": (BlockKind.REASONING, "raw"),
    "arguments": (BlockKind.TOOL_CALL, None),
}


@dataclass(slots=True)
class _Text:
    """One text of an item, as it grows."""

    block: OpenBlock | None = None
    """None until something is said."""
    sent: list[str] = field(default_factory=list)
    cited: int = 0
    """Annotations that were passed on."""

    def missing(self, whole: str | None) -> str:
        """What the deltas left out of the whole text; nothing where the two contradict."""
        sent = "".join(self.sent)
        return whole[len(sent) :] if whole is not None and whole.startswith(sent) else ""


@dataclass(slots=True)
class _Output:
    """An output item, as far as it has come."""

    index: int
    item: wire.Item = field(default_factory=wire.Item)
    texts: dict[tuple[Field, int], _Text] = field(default_factory=dict)
    tool: str | None = None
    """Name of the tool, where this is one that the provider runs."""
    done: bool = False

    def key(self, of: str, number: int = 0) -> tuple[int, str, int]:
        """A block's name: all parts of a reasoning item's summary, or of its text, are one.

        `item` names the block of an item without a text: a tool's run, reasoning that is secret.
        """
        return self.index, of, 0 if of in ("summary", "reasoning") else number


class Items:
    """The items of one answer."""

    def __init__(self, call: Call, quirks: ResponsesQuirks) -> None:
        """An account without items."""
        self._provider = call.provider.name
        self._attempt = call.attempt
        self._offered = {tool.function.name for tool in call.request.tools or ()}
        self._quirks = quirks
        self._blocks = Blocks(call.attempt)
        self._outputs: dict[int, _Output] = {}
        self._cited = 0
        self._sources: set[tuple[object, object]] = set()
        """(id, address) of the search results that were passed on."""
        self.kinds: set[BlockKind] = set()
        """Kinds of the blocks that were opened."""

    # --- Texts ---

    def grow(
        self, out: list[AttemptEvent], index: int, of: Field, number: int, delta: str | None
    ) -> None:
        """Pass a delta on. Nothing can be added to an item that is done."""
        output = self._output(index)
        if not delta or output.done:
            return
        text = self._text(out, output, of, number)
        if text.block is not None:
            text.sent.append(delta)
            self._blocks.delta(out, text.block, delta)

    def complete(
        self, out: list[AttemptEvent], index: int, of: Field, number: int, whole: str | None
    ) -> None:
        """Pass on what the deltas left out of a text."""
        text = self._output(index).texts.get((of, number))
        self.grow(out, index, of, number, whole if text is None else text.missing(whole))

    def annotate(
        self, out: list[AttemptEvent], index: int, number: int, annotation: dict[str, Any]
    ) -> None:
        """Pass on a source of a part of a message."""
        text = self._output(index).texts.setdefault(("content", number), _Text())
        text.cited += 1
        self._cited += 1
        citation = _citation(f"c{self._attempt}.{self._cited}", annotation)
        block = text.block.id if text.block is not None else None
        out.append(CitationAdd(block=block, citation=citation))

    def _output(self, index: int) -> _Output:
        output = self._outputs.get(index)
        if output is None:
            output = self._outputs[index] = _Output(index)
        return output

    def _text(self, out: list[AttemptEvent], output: _Output, of: Field, number: int) -> _Text:
        """The text at a place, its block open if it can be: a call without a name waits."""
        text = output.texts.get((of, number))
        if text is None:
            text = output.texts[of, number] = _Text()
        if text.block is None:
            text.block = (
                self._open_call(out, output)
                if of == "arguments"
                else self._open(out, output, of, number)
            )
        return text

    def _open(self, out: list[AttemptEvent], output: _Output, of: Field, number: int) -> OpenBlock:
        key = output.key(of, number)
        running = self._blocks.get(key)
        if running is not None:
            self._blocks.delta(out, running, "\n\n")
            return running
        kind, form = _KINDS[of]
        self.kinds.add(kind)
        block = self._blocks.start(out, key, kind, form=form)
        if output.item.phase is not None:
            out.append(Meta(key="phase", value={"block": block.id, "phase": output.item.phase}))
        return block

    def _open_call(self, out: list[AttemptEvent], output: _Output) -> OpenBlock | None:
        item = output.item
        if not item.name or output.tool is not None:
            return None
        self.kinds.add(BlockKind.TOOL_CALL)
        return self._blocks.start(
            out,
            output.key("arguments"),
            BlockKind.TOOL_CALL,
            call_id=item.call_id or item.id or f"call_{self._attempt}_{output.index}",
            name=item.name,
        )

    # --- Items ---

    def add(self, out: list[AttemptEvent], index: int, item: wire.Item) -> None:
        """An item begins. Whether it holds its texts already differs: they are read at its end."""
        output = self._output(index)
        if output.item.type and output.item.id != item.id:
            # Its place is taken again: what was there is over.
            self.settle(out, index, output.item)
            output = self._outputs[index] = _Output(index)
        output.item = item
        if self._is_own_tool(item):
            if output.tool is None and not output.done:
                self._run_tool(out, output, item)
        elif item.type == "function_call" and not output.done:
            self._text(out, output, "arguments", 0)

    def settle(
        self, out: list[AttemptEvent], index: int, item: wire.Item, *, complete: bool = True
    ) -> None:
        """An item is done: pass on what it has beyond its deltas, and end its blocks.

        `complete` is false where the answer broke off, whatever the item says of itself.
        """
        output = self._output(index)
        if output.done:
            return
        if output.tool is not None or self._is_own_tool(item):
            self._settle_tool(out, output, item)
        else:
            output.item = item
            if item.type == "message":
                self._settle_message(out, output)
            elif item.type == "reasoning":
                self._settle_reasoning(out, output)
            elif item.type == "function_call":
                self._settle_call(out, output)
        output.done = True
        complete = complete and item.status not in ("incomplete", "failed")
        for key in [output.key("item"), *(output.key(*place) for place in output.texts)]:
            self._blocks.end(out, key, complete=complete)

    def settle_rest(
        self, out: list[AttemptEvent], listed: list[wire.Item], *, complete: bool
    ) -> None:
        """Settle the items whose `done` never came, from the last event's list of all.

        They are found by id: positions count only what was kept (openai-phase.1.json has items 0
        and 2, and a list of two). Where no item was announced at all, the list is the answer.
        """
        if not self._outputs:
            for index, item in enumerate(listed):
                self.settle(out, index, item, complete=complete)
        found: dict[str | None, wire.Item] = {item.id: item for item in listed if item.id}
        for output in self._outputs.values():
            item = found.get(output.item.id, output.item)
            self.settle(out, output.index, item, complete=complete)

    def cut(self, out: list[AttemptEvent]) -> None:
        """The answer broke off: end what is open, incomplete."""
        self._blocks.end_all(out, complete=False)

    def _settle_message(self, out: list[AttemptEvent], output: _Output) -> None:
        for number, content in enumerate(wire.parts_of(output.item.content)):
            self.complete(out, output.index, "refusal", number, content.refusal)
            self.complete(out, output.index, "content", number, content.text)
            text = output.texts.get(("content", number), _Text())
            for annotation in (content.annotations or ())[text.cited :]:
                self.annotate(out, output.index, number, annotation)

    def _settle_reasoning(self, out: list[AttemptEvent], output: _Output) -> None:
        for number, content in enumerate(wire.parts_of(output.item.summary)):
            self.complete(out, output.index, "summary", number, content.text)
        for number, content in enumerate(wire.parts_of(output.item.content)):
            self.complete(out, output.index, "reasoning", number, content.text)
        value = output.item.encrypted_content
        if not value:
            return
        places = (output.key("summary"), output.key("reasoning"))
        block = next(filter(None, map(self._blocks.get, places)), None)
        if block is None:
            kind, key = BlockKind.REASONING, output.key("item")
            block = self._blocks.start(out, key, kind, form="redacted")
        self._sign(out, block, ENCRYPTED, value, output.item.id)

    def _settle_call(self, out: list[AttemptEvent], output: _Output) -> None:
        block = self._text(out, output, "arguments", 0).block
        self.complete(out, output.index, "arguments", 0, output.item.arguments)
        if block is not None and output.item.thought_signature:
            self._sign(out, block, THOUGHT, output.item.thought_signature)

    def _sign(
        self,
        out: list[AttemptEvent],
        block: OpenBlock,
        form: str,
        value: str,
        item: str | None = None,
    ) -> None:
        out.append(
            ReasoningSignature(
                block=block.id, provider=self._provider, format=form, value=value, id=item
            )
        )

    # --- Tools that the provider runs ---

    def cite(self, out: list[AttemptEvent], results: object) -> None:
        """Name search results as sources, each once; the `[n]` in the text are their ids."""
        for result in results if isinstance(results, list) else ():
            if not isinstance(result, dict):
                continue
            known = (str(result.get("id")), str(result.get("url")))
            if known not in self._sources:
                self._sources.add(known)
                out.append(CitationAdd(citation=_search_result(result)))

    def _is_own_tool(self, item: wire.Item) -> bool:
        if item.type == "function_call":
            return self._quirks.runs_own_tools and item.name not in self._offered
        return item.type.endswith(("_call", "_results"))

    def _run_tool(self, out: list[AttemptEvent], output: _Output, item: wire.Item) -> OpenBlock:
        """Announce a tool's run, under the name of its function or of its type."""
        output.tool = item.name or item.type.removesuffix("_call")
        block = self._blocks.start(out, output.key("item"), BlockKind.SERVER_TOOL, name=output.tool)
        given = wire.tool_input(item)
        out.append(
            ServerToolUpdate(block=block.id, status="running", name=output.tool, input=given)
        )
        return block

    def _settle_tool(self, out: list[AttemptEvent], output: _Output, item: wire.Item) -> None:
        block = self._blocks.get(output.key("item")) or self._run_tool(out, output, item)
        if item.type == "search_results":
            self.cite(out, item.results)
        out.append(
            ServerToolUpdate(
                block=block.id,
                status="failed" if item.status == "failed" else "done",
                name=output.tool or "",
                input=wire.tool_input(item),
                result=wire.tool_result(item),
            )
        )


# --- Citations ------------------------------------------------------------------------------


def _citation(number: str, annotation: dict[str, Any]) -> Citation:
    """An annotation as a citation; one that is no web page's is passed on raw as well."""
    is_page = annotation.get("type") == "url_citation"
    return Citation(
        id=number,
        kind="url" if is_page else "document",
        url=_string(annotation.get("url")),
        title=_string(annotation.get("title")) or _string(annotation.get("filename")),
        start=_integer(annotation.get("start_index")),
        end=_integer(annotation.get("end_index")),
        raw=None if is_page else annotation,
    )


def _search_result(result: dict[str, Any]) -> Citation:
    return Citation(
        id=str(result.get("id", "")),
        kind="search_result",
        url=_string(result.get("url")),
        title=_string(result.get("title")),
        quote=_string(result.get("snippet")),
    )


def _string(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
