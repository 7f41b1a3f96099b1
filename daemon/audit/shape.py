"""A small, fast checker for the part of JSON Schema (2020-12) that the trail's schemas use.

Keywords: type (object array string integer boolean), required, properties, items, enum, pattern, minimum, maximum,
maxLength; any other is refused when a schema is compiled, so that a schema never promises what is not checked. A
`pattern` is anchored by its author and read as ECMA 262 reads it: `$` is the very end. Booleans are no integers;
floats satisfy nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Check: TypeAlias = Callable[[Any], str]
"""Gives "" for a good value, else what was found and expected, led by the path."""

TYPES: Mapping[str, type] = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
KEYWORDS = frozenset(
    {"type", "required", "properties", "items", "enum", "pattern", "minimum", "maximum", "maxLength", "title"}
)


def compile_schema(schema: Mapping[str, Any]) -> Check:
    """A checker for `schema`. Raises ValueError for a keyword or type outside the supported part."""
    unknown = set(schema) - KEYWORDS
    if unknown or schema.get("type") not in TYPES:
        raise ValueError(f"schema with {sorted(unknown)} and type {schema.get('type')!r}: outside the supported part")
    makers = {"object": _object, "array": _array, "string": _string, "integer": _integer, "boolean": _boolean}
    return makers[schema["type"]](schema)


def _object(schema: Mapping[str, Any]) -> Check:
    required = tuple(schema.get("required", ()))
    checks = {key: compile_schema(part) for key, part in schema.get("properties", {}).items()}

    def check(value: Any) -> str:
        if type(value) is not dict:
            return _mistyped(value, "object")
        for key in required:
            if key not in value:
                return f".{key}: missing"
        for key, part in value.items():
            known = checks.get(key)
            if known is not None and (wrong := known(part)):
                return f".{key}{wrong}"
        return ""

    return check


def _array(schema: Mapping[str, Any]) -> Check:
    item = compile_schema(schema["items"]) if "items" in schema else None

    def check(value: Any) -> str:
        if type(value) is not list:
            return _mistyped(value, "array")
        if item is not None:
            for place, part in enumerate(value):
                if wrong := item(part):
                    return f"[{place}]{wrong}"
        return ""

    return check


def _string(schema: Mapping[str, Any]) -> Check:
    allowed = frozenset(schema["enum"]) if "enum" in schema else None
    matches = re.compile(schema["pattern"].replace("$", r"\Z")).search if "pattern" in schema else None
    longest = schema.get("maxLength", 65_535)

    def check(value: Any) -> str:
        if type(value) is not str:
            return _mistyped(value, "string")
        if allowed is not None and value not in allowed:
            return f": found {value!r:.80}, expected one of {', '.join(sorted(allowed))}"
        if len(value) > longest:
            return f": {len(value)} characters, expected at most {longest}"
        if matches is not None and not matches(value):
            return f": found {value!r:.80}, expected {schema['pattern']}"
        return ""

    return check


def _integer(schema: Mapping[str, Any]) -> Check:
    low, high = schema.get("minimum", 1 - 2**53), schema.get("maximum", 2**53 - 1)

    def check(value: Any) -> str:
        if type(value) is not int:
            return _mistyped(value, "integer")
        return "" if low <= value <= high else f": found {value}, expected {low} to {high}"

    return check


def _boolean(schema: Mapping[str, Any]) -> Check:
    return lambda value: "" if type(value) is bool else _mistyped(value, "boolean")


def _mistyped(value: Any, expected: str) -> str:
    return f": found {type(value).__name__}, expected {expected}"
