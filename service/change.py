"""What an operator may change of a provider: read out of JSON, and refused in our words.

A field that is left out stays as it is; a null among the limits is a change, too, by which the
limit is lifted. Deciding only: `overrides` keeps changes and puts them into force.
"""

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json

MOST: Final = 1_000_000_000
"""The highest limit there is; beyond it is a slip of the finger."""

Limit = Annotated[int, Field(ge=1, le=MOST)]


class ChangeError(Exception):
    """A change that cannot stand; the text names the field, the value and what is allowed."""

    def __init__(self, field: str | None, said: str) -> None:
        """`field`: which one; None where it is the change as a whole."""
        super().__init__(f"{field}: {said}" if field else said)
        self.field = field


class Change(BaseModel):
    """What is changed of one provider: the fields that were given."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    enabled: bool = True
    requests_per_minute: Limit | None = None
    tokens_per_minute: Limit | None = None
    concurrent_streams: Limit | None = None

    @classmethod
    def of(cls, value: object) -> "Change":
        """Read a change out of parsed JSON; raises ChangeError."""
        try:
            return cls.model_validate(value)
        except ValidationError as failure:
            raise _explained(failure) from None

    def given(self) -> dict[str, Any]:
        """The fields that are changed."""
        return self.model_dump(exclude_unset=True)

    def over(self, earlier: "Change") -> "Change":
        """Both changes, this one later."""
        return Change.model_validate(earlier.given() | self.given())


_LIMIT: Final = f"a whole number from 1 to {MOST}, or null for no limit"
_ALLOWED: Final = {
    "enabled": "true or false",
    "requests_per_minute": _LIMIT,
    "tokens_per_minute": _LIMIT,
    "concurrent_streams": _LIMIT,
}


def _explained(failure: ValidationError) -> ChangeError:
    first = failure.errors(include_url=False)[0]
    # Not orjson, which raises for an integer beyond 64 bits.
    shown = to_json(first["input"]).decode()[:64]
    if not first["loc"]:
        return ChangeError(None, f"{shown} is not allowed; must be an object")
    field = str(first["loc"][0])[:64]
    if first["type"] == "extra_forbidden":
        return ChangeError(field, f"no such field; known are {', '.join(_ALLOWED)}")
    return ChangeError(field, f"{shown} is not allowed; must be {_ALLOWED[field]}")
