"""The decoders of Anthropic's and Google's formats: their framing, and ends that nobody announced.

OpenAI's two formats have loops of their own: in each is a shortcut for the chunk that nearly all
chunks are, and a call more there is a call a token.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

from adapters import errors
from adapters.classify import classify
from adapters.contract import Call, Failure
from adapters.dialects.blocks import Blocks
from adapters.events import AttemptEvent, Ending, Error, ErrorCode, Finish
from adapters.sse import Message, SseParser, TooLongError


class FramedDecoder(ABC):
    """One answer's bytes -> events; see `contract.Decoder`.

    A decoder of one format reads a message (`_read`), and ends the answer (`_complete`, `_fail`).
    """

    _SIGNAL: ClassVar[str]
    """What the format calls the word that ends an answer."""

    def __init__(self, call: Call) -> None:
        """Start before the first byte."""
        self.ending: Ending | None = None
        self.finished = False
        self.upstream_id: str | None = None
        self.model: str | None = None
        self._provider = call.provider
        self._attempt = call.attempt
        self._sse = SseParser()
        self._blocks = Blocks(call.attempt)
        self._out: list[AttemptEvent] = []
        """What the running `feed` or `close` will return."""

    def feed(self, data: bytes) -> list[AttemptEvent]:
        """Decode a piece of the body; the events it completes, in order."""
        self._out = []
        if self.ending is not None:
            return self._out
        try:
            messages = self._sse.feed(data)
        except TooLongError as error:
            self._malformed(f"the provider sent {error}")
            return self._out
        for message in messages:
            self._read(message)
            if self.ending is not None:
                break
        return self._out

    def close(self) -> list[AttemptEvent]:
        """The bytes are over: complete after the format's finish signal, else interrupted."""
        self._out = []
        if self.ending is None:
            self._run_out()
        return self._out

    @abstractmethod
    def _read(self, message: Message) -> None:
        """Read one message into `_out`."""

    @abstractmethod
    def _complete(self) -> None:
        """The answer is over, in the provider's words; sets `ending`."""

    @abstractmethod
    def _fail(self, finish: Finish, error: Error) -> None:
        """The answer is over before that; sets `ending`."""

    def _run_out(self) -> None:
        if self.finished:
            self._complete()
        else:
            message = f"the answer stopped without a {self._SIGNAL}"
            self._fail(Finish.INTERRUPTED, self._error(ErrorCode.STREAM_INTERRUPTED, message))

    def _failed(self, body: object) -> None:
        """The provider says that it failed."""
        self._fail(Finish.ERROR, classify(Failure(status=None, body=body), self._provider))

    def _malformed(self, message: str) -> None:
        self._fail(Finish.ERROR, self._error(ErrorCode.UPSTREAM_MALFORMED, message))

    def _error(self, code: ErrorCode, message: str) -> Error:
        return errors.make(code, message, provider=self._provider.name)
