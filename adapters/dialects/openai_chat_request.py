"""A call -> the body of a chat-completions request.

Every request streams. What the provider or the model cannot take is left out with a warning
`parameter_dropped`; what it takes in another form is sent so, with `parameter_changed` where the
meaning suffers. Only what would make a different request of it is refused: an image or a tool for
a model that takes none. The caller's `metadata` is a note on the stream and stays here: chat
completions takes it only with stored answers.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from adapters.contract import Call, Encoded
from adapters.dialects import openai_chat_messages, prefill
from adapters.dialects.concessions import (
    Concessions,
    effort,
    least_effort,
    max_tokens,
    tools,
)
from adapters.dialects.openai_chat_quirks import ChatQuirks
from adapters.request import (
    Effort,
    JsonSchemaFormat,
    NamedToolChoice,
    ReasoningOptions,
    Tool,
)

PATH = "/chat/completions"

_NO_PARAMETERS = {"type": "object", "properties": {}}
_NO_REASONING = ReasoningOptions(effort="none")


def encode(call: Call, quirks: ChatQuirks) -> Encoded:
    """Write the request.

    Raises RequestError (`unsupported_parameter`) for images or tools that the model cannot take.
    """
    return _Request(call, quirks).encoded()


class _Request:
    """One body as it is written, and the warnings on the way."""

    def __init__(self, call: Call, quirks: ChatQuirks) -> None:
        self._call = call
        self._model = call.model
        self._asked = call.request
        self._quirks = quirks
        self._notes = Concessions()
        self._body: dict[str, Any] = {}
        self._prefills = prefill.is_prefill(call)
        self._reasoning_asked = self._reasoning_wish()

    def encoded(self) -> Encoded:
        self._put(self._quirks.extra)
        self._put(self._quirks.extra_of_model.get(self._model.id, {}))
        self._body["model"] = self._model.id
        self._body["messages"] = openai_chat_messages.write(self._call, self._quirks, self._notes)
        self._last_message()
        self._body["stream"] = True
        self._stream_options()
        self._limits()
        self._sampling()
        self._tools()
        self._response_format()
        self._reasoning()
        if "tools" in self._body or "response_format" in self._body:
            self._put(self._quirks.extra_with_tools)
        path = self._quirks.prefill_path + PATH if self._prefills else PATH
        return Encoded(path=path, body=self._body, warnings=self._notes.warnings)

    # --- Writing ---

    def _put(self, fields: Mapping[str, Any]) -> None:
        """Add body fields; an object meets one of the same name by being merged into it."""
        for name, value in fields.items():
            before = self._body.get(name)
            if isinstance(before, dict) and isinstance(value, Mapping):
                self._body[name] = {**before, **value}
            else:
                self._body[name] = value

    def _takes(self, field: str) -> bool:
        """Whether the provider takes a field that was asked for."""
        if field not in self._quirks.unsupported:
            return True
        self._notes.dropped(field, "the provider does not take it")
        return False

    # --- A conversation that ends with the assistant ---

    def _last_message(self) -> None:
        messages = self._body["messages"]
        if self._prefills and self._quirks.prefill != "plain":
            messages[-1][self._quirks.prefill] = True
        elif self._quirks.assistant_last:
            prefill.note_ignored(self._call, self._notes)
        elif prefill.needs_turn(self._call, self._notes):
            messages.append({"role": "user", "content": prefill.GO_ON})

    def _reasoning_wish(self) -> ReasoningOptions | None:
        """The request's, but not to think where that excludes going on with a beginning."""
        asked = self._asked.reasoning
        thinks = self._model.reasoning == "optional"
        if not (self._prefills and thinks) or self._quirks.prefill_while_reasoning:
            return asked
        if asked is not None and asked.effort != "none":
            self._notes.dropped("reasoning", "the model goes on with a message without thinking")
        return _NO_REASONING

    # --- Plain parameters ---

    def _stream_options(self) -> None:
        options: dict[str, bool] = {}
        if self._quirks.stream_usage:
            options["include_usage"] = True
        if self._quirks.obfuscation_off:
            options["include_obfuscation"] = False
        if options:
            self._put({"stream_options": options})

    def _limits(self) -> None:
        limit = max_tokens(self._asked, self._model, self._notes)
        if limit is not None:
            self._body[self._quirks.max_tokens_field] = limit
        if self._asked.stop and self._takes("stop"):
            self._stop(self._asked.stop)
        if self._asked.seed is not None and self._takes("seed"):
            self._body[self._quirks.seed_field] = self._asked.seed
        if self._asked.user is not None and self._takes("user"):
            self._body["user"] = self._asked.user

    def _stop(self, sequences: list[str]) -> None:
        limit = self._quirks.stop_limit
        if not self._model.stop:
            self._notes.dropped("stop", "the model does not take it")
            return
        if limit is not None and len(sequences) > limit:
            self._notes.changed(
                "stop", f"the provider takes {limit} sequences, the rest was left out"
            )
        self._body["stop"] = sequences[:limit]

    def _sampling(self) -> None:
        for field in ("temperature", "top_p"):
            value = getattr(self._asked, field)
            if value is None or not self._takes(field):
                continue
            if not self._samples():
                self._notes.dropped(field, "the model does not take it")
            elif field == "temperature":
                self._temperature(value)
            else:
                self._body[field] = value

    def _samples(self) -> bool:
        if self._model.sampling or not self._quirks.sampling_unless_reasoning:
            return self._model.sampling
        return self._model.reasoning == "optional" and self._effort_asked() == "none"

    def _temperature(self, asked: float) -> None:
        only = self._model.temperature
        if only is not None and asked != only:
            self._notes.dropped("temperature", f"the model takes {only:g} only")
            return
        low, high = self._quirks.temperature_range
        sent = min(max(asked, low), high)
        if sent != asked:
            self._notes.changed("temperature", f"the provider takes {low:g} to {high:g}")
        self._body["temperature"] = sent

    # --- Tools and formats ---

    def _tools(self) -> None:
        choice = self._asked.tool_choice
        mode = "function" if isinstance(choice, NamedToolChoice) else choice
        asked = tools(self._call, self._notes)
        if not asked or (mode == "none" and "none" not in self._quirks.tool_choices):
            return
        self._body["tools"] = [self._tool(tool) for tool in asked]
        if mode is not None and self._may_choose(mode):
            self._body["tool_choice"] = self._choice(choice)
        parallel = self._asked.parallel_tool_calls
        if parallel is not None and self._takes("parallel_tool_calls"):
            self._body["parallel_tool_calls"] = parallel

    def _tool(self, tool: Tool) -> dict[str, Any]:
        spec = tool.function
        function: dict[str, Any] = {"name": spec.name}
        if spec.description is not None:
            function["description"] = spec.description
        # Optional for OpenAI, demanded by others (Mistral).
        function["parameters"] = _NO_PARAMETERS if spec.parameters is None else spec.parameters
        if spec.strict is not None:
            if self._quirks.tool_strict:
                function["strict"] = spec.strict
            else:
                self._notes.dropped("tools[].function.strict", "the provider does not take it")
        return {"type": "function", "function": function}

    def _may_choose(self, mode: Literal["none", "auto", "required", "function"]) -> bool:
        """Whether a tool choice can be said; without one, providers take `auto`."""
        if mode not in self._quirks.tool_choices:
            if mode != "auto":
                self._notes.changed("tool_choice", "the provider takes auto only")
            return False
        forced = mode in ("required", "function")
        if forced and not self._quirks.forced_tools_while_reasoning and self._reasons():
            self._notes.changed(
                "tool_choice", "the provider takes auto only while the model reasons"
            )
            return False
        return True

    def _choice(self, choice: NamedToolChoice | str | None) -> str | dict[str, Any] | None:
        if isinstance(choice, NamedToolChoice):
            return {"type": "function", "function": {"name": choice.function.name}}
        return self._quirks.required_word if choice == "required" else choice

    def _response_format(self) -> None:
        asked = self._asked.response_format
        if asked is None or asked.type == "text":
            return
        if asked.type in self._quirks.response_formats:
            self._body["response_format"] = asked.model_dump(exclude_none=True, by_alias=True)
            return
        if not isinstance(asked, JsonSchemaFormat):
            self._notes.dropped("response_format", "the provider does not take it")
            return
        # A schema that cannot be enforced is still worth saying; and the providers that take
        # json_object only (DeepSeek) demand that the prompt speak of JSON.
        self._notes.changed(
            "response_format", "the provider cannot enforce a schema, it was told of it"
        )
        self._instruct(
            "Answer with one JSON object, and nothing else, that is valid against this JSON "
            f"Schema: {msgspec.json.encode(asked.json_schema.body).decode()}"
        )
        if "json_object" in self._quirks.response_formats:
            self._body["response_format"] = {"type": "json_object"}

    def _instruct(self, text: str) -> None:
        """Add an instruction after those the caller opens with."""
        messages = self._body["messages"]
        opening = 0
        while opening < len(messages) and messages[opening]["role"] in ("system", "developer"):
            opening += 1
        role = self._quirks.instruction_role or "system"
        messages.insert(opening, {"role": role, "content": text})

    # --- Reasoning ---

    def _effort_asked(self) -> Effort | None:
        return self._reasoning_asked.effort if self._reasoning_asked else None

    def _reasons(self) -> bool:
        """Whether the model may reason; where it is optional, it is on unless turned off."""
        if self._model.reasoning == "optional":
            return self._effort_asked() != "none"
        return self._model.reasoning == "always"

    def _reasoning(self) -> None:
        asked = self._reasoning_asked
        if asked is None or (asked.effort is None and asked.max_tokens is None):
            return
        if self._model.reasoning == "none":
            if asked.effort != "none":
                self._notes.dropped("reasoning", "the model does not reason")
            return
        if self._model.reasoning == "optional":
            # A model that always reasons answers 400 to being told not to, some to being told to.
            self._switch(on=asked.effort != "none")
        if asked.effort is not None:
            self._effort(asked.effort)
        if asked.max_tokens is not None:
            self._budget(asked.max_tokens)

    def _switch(self, *, on: bool) -> None:
        if self._quirks.thinking_switch == "thinking":
            self._put({"thinking": {"type": "enabled" if on else "disabled"}})
        elif self._quirks.thinking_switch == "enable_thinking":
            self._body["enable_thinking"] = on

    def _effort(self, asked: Effort) -> None:
        switch, field = self._quirks.thinking_switch, self._quirks.effort_field
        if asked == "none" and switch is not None and self._model.reasoning == "optional":
            return
        taken = self._efforts()
        if field is None or not any(one != "none" for one in taken):
            if switch is None or self._model.reasoning == "always":
                self._notes.dropped("reasoning.effort", "the model does not take it")
            else:
                self._notes.changed("reasoning.effort", "the model knows on and off only")
            return
        sent = self._nearest(asked, taken)
        if sent is not None:
            self._put({field: {"effort": sent}} if field == "reasoning" else {field: sent})

    def _efforts(self) -> tuple[str, ...]:
        """What the model takes and this format can say."""
        if self._model.efforts is None:
            return self._quirks.efforts
        return tuple(one for one in self._model.efforts if one in self._quirks.efforts)

    def _nearest(self, asked: Effort, taken: tuple[str, ...]) -> str | None:
        if asked in taken:
            return asked
        levels = [one for one in taken if one != "none"]
        if asked != "none":
            return effort(asked, levels, self._notes)
        if self._model.reasoning == "always":
            return least_effort(levels, self._notes)
        self._notes.dropped("reasoning.effort", "the model cannot be told not to reason")
        return None

    def _budget(self, tokens: int) -> None:
        field = self._quirks.budget_field
        if field is None:
            self._notes.dropped("reasoning.max_tokens", "the provider does not take it")
        elif field == "reasoning":
            # One of the two, says OpenRouter; the figure is the more exact wish.
            before = self._body.get(field, {})
            if "effort" in before:
                self._notes.dropped("reasoning.effort", "reasoning.max_tokens is given as well")
            kept = {name: value for name, value in before.items() if name != "effort"}
            self._body[field] = {**kept, "max_tokens": tokens}
        else:
            self._body[field] = tokens
