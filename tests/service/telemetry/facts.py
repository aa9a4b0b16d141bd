"""Facts of attempts for the tests of who counts them."""

from dataclasses import replace

import msgspec

from adapters.errors import make
from adapters.events import Error, ErrorCode, Outcome, Role, UsageSource
from adapters.tokens import UNKNOWN
from service.telemetry.attempts import AttemptFacts

USAGE = msgspec.structs.replace(UNKNOWN, input=100, output=11, source=UsageSource.PROVIDER)

_COMPLETED = AttemptFacts(
    stream="str_1",
    attempt=1,
    provider="openai",
    model="gpt-4.1-nano",
    role=Role.PRIMARY,
    outcome=Outcome.COMPLETED,
    error=None,
    usage=USAGE,
    committed=True,
    hedged=False,
    started=1_000.0,
    ttft=0.5,
    duration=1.5,
    use_case="conversation",
    tier="standard",
    substitute=False,
)


def completed(**changes: object) -> AttemptFacts:
    """An attempt that answered, or as `changes` say."""
    return replace(_COMPLETED, **changes)


def failed(code: ErrorCode = ErrorCode.OVERLOADED, **changes: object) -> AttemptFacts:
    """An attempt that was refused."""
    error: Error = make(code, "the provider said no")
    return completed(
        **{
            "outcome": Outcome.FAILED,
            "error": error,
            "usage": UNKNOWN,
            "committed": False,
            "ttft": None,
            "charged": False,
            **changes,
        }
    )


def overtaken(**changes: object) -> AttemptFacts:
    """An attempt that another one was faster than."""
    return completed(
        **{
            "outcome": Outcome.LOST_RACE,
            "usage": UNKNOWN,
            "committed": False,
            "hedged": True,
            "ttft": None,
            **changes,
        }
    )
