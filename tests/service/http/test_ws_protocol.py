"""The sub-protocol as dialogues: what a client says, when, and what follows."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import RequestError, make
from adapters.events import ErrorCode
from service.http.ws_messages import Attach, Start
from service.http.ws_protocol import (
    REFUSALS,
    Bucket,
    Close,
    Code,
    Command,
    Leave,
    Open,
    Send,
    Session,
    State,
    Stop,
)
from service.settings import Streams, Websocket
from service.streams.log import StreamLog
from tests.service.streams.events_for_tests import end, start

TS = 1_795_392_000_000
BORN = 1_000.0

Message = dict[str, Any]


class Dialogue:
    """A session at `now`, what it answered, and streams that are opened as asked."""

    def __init__(self, *, ready: bool = True, max_age: float = 3_600, **limits: float) -> None:
        self.now = BORN
        self.logs: dict[str, StreamLog] = {}
        self.session = Session(
            Websocket.model_validate(limits),
            Streams(),
            conn="ws_1",
            now=BORN,
            now_ms=TS,
            max_age=max_age,
        )
        if ready:
            self.says(t="init")

    def says(self, **message: object) -> list[Message | Command]:
        return self.sends(orjson.dumps(message).decode())

    def sends(self, frame: str) -> list[Message | Command]:
        return self._heard(self.session.receive(frame, self.now))

    def at(self, seconds: float) -> list[Message | Command]:
        """The answer to a tick, `seconds` after the connection was made."""
        self.now = BORN + seconds
        return self._heard(self.session.tick(self.now))

    def starts(self, *ids: str) -> list[Message | Command]:
        """Start streams and have them opened."""
        heard = []
        for id_ in ids:
            heard += self.says(t="start", id=id_, request={})
            if isinstance(heard[-1], Open):
                heard[-1:] = self.opens(heard[-1].asked)
        return heard

    def opens(self, asked: Start | Attach, log: StreamLog | None = None) -> list[Message | Command]:
        log = log or StreamLog(f"st_{asked.id}")
        self.logs[asked.id] = log
        return self._heard(self.session.opened(asked, log)[1])

    def ends(self, id_: str) -> None:
        """The stream ends, and everything of it is sent."""
        lane = self.session.delivery._lanes[id_]
        self.logs[id_].append([end()], TS)
        self.session.delivery.wake(lane)
        while self.session.delivery.next(self.now):
            self.session.sent(self.now)
        for _ in self.session.delivery.ended():
            self.session.freed(self.now)

    def goes(self, seconds: float = 30) -> list[Message | Command]:
        return self._heard(
            self.session.goaway("draining", seconds=seconds, reconnect_after_ms=2_000, now=self.now)
        )

    def _heard(self, commands: list[Command]) -> list[Message | Command]:
        heard: list[Message | Command] = []
        for command in commands:
            if isinstance(command, Send):
                self.session.sent(self.now)
                heard.append(orjson.loads(command.message))
            else:
                heard.append(command)
        return heard


def error(heard: list[Message | Command]) -> tuple[str | None, str]:
    """The id and the code of the one error that was answered."""
    [message] = heard
    assert isinstance(message, dict)
    assert message["t"] == "err"
    return message.get("id"), message["error"]["code"]


def closed(heard: list[Message | Command]) -> Code:
    """The code of a close that was the whole answer."""
    [command] = heard
    assert isinstance(command, Close)
    assert len(command.reason.encode()) <= 123
    return command.code


# --- Opening --------------------------------------------------------------------------------


def test_init_is_answered_with_the_limits_the_heartbeat_and_the_socket_s_end() -> None:
    talk = Dialogue(ready=False)
    [ready] = talk.says(t="init")
    assert ready == {
        "t": "ready",
        "conn": "ws_1",
        "limits": {
            "max_frame_bytes": 1_048_576,
            "max_streams": 32,
            "max_generating": 16,
            "starts_per_s": 5.0,
            "window": 262_144,
            "max_window": 1_048_576,
            "slow_ms": 10_000,
            "idle_ms": 300_000,
        },
        "heartbeat_ms": 20_000,
        "session_expires_at": TS + 3_600_000,
    }
    assert talk.session.state is State.READY


def test_init_may_name_the_client_its_credentials_and_what_it_accepts() -> None:
    talk = Dialogue(ready=False)
    heard = talk.says(
        t="init",
        auth={"scheme": "bearer", "token": "test-token"},
        client={"name": "web", "version": "1"},
        accept={"coalesce": True, "binary": False, "dialect": "native"},
    )
    assert len(heard) == 1
    assert talk.session.delivery.coalesce


def test_a_dialect_that_is_not_spoken_is_a_malformed_init() -> None:
    talk = Dialogue(ready=False)
    assert closed(talk.says(t="init", accept={"dialect": "ag-ui"})) == 4400


def test_a_ping_may_come_before_init() -> None:
    talk = Dialogue(ready=False)
    assert talk.says(t="ping", ts=7) == [{"t": "pong", "ts": 7}]
    assert talk.session.state is State.OPEN


@pytest.mark.parametrize(
    "frame",
    [
        '{"t":"start","id":"a","request":{}}',
        '{"t":"attach","id":"a","stream":"st_1","after":-1}',
        '{"t":"ack","id":"a","seq":1}',
        '{"t":"cancel","id":"a"}',
        '{"t":"detach","id":"a"}',
        '{"t":"pong"}',
        '{"t":"hello"}',
        "not JSON",
        "",
    ],
)
def test_anything_but_init_or_ping_before_ready_closes_with_4401(frame: str) -> None:
    assert closed(Dialogue(ready=False).sends(frame)) == 4401


def test_a_second_init_closes_with_4429() -> None:
    assert closed(Dialogue().says(t="init")) == 4429


def test_no_init_in_five_seconds_closes_with_4408() -> None:
    talk = Dialogue(ready=False)
    assert talk.session.due() == BORN + 5
    assert talk.at(4.9) == []
    assert closed(talk.at(5)) == 4408


def test_nothing_follows_a_close() -> None:
    talk = Dialogue(ready=False)
    talk.at(5)
    assert talk.says(t="init") == []
    assert talk.at(6) == []
    assert talk.goes() == []


# --- Streams --------------------------------------------------------------------------------


def test_a_start_is_opened_and_answered_with_where_its_events_begin() -> None:
    talk = Dialogue()
    [opening] = talk.says(
        t="start",
        id="a",
        request={"messages": [1]},
        idempotency_key="k",
        window=9,
        on_disconnect="cancel_after:2.5",
    )
    assert isinstance(opening, Open)
    asked = opening.asked
    assert isinstance(asked, Start)
    assert bytes(asked.request) == b'{"messages":[1]}'
    assert (asked.idempotency_key, asked.on_disconnect) == ("k", "cancel_after:2.5")
    assert talk.opens(asked) == [
        {"t": "started", "id": "a", "stream": "st_a", "next": 0, "live": True}
    ]
    assert talk.session.delivery._lanes["a"].window == 9


def test_a_window_is_the_default_unless_named_and_a_mebibyte_at_most() -> None:
    talk = Dialogue()
    windows = []
    for number, wish in enumerate([None, 10, 10**9]):
        [opening] = talk.says(t="start", id=str(number), request={}, window=wish)
        assert isinstance(opening, Open)
        talk.opens(opening.asked)
        windows.append(talk.session.delivery._lanes[str(number)].window)
    assert windows == [256 * 1024, 10, 1024 * 1024]


def test_an_attach_goes_on_after_the_sequence_number_it_names() -> None:
    talk = Dialogue()
    log = StreamLog("st_9")
    log.append([start(), end()], TS)
    [opening] = talk.says(t="attach", id="a", stream="st_9", after=0)
    assert isinstance(opening, Open)
    assert talk.opens(opening.asked, log) == [
        {"t": "started", "id": "a", "stream": "st_9", "next": 1, "live": False}
    ]


def test_an_attach_to_what_was_evicted_says_where_the_events_go_on() -> None:
    talk = Dialogue()
    log = StreamLog("st_9", max_events=2)
    for _ in range(3):
        log.append([start()], TS)
    [opening] = talk.says(t="attach", id="a", stream="st_9", after=-1)
    assert isinstance(opening, Open)
    [started] = talk.opens(opening.asked, log)
    assert isinstance(started, dict)
    assert started["next"] == log.first > 0


def test_an_attach_ahead_of_the_stream_is_an_error_that_names_the_field() -> None:
    talk = Dialogue()
    log = StreamLog("st_9")
    log.append([start()], TS)
    [opening] = talk.says(t="attach", id="a", stream="st_9", after=1)
    assert isinstance(opening, Open)
    with pytest.raises(RequestError) as refusal:
        talk.opens(opening.asked, log)
    assert refusal.value.error.param == "after"
    assert "a" not in talk.session.delivery


def test_what_cannot_be_opened_is_an_error_on_that_id_which_stays_free() -> None:
    talk = Dialogue()
    [opening] = talk.says(t="start", id="a", request={})
    assert isinstance(opening, Open)
    refusal = make(ErrorCode.NO_CANDIDATES, "nobody", http=422)
    heard = talk._heard(talk.session.refused(opening.asked, refusal))
    assert error(heard) == ("a", "no_candidates")
    assert talk.starts("a")[-1] == {
        "t": "started", "id": "a", "stream": "st_a", "next": 0, "live": True
    }  # fmt: skip


def test_an_id_in_use_is_a_conflict_on_that_id_and_its_stream_goes_on() -> None:
    talk = Dialogue()
    talk.starts("a")
    assert error(talk.starts("a")) == ("a", "conflict")
    assert error(talk.says(t="attach", id="a", stream="st_1", after=-1)) == ("a", "conflict")
    assert "a" in talk.session.delivery


def test_an_id_is_free_again_after_its_end() -> None:
    talk = Dialogue()
    talk.starts("a")
    talk.ends("a")
    assert talk.starts("a") != []


def test_cancel_ends_the_generation_and_says_why() -> None:
    talk = Dialogue()
    talk.starts("a")
    assert talk.says(t="cancel", id="a") == [Stop("a", "cancelled by the client")]
    assert talk.says(t="cancel", id="a", reason="typo") == [
        Stop("a", "cancelled by the client: typo")
    ]


def test_detach_ends_the_id_and_leaves_the_stream() -> None:
    talk = Dialogue()
    talk.starts("a")
    assert talk.says(t="detach", id="a") == [
        {"t": "end", "id": "a", "reason": "detached"},
        Leave("a"),
    ]
    assert "a" not in talk.session.delivery


@pytest.mark.parametrize("kind", ["cancel", "detach", "ack"])
def test_what_crosses_the_end_of_its_id_is_no_fault(kind: str) -> None:
    assert Dialogue().says(t=kind, id="gone", seq=1) == []


def test_an_ack_gives_credit_back() -> None:
    talk = Dialogue()
    talk.starts("a", "b")
    lane = talk.session.delivery._lanes["a"]
    lane.log.append([start()], TS)
    talk.session.delivery.wake(lane)
    talk.session.delivery.next(talk.now)
    assert lane.unacked > 0
    assert talk.says(t="ack", id="a", seq=0) == []
    assert lane.unacked == 0


# --- What is no message ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "id_", "param"),
    [
        ('{"t":"hello","id":"a"}', "a", "t"),
        ('{"t":"start","id":"a"}', "a", "request"),
        ('{"t":"start","id":"a","request":{},"window":0}', "a", "window"),
        ('{"t":"start","id":"a","request":{},"on_disconnect":"never"}', "a", "on_disconnect"),
        ('{"t":"start","id":"","request":{}}', None, "id"),
        ('{"t":"start","id":7,"request":{}}', None, "id"),
        ('{"t":"attach","id":"a","stream":"st_1","after":-2}', "a", "after"),
        ('{"t":"attach","id":"a","stream":"st_1","after":"3"}', "a", "after"),
        ('{"t":"ack","id":"a","seq":"x"}', "a", "seq"),
        ('{"id":"a"}', "a", "t"),
        ("[1]", None, None),
        ("{", None, None),
        ('{"t":"ping","ts":1e999}', None, "ts"),
        ('{"t":"start","id":"a","request":%s}' % ("[" * 50_000 + "]" * 50_000), None, None),
    ],
)
def test_a_malformed_message_is_an_error_that_names_the_field_and_the_socket_goes_on(
    frame: str, id_: str | None, param: str | None
) -> None:
    talk = Dialogue()
    [message] = talk.sends(frame)
    assert isinstance(message, dict)
    assert error([message]) == (id_, "invalid_message")
    assert message["error"].get("param") == param
    assert talk.session.state is State.READY


def test_three_malformed_messages_in_a_row_close_with_4400() -> None:
    talk = Dialogue()
    assert error(talk.says(t="hello")) == (None, "invalid_message")
    assert error(talk.sends("{")) == (None, "invalid_message")
    *answer, last = talk.says(t="hello", id="a")
    assert error(answer) == ("a", "invalid_message")
    assert closed([last]) == 4400


def test_a_message_in_between_clears_the_malformed_ones() -> None:
    talk = Dialogue()
    for _ in range(3):
        talk.sends("{")
        talk.sends("{")
        assert talk.says(t="ping") == [{"t": "pong"}]
    assert talk.session.state is State.READY


_fields = st.sampled_from(
    ["t", "id", "seq", "after", "stream", "request", "accept", "window", "ts"]
)
_kinds = st.sampled_from(["init", "start", "attach", "ack", "cancel", "detach", "ping", "pong"])
_values = st.recursive(
    _kinds | st.none() | st.booleans() | st.floats() | st.integers(-(2**63), 2**63) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_fields, inner, max_size=4),
    max_leaves=10,
)
_frames = st.text() | st.builds(
    lambda kind, rest: orjson.dumps({**rest, "t": kind}).decode(),
    _kinds,
    st.dictionaries(_fields, _values, max_size=6),
)


@given(st.lists(_frames, max_size=6))
def test_nothing_a_client_says_raises(frames: list[str]) -> None:
    for ready in (False, True):
        talk = Dialogue(ready=ready)
        for frame in frames:
            talk.sends(frame)


# --- Limits ---------------------------------------------------------------------------------


def test_only_so_many_streams_may_be_open() -> None:
    talk = Dialogue(max_streams=2)
    talk.starts("a", "b")
    assert error(talk.starts("c")) == ("c", "rate_limit_client")
    assert error(talk.says(t="attach", id="c", stream="st_1", after=-1)) == (
        "c", "rate_limit_client"
    )  # fmt: skip
    talk.says(t="detach", id="a")
    assert len(talk.starts("c")) == 1


def test_only_so_many_of_them_may_be_generating() -> None:
    talk = Dialogue(max_generating=2)
    talk.starts("a", "b")
    assert error(talk.starts("c")) == ("c", "rate_limit_client")
    [opening] = talk.says(t="attach", id="c", stream="st_1", after=-1)
    assert isinstance(opening, Open)  # attaching generates nothing
    talk.ends("a")
    talk.now += 1
    assert isinstance(talk.starts("d")[0], dict)


def test_starts_beyond_the_rate_are_refused_with_the_time_to_wait() -> None:
    talk = Dialogue(starts_per_s=2, max_generating=3)
    for id_ in "abc":
        talk.starts(id_)
        talk.ends(id_)
    [refusal] = talk.starts("d")
    assert error([refusal]) == ("d", "rate_limit_client")
    assert isinstance(refusal, dict)
    assert refusal["error"]["retry_after_ms"] == 500
    assert refusal["error"]["retryable"]
    talk.now += 0.5
    [started] = talk.starts("d")
    assert isinstance(started, dict)
    assert started["t"] == "started"


def test_a_client_that_keeps_asking_beyond_a_limit_is_closed_with_4429() -> None:
    talk = Dialogue(max_streams=1)
    talk.starts("a")
    for number in range(REFUSALS - 1):
        assert error(talk.starts(f"n{number}"))[1] == "rate_limit_client"
    *answer, last = talk.starts("z")
    assert error(answer) == ("z", "rate_limit_client")
    assert closed([last]) == 4429


def test_a_bucket_lets_its_size_through_at_once_and_then_its_rate() -> None:
    bucket = Bucket(rate=5, size=2, now=0)
    assert [bucket.take(0), bucket.take(0)] == [0, 0]
    assert bucket.take(0) == pytest.approx(0.2)
    assert bucket.take(0.1) == pytest.approx(0.1)
    assert bucket.take(0.2) == 0
    assert [bucket.take(100), bucket.take(100)] == [0, 0]
    assert bucket.take(100) > 0


# --- Time -----------------------------------------------------------------------------------


def test_a_silent_socket_gets_a_ping_every_heartbeat() -> None:
    talk = Dialogue()
    assert talk.session.due() == BORN + 20
    assert talk.at(19.9) == []
    assert talk.at(20) == [{"t": "ping", "ts": TS + 20_000}]
    assert talk.at(39) == []
    assert talk.at(40) == [{"t": "ping", "ts": TS + 40_000}]


def test_what_is_sent_puts_the_ping_off() -> None:
    talk = Dialogue()
    talk.now = BORN + 15
    talk.session.sent(talk.now)
    assert talk.at(20) == []
    assert talk.session.due() == BORN + 35


def test_a_pong_needs_no_answer() -> None:
    assert Dialogue().says(t="pong", ts=1) == []


def test_a_socket_without_a_stream_closes_after_five_minutes_with_1000() -> None:
    talk = Dialogue(heartbeat_s=1_000)
    assert talk.session.due() == BORN + 300
    assert closed(talk.at(300)) == 1000


def test_a_socket_with_a_stream_is_not_idle_and_its_time_begins_when_the_stream_is_over() -> None:
    talk = Dialogue(heartbeat_s=10_000)
    talk.starts("a")
    assert talk.at(1_000) == []
    talk.ends("a")
    assert talk.at(1_299) == []
    assert closed(talk.at(1_300)) == 1000


def test_a_slow_stream_is_ended_alone() -> None:
    talk = Dialogue()
    for id_ in "ab":
        [opening] = talk.says(t="start", id=id_, request={}, window=1)
        assert isinstance(opening, Open)
        talk.opens(opening.asked)
    lane = talk.session.delivery._lanes["a"]
    lane.log.append([start(), start()], TS)
    talk.session.delivery.wake(lane)
    while talk.session.delivery.next(talk.now):
        pass
    assert talk.session.due() == BORN + 10
    assert talk.at(10) == [{"t": "end", "id": "a", "reason": "slow_consumer"}, Leave("a")]
    assert "b" in talk.session.delivery


def test_an_old_socket_is_told_to_go_and_closed_with_4499() -> None:
    talk = Dialogue(heartbeat_s=10_000)
    talk.starts("a")
    assert talk.session.due() == BORN + 3_570
    assert talk.at(3_570) == [
        {"t": "goaway", "reason": "max_age", "deadline_ms": 30_000, "reconnect_after_ms": 0}
    ]
    assert talk.at(3_599) == []
    assert closed(talk.at(3_600)) == 4499


def test_an_old_socket_is_closed_as_soon_as_its_streams_are_over() -> None:
    talk = Dialogue(heartbeat_s=10_000)
    talk.starts("a")
    talk.at(3_570)
    talk.ends("a")
    assert talk.session.due() <= talk.now
    assert closed(talk.at(3_571)) == 4499


# --- Draining -------------------------------------------------------------------------------


def test_draining_says_goaway_and_closes_with_1012_when_the_streams_are_over() -> None:
    talk = Dialogue()
    talk.starts("a")
    assert talk.goes(30) == [
        {"t": "goaway", "reason": "draining", "deadline_ms": 30_000, "reconnect_after_ms": 2_000}
    ]
    assert talk.at(10) == []
    talk.ends("a")
    assert closed(talk.at(10)) == 1012


def test_a_socket_without_streams_closes_at_once_when_draining() -> None:
    talk = Dialogue()
    talk.goes(30)
    assert talk.session.due() <= talk.now
    assert closed(talk.at(0)) == 1012


def test_a_drain_closes_a_moment_after_its_deadline_whatever_still_runs() -> None:
    talk = Dialogue()
    talk.starts("a")
    talk.goes(10)
    assert talk.at(10) == []
    assert closed(talk.at(11)) == 1012


def test_a_drain_before_init_closes_at_once() -> None:
    assert closed(Dialogue(ready=False).goes()) == 1012


def test_nothing_new_is_opened_while_draining_and_it_is_said_once() -> None:
    talk = Dialogue()
    talk.starts("a")
    talk.goes()
    assert error(talk.starts("b")) == ("b", "draining")
    assert error(talk.says(t="attach", id="b", stream="st_1", after=-1)) == ("b", "draining")
    assert talk.says(t="cancel", id="a") == [Stop("a", "cancelled by the client")]
    assert talk.goes() == []
    assert closed(talk.says(t="init")) == 4429
