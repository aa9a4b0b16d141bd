"""One word for how a provider is doing, and why."""

import pytest

from adapters.errors import make
from adapters.events import ErrorCode
from service.endpoints import Inactive
from service.routing.health import Health, Target
from service.routing.status import Status, status_of
from tests.service.routing.market import active, model, provider

P = provider("p", model("one", alias="uno"), model("two"))
ONE = Target("p", "one")


def told(health: Health, now: float = 0.0) -> tuple[str, str | None]:
    return status_of(active(P), health, now, over_api=False)


@pytest.mark.parametrize(
    ("reason", "over_api", "status", "why"),
    [
        ("no_key", False, Status.INACTIVE, "no key: set P_API_KEY"),
        ("no_address", False, Status.INACTIVE, "no address: set P_BASE_URL"),
        ("disabled", False, Status.DISABLED, "disabled in the configuration"),
        ("disabled", True, Status.DISABLED, "disabled over the API"),
        ("retired", False, Status.RETIRED, "retired by its owner"),
    ],
)
def test_who_cannot_be_asked_says_what_is_missing_or_who_switched_it_off(
    reason: str, *, over_api: bool, status: Status, why: str
) -> None:
    entry = Inactive(P, reason)  # type: ignore[arg-type] - the parameters are its values
    assert status_of(entry, Health(), 0.0, over_api=over_api) == (status, why)


def test_who_is_well_is_active_for_no_reason() -> None:
    assert told(Health()) == (Status.ACTIVE, None)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (
            ErrorCode.AUTH_PROVIDER,
            "its key was refused; it is asked again once it is enabled anew",
        ),
        (ErrorCode.QUOTA_PROVIDER, "its quota is spent; it is tried again from time to time"),
    ],
)
def test_whose_key_is_of_no_use_is_not_asked_and_so_is_disabled(code: ErrorCode, why: str) -> None:
    health = Health()
    health.failed(ONE, make(code, "no"), 0.0)
    assert told(health) == (Status.DISABLED, why)


def test_every_model_that_is_unwell_is_named() -> None:
    health = Health()
    for _ in range(10):
        health.failed(ONE, make(ErrorCode.UPSTREAM_5XX, "no"), 0.0)
    health.cool(Target("p", "two"), 60.0, 0.0)
    assert told(health) == (Status.DEGRADED, "uno is failing; two is cooling down")


def test_who_is_slow_is_degraded() -> None:
    health = Health()
    for start in range(40):
        awaited = health.expect(ONE, float(start), 0.2)
        awaited.heard = start + 0.5
        health.succeeded(ONE, start + 0.5)
    assert told(health, 40.0) == (Status.DEGRADED, "uno is slow")
