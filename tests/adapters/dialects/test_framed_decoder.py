"""The framing of a decoder, with a format whose messages are words, and `end` the last of them."""

import pytest
from typing_extensions import override

from adapters.dialects.framed_decoder import FramedDecoder
from adapters.events import BlockKind, Ending, Error, ErrorCode, Finish, TextDelta
from adapters.sse import MAX_LINE, Message
from tests.adapters.dialects.chat_cases import call


class Words(FramedDecoder):
    _SIGNAL = "last word"

    @override
    def _read(self, message: Message) -> None:
        word = message.data.decode()
        if message.event == "error":
            self._failed(word)
        elif word == "end":
            self.finished = True
        elif word == "over":
            self._complete()
        else:
            self._blocks.run(self._out, BlockKind.TEXT, word)

    @override
    def _complete(self) -> None:
        self.ending = Ending(finish=Finish.STOP)

    @override
    def _fail(self, finish: Finish, error: Error) -> None:
        self.ending = Ending(finish=finish, error=error)


def decoder() -> Words:
    return Words(call(provider="acme"))


def say(*words: str) -> bytes:
    return b"".join(b"data: %b\n\n" % word.encode() for word in words)


def test_what_a_piece_completes_comes_out_of_it_and_once() -> None:
    words = decoder()
    body = say("one", "two", "three")
    outs = [words.feed(body[:-8]), words.feed(body[-8:])]
    said = [[event.delta for event in out if isinstance(event, TextDelta)] for out in outs]
    assert said == [["one", "two"], ["three"]]


def test_after_the_ending_nothing_is_read() -> None:
    words = decoder()
    assert words.feed(say("over", "late")) == []
    ending = words.ending
    assert words.feed(say("later")) == words.close() == []
    assert words.ending is ending


def test_an_answer_is_complete_by_the_end_of_the_bytes_after_its_signal() -> None:
    words = decoder()
    words.feed(say("one", "end"))
    assert words.ending is None
    words.close()
    assert words.ending == Ending(finish=Finish.STOP)


@pytest.mark.parametrize("body", [b"", say("one"), b"data: e", b"data: end\n"])
def test_without_it_the_answer_is_interrupted(body: bytes) -> None:
    words = decoder()
    words.feed(body)
    words.close()
    error = failure(words, Finish.INTERRUPTED)
    assert (error.code, error.provider) == (ErrorCode.STREAM_INTERRUPTED, "acme")
    assert error.message == "the answer stopped without a last word"


def test_a_line_beyond_the_bound_ends_the_answer() -> None:
    words = decoder()
    words.feed(say("one"))
    assert words.feed(b"data: " + b"x" * MAX_LINE) == []
    error = failure(words, Finish.ERROR)
    assert (error.code, error.provider) == (ErrorCode.UPSTREAM_MALFORMED, "acme")
    assert f"expected no more than {MAX_LINE}" in error.message


def test_what_the_provider_says_of_its_failure_is_classified() -> None:
    words = decoder()
    words.feed(b'event: error\ndata: {"error":{"type":"overloaded_error"}}\n\n')
    assert failure(words, Finish.ERROR).code is ErrorCode.OVERLOADED


def failure(words: Words, finish: Finish) -> Error:
    assert words.ending is not None
    assert words.ending.finish is finish
    assert words.ending.error is not None
    return words.ending.error
