"""Masks looked at before a parser: nothing of it depends on how the bytes are cut."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.http.masked import BREACH, MaskedOnly


class Taken:
    """A parser that keeps what it is fed."""

    def __init__(self) -> None:
        self.data = b""
        self.ended = False

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return BREACH in data, b""

    def feed_eof(self) -> None:
        self.ended = True


def frame(length: int, *, masked: bool = True) -> bytes:
    flag = 0x80 if masked else 0
    head = (
        struct.pack("!BB", 0x81, flag | length)
        if length < 126
        else struct.pack("!BBH", 0x81, flag | 126, length)
        if length < 65_536
        else struct.pack("!BBQ", 0x81, flag | 127, length)
    )
    return head + b"mask" * masked + b"x" * length


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(places)]


LENGTHS = st.lists(st.sampled_from([0, 1, 125, 126, 127, 300, 65_535, 65_536]), max_size=4)
CUTS = st.lists(st.integers(0, 200_000), max_size=12)


@given(LENGTHS, CUTS)
def test_masked_frames_pass_unchanged_however_they_are_cut(
    lengths: list[int], cuts: list[int]
) -> None:
    parser, sent = Taken(), b"".join(map(frame, lengths))
    masked = MaskedOnly(parser)
    for piece in pieces(sent, cuts):
        assert masked.feed_data(piece) == (False, b"")
    assert parser.data == sent


@given(LENGTHS, st.sampled_from([0, 5, 126, 65_536]), CUTS)
def test_the_first_unmasked_frame_is_a_breach_and_nothing_of_it_passes(
    lengths: list[int], length: int, cuts: list[int]
) -> None:
    parser, before = Taken(), b"".join(map(frame, lengths))
    masked = MaskedOnly(parser)
    for piece in pieces(before + frame(length, masked=False), cuts):
        ended, _ = masked.feed_data(piece)
        if ended:
            break
    assert parser.data == before + BREACH


@pytest.mark.parametrize("part", [b"\x81", b"\x81\xfe", b"\x81\xfe\x01", b"\x81\xff" + bytes(7)])
def test_a_head_that_has_not_come_whole_waits(part: bytes) -> None:
    parser = Taken()
    masked = MaskedOnly(parser)
    masked.feed_data(frame(3) + part)
    assert parser.data == frame(3)


def test_the_end_is_passed_on() -> None:
    parser = Taken()
    MaskedOnly(parser).feed_eof()
    assert parser.ended
