"""What is a message and what is not, and how a server's message looks on the wire."""

import orjson
import pytest

from adapters.errors import make
from adapters.events import ErrorCode
from service.http import ws_messages
from service.http.ws_messages import Accept, Err, Init, MalformedError, Ping, ServerPong, Start


def malformed(frame: str) -> MalformedError:
    with pytest.raises(MalformedError) as fault:
        ws_messages.decode(frame)
    return fault.value


def test_a_message_is_told_by_its_t_wherever_that_stands() -> None:
    assert ws_messages.decode('{"ts":1,"t":"ping"}') == Ping(ts=1)


def test_fields_of_a_later_version_are_passed_over() -> None:
    frame = '{"t":"init","client":{"name":"web"},"accept":{"coalesce":true,"later":1},"later":2}'
    assert ws_messages.decode(frame) == Init(accept=Accept(coalesce=True))


def test_a_start_keeps_its_request_as_the_bytes_that_came() -> None:
    message = ws_messages.decode('{"t":"start","id":"a","request":{"x": [1, "\\u00e9"]}}')
    assert isinstance(message, Start)
    assert bytes(message.request) == b'{"x": [1, "\\u00e9"]}'


@pytest.mark.parametrize(
    ("frame", "kind", "id_", "words"),
    [
        ("{", None, None, "truncated"),
        ("[]", None, None, "Expected `object`"),
        ('{"t":"start","id":"a"}', "start", "a", "request: is missing"),
        ('{"t":"init","accept":{"coalesce":1}}', "init", None, "accept.coalesce: Expected `bool`"),
        ('{"t":"ack","id":"a","seq":"1"}', "ack", "a", "seq: Expected `int`"),
        ('{"t":7,"id":[]}', None, None, "t: Expected `str`"),
        ('{"t":"hello","id":"%s"}' % ("x" * 129), "hello", None, "t: Invalid value 'hello'"),
        ('{"t":"start","id":"a","request":%s1}' % ("[" * 9_000), None, None, "nested too deeply"),
    ],
)
def test_what_is_no_message_says_what_is_wrong_where_and_about_which_id(
    frame: str, kind: str | None, id_: str | None, words: str
) -> None:
    fault = malformed(frame)
    assert fault.error.code is ErrorCode.INVALID_MESSAGE
    assert words in fault.error.message
    assert (fault.kind, fault.id) == (kind, id_)


def test_what_a_message_has_nothing_to_say_about_is_left_out() -> None:
    assert ws_messages.encode(ServerPong()) == b'{"t":"pong"}'
    error = orjson.loads(ws_messages.encode(Err(error=make(ErrorCode.CONFLICT, "taken"))))
    assert sorted(error) == ["error", "t"]
