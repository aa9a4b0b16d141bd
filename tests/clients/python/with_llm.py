"""simonw's `llm` as a library, with the models that the user folder (LLM_USER_PATH) names.

ask {model, streams, sync, tools?} has an answer, of a sync or of an async model; leave {model}
stops reading a sync one at its first text, cancel {model} cancels the task of an async one there;
place {model, streams} asks for a structure. Each answers with what it saw.
"""

import asyncio
import gc
from typing import Any

import llm
import openai
import orjson
from remote import Answer, cancelled, serve

PLACE = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


class Seen:
    """What came of a conversation while it went on."""

    def __init__(self, *, streams: bool = True, tools: bool = False) -> None:
        self.answer: Answer = {"text": "", "error": None, "tokens": []}
        self.begun = asyncio.Event()
        self._asked = {"stream": streams, "tools": [weather] if tools else []}

    def converse(self, model: llm.KeyModel) -> None:
        """Ask a sync model, until no tool is called."""
        try:
            for response in model.chain("Say hello.", **self._asked).responses():
                for said in response:
                    self.answer["text"] += said
                self._count(response.usage())
        except openai.APIError as error:
            self.answer["error"] = type(error).__name__

    async def aconverse(self, model: llm.AsyncKeyModel) -> None:
        """The same with an async one."""
        try:
            async for response in model.chain("Say hello.", **self._asked).responses():
                async for said in response:
                    self.answer["text"] += said
                    self.begun.set()
                self._count(await response.usage())
        except openai.APIError as error:
            self.answer["error"] = type(error).__name__

    def _count(self, usage: llm.models.Usage) -> None:
        self.answer["tokens"].append([usage.input, usage.output])


async def ask(model: str, *, streams: bool, sync: bool, tools: bool = False) -> Answer:
    seen = Seen(streams=streams, tools=tools)
    if sync:
        await asyncio.to_thread(seen.converse, llm.get_model(model))
    else:
        await seen.aconverse(llm.get_async_model(model))
    return seen.answer


async def cancel(model: str) -> Answer:
    seen = Seen()
    work = seen.aconverse(llm.get_async_model(model))
    seen.answer["cancelled"] = await cancelled(work, seen.begun)
    return seen.answer


async def leave(model: str) -> Answer:
    def first() -> str:
        said: str = next(iter(llm.get_model(model).prompt("Say hello.")))
        return said

    seen = {"text": await asyncio.to_thread(first)}
    gc.collect()  # it closes nothing itself: a connection goes with the response that is forgotten
    return seen


async def place(model: str, *, streams: bool) -> Answer:
    def found() -> Any:  # noqa: ANN401 - whatever JSON it is
        response = llm.get_model(model).prompt("Where?", schema=PLACE, stream=streams)
        return orjson.loads(response.text())

    return {"output": await asyncio.to_thread(found)}


serve({"ask": ask, "cancel": cancel, "leave": leave, "place": place})
