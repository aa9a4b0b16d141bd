"""Every error code says what it means for the caller and the router."""

import pytest

from adapters import errors
from adapters.errors import RULES, Action, RequestError, TailraceError, UpstreamError
from adapters.events import ErrorCode, Phase, Scope


def test_every_code_has_a_rule() -> None:
    assert set(RULES) == set(ErrorCode)


# The table of docs/streams.md, errors: code, HTTP status, whether the caller may resend.
DOCUMENTED = [
    ("invalid_request", 400, False),
    ("unsupported_parameter", 400, False),
    ("auth_client", 401, False),
    ("permission_denied", 403, False),
    ("not_found", 404, False),
    ("conflict", 409, False),
    ("stream_expired", 410, False),
    ("payload_too_large", 413, False),
    ("context_length", 400, False),
    ("content_blocked_input", 400, False),
    ("content_blocked_output", 200, False),
    ("rate_limit_client", 429, True),
    ("rate_limit_provider", 429, True),
    ("quota_provider", 502, False),
    ("auth_provider", 502, False),
    ("model_unavailable", 502, False),
    ("upstream_5xx", 502, True),
    ("overloaded", 503, True),
    ("upstream_malformed", 502, True),
    ("upstream_connect", 502, True),
    ("stream_interrupted", 502, True),
    ("timeout_first_token", 504, True),
    ("timeout_idle", 504, True),
    ("timeout_total", 504, False),
    ("no_candidates", 503, True),
    ("over_budget", 422, False),
    ("failover_impossible", 502, True),
    ("slow_consumer", 503, True),
    ("draining", 503, True),
    ("cancelled", 499, False),
    ("internal", 500, True),
]


@pytest.mark.parametrize(("code", "http", "retryable"), DOCUMENTED, ids=[c[0] for c in DOCUMENTED])
def test_a_code_has_the_documented_status_and_retryability(
    code: str, http: int, *, retryable: bool
) -> None:
    rule = RULES[ErrorCode(code)]
    assert (rule.http, rule.retryable) == (http, retryable)


def test_a_provider_s_faults_move_the_request_on_at_once() -> None:
    moved = {code for code, rule in RULES.items() if rule.action is Action.FAILOVER}
    assert moved == {
        ErrorCode.RATE_LIMIT_PROVIDER,
        ErrorCode.QUOTA_PROVIDER,
        ErrorCode.AUTH_PROVIDER,
        ErrorCode.MODEL_UNAVAILABLE,
        ErrorCode.UPSTREAM_5XX,
        ErrorCode.OVERLOADED,
        ErrorCode.UPSTREAM_MALFORMED,
        ErrorCode.UPSTREAM_CONNECT,
        ErrorCode.STREAM_INTERRUPTED,
        ErrorCode.TIMEOUT_FIRST_TOKEN,
        ErrorCode.TIMEOUT_IDLE,
        ErrorCode.TOO_SLOW,
    }


def test_no_fault_of_the_caller_s_own_is_taken_to_another_provider_as_one_of_the_first() -> None:
    for rule in RULES.values():
        if rule.scope is Scope.CLIENT:
            assert rule.action is not Action.FAILOVER


@pytest.mark.parametrize("code", [ErrorCode.AUTH_PROVIDER, ErrorCode.MODEL_UNAVAILABLE])
def test_a_provider_s_refusal_is_never_shown_as_the_caller_s_own(code: ErrorCode) -> None:
    assert RULES[code].http not in (401, 403, 404)


def test_an_error_follows_its_code_s_rule() -> None:
    error = errors.make(ErrorCode.OVERLOADED, "busy", provider="acme", provider_code="529")
    assert (error.http, error.retryable, error.scope) == (503, True, Scope.PROVIDER)
    assert (error.phase, error.bytes_out) == (Phase.BEFORE_COMMIT, False)
    assert (error.provider, error.provider_code) == ("acme", "529")


def test_what_is_known_better_outranks_the_rule() -> None:
    error = errors.make(
        ErrorCode.NO_CANDIDATES,
        "no key",
        http=422,
        retryable=False,
        retry_after_ms=5,
        phase=Phase.MID_STREAM,
        bytes_out=True,
    )
    assert (error.http, error.retryable, error.retry_after_ms) == (422, False, 5)
    assert (error.phase, error.bytes_out) == (Phase.MID_STREAM, True)


def test_an_exception_carries_its_error_and_its_words() -> None:
    error = errors.make(ErrorCode.UPSTREAM_CONNECT, "refused")
    assert str(RequestError(error)) == "refused"
    assert RequestError(error).error is error
    assert UpstreamError(error).reached == "taken"
    assert UpstreamError(error, reached="unsent").reached == "unsent"
    assert issubclass(RequestError, TailraceError)
    assert issubclass(UpstreamError, TailraceError)
