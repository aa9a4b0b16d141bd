"""Bytes to server-sent events: incremental, bounded, every line ending the standard allows.

WHATWG HTML, section 9.2.6: lines end in LF, CR or CRLF; a BOM at the very start is dropped; a line
that starts with a colon is a comment; `data` lines of one event are joined with LF; an event
without data is not dispatched; an event that the end of the stream cuts off is discarded. `id` and
`retry` are read by browsers, not by us, and skipped.

Providers send one `data:` line and two LFs, some an `event:` line before it, and a socket read
usually holds whole events. That case takes no state: the block is cut at the blank line and the
payload sliced out. Anything else goes through the line machine. No decoding happens here: a UTF-8
character may be cut anywhere, and only whole payloads leave.
"""

from typing import NamedTuple

MAX_LINE = 8 * 1024 * 1024  # bytes; a Gemini image part is one line of several MiB
MAX_EVENT = 16 * 1024 * 1024  # bytes over all data lines of one event
MAX_UNFRAMED = 64 * 1024  # bytes kept of what is no SSE

_BOM = b"\xef\xbb\xbf"
# Numbers, for `in`: looking for one byte is memchr, looking for bytes costs four times as much.
_LF, _CR = 10, 13
_FIELDS = frozenset({b"", b"data", b"event", b"id", b"retry"})  # b"" before a comment's colon


class Message(NamedTuple):
    """One dispatched event: its type ("message" where none was given) and its payload."""

    event: str
    data: bytes


class TooLongError(ValueError):
    """A line or an event exceeded its bound; the text says which, how much and the limit."""


class SseParser:
    """Feed it pieces of a body; it returns the events each piece completes."""

    __slots__ = (
        "_after_cr",
        "_data",
        "_event",
        "_max_event",
        "_max_line",
        "_max_whole",
        "_rest",
        "_rest_size",
        "_size",
        "_started",
        "_unframed",
    )

    def __init__(self, *, max_line: int = MAX_LINE, max_event: int = MAX_EVENT) -> None:
        """Bounds in bytes. Beyond them `feed` raises TooLongError."""
        self._max_line = max_line
        self._max_event = max_event
        self._max_whole = min(max_line, max_event)
        self._rest: list[bytes] = []
        """The line whose end has not come, in pieces: joined at each one, a line of 1 MiB in pieces
        of 64 bytes took 4.7 s."""
        self._rest_size = 0
        self._event = ""
        self._data: list[bytes] = []
        self._size = 0
        self._after_cr = False
        """The last byte was a CR that ended a line: a LF now belongs to it."""
        self._started = False
        self._unframed = bytearray()

    @property
    def unframed(self) -> bytes:
        """Lines that are no field the standard knows, and the line without an end.

        The standard ignores both. Gemini breaks a stream off with a bare JSON error in its body,
        so a decoder whose answer has no end may look here for the reason.
        """
        return bytes(self._unframed) + b"".join(self._rest)

    def lone(self, data: bytes) -> bytes | None:
        """The payload, where `data` is exactly one event of one `data:` line; else None.

        Most reads are, and then this is all there is to do: half the cost of `feed`, which must
        follow with the same bytes where this says None.
        """
        if not data.endswith(b"\n\n") or not data.startswith(b"data: ") or self._is_busy():
            return None
        payload = data[6:-2]
        if _LF in payload or _CR in payload or len(data) > self._max_whole:
            return None
        return payload

    def _is_busy(self) -> bool:
        """Whether what was fed before still matters."""
        return bool(not self._started or self._rest or self._data or self._event or self._after_cr)

    def feed(self, data: bytes) -> list[Message]:
        """The events that `data` completes.

        Raises TooLongError; the parser is not to be used after that.
        """
        if (
            data.endswith(b"\n\n")
            and _CR not in data
            and len(data) <= self._max_whole
            and not self._is_busy()
        ):
            return self._whole_blocks(data)
        return self._lines(data)

    def _whole_blocks(self, data: bytes) -> list[Message]:
        messages: list[Message] = []
        for block in data[:-2].split(b"\n\n"):
            end = block.find(_LF)
            if end < 0 and block.startswith(b"data: "):
                messages.append(Message("message", block[6:]))
            elif (
                block.startswith(b"event: ")
                and block.startswith(b"data: ", end + 1)
                and block.find(_LF, end + 1) < 0
            ):
                event = block[7:end].decode("utf-8", "replace")
                messages.append(Message(event or "message", block[end + 7 :]))
            else:
                messages.extend(self._lines(block + b"\n\n"))
        return messages

    def _lines(self, data: bytes) -> list[Message]:
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if self._started and _LF not in data and _CR not in data:
            self._keep(data)
            return []
        if self._rest:
            data = b"".join(self._rest) + data
            self._rest, self._rest_size = [], 0
        if not self._started:
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._keep(data)
                return []
            self._started = True
            data = data.removeprefix(_BOM)
        messages: list[Message] = []
        for line in self._split(data):
            message = self._line(line)
            if message is not None:
                messages.append(message)
        return messages

    def _keep(self, piece: bytes) -> None:
        """Keep a piece of the line whose end has not come."""
        if piece:
            self._rest.append(piece)
            self._rest_size += len(piece)
            self._check("line", self._rest_size, self._max_line)

    def _split(self, data: bytes) -> list[bytes]:
        """The whole lines in `data`, without their ends; what is left over is kept."""
        if b"\r" not in data:
            lines = data.split(b"\n")
            self._keep(lines.pop())
            return lines
        lines = data.splitlines(keepends=True)
        if data.endswith(b"\r"):
            self._after_cr = True
        elif not data.endswith(b"\n"):
            self._keep(lines.pop())
        return [line.rstrip(b"\r\n") for line in lines]

    def _line(self, line: bytes) -> Message | None:
        if not line:
            return self._dispatch()
        self._check("line", len(line), self._max_line)
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._size += len(value) + 1
            self._check("event", self._size, self._max_event)
            self._data.append(value)
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")
        elif name not in _FIELDS and len(self._unframed) < MAX_UNFRAMED:
            self._unframed += line[:MAX_UNFRAMED] + b"\n"
        return None

    def _dispatch(self) -> Message | None:
        event, data = self._event or "message", self._data
        self._event, self._data, self._size = "", [], 0
        return Message(event, b"\n".join(data)) if data else None

    @staticmethod
    def _check(what: str, size: int, limit: int) -> None:
        if size > limit:
            message = f"an SSE {what} of {size} bytes, expected no more than {limit}"
            raise TooLongError(message)
