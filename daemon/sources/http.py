"""The HTTP source: JSON by GET, page by page, exact decimals; a read that fails is safe to repeat and is repeated.

A part's `query` is a path below the source's `url`, with the binds of an SQL query put in, percent-encoded
(`/v1/allotments?date=:business_date`); in `keyed`, `:keys` is the list joined by commas, the texts of one key by `~`.
Where rows, cursor and header fields stand in an answer is the source's own (`rows`, `next`, `said`: names joined by
dots). A page is not a snapshot: header fields that change from page to page are NotReady, a cursor that comes again is
SourceChanged. A name that no row of the first page has is SourceChanged; a row that lacks it has nothing there.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NoReturn
from urllib.parse import quote

from daemon.clock import SHANGHAI, RealClock
from daemon.errors import ConfigError, SourceChanged, SourceUnavailable
from daemon.model.facts import BadRow, Row, Where
from daemon.model.kinds import Part
from daemon.retry import safe_read
from daemon.sources.config import SourceConfig
from daemon.sources.header import header_of
from daemon.sources.reading import NotAskable, NotReady, Reading, Secrets, check_age, check_columns, wanted
from daemon.transport import Answer, Lost, NotSent, Reader

MAX_KEYS = 200
MAX_PAGES = 100_000
ATTEMPTS, BASE, CAP = 3, 0.5, 5.0
"""A page is asked for so often, with waits in seconds from `BASE`, doubling, to `CAP`."""

BIND = re.compile(r":([a-z_]+)")
BUSY = (429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Page:
    """One answer: its rows, what it says of the whole, the cursor of the next page or ''."""

    rows: list[Any]
    said: Mapping[str, object]
    cursor: str


class _Busy(SourceUnavailable):
    """An answer that asks to come again."""


class HttpSource:
    """Reads parts of format 'http'. `wait` sleeps between two tries of a page."""

    def __init__(
        self, name: str, config: SourceConfig, secrets: Secrets, wait: Callable[[float], None] = time.sleep
    ) -> None:
        self.name = name
        self._config = config
        self._secrets = secrets
        self._wait = wait
        self._rng = random.Random()  # spreads waits, decides nothing  # nosec B311

    @contextmanager
    def read(self, part: Part, *, business_date: date, now: datetime) -> Iterator[Reading]:
        """Every page of the query. The header fields come from the first page, or from `count` where the part has one."""
        with self._pages(part, part.query, binds(business_date, now)) as pages:
            yield self._reading(part, pages, business_date, now, self._counted(part, business_date, now))

    @contextmanager
    def ask(
        self, part: Part, keys: Sequence[tuple[str, ...]], *, business_date: date, now: datetime
    ) -> Iterator[Reading]:
        """The keyed query for 1 to MAX_KEYS keys, each with one text per key column. It has no count."""
        if not part.keyed:
            raise NotAskable(f"part {part.name} of source {self.name} has no keyed query")
        if not 1 <= len(keys) <= MAX_KEYS or any(len(key) != len(part.key_columns) for key in keys):
            raise ValueError(f"part {part.name}: expected 1..{MAX_KEYS} keys of {len(part.key_columns)} texts")
        if any(mark in text for key in keys for text in key for mark in ",~"):
            raise NotAskable(f"part {part.name}: a key holds a comma or ~, which separate keys")
        listed = ",".join("~".join(quote(text, safe="") for text in key) for key in keys)
        with self._pages(part, part.keyed, {**binds(business_date, now), "keys": listed}) as pages:
            reading = self._reading(part, pages, business_date, now, {})
            yield Reading(
                reading.part, reading.source, now, reading.as_of, reading.columns, reading.header, None, reading.rows
            )

    def fingerprint(self, part: Part) -> str:
        """Names and JSON types of the first row's cells. Raises NotReady where there is no row to look at."""
        moment = RealClock().now()
        given = binds(moment.astimezone(SHANGHAI).date(), moment)
        with self._pages(part, part.query, given) as pages:
            first = next(pages)
        if not first.rows:
            raise NotReady(f"{self._place(part)}: no row to see its columns by")
        found = first.rows[0] if isinstance(first.rows[0], dict) else {}
        check_columns(part, _names(first.rows), self._place(part))
        shape = "".join(f"{name} {_json_type(found[name])}\n" for name in sorted(found))
        return hashlib.sha256(shape.encode()).hexdigest()

    def _place(self, part: Part) -> str:
        return f"{self.name}/{part.name}"

    def _counted(self, part: Part, business_date: date, now: datetime) -> Mapping[str, object]:
        if not part.count:
            return {}
        with self._reader() as reader:
            found = self._get(reader, part, _filled(part, part.count, binds(business_date, now)))
        said = _at(found, self._config.said, {})
        if not isinstance(said, Mapping):
            raise SourceChanged(f"{self._place(part)}: count: no object at '{self._config.said}'")
        return said

    def _reading(
        self, part: Part, pages: Iterator[Page], day: date, now: datetime, counted: Mapping[str, object]
    ) -> Reading:
        place = self._place(part)
        first = next(pages)
        if first.rows:
            check_columns(part, _names(first.rows), place)
        header = header_of(day, counted or first.said, place)
        as_of = header.get("as_of")
        as_of = as_of if isinstance(as_of, datetime) else None
        check_age(part, as_of, now, place)
        count = int(str(header["rows"])) if "rows" in header else None
        columns = wanted(part)
        return Reading(
            part.name, self.name, now, as_of, columns, header, count, self._rows(place, columns, first, pages)
        )

    def _rows(self, place: str, columns: tuple[str, ...], first: Page, rest: Iterator[Page]) -> Iterator[Row | BadRow]:
        line = 0
        page: Page | None = first
        while page is not None:
            if page.said != first.said:
                raise NotReady(f"{place}: its header fields changed between two pages, expected one state of the whole")
            for found in page.rows:
                line += 1
                if isinstance(found, dict):
                    yield Row(Where(place, line), tuple(_cell(found.get(name)) for name in columns))
                else:
                    yield BadRow(Where(place, line), "", json.dumps(found, default=str)[:80], "a JSON object")
            page = next(rest, None)

    @contextmanager
    def _pages(self, part: Part, query: str, given: Mapping[str, Any]) -> Iterator[Iterator[Page]]:
        if part.format != "http":
            raise ConfigError(f"part {self._place(part)}: format {part.format!r}, expected http for an HTTP source")
        path = _filled(part, query, given)
        with self._reader() as reader:
            yield self._walk(reader, part, path)

    def _walk(self, reader: Reader, part: Part, path: str) -> Iterator[Page]:
        seen: set[str] = set()
        cursor = ""
        for _ in range(MAX_PAGES):
            at = (
                f"{path}{'&' if '?' in path else '?'}{self._config.cursor}={quote(cursor, safe='')}" if cursor else path
            )
            page = self._page(part, self._get(reader, part, at))
            yield page
            if not page.cursor:
                return
            if page.cursor in seen:
                raise SourceChanged(f"{self._place(part)}: the cursor of a page came again, expected a new one or none")
            seen.add(page.cursor)
            cursor = page.cursor
        raise SourceChanged(f"{self._place(part)}: more than {MAX_PAGES} pages")

    def _page(self, part: Part, found: Any) -> Page:
        config, place = self._config, self._place(part)
        rows = _at(found, config.rows, None)
        if not isinstance(rows, list):
            raise SourceChanged(f"{place}: no list at '{config.rows}', expected the rows there")
        said = _at(found, config.said, {}) if config.said else {}
        if not isinstance(said, Mapping):
            raise SourceChanged(f"{place}: no object at '{config.said}', expected header fields there")
        cursor = _at(found, config.next, "") if config.next else ""
        if cursor is not None and not isinstance(cursor, str | int):
            raise SourceChanged(f"{place}: no text at '{config.next}', expected a cursor or null")
        return Page(rows, dict(said), "" if cursor is None else str(cursor))

    @contextmanager
    def _reader(self) -> Iterator[Reader]:
        token = self._secrets(self._config.token_file).strip() if self._config.token_file else ""
        headers = {"accept": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
        config = self._config
        with Reader(config.url, headers, config.connect_timeout, config.query_timeout, config.max_bytes) as reader:
            yield reader

    def _get(self, reader: Reader, part: Part, path: str) -> Any:
        """The JSON of one answer, tried again where that may help."""
        place = self._place(part)

        def once() -> Answer:
            try:
                answer = reader.get(path)
            except (NotSent, Lost) as broken:
                raise _Busy(f"source {place}: {broken}, expected an answer") from broken
            if answer.status_code in BUSY:
                raise _Busy(f"source {place}: HTTP {answer.status_code}, expected 200")
            return answer

        answer = safe_read(once, attempts=ATTEMPTS, base=BASE, cap=CAP, rng=self._rng, again=(_Busy,), sleep=self._wait)
        if answer.status_code in (204, 404):
            raise NotReady(f"{place}: HTTP {answer.status_code}: not there yet")
        if answer.status_code in (401, 403, 408):
            raise SourceUnavailable(f"source {place}: HTTP {answer.status_code}, expected 200")
        if answer.status_code != 200:
            raise SourceChanged(f"{place}: HTTP {answer.status_code}, expected 200 with JSON")
        try:
            return json.loads(
                answer.body.decode(), parse_float=Decimal, parse_constant=_no_number, object_pairs_hook=_once
            )
        except (ValueError, RecursionError) as wrong:
            raise SourceChanged(f"{place}: {type(wrong).__name__}, expected JSON without repeated names") from wrong


def binds(business_date: date, now: datetime) -> dict[str, str]:
    """The values of the closed list of binds, percent-encoded."""
    found = {
        "business_date": business_date.isoformat(),
        "business_ymd": business_date.strftime("%Y%m%d"),
        "now": now.astimezone(SHANGHAI).isoformat(timespec="seconds"),
        "now_utc": now.astimezone(UTC).isoformat(timespec="seconds"),
    }
    return {name: quote(text, safe="") for name, text in found.items()}


def _filled(part: Part, query: str, given: Mapping[str, Any]) -> str:
    """The path with its binds. Raises ConfigError for an unknown bind, or a path that leads elsewhere."""
    unknown = sorted({name for name in BIND.findall(query) if name not in given})
    if unknown or not query.startswith("/") or query.startswith("//") or "#" in query or ".." in query:
        raise ConfigError(
            f"part {part.name}: query: found {unknown or query[:80]!r}, expected a path with {sorted(given)}"
        )
    return BIND.sub(lambda found: str(given[found[1]]), query)


def _at(found: Any, path: str, default: Any) -> Any:
    """What stands at a dotted path, `default` where nothing does; '' is the answer itself."""
    for name in path.split(".") if path else ():
        if not isinstance(found, dict) or name not in found:
            return default
        found = found[name]
    return found


def _names(rows: Sequence[Any]) -> list[str]:
    return list(dict.fromkeys(name for row in rows if isinstance(row, dict) for name in row))


def _cell(value: Any) -> Any:
    """A scalar as it is; what is nested stays bytes, which the mapping calls invalid."""
    return json.dumps(value, default=str)[:200].encode() if isinstance(value, dict | list) else value


def _json_type(value: Any) -> str:
    return "number" if isinstance(value, int | Decimal) and not isinstance(value, bool) else type(value).__name__


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found
