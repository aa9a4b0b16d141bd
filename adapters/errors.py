"""What each error code means for the caller and the router, and the exceptions that carry one.

The table is the schema's (docs/streams.md, errors): the HTTP status an error has while nothing was
sent, whether the caller may resend the same request, whose fault it is, and what the router does.
`classify` turns a provider's answer into a code; this module only says what a code means.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from adapters.events import Error, ErrorCode, Phase, Scope


class Action(StrEnum):
    """What the router does about an attempt's error."""

    NONE = "none"
    """The caller's own fault, or nothing to be done: no other candidate is asked."""
    OTHER_CANDIDATE = "other_candidate"
    """Another provider may take what this one refused; this one's health is not in doubt."""
    FAILOVER = "failover"
    """Another provider at once; this one is marked by what happened."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the error table."""

    http: int
    retryable: bool
    scope: Scope
    action: Action


_C, _R, _P, _N = Scope.CLIENT, Scope.ROUTER, Scope.PROVIDER, Scope.NETWORK
_STOP, _OTHER, _NEXT = Action.NONE, Action.OTHER_CANDIDATE, Action.FAILOVER

RULES: dict[ErrorCode, Rule] = {
    ErrorCode.INVALID_REQUEST: Rule(400, False, _C, _STOP),
    ErrorCode.INVALID_MESSAGE: Rule(400, False, _C, _STOP),
    ErrorCode.UNSUPPORTED_PARAMETER: Rule(400, False, _C, _OTHER),
    ErrorCode.AUTH_CLIENT: Rule(401, False, _C, _STOP),
    ErrorCode.PERMISSION_DENIED: Rule(403, False, _C, _STOP),
    ErrorCode.NOT_FOUND: Rule(404, False, _C, _STOP),
    ErrorCode.CONFLICT: Rule(409, False, _C, _STOP),
    ErrorCode.STREAM_EXPIRED: Rule(410, False, _C, _STOP),
    ErrorCode.PAYLOAD_TOO_LARGE: Rule(413, False, _C, _STOP),
    ErrorCode.CONTEXT_LENGTH: Rule(400, False, _C, _OTHER),
    ErrorCode.CONTENT_BLOCKED_INPUT: Rule(400, False, _P, _STOP),
    ErrorCode.CONTENT_BLOCKED_OUTPUT: Rule(200, False, _P, _STOP),
    ErrorCode.RATE_LIMIT_CLIENT: Rule(429, True, _C, _STOP),
    ErrorCode.RATE_LIMIT_PROVIDER: Rule(429, True, _P, _NEXT),
    ErrorCode.QUOTA_PROVIDER: Rule(502, False, _P, _NEXT),
    ErrorCode.AUTH_PROVIDER: Rule(502, False, _P, _NEXT),
    ErrorCode.MODEL_UNAVAILABLE: Rule(502, False, _P, _NEXT),
    ErrorCode.UPSTREAM_5XX: Rule(502, True, _P, _NEXT),
    ErrorCode.OVERLOADED: Rule(503, True, _P, _NEXT),
    ErrorCode.UPSTREAM_MALFORMED: Rule(502, True, _P, _NEXT),
    ErrorCode.UPSTREAM_CONNECT: Rule(502, True, _N, _NEXT),
    ErrorCode.STREAM_INTERRUPTED: Rule(502, True, _N, _NEXT),
    ErrorCode.TIMEOUT_FIRST_TOKEN: Rule(504, True, _P, _NEXT),
    ErrorCode.TIMEOUT_IDLE: Rule(504, True, _P, _NEXT),
    ErrorCode.TIMEOUT_TOTAL: Rule(504, False, _R, _STOP),
    ErrorCode.TOO_SLOW: Rule(504, True, _P, _NEXT),
    ErrorCode.NO_CANDIDATES: Rule(503, True, _R, _STOP),
    ErrorCode.OVER_BUDGET: Rule(422, False, _C, _STOP),
    ErrorCode.ALL_ATTEMPTS_FAILED: Rule(502, True, _R, _STOP),
    ErrorCode.FAILOVER_IMPOSSIBLE: Rule(502, True, _R, _STOP),
    ErrorCode.SLOW_CONSUMER: Rule(503, True, _C, _STOP),
    ErrorCode.DRAINING: Rule(503, True, _R, _STOP),
    ErrorCode.CANCELLED: Rule(499, False, _C, _STOP),
    ErrorCode.INTERNAL: Rule(500, True, _R, _STOP),
}


def make(  # noqa: PLR0913 - one keyword per field of the error
    code: ErrorCode,
    message: str,
    *,
    http: int | None = None,
    phase: Phase = Phase.BEFORE_COMMIT,
    bytes_out: bool = False,
    retryable: bool | None = None,
    retry_after_ms: int | None = None,
    param: str | None = None,
    provider: str | None = None,
    provider_code: str | None = None,
    causes: list[Error] | None = None,
) -> Error:
    """Build an error whose http, retryable and scope follow the table unless given.

    `message` reaches the client: it must hold no key, prompt, path or traceback.
    """
    rule = RULES[code]
    return Error(
        code=code,
        message=message,
        retryable=rule.retryable if retryable is None else retryable,
        scope=rule.scope,
        http=rule.http if http is None else http,
        phase=phase,
        bytes_out=bytes_out,
        retry_after_ms=retry_after_ms,
        param=param,
        provider=provider,
        provider_code=provider_code,
        causes=causes,
    )


class TailraceError(Exception):
    """Any failure that already has a code; `error` is what the client sees."""

    def __init__(self, error: Error) -> None:
        """Wrap a typed error; its message is the exception's text."""
        super().__init__(error.message)
        self.error = error


class RequestError(TailraceError):
    """The caller's request cannot be served as it stands."""


Reached = Literal["unsent", "refused", "taken"]
"""How far a request came: there was no connection to send it on; it was answered with an error
status; or the provider has it, and may be at work on it."""


class UpstreamError(TailraceError):
    """An attempt failed before or while its answer was read; `reached` says how far it had come."""

    def __init__(
        self, error: Error, *, reached: Reached = "taken", status: int | None = None
    ) -> None:
        """Wrap what happened to an attempt; `status`: the provider's own, where it gave one."""
        super().__init__(error)
        self.reached = reached
        self.status = status
        self.sent = 0
        """Bytes of the request's body that went out, as far as that is known."""
