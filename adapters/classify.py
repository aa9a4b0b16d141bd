"""A provider's error answer -> a typed error: by its body first, then by its HTTP status.

The status alone misleads: some answer 400 to a bad key, some 429 to an unpaid bill, some 401 with
a code that says `invalid_request_error`. So the evidence is asked in the order of its worth:

1. the provider's own codes, where its data (`Provider.error_codes`) say what they mean;
2. statuses that mean one thing everywhere (401, 410, 413);
3. codes, types and hints that say what happened, whoever wrote them;
4. phrases of the message that do;
5. the status;
6. codes that only say whose fault it was.

First the body's shape is undone (`_Evidence`): `{"error": {...}}`, `{"error": "text"}`,
`{"code", "error": "text"}`, `{"detail": ...}`, any of them in a list, nested as `innererror`, as a
gateway's `metadata.raw`, or not JSON at all. No provider is named here.

What a client gets to see is the provider's own message, cut to a line of 500 characters, without
anything that looks like a key: never the body, which may repeat the prompt. `phase` and
`bytes_out` are the relay's to fill in, since only it knows what was sent. Source:
docs/providers.md, errors.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from adapters import errors, ratelimits
from adapters.contract import Failure, Provider
from adapters.events import Error, ErrorCode

MAX_MESSAGE = 500  # characters
MOST_WAIT = 3_600.0
"""The longest wait that is passed on, seconds: a provider's slip (1000000000) would keep clients
away for years, while routing asks it again after this time (`HealthSettings.most_cool_down`)."""

_MAX_READ = 2_000  # characters of one message that are looked at
_MAX_DEPTH = 8  # an error, in an error, in a gateway's error, each with a list around it


def classify(failure: Failure, provider: Provider) -> Error:
    """What happened, in the schema's words. Never raises, whatever the body is."""
    evidence = _Evidence()
    evidence.read(failure.body)
    code, named = _decide(evidence, failure.status, provider)
    provider_code = _code_that_says(code, evidence.codes, provider)
    return errors.make(
        code,
        _message(evidence, failure.status, provider),
        retryable=_retryable(failure.headers, provider_code),
        retry_after_ms=_retry_after_ms(failure.headers, evidence),
        param=evidence.param or named,
        provider=provider.name,
        provider_code=None if provider_code is None else redacted(provider_code)[:100],
    )


# --- Reading the body -----------------------------------------------------------------------


@dataclass(slots=True)
class _Evidence:
    """What a body says, gathered from all its levels; the outermost statement comes first."""

    codes: list[str] = field(default_factory=list)
    hints: list[ErrorCode] = field(default_factory=list)
    """What the body's shape tells beside its codes: a daily quota, a flagged prompt."""
    messages: list[str] = field(default_factory=list)
    param: str | None = None
    status: int | None = None
    wait: str | None = None
    """How long to wait, as written."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """The response headers of another provider behind this one."""

    def read(self, body: object, depth: int = 0) -> None:
        """Add what `body`, parsed JSON or text, says."""
        if isinstance(body, str):
            body = _parsed(body)
        if depth > _MAX_DEPTH:
            return
        if isinstance(body, str):
            self._text(body, whole=depth > 0)
        elif isinstance(body, list):
            for part in body[:8]:
                self.read(part, depth + 1)
        elif isinstance(body, dict):
            self._object(body, depth)

    def _text(self, text: str, *, whole: bool) -> None:
        text = text[:_MAX_READ].strip()
        if _MARKUP.match(text):
            title = _TITLE.search(text)
            text = title.group(1).strip() if title else ""
        # No client should see a traceback, nor what follows the first line of a bare text.
        if text and not text.startswith("Traceback"):
            self.messages.append(text if whole else text.splitlines()[0])

    def _object(self, body: dict[str, Any], depth: int) -> None:
        for name in ("code", "type", "status", "reason", "error_type", "status_code"):
            self._code(body.get(name))
        self._param(body)
        self._quota(body)
        for name in ("message", "msg", "detail", "error", "innererror", "details"):
            self.read(body.get(name), depth + 1)
        self._gateway(body.get("metadata"), depth)

    def _code(self, value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            return
        text = str(value)
        if _STATUS.fullmatch(text):
            self.status = self.status or int(text)
        elif text not in _NO_CODES:
            self.codes.append(text)

    def _param(self, body: dict[str, Any]) -> None:
        """The field at fault, by name or by the path a validator gives."""
        param, path = body.get("param"), body.get("loc")
        if self.param is None and isinstance(param, str):
            self.param = param or None
        if self.param is None and isinstance(path, list):
            self.param = ".".join(str(step) for step in path if step != "body")[:200] or None

    def _quota(self, body: dict[str, Any]) -> None:
        """Google's details: which quota ran out, and when it comes back."""
        if isinstance(body.get("retryDelay"), str):
            self.wait = body["retryDelay"]
        violations = body.get("violations")
        for violation in violations if isinstance(violations, list) else ():
            quota = violation.get("quotaId") if isinstance(violation, dict) else None
            if isinstance(quota, str):
                daily = "perday" in quota.lower()
                self.hints.append(
                    ErrorCode.QUOTA_PROVIDER if daily else ErrorCode.RATE_LIMIT_PROVIDER
                )

    def _gateway(self, metadata: object, depth: int) -> None:
        """What a gateway adds about the provider behind it."""
        if not isinstance(metadata, dict):
            return
        if "flagged_input" in metadata:  # it holds the prompt: its presence says enough
            self.hints.append(ErrorCode.CONTENT_BLOCKED_INPUT)
        self._code(metadata.get("error_type"))
        self.read(metadata.get("raw"), depth + 1)
        headers = metadata.get("headers")
        if isinstance(headers, dict):
            self.headers = {str(name): str(value) for name, value in headers.items()}


