"""The turns of chats, for whichever transport a page has.

A turn is one answer of a chat. It is begun here, come back to, and over for good when its end is
known to have arrived at a page, or its user stopped it: a page that shows a finished answer is told
nothing twice. What proves that it arrived is the transports' business.

Which stream a chat is at is known in every process that serves it (`service.streams.chats`), and so
is the little that an answer repeats of its request (`service.streams.question`): the message that
it goes on with. What the user wrote is not kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.errors import RequestError
from adapters.events import Status
from adapters.request import ChatRequest
from service import clock
from service.dialects.projection import Asked
from service.dialects.ui_messages import UiMessages, UiProjection
from service.http.borrowed import named_of
from service.relay import Ask, Relay
from service.streams.chats import At
from service.streams.question import Question
from service.streams.stream import Stream


@dataclass(frozen=True, slots=True)
class Turn:
    """What a chat is at."""

    chat: str | None
    """None where the page has not said, and cannot come back."""
    asked: Asked


class Turns:
    """The turns of all chats, for as long as their streams are kept."""

    def __init__(self, relay: Relay) -> None:
        """`relay` opens the streams and finds them."""
        self._relay = relay
        self._chats = relay.store.chats
        self._dialect = UiMessages()

    async def begin(
        self, body: Mapping[str, Any], routing: Mapping[str, str], key: str | None = None
    ) -> tuple[Turn, Stream]:
        """Start what a body asks for, or attach to what its Idempotency-Key started.

        Raises RequestError where it cannot be served.
        """
        asked, chat = self._dialect.read(body, routing), body.get("id")
        ask = Ask(
            request=asked.chat,
            dialect=self._dialect.name,
            cancel_after=asked.chat.cancel_after,
            idempotency_key=key,
            arrived=clock.monotonic(),
            question=Question(dialect=self._dialect.name, model=asked.chat.model, body=asked.body),
        )
        stream, _ = await self._relay.start(ask)
        turn = Turn(chat if isinstance(chat, str) else None, asked)
        if turn.chat is not None:
            self._chats.put(turn.chat, At(stream.id))
        return turn, stream

    async def running(self, chat: str) -> tuple[Turn, Stream] | None:
        """The chat's turn, if there is still something to be told of it."""
        at = await self._chats.find(chat)
        if at is None or at.told:
            return None
        try:
            stream = await self._relay.find(at.stream)
            question = await self._relay.question(stream)
        except RequestError:
            return None
        end = stream.log.end
        stopped = end is not None and end.status is Status.CANCELLED
        if stopped or question is None or not question.whole:
            return None
        # Of the request itself an answer needs the model's name alone.
        request = ChatRequest.model_construct(messages=[], model=question.model)
        return Turn(chat, Asked(chat=request, streams=True, body=question.body)), stream

    def told(self, turn: Turn, stream: Stream) -> None:
        """The turn's end has arrived at a page."""
        if turn.chat is not None:
            self._chats.put(turn.chat, At(stream.id, told=True))

    def projection(self, turn: Turn, stream: Stream, *, again: bool) -> UiProjection:
        """What a reader of the turn is told, who may have had some of it before."""
        make = self._dialect.replay if again else self._dialect.projection
        return make(turn.asked, named_of(stream, turn.asked))
