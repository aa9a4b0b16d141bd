"""Reading a request's body."""

import pytest

from adapters.errors import RequestError
from adapters.events import ErrorCode
from adapters.request import ChatRequest
from service.http import body


def test_a_valid_body_is_the_model() -> None:
    request = body.parse(b'{"messages":[{"role":"user","content":"hi"}]}', ChatRequest)
    assert request.model == "auto"


def test_an_invalid_body_is_refused_without_its_contents() -> None:
    with pytest.raises(RequestError) as refusal:
        body.parse(b'{"messages":[{"role":"user","content":"my secret"}],"x":1}', ChatRequest)
    error = refusal.value.error
    assert (error.code, error.param) == (ErrorCode.INVALID_REQUEST, "x")
    assert "secret" not in error.message