_MARKUP = re.compile(r"<(?:!doctype|!--|\?xml|html|head|body)\b", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]{0,100}>([^<]{1,200})</title>", re.IGNORECASE)
_STATUS = re.compile(r"[45]\d\d", re.ASCII)
_NO_CODES: Final = frozenset({"", "error", "failed"})  # `type` and `status` of an envelope


def _parsed(text: str) -> object:
    """JSON inside a string, as gateways pass on another's answer; else the text."""
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return orjson.loads(text)
    except ValueError:  # not JSON, or characters that UTF-8 has no bytes for
        return text


# --- Deciding -------------------------------------------------------------------------------


def _codes(meaning: ErrorCode, codes: str) -> dict[str, ErrorCode]:
    return dict.fromkeys(codes.split(), meaning)


_CODES: Final[Mapping[str, ErrorCode]] = {
    **_codes(
        ErrorCode.AUTH_PROVIDER,
        "authentication_error authentication_failed authenticationerror unauthenticated"
        " unauthorized invalid_authentication invalid_authentication_error invalid_api_key"
        " incorrect_api_key_error invalidapikey api_key_invalid api_key_expired"
        " api_key_service_blocked permission_error permission_denied permissiondenied"
        " accessdenied access_denied forbidden account_deactivated organization_deactivated"
        " unsupported_country_region_territory service_disabled consumer_suspended",
    ),
    **_codes(
        ErrorCode.QUOTA_PROVIDER,
        "insufficient_quota billing_error billing_not_active billing_hard_limit_reached"
        " exceeded_current_quota_error insufficient_balance insufficient_credits arrearage"
        " payment_required throttling.allocationquota",
    ),
    **_codes(
        ErrorCode.RATE_LIMIT_PROVIDER,
        "rate_limit_exceeded rate_limit_error rate_limit_reached_error ratelimitreached"
        " rate_limited too_many_requests toomanyrequests throttling resource_exhausted",
    ),
    **_codes(
        ErrorCode.CONTEXT_LENGTH,
        "context_length_exceeded context_window_exceeded model_context_window_exceeded"
        " request_too_large too_many_prompt_tokens tokens_limit_reached string_above_max_length",
    ),
    **_codes(
        ErrorCode.CONTENT_BLOCKED_INPUT,
        "content_filter content_policy_violation responsibleaipolicyviolation"
        " data_inspection_failed datainspectionfailed invalid_prompt bio_policy cyber_policy"
        " misalignment_policy_violation image_content_policy_violation",
    ),
    **_codes(
        ErrorCode.MODEL_UNAVAILABLE,
        "model_not_found modelnotfound not_found not_found_error resource_not_found_error"
        " deploymentnotfound resourcenotfound model_not_available model_not_supported"
        " model_decommissioned model_not_active unknown_model unavailable_model invalid_model",
    ),
    **_codes(
        ErrorCode.OVERLOADED,
        "overloaded_error overloaded engine_overloaded_error server_overloaded capacity_exceeded"
        " nocapacity slow_down unavailable service_unavailable serviceunavailable"
        " insufficient_system_resource",
    ),
    **_codes(
        ErrorCode.UNSUPPORTED_PARAMETER,
        "unsupported_parameter unsupported_value unknown_parameter extra_forbidden",
    ),
    **_codes(ErrorCode.INVALID_REQUEST, "tool_use_failed json_validate_failed"),
}
"""Codes and types, lower case, that say what happened whoever writes them."""

