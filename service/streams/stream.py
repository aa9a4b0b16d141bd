"""A generation and everybody who follows it.

The stream, not a connection, owns the generation: a reader that leaves only ends it where the
request's `on_disconnect` says so, and then after the grace it names. Cancelling is explicit and
immediate: the last event is in the log before the upstream connection is closed.
"""

import asyncio
from collections.abc import Callable

from adapters.errors import make
from adapters.events import Error, ErrorCode
from adapters.request import ChatRequest
from service.latch import Latch
from service.streams.log import Reader, StreamLog
from service.streams.question import Question


class Stream:
    """One answer in the making, or made."""

    __slots__ = (
        "_attached",
        "_grace",
        "_opened",
        "_over",
        "_stopper",
        "cancel_after",
        "content_started",
        "id",
        "log",
        "question",
        "request",
    )

    def __init__(
        self,
        log: StreamLog,
        request: ChatRequest,
        *,
        cancel_after: float | None,
        question: Question | None = None,
    ) -> None:
        """`cancel_after`: seconds without a reader after which it is cancelled; None: never.

        `question`: what is kept of its request beside the answer, for dialects that need it.
        """
        self.id = log.stream
        self.log = log
        self.request = request
        self.question = question
        self.cancel_after = cancel_after
        self.content_started = False
        """Whether an attempt has committed: content may leave, a failure is in-stream."""
        self._stopper: Callable[[Error], None] | None = None
        self._attached: list[object] = []
        self._grace: asyncio.TimerHandle | None = None
        self._opened = Latch()
        self._over = Latch()

    # --- The generation's side ---

    def on_stop(self, stopper: Callable[[Error], None]) -> None:
        """Set what stops the generation; it gets the reason and writes the ending itself."""
        self._stopper = stopper

    def mark_committed(self) -> None:
        """Content begins with the next append."""
        self.content_started = True
        self._opened.open()

    def mark_ended(self) -> None:
        """The last event is in the log."""
        self._opened.open()
        self._over.open()
        self._stop_grace()
        self._stopper = None  # what made the answer is not kept as long as the answer

    # --- The readers' side ---

    async def opened(self) -> None:
        """Wait for the first content or the end, whichever comes first."""
        await self._opened.passed()

    async def over(self) -> None:
        """Wait for the end."""
        await self._over.passed()

    @property
    def ended(self) -> bool:
        """Whether `stream.end` is in the log."""
        return self.log.end is not None

    @property
    def failed_before_content(self) -> Error | None:
        """The error of a stream that ended without any content; None: it has some, or may yet."""
        end = self.log.end
        return None if end is None or self.content_started else end.error

    @property
    def attached(self) -> bool:
        """Whether anybody follows, or waits for the answer."""
        return bool(self._attached)

    def attach(self, holder: object) -> None:
        """Somebody follows, or waits for the answer."""
        self._attached.append(holder)
        self._stop_grace()

    def detach(self, holder: object) -> None:
        """They have left; the last one starts the grace that `on_disconnect` names."""
        if holder in self._attached:
            self._attached.remove(holder)
        if self._attached or self.ended or self.cancel_after is None:
            return
        if self.cancel_after == 0:
            self.cancel("client left")
            return
        self._stop_grace()
        loop = asyncio.get_running_loop()
        self._grace = loop.call_later(self.cancel_after, self.cancel, "client left")

    def cancel(self, reason: str) -> None:
        """End the generation now, as cancelled; one that has ended is no fault."""
        self.stop(make(ErrorCode.CANCELLED, reason))

    def stop(self, error: Error) -> None:
        """End the generation now, for the reason that `error` gives."""
        if not self.ended and self._stopper is not None:
            self._stopper(error)

    def follow(self, reader: Reader) -> None:
        """Attach and be called on every append."""
        self.attach(reader)
        self.log.subscribe(reader)

    def leave(self, reader: Reader) -> None:
        """Undo `follow`."""
        self.log.unsubscribe(reader)
        self.detach(reader)

    def _stop_grace(self) -> None:
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
