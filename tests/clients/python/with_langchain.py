"""LangChain's ChatOpenAI, over chat completions and over the Responses API.

ask {api, url, model} streams an answer, whole {...} awaits one, cancel {...} cancels its task at
the first text; each answers with what it saw. `tools` binds a tool, whose results are answered in a
second step; place {api, url, model, method, streams} asks for a structure.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel
from remote import Answer, cancelled, serve

FAILURES = (openai.APIError, ValueError)
"""What it raises: the SDK's errors, and a ValueError for a response that failed."""


class Place(BaseModel):
    """Somewhere."""

    city: str


@tool
async def weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


@asynccontextmanager
async def modelled(api: str, url: str, model: str) -> AsyncIterator[ChatOpenAI]:
    """A model over a client that leaves no connection behind."""
    async with openai.DefaultAsyncHttpxClient() as client:
        yield ChatOpenAI(
            model=model,
            base_url=f"{url}/v1",
            api_key="test-key-client",
            use_responses_api=api == "responses",
            # Off by itself where a base_url is given.
            stream_usage=True,
            max_retries=0,
            http_async_client=client,
        )


class Seen:
    """What came of a conversation while it went on."""

    def __init__(self) -> None:
        self.answer: Answer = {"text": "", "error": None, "calls": [], "tokens": 0}
        self.begun = asyncio.Event()
        self._said: list[Any] = [HumanMessage("Say hello.")]

    async def converse(
        self, model: Runnable[LanguageModelInput, AIMessage], *, streams: bool
    ) -> None:
        """Ask, and answer the calls of tools, until there are none or it fails."""
        try:
            while await self._step(model, streams=streams):
                pass
        except FAILURES as error:
            self.answer["error"] = type(error).__name__

    async def _step(self, model: Runnable[LanguageModelInput, AIMessage], *, streams: bool) -> bool:
        """One answer; whether it calls for another."""
        message = await (self._streamed(model) if streams else model.ainvoke(self._said))
        self._said += [message, *[await weather.ainvoke(call) for call in message.tool_calls]]
        self.answer["calls"] += [[call["name"], call["args"]] for call in message.tool_calls]
        self.answer["output"] = message.text
        self.answer["tokens"] += (message.usage_metadata or {}).get("total_tokens", 0)
        metadata = message.response_metadata
        self.answer["finish"] = metadata.get("finish_reason") or metadata.get("status")
        return bool(message.tool_calls)

    async def _streamed(self, model: Runnable[LanguageModelInput, AIMessage]) -> AIMessageChunk:
        whole: AIMessageChunk | None = None
        async for chunk in model.astream(self._said):
            self.answer["text"] += chunk.text
            if self.answer["text"]:
                self.begun.set()
            whole = chunk if whole is None else whole + chunk
        assert whole is not None
        return whole


async def ask(api: str, url: str, model: str, *, tools: bool = False) -> Answer:
    return await _answered(api, url, model, tools=tools, streams=True)


async def whole(api: str, url: str, model: str, *, tools: bool = False) -> Answer:
    return await _answered(api, url, model, tools=tools, streams=False)


async def _answered(api: str, url: str, model: str, *, tools: bool, streams: bool) -> Answer:
    seen = Seen()
    async with modelled(api, url, model) as asked:
        await seen.converse(asked.bind_tools([weather]) if tools else asked, streams=streams)
    return seen.answer


async def place(api: str, url: str, model: str, *, method: str, streams: bool) -> Answer:
    async with modelled(api, url, model) as asked:
        structured = asked.with_structured_output(Place, method=method)
        if streams:
            *_, found = [made async for made in structured.astream("Where?")]
        else:
            found = await structured.ainvoke("Where?")
    return {"output": found.model_dump()}


async def cancel(api: str, url: str, model: str) -> Answer:
    seen = Seen()
    async with modelled(api, url, model) as asked:
        work = seen.converse(asked, streams=True)
        seen.answer["cancelled"] = await cancelled(work, seen.begun)
    return seen.answer


serve({"ask": ask, "whole": whole, "place": place, "cancel": cancel})