_BLAME: Final[Mapping[str, ErrorCode]] = {
    **_codes(
        ErrorCode.INVALID_REQUEST,
        "invalid_request_error invalid_request invalid_argument invalid-argument bad_request"
        " badrequest invalid_parameter_error failed_precondition out_of_range",
    ),
    **_codes(
        ErrorCode.UPSTREAM_5XX,
        "server_error api_error internal_error internal internal_server_error internalerror"
        " internalservererror stream_failure timeout timeout_error deadline_exceeded",
    ),
}
"""Codes that only say whose fault it was: asked when nothing better is known."""

# Where a body's codes mean different things, the first of these holds: RESOURCE_EXHAUSTED with a
# daily quota, a gateway's `rate_limit_exceeded` around the `insufficient_quota` behind it.
_MOST_TELLING: Final = (
    ErrorCode.CONTENT_BLOCKED_INPUT,
    ErrorCode.CONTEXT_LENGTH,
    ErrorCode.QUOTA_PROVIDER,
    ErrorCode.UNSUPPORTED_PARAMETER,
    ErrorCode.AUTH_PROVIDER,
    ErrorCode.MODEL_UNAVAILABLE,
    ErrorCode.OVERLOADED,
    ErrorCode.RATE_LIMIT_PROVIDER,
    ErrorCode.INVALID_REQUEST,
)


