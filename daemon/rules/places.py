"""Where a key of a rule set's files stands: path and line, for reports that name what a person must look at. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from daemon.yamlfile import FindingsError, YList, YMap, load


class Places:
    """Looks keys up in the files of one rule set. A file is read once."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files
        self._read: dict[str, YMap] = {}

    def line(self, path: str, *trail: str | int) -> int:
        """The line of the key or element that `trail` leads to, as far as it goes: the place of the deepest part that
        exists; 0 for a file that is not there."""
        return self._down(self._file(path), trail)

    def has(self, path: str, *trail: str | int) -> bool:
        """Whether the whole trail leads to something."""
        found: Any = self._file(path)
        for part in trail:
            if isinstance(found, YMap) and part in found:
                found = found[str(part)]
            elif isinstance(found, YList) and isinstance(part, int) and part < len(found):
                found = found[part]
            else:
                return False
        return found is not None

    def _file(self, path: str) -> YMap | None:
        if path not in self._read and path in self._files:
            try:
                self._read[path] = load(self._files[path], path)
            except FindingsError as error:
                if error.read is None:
                    return None
                self._read[path] = error.read
        return self._read.get(path)

    def _down(self, found: Any, trail: Sequence[str | int]) -> int:
        line = 0 if found is None else 1
        for part in trail:
            if isinstance(found, YMap) and part in found:
                line = found.key_place(str(part))[0]
                found = found[str(part)]
            elif isinstance(found, YList) and isinstance(part, int) and part < len(found):
                line = found.place(part)[0]
                found = found[part]
            else:
                break
        return line


def key_trail(key: str) -> tuple[str, ...]:
    """The trail of a dotted key of a rule file: `stages.call/notice.if`. Names hold no dots."""
    return tuple(key.split("."))
