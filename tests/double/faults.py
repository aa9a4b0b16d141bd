"""What can go wrong with an answer's bytes, laid over any script with `Script.with_faults`.

Each function here makes a fault: a function from steps to steps. Byte positions count body bytes,
without the HTTP framing. Faults that stand between events (a pause, a cut, garbage, keep-alives)
need nothing from here: `script.reply` takes them as items. What no answer at all can show is here
as well: an address where connecting hangs.
"""

import socket
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from tests.double.steps import Cut, End, Head, Paced, Repeat, Send, Stall, Step, Steps, body_of

Fault = Callable[[Steps], Steps]

GARBAGE = b"\x00\xff\xfe<html>\r\r\n\n\xc3\x28 not: an event\n\n"
"""No event stream: NUL, invalid UTF-8, markup, every line ending."""


def huge_line(size: int) -> bytes:
    """A line of `size` bytes, its end included, that is no event a format knows."""
    return b"data: %b\n" % (b"x" * (size - len(b"data: \n")))


# --- Cutting and stalling at a byte ---------------------------------------------------------


def cut_at(position: int, how: Literal["fin", "rst"] = "fin") -> Fault:
    """Close the connection after so many body bytes; 0: right after the headers.

    Raises ValueError, when the script is played, if its body is shorter.
    """
    return lambda steps: (*_until(steps, position), Cut(how))


def stall_at(position: int) -> Fault:
    """Send nothing more after so many body bytes, and keep the connection open."""
    return lambda steps: (*_until(steps, position), Stall())


def then(*more: Step) -> Fault:
    """Do this after the whole body was sent, before it is ended."""
    return lambda steps: (*steps, *more)


def hanging_up() -> Fault:
    """End the answer properly and close the connection, without having said so."""
    return then(End(), Cut("fin"))


def _until(steps: Steps, position: int) -> Iterator[Step]:
    """The steps up to a body position."""
    left = position
    for step in steps:
        writes = _writes(step)
        if writes and sum(map(len, writes)) >= left:
            yield from _shortened(step, left)
            return
        left -= sum(map(len, writes))
        yield step
    message = f"the body has {position - left} bytes, expected at least {position}"
    raise ValueError(message)


def _writes(step: Step) -> tuple[bytes, ...]:
    match step:
        case Send():
            return (step.data,)
        case Paced():
            return step.writes
        case _:
            return ()


def _shortened(step: Step, size: int) -> Iterator[Step]:
    kept: list[bytes] = []
    for data in _writes(step):
        if size > 0:
            kept.append(data[:size])
        size -= len(data)
    if kept:
        yield Paced(tuple(kept), step.every if isinstance(step, Paced) else 0)


# --- Changing bytes and how they are written ------------------------------------------------


def in_pieces(size: int, every: float = 0) -> Fault:
    """Write `size` bytes at a time, one write each `every` seconds: a slow drip if they are few.

    Cuts wherever it falls, inside characters too. Each step's bytes are cut by themselves.
    """

    def cut(steps: Steps) -> Steps:
        return tuple(_recut(step, size, every) if _writes(step) else step for step in steps)

    return cut


def _recut(step: Step, size: int, every: float) -> Paced:
    body = b"".join(_writes(step))
    return Paced(tuple(body[at : at + size] for at in range(0, len(body), size)), every)


def in_one_write() -> Fault:
    """The whole body in one write; the steps between its bytes are left out."""

    def join(steps: Steps) -> Steps:
        heads = tuple(step for step in steps if isinstance(step, Head))
        return (*heads, Send(body_of(steps)))

    return join


def without(data: bytes) -> Fault:
    """Leave out every write of exactly these bytes: `without(DONE)` for a missing `[DONE]`."""

    def leave_out(step: Step) -> Step:
        if not _writes(step):
            return step
        kept = tuple(write for write in _writes(step) if write != data)
        return Paced(kept, step.every if isinstance(step, Paced) else 0)

    return lambda steps: tuple(map(leave_out, steps))


def header(name: str, value: str) -> Fault:
    """Say something else in one response header: a wrong content type, a request id."""

    def replace(step: Step) -> Step:
        if not isinstance(step, Head):
            return step
        kept = tuple(pair for pair in step.headers if pair[0].lower() != name.lower())
        return Head(step.status, (*kept, (name, value)))

    return lambda steps: tuple(map(replace, steps))


def late(step: Step) -> Fault:
    """Do this before anything is answered: a wait or a delay before the headers."""
    return lambda steps: (step, *steps)


def gzipped() -> Fault:
    """Compress the body as one gzip stream, flushed after every write."""

    def compress(steps: Steps) -> Steps:
        gzip = zlib.compressobj(wbits=31)
        return (*(_compressed(step, gzip) for step in steps), Send(gzip.flush()))

    return compress


def _compressed(step: Step, gzip: "zlib._Compress") -> Step:
    match step:
        case Head():
            # The length of the plain body is not the length of the compressed one.
            kept = tuple(pair for pair in step.headers if pair[0] != "content-length")
            return Head(step.status, (*kept, ("content-encoding", "gzip")))
        case Send() | Paced():
            every = step.every if isinstance(step, Paced) else 0
            writes = (gzip.compress(data) + gzip.flush(zlib.Z_SYNC_FLUSH) for data in _writes(step))
            return Paced(tuple(writes), every)
        case Repeat():
            message = "an endless body cannot be compressed ahead of time"
            raise ValueError(message)
        case _:
            return step


# --- Where there is no server ---------------------------------------------------------------


@contextmanager
def deaf_address() -> Iterator[str]:
    """A base URL where connecting hangs: the backlog is full and nobody accepts.

    Linux drops the connection request then, so the client neither gets in nor is refused.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = [_knock(address) for _ in range(4)]
        try:
            yield f"http://127.0.0.1:{address[1]}"
        finally:
            for filler in fillers:
                filler.close()


def _knock(address: tuple[str, int]) -> socket.socket:
    knocking = socket.socket()
    knocking.setblocking(False)
    knocking.connect_ex(address)
    return knocking


@contextmanager
def closed_address() -> Iterator[str]:
    """A base URL where connecting is refused: the port is taken but nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
