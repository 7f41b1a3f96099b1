"""The file source: one file of one business date, taken over whole or not at all, then read from memory.

Back offices rewrite files in place during the evening. A file is taken over when its `flag` is there and not older than
it, or when size and hash are equal over `stable` seconds; always size and hash of two looks agree, and the size fits
what the file's own header says. Its bytes are then held in memory until the reading ends (nothing personal is written
to a temporary file), so that no later rewriting tears the reading.

A flag file may say more, one `name=value` a line: `size`, `sha256`, `rows`, `business_date`, `settled`, `as_of`; other
lines are the sender's own business.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TypeAlias

from daemon.errors import ConfigError, SourceChanged, SourceUnavailable
from daemon.model.kinds import Part
from daemon.sources import csvfile, dbf, ofd
from daemon.sources.config import SourceConfig
from daemon.sources.header import header_of
from daemon.sources.reading import NotAskable, NotReady, Reading, check_age, check_columns
from daemon.sources.table import Table

DATE = re.compile(r"\{date:((?:%[Ymdy]|[-_.])+)\}")
FLAG_LINE = re.compile(r"(size|sha256|rows|business_date|settled|as_of)=([ -~]{1,64})")
MAX_FLAG_BYTES = 4096

Wait: TypeAlias = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Taken:
    """A file's bytes as taken over, their SHA-256 (hex), its time of change, and what its flag says."""

    name: str
    content: bytes
    digest: str
    changed: datetime
    said: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag file: its time of change (ns) and the fields it says."""

    changed_ns: int
    said: Mapping[str, str]


class FileSource:
    """Reads parts of format csv, dbf and ofd from one folder. `wait` sleeps between the two looks of `stable`."""

    def __init__(self, name: str, config: SourceConfig, wait: Wait = time.sleep) -> None:
        self.name = name
        self._config = config
        self._folder = Path(config.folder)
        self._wait = wait
        self._layout = ofd.load_layout(Path(config.layout) if config.layout else None)

    @contextmanager
    def read(self, part: Part, *, business_date: date, now: datetime) -> Iterator[Reading]:
        """The file of that business date. `as_of` is the flag's, else the date in an OFD header, else the time of
        change.
        """
        taken = self._take(file_name(part, business_date))
        table = self._table(part, taken)
        place = f"{self.name}/{taken.name}"
        check_columns(part, table.columns, place)
        said = {k: v for k, v in taken.said.items() if k not in ("size", "sha256")}
        header = header_of(business_date, {**table.header(), **said}, place)
        count = int(str(header["rows"])) if "rows" in header else None
        if count not in (None, table.records):
            raise NotReady(f"{place}: found {table.records} rows, expected {count} by its flag")
        flagged = header.get("as_of")
        as_of = flagged if isinstance(flagged, datetime) else table.as_of or taken.changed
        header.setdefault("as_of", as_of)
        check_age(part, as_of, now, place)
        yield Reading(part.name, self.name, now, as_of, table.columns, header, count, table.rows, taken.digest)

    def ask(
        self, part: Part, keys: Sequence[tuple[str, ...]], *, business_date: date, now: datetime
    ) -> AbstractContextManager[Reading]:
        """Always raises NotAskable: a file is read whole."""
        raise NotAskable(f"part {part.name} of source {self.name} is a file, which cannot be asked by key")

    def fingerprint(self, part: Part) -> str:
        """Names, types and widths of the newest file of the part, by the names that any date gives."""
        pattern = name_pattern(part)
        names = sorted(n for n in self._names() if pattern.fullmatch(n))
        if not names:
            raise NotReady(f"{self.name}: no file named {part.file} in its folder")
        table = self._table(part, self._take(names[-1]))
        check_columns(part, table.columns, f"{self.name}/{names[-1]}")
        return hashlib.sha256("".join(f"{line}\n" for line in table.shape).encode()).hexdigest()

    def _names(self) -> list[str]:
        try:
            return [path.name for path in self._folder.iterdir()]
        except OSError as error:
            raise SourceUnavailable(f"source {self.name}: folder {self._folder}: {error.strerror}") from error

    def _table(self, part: Part, taken: Taken) -> Table:
        encoding = self._config.encoding
        if part.format == "dbf":
            return dbf.open_table(taken.content, taken.name, part, encoding or "gbk")
        if part.format == "ofd":
            return ofd.open_table(taken.content, taken.name, part, encoding or "gb18030", self._layout)
        if part.format == "csv":
            return csvfile.open_table(taken.content, taken.name, part, encoding or "utf-8", self._config.delimiter)
        raise ConfigError(f"part {part.name}: format {part.format!r}, expected csv, dbf or ofd for a file source")

    def _take(self, name: str) -> Taken:
        """Two looks that agree, the flag around them, then the bytes. Raises NotReady, SourceUnavailable."""
        place, path = f"{self.name}/{name}", self._folder / name
        if not self._folder.is_dir():
            raise SourceUnavailable(f"source {self.name}: folder {self._folder} is not there, expected it mounted")
        flag = self._flag(place, path)
        first = hashlib.sha256(self._look(place, path)[0]).hexdigest()
        if self._config.stable is not None:
            self._wait(self._config.stable)
        content, changed = self._look(place, path)
        digest = hashlib.sha256(content).hexdigest()
        if digest != first:
            raise NotReady(f"{place}: still changing, expected two equal sizes and hashes")
        if self._flag(place, path) != flag or (flag is not None and flag.changed_ns < changed):
            raise NotReady(f"{place}: changed after its flag, expected the flag last")
        said = flag.said if flag else {}
        for key, found in (("size", str(len(content))), ("sha256", digest)):
            if said.get(key, found).lower() != found:
                raise NotReady(f"{place}: found {key} {found}, expected {said[key]} by its flag")
        return Taken(name, content, digest, datetime.fromtimestamp(changed // 1000 / 1e6, UTC), said)

    def _look(self, place: str, path: Path) -> tuple[bytes, int]:
        """All bytes of a regular file and its time of change (ns); it may not change while it is read."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise NotReady(f"{place}: not there yet") from error
        except OSError as error:
            raise SourceUnavailable(f"{place}: {error.strerror}, expected a readable file") from error
        with os.fdopen(descriptor, "rb") as file:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode) or before.st_size > self._config.max_bytes:
                limit = self._config.max_bytes
                raise SourceChanged(f"{place}: {before.st_size} bytes, expected a regular file of at most {limit}")
            content = file.read(before.st_size + 1)
            after = os.fstat(descriptor)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(content) != after.st_size:
            raise NotReady(f"{place}: changed while it was read")
        return content, after.st_mtime_ns

    def _flag(self, place: str, path: Path) -> Flag | None:
        """The flag file as it is now; None where completeness is judged by `stable`. Raises NotReady when absent."""
        if not self._config.flag:
            return None
        flag = self._folder / self._config.flag.replace("{name}", path.name).replace("{stem}", path.stem)
        try:
            with flag.open("rb") as file:
                text = file.read(MAX_FLAG_BYTES).decode("ascii", "replace")
                changed = os.fstat(file.fileno()).st_mtime_ns
        except OSError as error:
            raise NotReady(f"{place}: flag {flag.name} not there yet ({error.strerror})") from error
        found = (FLAG_LINE.fullmatch(line.strip()) for line in text.splitlines())
        return Flag(changed, {m[1]: m[2] for m in found if m})


def file_name(part: Part, business_date: date) -> str:
    """`part.file` with `{date:%Y%m%d}` put in (of %Y %m %d %y and - _ . only). Raises ConfigError for any other brace
    or path.
    """
    name = DATE.sub(lambda found: business_date.strftime(found[1]), part.file)
    if not name or "/" in name or "{" in name or "}" in name or name.startswith("."):
        raise ConfigError(f"part {part.name}: file {part.file!r}, expected a plain name with {{date:%Y%m%d}}")
    return name


def name_pattern(part: Part) -> re.Pattern[str]:
    """The names that `part.file` gives for any date."""
    file_name(part, date(2000, 1, 1))
    pieces = DATE.split(part.file)
    return re.compile("".join(_digits(p) if i % 2 else re.escape(p) for i, p in enumerate(pieces)))


def _digits(date_format: str) -> str:
    text = re.escape(date_format).replace("%Y", "[0-9]{4}")
    return re.sub("%[mdy]", "[0-9]{2}", text)