def _phrases(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


_PHRASES: Final[Mapping[ErrorCode, re.Pattern[str]]] = {
    ErrorCode.CONTEXT_LENGTH: _phrases(
        r"(?:prompt|input) is too long",
        r"maximum context length",
        r"context (?:window|length)",
        r"input token count",
        r"exceeded model token limit",
        r"too many tokens",
        r"reduce the length of the messages",
        r"range of input length should be",
    ),
    ErrorCode.QUOTA_PROVIDER: _phrases(
        r"insufficient (?:balance|credit)",
        r"requires more credits",
        r"credit balance is too low",
        r"monthly included credits",
        r"used all available credits",
        r"spending limit",
        r"billing hard limit",
        r"exceeded your current quota",
    ),
    ErrorCode.AUTH_PROVIDER: _phrases(
        r"(?:incorrect|invalid|expired) (?:x-)?api.key",
        r"api key (?:not valid|expired|not found)",
        r"authentication fails",
        r"user location is not supported",
    ),
    ErrorCode.CONTENT_BLOCKED_INPUT: _phrases(
        r"content management policy",
        r"content filtering policy",
        r"input was flagged",
        r"inappropriate content",
        r"safety system",
        r"requires moderation",
    ),
    ErrorCode.MODEL_UNAVAILABLE: _phrases(
        r"not supported by any provider you have enabled",
        r"model \S{1,128} (?:does not exist|not found)",
        r"not found the model",
        r"has been decommissioned",
    ),
    ErrorCode.OVERLOADED: _phrases(r"\boverloaded\b", r"(?:at|over) capacity"),
    # A group is the parameter's name. The recordings of kimi and openai have these two forms:
    # "invalid temperature: only 1 is allowed for this model", "tool_choice 'required' is
    # incompatible with thinking enabled".
    ErrorCode.UNSUPPORTED_PARAMETER: _phrases(
        r"unsupported (?:parameter|value):? '([^']{1,64})'",
        r"(?:unknown|unrecognized) (?:parameter|argument|field|name):? [\"']([^\"']{1,64})[\"']",
        r"property '([^']{1,64})' is unsupported",
        r"([\w.]{1,64}): extra inputs are not permitted",
        r"does not support parameter (\w{1,64})",
        r"invalid (\w{1,64}): only \S{1,64} is allowed for this model",
        r"\b(\w{1,64}) '\w{1,64}' is incompatible with",
        r"[`'\"](\w{1,64})[`'\"] is (?:deprecated|(?:un|not )supported) (?:with|for|by|on) th",
        r"does not support",
        r"is not supported (?:with|for|by|on) this model",
        r"requests ending with a model turn are not supported",
    ),
}
"""What messages say, asked in this order; of answers below 500 only."""

_STATUS_ABOVE_ALL: Final[Mapping[int | None, ErrorCode]] = {
    401: ErrorCode.AUTH_PROVIDER,
    410: ErrorCode.MODEL_UNAVAILABLE,
    # Also where the body calls it a rate limit: more than a minute's tokens will never fit.
    413: ErrorCode.CONTEXT_LENGTH,
}
_STATUSES: Final[Mapping[int, ErrorCode]] = {
    402: ErrorCode.QUOTA_PROVIDER,
    403: ErrorCode.AUTH_PROVIDER,
    404: ErrorCode.MODEL_UNAVAILABLE,
    # What we sent is not spoken at this address: not the caller's doing.
    405: ErrorCode.UPSTREAM_MALFORMED,
    406: ErrorCode.UPSTREAM_MALFORMED,
    415: ErrorCode.UPSTREAM_MALFORMED,
    408: ErrorCode.UPSTREAM_5XX,
    409: ErrorCode.UPSTREAM_5XX,
    425: ErrorCode.UPSTREAM_5XX,
    429: ErrorCode.RATE_LIMIT_PROVIDER,
    498: ErrorCode.OVERLOADED,
    499: ErrorCode.UPSTREAM_5XX,
    503: ErrorCode.OVERLOADED,
    529: ErrorCode.OVERLOADED,
}
_STATUS_CLASSES: Final[Mapping[int, ErrorCode]] = {
    4: ErrorCode.INVALID_REQUEST,
    5: ErrorCode.UPSTREAM_5XX,
}
_FIRST_ERROR_STATUS = 400
_FIRST_SERVER_STATUS = 500


def _decide(
    evidence: _Evidence, http: int | None, provider: Provider
) -> tuple[ErrorCode, str | None]:
    """The code, and the parameter that the message names."""
    for code in evidence.codes:
        meaning = _meaning(code, provider.error_codes)
        if meaning is not None:
            return meaning, None
    status = http if http is not None and http >= _FIRST_ERROR_STATUS else evidence.status
    if status in _STATUS_ABOVE_ALL:
        return _STATUS_ABOVE_ALL[status], None
    told = {*evidence.hints, *(_meaning(code, _CODES) for code in evidence.codes)}
    for telling in _MOST_TELLING:
        if telling in told:
            return telling, _named(telling, evidence.messages)
    if status is None or status < _FIRST_SERVER_STATUS:
        for code, pattern in _PHRASES.items():
            if any(pattern.search(message) for message in evidence.messages):
                return code, _named(code, evidence.messages)
    if status is not None:
        by_class = _STATUS_CLASSES.get(status // 100, ErrorCode.UPSTREAM_MALFORMED)
        return _STATUSES.get(status, by_class), None
    blamed = (_meaning(code, _BLAME) for code in evidence.codes)
    # An error inside a stream, or a 200 or 3xx that is not the stream we asked for.
    unexplained = ErrorCode.UPSTREAM_5XX if http is None else ErrorCode.UPSTREAM_MALFORMED
    return next((blame for blame in blamed if blame), unexplained), None


def _meaning(code: str, table: Mapping[str, ErrorCode]) -> ErrorCode | None:
    """The table's word on a code, or on the family before its dot (`Throttling.User`)."""
    code = code.lower()
    return table.get(code) or table.get(code.partition(".")[0])


def _named(code: ErrorCode, messages: list[str]) -> str | None:
    """The parameter a message names where `code` is about one."""
    for message in messages:
        match = _PHRASES[code].search(message) if code in _PHRASES else None
        if match is not None and any(match.groups()):
            return next(name for name in match.groups() if name)
    return None


def _code_that_says(code: ErrorCode, written: list[str], provider: Provider) -> str | None:
    """The provider's code that means what was decided, else its outermost one."""
    for table in (provider.error_codes, _CODES, _BLAME):
        for text in written:
            if _meaning(text, table) is code:
                return text
    return written[0] if written else None


# --- Around the code ------------------------------------------------------------------------

# The model stumbled over its own output; the same request may go well the next time.
_RETRY_MAY_HELP: Final = frozenset({"tool_use_failed", "json_validate_failed"})
_SAID: Final = {"true": True, "false": False}


def _retryable(headers: Mapping[str, str], provider_code: str | None) -> bool | None:
    """Whether to resend, where the provider says; None leaves it to the code's rule."""
    for name, value in headers.items():
        if name.lower() == "x-should-retry" and value.lower() in _SAID:
            return _SAID[value.lower()]
    return True if provider_code in _RETRY_MAY_HELP else None


_WAIT_PHRASE = re.compile(r"(?:try again|retry) in ([\dhmsµun.]{1,32})", re.IGNORECASE)


def _retry_after_ms(headers: Mapping[str, str], evidence: _Evidence) -> int | None:
    for seconds in _waits(headers, evidence, ratelimits.response_time(headers)):
        if seconds is not None:
            return round(min(seconds, MOST_WAIT) * 1000)
    return None


def _waits(
    headers: Mapping[str, str], evidence: _Evidence, now: float | None
) -> Iterator[float | None]:
    """Every way to say how long to wait, in seconds, the most deliberate one first."""
    yield ratelimits.retry_after(headers, now)
    yield ratelimits.duration(evidence.wait or "")
    yield ratelimits.retry_after(evidence.headers, now)
    for name, value in evidence.headers.items():
        if name.lower() == "x-ratelimit-reset":
            yield ratelimits.until(value, now)
    for message in evidence.messages:
        match = _WAIT_PHRASE.search(message)
        if match is not None:
            yield ratelimits.duration(match.group(1).rstrip("."))


def _message(evidence: _Evidence, status: int | None, provider: Provider) -> str:
    """The provider's own words: all levels', each once, the outermost first."""
    said = redacted(" ".join("; ".join(_distinct(evidence.messages)).split()))
    if not said:
        what = "an error" if status is None else f"HTTP {status}"
        return f"{provider.title} answered {what} without an explanation"
    return said if len(said) <= MAX_MESSAGE else said[: MAX_MESSAGE - 1] + "…"


def _distinct(messages: list[str]) -> list[str]:
    """Messages that add something to the ones before."""
    kept: list[str] = []
    for message in messages:
        if not any(message in earlier for earlier in kept):
            kept.append(message)
    return kept


_AFTER_KEY = re.compile(
    r"(\b(?:api[ _-]?)?(?:key|token|secret|authorization)\b[^:=\n]{0,16}[:=](?!//)\s*)"
    r"(?!\d{1,9}(?:[\s.,;]|$))[^\s,;]+",  # a short number is a count, as in "token limit: 262144"
    re.IGNORECASE,
)
_SECRETS = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|pplx|nvapi|github_pat|org|proj)[-_](?:[\w.-]*\*[\w*.-]*|[\w.-]{12,})"
    r"|\b(?:hf|gh[opsu]|tr)_\w{12,}"
    r"|\bAIza[\w-]{10,}|\bya29\.[\w.-]{10,}|\beyJ[\w.-]{10,}"
    r"|(?<=bearer )\S+"
    # A long run of letters and digits: some keys have no prefix and no word beside them.
    r"|\b(?=[A-Za-z]{0,64}\d)[A-Za-z0-9]{28,}(?:\.[A-Za-z0-9]{8,})?",
    re.IGNORECASE,
)


def redacted(text: str) -> str:
    """`text` without anything that looks like a key or an account's id."""
    return _SECRETS.sub("[redacted]", _AFTER_KEY.sub(r"\1[redacted]", text))
