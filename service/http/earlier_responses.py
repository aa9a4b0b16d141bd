"""Earlier responses: what each was asked, and the turns that a later request goes on from.

A turn is a request and its answer. The answer is in the stream's log, the request is kept beside it
(`service.streams.question`), both for as long as the stream and in whichever process. A dialect
reads without waiting, so what a body names is looked up before it is read.

What is not known any more, cannot be asked for now, or was not to be stored is the same to a
client: `previous_response_not_found`, to which its answer is to send the whole conversation.
"""

import asyncio
from collections.abc import Container, Mapping
from functools import partial
from typing import Any, Final

from aiohttp import web

from adapters.errors import RequestError, make
from adapters.events import ErrorCode, Phase, Status
from adapters.request import MAX_MESSAGES, ChatRequest
from service.dialects.projection import Asked
from service.dialects.reading import refused
from service.dialects.responses import Responses
from service.dialects.responses_request import (
    PREVIOUS,
    Earlier,
    Turn,
    conversation,
    responses_named,
)
from service.dialects.responses_resource import stream_id
from service.http.borrowed import named_of
from service.relay import Relay
from service.streams.question import Question
from service.streams.stream import Stream

CONTINUABLE: Final = frozenset({Status.COMPLETED, Status.INCOMPLETE})

AT_ONCE: Final = 16
"""Responses that one body has looked up at a time: it may name thousands, and one that seems to be
new is asked of Redis fifty times before it is known not to be there."""


class EarlierResponses:
    """Those of every process."""

    def __init__(self, relay: Relay) -> None:
        """`relay` finds the streams."""
        self._relay = relay

    async def asked(self, stream: Stream) -> Asked | None:
        """What a response was asked that anybody may come back to; None where there is none.

        Raises RequestError where other processes cannot be asked for it.
        """
        question = await self._relay.question(stream)
        if question is None or question.dialect != Responses.name or question.private:
            return None
        return _asked(question)

    async def named_in(
        self,
        body: Mapping[str, Any],
        own: Container[str] = (),
        warmed: Mapping[str, Turn] | None = None,
    ) -> Earlier:
        """Look up the turns that a body names, for the dialect to read it with.

        `own`: the responses that a connection may continue although they were not stored; `warmed`:
        its turns that nobody was asked for. Raises RequestError for more than a conversation has.
        """
        known: dict[str, Turn | RequestError] = dict(warmed or {})
        names = responses_named(body) - known.keys()
        if len(names) > MAX_MESSAGES:
            message = f"{len(names)} earlier responses are named; must be at most {MAX_MESSAGES}"
            raise refused("input", message)
        slots = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            asked = {name: group.create_task(self._looked_up(name, own, slots)) for name in names}
        return partial(_told, known | {name: task.result() for name, task in asked.items()})

    async def _looked_up(
        self, response: str, own: Container[str], slots: asyncio.Semaphore
    ) -> Turn | RequestError:
        """A refusal is told when, and if, the body comes to it."""
        try:
            async with slots:
                return await self._turn(response, own)
        except RequestError as refusal:
            return refusal

    async def _turn(self, response: str, own: Container[str]) -> Turn:
        stream, question = await self._kept(response)
        if question.dialect != Responses.name or (question.private and response not in own):
            raise not_found(response)
        if not question.whole:
            raise _previous(f"previous response with id {response[:64]!r} is too long to be kept")
        await self._relay.caught_up(stream)
        end = stream.log.end
        if end is None:
            raise refused(PREVIOUS, "that response is still in progress")
        if end.status not in CONTINUABLE:
            raise _previous(f"previous response with id {response[:64]!r} {end.status}")
        asked = _asked(question)
        document = DIALECT.document(asked, named_of(stream, asked), stream.log.fold(), end)
        return Turn(question.messages, document["output"])

    async def _kept(self, response: str) -> tuple[Stream, Question]:
        try:
            stream = await self._relay.find(stream_id(response))
            question = await self._relay.question(stream)
        except RequestError:
            raise not_found(response) from None
        if question is None:
            raise not_found(response)
        return stream, question


def question_of(asked: Asked) -> Question:
    """What is kept of a request beside its response."""
    return Question(
        dialect=Responses.name,
        model=asked.chat.model,
        body=asked.body,
        messages=conversation(asked),
        private=asked.body.get("store") is False,
    )


def not_found(response: str) -> RequestError:
    """A response that a request goes on from is not there."""
    return _previous(f"previous response with id {response[:64]!r} not found")


def _previous(message: str) -> RequestError:
    return RequestError(
        # OpenAI's status: a 404 would be this address.
        make(
            ErrorCode.NOT_FOUND,
            message,
            http=web.HTTPBadRequest.status_code,
            param=PREVIOUS,
            phase=Phase.BEFORE_STREAM,
        )
    )


def _asked(question: Question) -> Asked:
    """As the dialect has it; of the request itself it needs the model's name alone."""
    chat = ChatRequest.model_construct(messages=[], model=question.model)
    return Asked(chat=chat, streams=True, body=question.body)


def _told(turns: Mapping[str, Turn | RequestError], response: str) -> Turn:
    turn = turns.get(response)
    if isinstance(turn, Turn):
        return turn
    raise not_found(response) if turn is None else turn


DIALECT: Final = Responses(partial(_told, {}))
"""For all but reading, which wants what the body names."""
