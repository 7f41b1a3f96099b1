"""The one strict loader of rule sets, for `check`, the daemon and `replay` alike: bytes in, a rule set or findings out.

    rules/references.yaml  rules/links.yaml  rules/client_status.yaml
    rules/kinds/*.yaml  rules/parameters/*.yaml  rules/calendars/*.yaml
    rules/FAMILY/NAME.yaml  rules/FAMILY/NAME.cases.yaml  templates/FAMILY/NAME.card.yaml

All mistakes of all files are found at once. Everything in the listing counts for the digest, so every file must be one
of these; README.md, CHANGELOG.md and `approvals/` are left out by `read_folder`, because they decide nothing. Only
`read_folder` touches a disk.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from daemon.cards.card import Card
from daemon.cards.load import read_card
from daemon.errors import ConfigError, Finding
from daemon.model.calendar import Calendar
from daemon.model.kinds import FactKind
from daemon.rules.calendars import read_calendar
from daemon.rules.check_cards import Links, wording_of
from daemon.rules.check_rules import RuleCheck
from daemon.rules.digest import digest
from daemon.rules.load_cases import read_cases
from daemon.rules.load_kinds import read_kinds
from daemon.rules.load_rules import RuleFile, read_rule
from daemon.rules.parameters import merge, read_parameters, read_references
from daemon.rules.schema import Case, Parameter, Reference, Rule, RuleSet, StatusTable
from daemon.rules.statuses import read_tables
from daemon.rules.vocabulary import Vocabulary
from daemon.yamlfile import FindingsError, Reader
from daemon.yamlfile import load as load_yaml

FOLDERS = ("rules", "templates")
MAX_FILES = 2000
MAX_FILE_BYTES = 256 * 1024
MAX_BYTES = 16 * 1024 * 1024
CALENDAR = "sse"

_WORD = "[a-z][a-z0-9_]{0,63}"
_PATHS = {
    "references": re.compile(r"rules/references\.yaml"),
    "links": re.compile(r"rules/links\.yaml"),
    "statuses": re.compile(r"rules/client_status\.yaml"),
    "kind": re.compile(rf"rules/kinds/({_WORD})\.yaml"),
    "parameters": re.compile(rf"rules/parameters/({_WORD})\.yaml"),
    "calendar": re.compile(rf"rules/calendars/({_WORD})\.yaml"),
    "cases": re.compile(rf"rules/({_WORD}/{_WORD})\.cases\.yaml"),
    "rule": re.compile(rf"rules/({_WORD}/{_WORD})\.yaml"),
    "card": re.compile(rf"templates/({_WORD}/{_WORD})\.card\.yaml"),
}
_NOT_RULES = ("README.md", "CHANGELOG.md")
_HOST = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+")
SORTS = tuple(_PATHS)
"""Everything that a file of a rule set can be."""


@dataclass(frozen=True)
class Loaded:
    """What a listing of files gave: a rule set where nothing is wrong, else every finding, sorted. `read`: what could be
    read all the same, rules with mistakes among it, to tell other mistakes by; nothing may be decided by it."""

    ruleset: RuleSet | None
    findings: tuple[Finding, ...]
    read: RuleSet | None = None

    def required(self) -> RuleSet:
        """The rule set. Raises FindingsError where there is none."""
        if self.ruleset is None:
            raise FindingsError(self.findings)
        return self.ruleset


def read_folder(root: Path) -> dict[str, bytes]:
    """The files of `rules/` and `templates/` under `root`, path -> bytes, paths with `/`.

    Symbolic links, other than regular files, and sizes over the bounds raise ConfigError; OSError passes.
    """
    found: dict[str, bytes] = {}
    for folder in FOLDERS:
        if not (root / folder).is_dir():
            raise ConfigError(f"{root / folder}: found no folder, expected rules and cards")
        for path in sorted((root / folder).rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.is_symlink():
                raise ConfigError(f"{name}: found a symbolic link, expected a file")
            if path.is_dir() or path.name in _NOT_RULES or name.startswith("rules/approvals/"):
                continue
            found[name] = _read(path, name)
    total = sum(map(len, found.values()))
    if len(found) > MAX_FILES or total > MAX_BYTES:
        raise ConfigError(f"{root}: {len(found)} files, {total} bytes, expected at most {MAX_FILES}, {MAX_BYTES}")
    return found


def _read(path: Path, name: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        known = os.fstat(descriptor)
        if not stat.S_ISREG(known.st_mode) or known.st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{name}: {known.st_size} bytes, expected a regular file of at most {MAX_FILE_BYTES}")
        return file.read(MAX_FILE_BYTES)


@lru_cache(maxsize=512)
def _card(data: bytes, path: str) -> tuple[Card | None, tuple[Finding, ...]]:
    """A card by its bytes: compiling templates is most of the work of a reload that changes none of them."""
    return read_card(data, path)


def load(files: Mapping[str, bytes]) -> Loaded:
    """Read and check everything. The same bytes give the same result, whoever asks."""
    loader = _Loader(files)
    ruleset = loader.ruleset()
    findings = tuple(sorted(set(loader.findings)))
    return Loaded(None if findings else ruleset, findings, loader.as_read(ruleset))


def load_kept(files: Mapping[str, bytes]) -> RuleSet:
    """A set that was accepted once: read and built, but not judged again, so that a stricter program still decides what it
    decided under it. It has no cases. Raises FindingsError where its files cannot be read any more."""
    loader = _Loader(files, judged=True)
    ruleset = loader.ruleset()
    if loader.findings:
        raise FindingsError(sorted(set(loader.findings)))
    return ruleset


def sort_of(path: str) -> tuple[str, str]:
    """What a path holds and its name: ('rule', 'margin/maintenance'); ('', '') for anything else."""
    for sort, pattern in _PATHS.items():
        if match := pattern.fullmatch(path):
            return sort, match[1] if match.groups() else path
    return "", ""


class _Loader:
    """Reads the files of one listing, those first that others refer to."""

    def __init__(self, files: Mapping[str, bytes], *, judged: bool = False) -> None:
        self._files, self._judged = files, judged
        self.findings: list[Finding] = []
        self._read: dict[str, RuleFile] = {}
        self._paths: dict[str, dict[str, str]] = {sort: {} for sort in _PATHS}
        for path in sorted(files):
            sort, name = sort_of(path)
            if sort:
                self._paths[sort][name] = path
            else:
                self._note(path, "file", "a file that is none of a rule set", "the paths of rules/README.md")

    def ruleset(self) -> RuleSet:
        references = self._references()
        links = self._links()
        statuses = self._statuses()
        calendars = self._calendars()
        kinds = read_kinds(self._readers("kind"), references, self.findings)
        parameters = self._parameters(references, kinds)
        cards = self._cards()
        rules = self._rules(references, kinds, parameters, cards, links, statuses)
        cases = self._cases(rules, kinds, parameters, cards)
        return RuleSet(
            digest(self._files),
            dict(self._files),
            kinds,
            rules,
            parameters,
            calendars,
            cards,
            cases,
            references,
            links.card,
            statuses,
        )

    def as_read(self, made: RuleSet) -> RuleSet:
        """The set with the rules that are wrong as well."""
        return replace(made, rules={name: file.rule for name, file in self._read.items()} | dict(made.rules))

    def _note(self, path: str, key: str, found: str, allowed: str) -> None:
        self.findings.append(Finding(path, 0, 0, key, found, allowed))

    def _reader(self, path: str) -> Reader | None:
        try:
            return Reader(load_yaml(self._files[path], path), self.findings)
        except FindingsError as error:
            self.findings += error.findings
            return None if error.read is None else Reader(error.read, self.findings)

    def _readers(self, sort: str) -> dict[str, Reader]:
        """Name -> reader, of the files of a sort that are YAML at all."""
        readers = {name: self._reader(path) for name, path in self._paths[sort].items()}
        return {name: r for name, r in readers.items() if r is not None}

    def _references(self) -> dict[str, Reference]:
        for r in self._readers("references").values():
            return read_references(r)
        return {}

    def _links(self) -> Links:
        for r in self._readers("links").values():
            found = Links(r.texts("hosts", 0), r.opt_texts("sms_hosts"))
            for key, hosts in (("hosts", found.card), ("sms_hosts", found.sms)):
                for host in hosts:
                    if not _HOST.fullmatch(host):
                        r.refuse(key, f"'{host}'", "a host name such as m.example.com")
            r.done()
            return found
        return Links()

    def _statuses(self) -> dict[str, StatusTable]:
        for r in self._readers("statuses").values():
            return read_tables(r)
        return {}

    def _calendars(self) -> dict[str, Calendar]:
        found = {}
        for name, r in self._readers("calendar").items():
            found[name] = read_calendar(r)
            if found[name].name != name:
                r.refuse("name", f"'{found[name].name}'", f"'{name}', as its path says")
        if CALENDAR not in self._paths["calendar"]:
            self._note(f"rules/calendars/{CALENDAR}.yaml", "file", "nothing", "the exchange's calendar")
        return found

    def _parameters(self, references: Mapping[str, Reference], kinds: Mapping[str, FactKind]) -> dict[str, Parameter]:
        found: dict[str, Parameter] = {}
        for r in self._readers("parameters").values():
            merge(found, read_parameters(r, references), self.findings)
        for name, parameter in found.items():
            for kind in kinds.values():
                if kind.use == "facts" and name in kind.fields:
                    trail, what = f"parameters.{name}", f"'{name}', a field of {kind.name} too"
                    allowed = "a name with one meaning"
                    self.findings.append(Finding(parameter.path, parameter.line, 1, trail, what, allowed))
            if parameter.contract and not any(parameter.contract in kind.fields for kind in kinds.values()):
                trail, what = f"parameters.{name}.contract", f"'{parameter.contract}'"
                self.findings.append(Finding(parameter.path, parameter.line, 1, trail, what, "a field of some kind"))
        return found

    def _cards(self) -> dict[str, Card]:
        found = {}
        for name, path in self._paths["card"].items():
            card, findings = _card(self._files[path], path)
            self.findings += findings
            if card is None:
                continue
            if card.name != name:
                self._note(path, "card", f"the card '{card.name}'", f"'{name}', as its path says")
            found[name] = card
        return found

    def _rules(
        self,
        references: Mapping[str, Reference],
        kinds: Mapping[str, FactKind],
        parameters: Mapping[str, Parameter],
        cards: Mapping[str, Card],
        links: Links,
        statuses: Mapping[str, StatusTable],
    ) -> dict[str, Rule]:
        self._read = {name: read_rule(r, name, references, statuses) for name, r in self._readers("rule").items()}
        if self._judged:
            return {name: file.rule for name, file in self._read.items()}
        found: dict[str, Rule] = {}
        for name, file in self._read.items():
            if RuleCheck(file, kinds, parameters, cards, links, self.findings).run():
                found[name] = file.rule
        told = {file.rule.card for file in self._read.values()}
        for name in sorted(set(cards) - told):
            self.findings += wording_of(cards[name], links)
        for name, path in self._paths["rule"].items():
            if name not in self._paths["cases"]:
                allowed = f"{name}.cases.yaml beside it"
                self.findings.append(Finding(path, 1, 1, "cases", "no case file", allowed))
        return found

    def _cases(
        self,
        rules: Mapping[str, Rule],
        kinds: Mapping[str, FactKind],
        parameters: Mapping[str, Parameter],
        cards: Mapping[str, Card],
    ) -> tuple[Case, ...]:
        cases: list[Case] = []
        for name, r in self._readers("cases").items() if not self._judged else ():
            if name not in self._paths["rule"]:
                r.refuse("rule", f"cases of '{name}'", f"a rule file rules/{name}.yaml")
            if (rule := rules.get(name)) is not None:
                words = Vocabulary(rule, kinds[rule.kind], parameters, tuple(cards[rule.card].fields))
                known = frozenset((*words.fields, *words.lets, *words.used_parameters))
                cases += read_cases(r, rule, kinds[rule.kind], known, self.findings)
            elif (file := self._read.get(name)) is not None and file.rule.kind in kinds:
                read_cases(r, file.rule, kinds[file.rule.kind], None, self.findings)
        return tuple(cases)
