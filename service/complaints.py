"""What pydantic finds wrong with a value, in the words of this service.

Requests and settings are refused in one form: the field, the value, what is allowed. pydantic's own
sentences are of no use in it: they leave out the value, speak of its Python types ("Tuple should
have at most 64 items after validation") and begin in three ways. So only the kind of an error and
its figures are taken, and `_WORDS` says them. What a validator of ours raises says what is allowed
and nothing else, to stand in the same place: `raise ValueError("a loopback address")`.

Left out: how a field is called and whether its value may be shown, which only the caller knows.
Source: pydantic's documentation, validation errors.
"""

from collections.abc import Iterable, Mapping
from itertools import accumulate
from math import isfinite
from typing import Final

from pydantic_core import ErrorDetails

LONGEST: Final = 64
"""Characters of a value, or of a field's name, that are repeated."""

_HUGE: Final[int] = 10**LONGEST

Place = tuple[int | str, ...]
"""Where something stands: names of fields and numbers of items, from the outermost."""

_WORDS: Final[Mapping[str, str]] = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "decimal_parsing": "a number",
    "decimal_type": "a number",
    "dict_type": "{table}",
    "enum": "{expected}",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "greater than {gt}",
    "greater_than_equal": "at least {ge}",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
    "int_type": "a whole number",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "list_type": "an array",
    "literal_error": "{expected}",
    "model_attributes_type": "{table}",
    "model_type": "{table}",
    "path_type": "a path",
    "string_pattern_mismatch": "a string that matches {pattern}",
    "string_too_long": "a string of at most {max_length} characters",
    "string_too_short": "a string of {min_length} or more characters",
    "string_type": "a string",
    "string_unicode": "a string of valid Unicode",
    "too_long": "at most {max_length} items",
    "too_short": "an array of {min_length} or more items",
    "tuple_type": "an array",
    "union_tag_invalid": "one of {expected_tags}",
    "value_error": "{error}",
}
"""By pydantic's name of the error; the braces are its figures."""

_BOUNDS: Final = frozenset({"greater_than", "greater_than_equal", "less_than", "less_than_equal"})

_KINDS: Final[tuple[tuple[type, str], ...]] = (
    (bool, "boolean"),
    (int, "number"),
    (float, "number"),
    (str, "string"),
)


def allowed(error: ErrorDetails, *, table: str = "an object") -> str:
    """What could stand there instead, to follow "must be".

    `table` is what the format calls a set of named values.
    """
    figures = {name: _figure(value) for name, value in error.get("ctx", {}).items()}
    words = _WORDS.get(error["type"], "a valid value").format(**figures, table=table)
    # A bound says nothing of NaN, which is on neither side of it.
    endless = isinstance(error["input"], float) and not isfinite(error["input"])
    return f"a finite number, {words}" if endless and error["type"] in _BOUNDS else words


def shown(value: object, *, hidden: bool = False, table: str = "object") -> str:
    """A value as a refusal repeats it: its beginning, or what it is where it is big or hidden."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if not hidden and isinstance(value, str):
        return repr(value if len(value) <= LONGEST else f"{value[: LONGEST - 1]}…")
    # An integer of thousands of digits cannot even be written: Python refuses.
    if not hidden and (isinstance(value, float) or (isinstance(value, int) and abs(value) < _HUGE)):
        return repr(value)
    if isinstance(value, list | tuple):
        return _array(value, hidden=hidden)
    kind = next((name for of, name in _KINDS if isinstance(value, of)), None)
    return f"that {kind or (table if isinstance(value, dict) else type(value).__name__)}"


def _array(value: list[object] | tuple[object, ...], *, hidden: bool) -> str:
    if not value:
        return "[]"
    if not hidden and all(isinstance(item, str | int | float) for item in value[:LONGEST]):
        written = f"[{', '.join(map(shown, value[:LONGEST]))}]"
        if len(written) <= LONGEST:
            return written
    return f"that array of {len(value)} items"


def _figure(value: object) -> object:
    return f"{value:g}" if isinstance(value, float) else value


def innermost(places: Iterable[Place]) -> set[Place]:
    """Of the places where something is wrong, those that no other lies within.

    Where one of several forms is allowed pydantic reports each that it tried: a list of parts is no
    string, and its second part has no such type. The inner one is what the caller meant. And an
    array without its bad items is too short.
    """
    wrong = set(places)
    around = {outer for place in wrong for outer in _around(place)}
    return wrong - around


def _around(place: Place) -> Iterable[Place]:
    return accumulate(((part,) for part in place[:-1]), initial=()) if place else ()
