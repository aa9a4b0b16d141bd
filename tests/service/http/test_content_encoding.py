"""Compressed bodies: undone, or refused by what is wrong with them."""

import gzip
import zlib

import pytest

from adapters.errors import RequestError
from adapters.events import Error, ErrorCode
from service.http.content_encoding import decoded, too_large, unreadable

PLAIN = b'{"messages": []}'
RAW = zlib.compressobj(wbits=-15)
BARE = RAW.compress(PLAIN) + RAW.flush()


def refusal(data: bytes, encoding: str, limit: int = 100) -> Error:
    with pytest.raises(RequestError) as refused:
        decoded(data, encoding, limit)
    return refused.value.error


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (PLAIN, ""),
        (PLAIN, "identity"),
        (gzip.compress(PLAIN), " GZIP"),
        (zlib.compress(PLAIN), "deflate"),
        (BARE, "deflate"),
    ],
    ids=["none", "identity", "gzip", "zlib", "bare deflate"],
)
def test_what_is_taken_comes_out_as_it_was(data: bytes, encoding: str) -> None:
    assert decoded(data, encoding, len(PLAIN)) == PLAIN


@pytest.mark.parametrize("encoding", ["br", "zstd", "bogus", "gzip, gzip"])
def test_any_other_encoding_is_refused_by_name(encoding: str) -> None:
    error = refusal(PLAIN, encoding)
    assert (error.code, error.param) == (ErrorCode.INVALID_REQUEST, "Content-Encoding")
    assert (
        error.message
        == f"Content-Encoding: '{encoding}' is not taken; must be identity, gzip, deflate"
    )


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (PLAIN, "gzip"),
        (b"", "deflate"),
        (gzip.compress(PLAIN)[:-9], "gzip"),
        (zlib.compress(PLAIN)[:-1], "deflate"),
        (gzip.compress(PLAIN) * 2, "gzip"),
    ],
    ids=["plain", "empty", "cut", "cut checksum", "two"],
)
def test_what_is_not_whole_is_refused(data: bytes, encoding: str) -> None:
    assert refusal(data, encoding) == unreadable().error


def test_what_becomes_too_large_is_refused_before_it_is_there() -> None:
    assert refusal(gzip.compress(bytes(10_000_000)), "gzip", 1_000) == too_large(1_000).error
