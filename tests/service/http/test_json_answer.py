import pytest

from adapters.events import Outcome
from service.http.json_answer import json_answer


def test_a_document_is_answered_as_json_with_200() -> None:
    answer = json_answer({"id": "é", "cost": None})
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.body == '{"id":"é","cost":null}'.encode()


def test_a_status_and_headers_are_those_given() -> None:
    answer = json_answer({}, status=503, headers={"Retry-After": "2"})
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "2"
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("document", "encoded"),
    [
        pytest.param({"n": 2**70}, b'{"n":1180591620717411303424}', id="beyond 64 bits"),
        pytest.param({Outcome.FAILED: 1}, b'{"failed":1}', id="an enum is a key"),
    ],
)
def test_what_orjson_refuses_is_told_too(document: dict[str, object], encoded: bytes) -> None:
    assert json_answer(document).body == encoded
