"""How a source is reached: the part of `config/sources.yaml` that belongs to one source, checked. No I/O.

What is read there (query, file name, columns) stands in the signed kind, not here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from daemon.errors import ConfigError

HTTP = re.compile(r"https://[^\s?#@]+|http://(?:127\.0\.0\.1|localhost|\[::1\])(?::[0-9]+)?(?:/[^\s?#@]*)?")
DOTTED = re.compile(r"(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)?")
ENCODINGS = ("utf-8", "gb18030", "gbk")


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """One source. Raises ConfigError at construction when a setting is wrong or belongs to the other type.

    sql: `url` (SQLAlchemy form) or `url_file` (the name of a secret that holds it, for a url with a password);
    `read_only` opens SQLite read-only and starts read-only transactions elsewhere; time-outs in seconds; `batch`
    rows a fetch. files: `folder`; `encoding` ('' is each format's own: csv utf-8, dbf gbk, ofd gb18030); complete
    when `flag` (a name with {name} or {stem} of the file) is there, or when size and hash are equal over `stable`
    seconds; `layout`, a CSV of OFD fields that add to or replace the shipped ones; `delimiter` of CSV; `max_bytes`,
    the largest file taken over. http: `url`, the address that queries are below, https but on this machine; `token_file`
    names the secret of a bearer token; where an answer has its rows (`rows`), the next page's cursor (`next`, and the
    query parameter `cursor` that carries it) and header fields (`said`), names joined by dots; time-outs; `max_bytes`
    an answer.
    """

    type: str
    url: str = ""
    url_file: str = ""
    read_only: bool = True
    connect_timeout: int = 10
    query_timeout: int = 300
    batch: int = 2000
    folder: str = ""
    encoding: str = ""
    flag: str = ""
    stable: float | None = None
    layout: str = ""
    delimiter: str = ","
    max_bytes: int = 536_870_912
    token_file: str = ""
    rows: str = ""
    next: str = ""
    cursor: str = "cursor"
    said: str = ""

    def __post_init__(self) -> None:
        checks = {"sql": self._sql_mistakes, "http": self._http_mistakes}
        wrong = checks.get(self.type, self._files_mistakes)()
        if self.type != "http" and (self.token_file or self.rows or self.next or self.said):
            wrong.append("token_file, rows, next, said: expected only for type http")
        if wrong:
            raise ConfigError("source: " + "; ".join(wrong))

    @property
    def secret_names(self) -> tuple[str, ...]:
        """The secrets that it names."""
        return tuple(name for name in (self.url_file, self.token_file) if name)

    def _sql_mistakes(self) -> list[str]:
        wrong = []
        if bool(self.url) == bool(self.url_file):
            wrong.append("url and url_file: found both or none, expected exactly one")
        for name in ("connect_timeout", "query_timeout", "batch"):
            if not 1 <= getattr(self, name) <= 100_000:
                wrong.append(f"{name}: found {getattr(self, name)}, expected 1..100000")
        if self.folder or self.flag or self.stable is not None:
            wrong.append("folder, flag, stable: expected only for type files")
        return wrong

    def _http_mistakes(self) -> list[str]:
        wrong = []
        if not HTTP.fullmatch(self.url):
            wrong.append("url: expected https://host/path, or http:// on this machine, without a query")
        for name in ("rows", "next", "said", "cursor"):
            if not DOTTED.fullmatch(getattr(self, name)):
                wrong.append(f"{name}: found {getattr(self, name)!r}, expected names joined by dots")
        if self.url_file or self.folder or self.flag or self.stable is not None:
            wrong.append("url_file, folder, flag, stable: expected only for another type")
        return wrong

    def _files_mistakes(self) -> list[str]:
        if self.type != "files":
            return [f"type: found {self.type!r}, expected 'sql', 'files' or 'http'"]
        wrong = []
        if not self.folder:
            wrong.append("folder: found none, expected a path")
        if self.encoding not in ("", *ENCODINGS):
            wrong.append(f"encoding: found {self.encoding!r}, expected one of {', '.join(ENCODINGS)}")
        if bool(self.flag) == (self.stable is not None):
            wrong.append("complete: found both or none of flag and stable, expected exactly one")
        if self.stable is not None and not 0 < self.stable <= 600:
            wrong.append(f"stable: found {self.stable}, expected more than 0 and at most 600 seconds")
        if len(self.delimiter) != 1 or not self.delimiter.isascii() or self.delimiter in '"\r\n':
            wrong.append(f"delimiter: found {self.delimiter!r}, expected one ASCII character")
        if self.url or self.url_file:
            wrong.append("url, url_file: expected only for type sql")
        return wrong

    @classmethod
    def from_mapping(cls, name: str, settings: Mapping[str, Any]) -> SourceConfig:
        """From `sources.yaml`: the fields above, with `complete: {flag: ..}` or `complete: {stable: ..}`.

        Raises ConfigError naming the source and every unknown key.
        """
        plain = {k: v for k, v in settings.items() if k != "complete"}
        complete = settings.get("complete") or {}
        known = {f.name for f in fields(cls)} - {"flag", "stable"}
        unknown = sorted(set(plain) - known) + sorted(f"complete.{k}" for k in set(complete) - {"flag", "stable"})
        if unknown:
            raise ConfigError(f"source {name}: unknown keys {unknown}, allowed {sorted(known | {'complete'})}")
        try:
            stable = complete.get("stable")
            return cls(**plain, flag=complete.get("flag", ""), stable=None if stable is None else float(stable))
        except (TypeError, ValueError, ConfigError) as error:
            raise ConfigError(f"source {name}: {error}") from error
