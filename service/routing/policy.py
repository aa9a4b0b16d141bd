"""Which provider answers: a table of expectations, then any that is active.

For `auto` the use case's first choice answers if it is active, else the next of its row, else any
active provider in the registry's order; `demo` only where no key at all is set. The table ranks,
it never restricts. Everything that was passed over is named with its reason, because "why not that
one" is the first question anybody asks of a router.
"""

from collections.abc import Mapping

from adapters.contract import Endpoint
from adapters.errors import RequestError, make
from adapters.events import ErrorCode, Phase
from adapters.request import ChatRequest, UseCase
from service.endpoints import Inactive
from service.routing.plan import Choice, Plan, Reason, Skipped
from service.routing.target import Auto, Bare, Pinned, Target, parse

DEMO = "demo"

Known = Mapping[str, Endpoint | Inactive]
"""Every known provider by name, in the registry's order, `demo` last."""

EXPECTED: Mapping[UseCase, tuple[tuple[str, str | None], ...]] = {
    UseCase.CONVERSATION: (("groq", None), ("openai", None), ("mistral", None)),
    UseCase.CODE_GENERATION: (("deepseek", None), ("claude", "sonnet"), ("openai", None)),
    UseCase.ANALYSIS: (("claude", "sonnet"), ("openai", None), ("gemini", "pro")),
    UseCase.SUMMARIZATION: (("gemini", "flash"), ("mistral", "small"), ("groq", None)),
    UseCase.CLASSIFICATION: (("qwen", None), ("groq", "qwen3.8-27b"), ("gemini", "flash")),
    UseCase.TRANSLATION: (("mistral", "large"), ("gemini", "flash"), ("openai", None)),
    UseCase.QUESTION_ANSWERING: (("openai", None), ("claude", "sonnet"), ("groq", None)),
    UseCase.CREATIVE_WRITING: (("claude", "sonnet"), ("openai", None), ("mistral", "large")),
    UseCase.DATA_EXTRACTION: (("mistral", "small"), ("openai", None), ("gemini", "flash")),
    UseCase.WEB_SEARCH: (("perplexity", None), ("openai", None), ("gemini", "flash")),
    UseCase.LONG_CONTEXT: (("kimi", None), ("gemini", "pro"), ("claude", "sonnet")),
    UseCase.EXPERT: (("claude", "opus"), ("openai", None), ("gemini", "pro")),
}
"""Use case -> (provider, alias or its first model), best first: what existing callers of the
coordination API expect of it."""


def plan(request: ChatRequest, known: Known) -> Plan:
    """Decide who may answer.

    Raises RequestError: `no_candidates` (422) naming what is missing, `not_found` for a model that
    nobody lists, `invalid_request` for a `model` form or provider name that does not exist.
    """
    _check_names(request, known)
    target = parse(request.model, known)
    if request.latency.providers is not None:
        return _ordered(request.latency.providers, target, request, known)
    match target:
        case Pinned(provider, model):
            return _pinned(provider, model, request, known)
        case Bare(model):
            return _bare(model, request, known)
        case Auto(use_case):
            return _auto(use_case or request.use_case, request, known)


def _auto(use_case: UseCase, request: ChatRequest, known: Known) -> Plan:
    row = EXPECTED[use_case]
    ranked = [*row, *((name, None) for name in known if name not in dict(row))]
    choices, skipped = _sift(ranked, request, known)
    if not choices:
        choices = _demo(known, request)
    if not choices:
        raise _nobody(skipped)
    first = row[0][0]
    preferred = next((skip for skip in skipped if skip.provider == first), None)
    return Plan(
        policy=f"table:{use_case}",
        choices=choices,
        request=request,
        skipped=skipped,
        preferred=preferred,
    )


def _pinned(provider: str, model: str | None, request: ChatRequest, known: Known) -> Plan:
    if model is None:
        model = dict(EXPECTED[request.use_case]).get(provider)
    choices, skipped = _sift([(provider, model)], request, known, demo=True)
    if not choices:
        raise _nobody(skipped)
    return Plan(policy="pinned", choices=choices, request=request, skipped=skipped)


