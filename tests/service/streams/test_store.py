"""How long a stream is kept, and what an Idempotency-Key means."""

import pytest

from adapters.errors import RequestError
from adapters.events import ErrorCode
from adapters.request import ChatRequest
from service.streams.log import StreamLog
from service.streams.store import Store
from service.streams.stream import Stream
from tests.service.streams.events_for_tests import end

REQUEST = ChatRequest.model_validate({"messages": [{"role": "user", "content": "hi"}]})


def stream(name: str, *, ended: bool = False) -> Stream:
    log = StreamLog(name)
    if ended:
        log.append([end()], 0)
    return Stream(log, REQUEST, cancel_after=None)


def refused(code: ErrorCode, store: Store, name: str) -> bool:
    with pytest.raises(RequestError) as refusal:
        store.get(name)
    return refusal.value.error.code is code


def test_a_live_stream_is_kept_for_ever_and_an_ended_one_until_its_ttl() -> None:
    store = Store(ttl=600)
    live, over = stream("st_live"), stream("st_over", ended=True)
    store.add(live)
    store.add(over)
    store.ended(over, now=1_000)
    assert store.live == [live]
    assert store.sweep(1_599.9) == 0
    assert store.get("st_over") is over
    assert store.sweep(1_600) == 1
    assert refused(ErrorCode.STREAM_EXPIRED, store, "st_over")
    assert store.get("st_live") is live
    assert len(store) == 1


def test_a_stream_that_never_was_is_not_found_rather_than_expired() -> None:
    assert refused(ErrorCode.NOT_FOUND, Store(ttl=1), "st_none")


def test_streams_expire_in_the_order_of_their_ends() -> None:
    store = Store(ttl=10)
    streams = [stream(f"st_{n}", ended=True) for n in range(3)]
    for number, one in enumerate(streams):
        store.add(one)
        store.ended(one, now=float(number))
    assert store.sweep(11.5) == 2
    assert store.get("st_2") is streams[2]


def test_a_key_finds_its_stream_for_the_same_request_and_conflicts_for_another() -> None:
    store = Store(ttl=10)
    first = stream("st_1", ended=True)
    store.add(first, key="k", fingerprint=b"same")
    assert store.find("k", b"same") is first
    assert store.find("other", b"same") is None
    with pytest.raises(RequestError) as refusal:
        store.find("k", b"different")
    assert refusal.value.error.code is ErrorCode.CONFLICT


def test_a_key_is_free_again_once_its_stream_has_expired() -> None:
    store = Store(ttl=10)
    first = stream("st_1", ended=True)
    store.add(first, key="k", fingerprint=b"a")
    store.ended(first, now=0)
    store.sweep(10)
    assert store.find("k", b"b") is None
