"""pydantic-ai's agent, through its models for three of the dialects.

ask {api, url, model} streams a run, whole {...} awaits one, cancel {...} cancels a run's task at
its first text; each answers with what it saw. `tools` lets the agent call a tool, `place` names the
way in which it is to answer with a structure: tool or native.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import (
    Agent,
    AgentRunError,
    AgentRunResult,
    AgentRunResultEvent,
    NativeOutput,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ToolOutput,
)
from pydantic_ai.messages import ModelResponse, ThinkingPart, ToolCallPart
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel, AnthropicModelSettings
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider
from remote import Answer, cancelled, serve

KEY = "test-key-client"


class Place(BaseModel):
    """Somewhere."""

    city: str


PLACES = {"tool": ToolOutput, "native": NativeOutput}


async def weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


@asynccontextmanager
async def modelled(api: str, url: str, model: str) -> AsyncIterator[Model]:
    """A model over a client that leaves no connection behind."""
    if api == "messages":
        async with AsyncAnthropic(base_url=url, api_key=KEY, max_retries=0) as client:
            # A client of the Messages API is shown no thoughts that it did not ask for.
            thinking = {"type": "enabled", "budget_tokens": 1024}
            settings = AnthropicModelSettings(anthropic_thinking=thinking, max_tokens=4096)
            provider = AnthropicProvider(anthropic_client=client)
            yield AnthropicModel(model, provider=provider, settings=settings)
        return
    kind = {"chat": OpenAIChatModel, "responses": OpenAIResponsesModel}[api]
    # Thoughts go back as they were signed; without this they go back as text between <think> tags.
    profile = OpenAIModelProfile(openai_supports_encrypted_reasoning_content=True)
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as client:
        provider = OpenAICompatibleProvider("tailrace", openai_client=client, profile=profile)
        yield kind(model, provider=provider)


def agent_of(model: Model, *, tools: bool = False, place: str | None = None) -> Agent[None, Any]:
    output = str if place is None else PLACES[place](Place)
    return Agent(model, output_type=output, tools=[weather] if tools else [])


class Seen:
    """What a run told while it ran, and what came of it."""

    def __init__(self) -> None:
        self.answer: Answer = {"text": "", "error": None}
        self.begun = asyncio.Event()

    async def stream(self, agent: Agent[None, Any]) -> None:
        """Follow a run to its end or its failure."""
        try:
            async with agent.run_stream_events("Say hello.") as events:
                async for event in events:
                    self._note(event)
        except AgentRunError as error:
            self.answer["error"] = type(error).__name__

    def result(self, result: AgentRunResult[Any]) -> None:
        """What a run that ended well ended with."""
        parts = [
            part
            for message in result.all_messages()
            if isinstance(message, ModelResponse)
            for part in message.parts
        ]
        output = result.output
        self.answer |= {
            "output": output.model_dump() if isinstance(output, Place) else output,
            "thinking": [part.content for part in parts if isinstance(part, ThinkingPart)],
            "calls": [
                [part.tool_name, part.args_as_dict()]
                for part in parts
                if isinstance(part, ToolCallPart)
            ],
            "finish": result.response.finish_reason,
            "tokens": result.usage.total_tokens,
        }

    def _note(self, event: object) -> None:
        match event:
            case PartStartEvent(part=TextPart(content=said)):
                self._say(said)
            case PartDeltaEvent(delta=TextPartDelta(content_delta=said)):
                self._say(said)
            case AgentRunResultEvent(result=result):
                self.result(result)

    def _say(self, said: str) -> None:
        self.answer["text"] += said
        if said:
            self.begun.set()


async def ask(
    api: str, url: str, model: str, *, tools: bool = False, place: str | None = None
) -> Answer:
    seen = Seen()
    async with modelled(api, url, model) as asked:
        await seen.stream(agent_of(asked, tools=tools, place=place))
    return seen.answer


async def whole(
    api: str, url: str, model: str, *, tools: bool = False, place: str | None = None
) -> Answer:
    seen = Seen()
    async with modelled(api, url, model) as asked:
        agent = agent_of(asked, tools=tools, place=place)
        try:
            seen.result(await agent.run("Say hello."))
        except AgentRunError as error:
            seen.answer["error"] = type(error).__name__
    return seen.answer


async def cancel(api: str, url: str, model: str) -> Answer:
    seen = Seen()
    async with modelled(api, url, model) as asked:
        seen.answer["cancelled"] = await cancelled(seen.stream(agent_of(asked)), seen.begun)
    return seen.answer


serve({"ask": ask, "whole": whole, "cancel": cancel})
