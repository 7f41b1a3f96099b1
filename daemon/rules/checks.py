"""Expressions and instants of a file against the names they may use: every mistake a finding at its place. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from daemon.errors import Finding
from daemon.model.kinds import Field
from daemon.rules.checking import check, check_as
from daemon.rules.expressions import ExpressionError, parse
from daemon.rules.instants import parse_instant
from daemon.rules.types import BOOL, Declared, ExprType, Scope
from daemon.yamlfile import Reader, YMap

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_RESERVED = frozenset({"and", "or", "not", "in", "true", "false", "rows", "stage", "level", "known"})


def name_fault(name: str) -> str:
    """What is allowed where `name` is no good name of a field, parameter, let, reason or mark; '' where it is one."""
    if not _NAME.fullmatch(name):
        return "a name of a-z, 0-9 and _ that begins with a letter"
    return "a name that the language does not use itself" if name in _RESERVED else ""


def refuse(ymap: YMap, key: str, found: str, allowed: str, hint: str, findings: list[Finding]) -> None:
    """A finding at a key of a mapping."""
    findings.append(Finding(ymap.path, *ymap.place(key), ymap.trail_of(key), found, allowed, hint))


def check_name(ymap: YMap, key: str, findings: list[Finding]) -> bool:
    """Whether a key is a good name; a finding where it is not."""
    if fault := name_fault(key):
        findings.append(Finding(ymap.path, *ymap.key_place(key), ymap.trail_of(key), f"the name '{key}'", fault))
    return not fault


def field_scope(fields: Mapping[str, Field], personal: bool = False) -> Scope:
    """The scope of these fields."""
    return Scope({name: Declared.of(f.type, f.values) for name, f in fields.items()}, personal)


class Expressions:
    """Checks the expressions of one file."""

    def __init__(self, path: str, findings: list[Finding]) -> None:
        self._path, self._findings = path, findings

    def check(self, r: Reader, key: str, text: str, scope: Scope, expected: ExprType = BOOL) -> bool:
        """Whether the expression under `key` parses and gives what is expected."""
        return self.type_of(r, key, text, scope, expected) is not None

    def type_of(
        self, r: Reader, key: str, text: str, scope: Scope, expected: ExprType | None = None
    ) -> ExprType | None:
        """The type of the expression under `key`; None after findings. An empty text has been reported by its
        reader."""
        if not text:
            return None
        place, trail = r.map_.place(key), r.map_.trail_of(key)
        try:
            node = parse(text)
        except ExpressionError as error:
            self._findings.append(error.problem.finding(self._path, place, trail))
            return None
        found, problems = check(node, scope)
        if expected is not None:
            problems = check_as(node, scope, expected)
        self._findings += [problem.finding(self._path, place, trail) for problem in problems]
        return None if problems else found

    def instant(self, r: Reader, key: str, text: str, scope: Scope) -> bool:
        """Whether the instant under `key` parses and its names exist with the right types."""
        if not text:
            return False
        place, trail = r.map_.place(key), r.map_.trail_of(key)
        try:
            problems = parse_instant(text).check(scope)
        except ExpressionError as error:
            problems = [error.problem]
        self._findings += [problem.finding(self._path, place, trail) for problem in problems]
        return not problems