def _bare(model: str, request: ChatRequest, known: Known) -> Plan:
    ranked: list[tuple[str, str | None]] = [
        (name, model) for name, entry in known.items() if _lists(entry, model)
    ]
    if not ranked:
        raise RequestError(
            make(
                ErrorCode.NOT_FOUND,
                f"no provider lists the model {model[:128]!r}; an unlisted one is asked for as "
                "<provider>/<model>",
                param="model",
                phase=Phase.BEFORE_STREAM,
            )
        )
    choices, skipped = _sift(ranked, request, known)
    if not choices:
        raise _nobody(skipped)
    return Plan(policy="model", choices=choices, request=request, skipped=skipped)


def _ordered(providers: list[str], target: Target, request: ChatRequest, known: Known) -> Plan:
    """The caller's own order: no reordering, skipping only what cannot run.

    A `model` that pins a provider says the opposite of an order with others in it.
    """
    ranked: list[tuple[str, str | None]] = []
    for name in providers:
        provider, slash, model = name.partition("/")
        if isinstance(target, Pinned) and provider != target.provider:
            raise _contradiction(name, target)
        wanted = model if slash and model != "auto" else None
        if wanted is None and not isinstance(target, Auto):
            wanted = target.model
        ranked.append((provider, wanted))
    choices, skipped = _sift(ranked, request, known, demo=True)
    if not choices:
        raise _nobody(skipped)
    return Plan(policy="ordered", choices=choices, request=request, skipped=skipped)


def _sift(
    ranked: list[tuple[str, str | None]],
    request: ChatRequest,
    known: Known,
    *,
    demo: bool = False,
) -> tuple[tuple[Choice, ...], tuple[Skipped, ...]]:
    """Part the ranked into those that can run and those that cannot, with the reason."""
    choices: list[Choice] = []
    skipped: list[Skipped] = []
    only, exclude = request.providers.only, request.providers.exclude
    for name, model in ranked:
        entry = known[name]
        if name == DEMO and not demo:
            continue
        if name in exclude or (only and name not in only):
            skipped.append(Skipped(name, model, Reason.EXCLUDED))
        elif isinstance(entry, Inactive):
            skipped.append(Skipped(name, model, Reason(entry.reason)))
        else:
            choices.append(Choice(entry, entry.provider.model(model)))
    return tuple(choices), tuple(skipped)


def _demo(known: Known, request: ChatRequest) -> tuple[Choice, ...]:
    """The built-in answer, for where no key at all is set."""
    entry = known.get(DEMO)
    real = any(isinstance(other, Endpoint) for name, other in known.items() if name != DEMO)
    only, exclude = request.providers.only, request.providers.exclude
    wanted = DEMO not in exclude and (not only or DEMO in only)
    if real or not wanted or not isinstance(entry, Endpoint):
        return ()
    return (Choice(entry, entry.provider.model(None)),)


def _lists(entry: Endpoint | Inactive, model: str) -> bool:
    return any(model in (listed.id, listed.alias) for listed in entry.provider.models)


def _check_names(request: ChatRequest, known: Known) -> None:
    """Refuse a provider name that does not exist, by the field it stands in."""
    for param, names in (
        ("providers.only", request.providers.only),
        ("providers.exclude", request.providers.exclude),
        ("latency.providers", request.latency.providers or []),
    ):
        for name in names:
            if name.partition("/")[0] not in known:
                raise RequestError(
                    make(
                        ErrorCode.INVALID_REQUEST,
                        f"{param}: {name[:64]!r} is not one of {', '.join(known)}",
                        param=param,
                        phase=Phase.BEFORE_STREAM,
                    )
                )


def _contradiction(name: str, target: Pinned) -> RequestError:
    return RequestError(
        make(
            ErrorCode.INVALID_REQUEST,
            f"latency.providers: {name[:64]!r} is not {target.provider}, which model pins",
            param="latency.providers",
            phase=Phase.BEFORE_STREAM,
        )
    )


_WHY: Mapping[str, str] = {
    "no_key": "{} has no key",
    "no_address": "{} has no address",
    "disabled": "{} is disabled",
    "retired": "{} is retired",
    "excluded": "{} is excluded by the request",
}


def _nobody(skipped: tuple[Skipped, ...]) -> RequestError:
    reasons = "; ".join(_WHY[skip.reason].format(skip.provider) for skip in skipped)
    param = "model" if len(skipped) == 1 else None
    return RequestError(
        make(
            ErrorCode.NO_CANDIDATES,
            f"nobody can answer: {reasons or 'no provider is configured'}",
            http=422,
            retryable=False,
            param=param,
            provider=skipped[0].provider if len(skipped) == 1 else None,
            phase=Phase.BEFORE_STREAM,
        )
    )
