"""Sheets: one Parquet file per run and rule, a line per fact, never replaced; sealed under the month's key.

Fixed columns: subject, client, business_date, as_of, rows, whole, bucket, reason, level, occurrence, terms,
gate_inputs, gates, marks, items, absent, exact, episode. Operands: `op_<name>`, typed as columns.py says. `as_of
gates marks items absent exact` are JSON text, null where empty. Row groups hold up to 16,384 lines, each sorted by
subject; the file is not. The file's metadata has one key `duenotice`, JSON: v, a random salt (so the hash of the
plain bytes says nothing of them), what the sheet is of, the types of operands and items. Compressed by zstd.
`SheetFile.sha256` is of these plain bytes, which touch no disk: the file is their sealing by `security.stream`. The
only user of pyarrow beside columns.py.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from daemon.errors import SealBroken, StoreConflict
from daemon.model.decisions import GateResult
from daemon.model.kinds import Type, Value
from daemon.model.values import canonical, from_json, values_json
from daemon.security.envelope import Key, aad
from daemon.security.stream import open_file, seal_file, sync_folder
from daemon.store.columns import ARROW, Extra, check_types, from_array, to_array
from daemon.store.sheetlines import Line, SheetFile

GROUP_LINES = 16_384
OPERAND = "op_"
FIXED = pa.schema(
    [
        pa.field("subject", pa.int64(), nullable=False),
        pa.field("client", pa.int64(), nullable=False),
        pa.field("business_date", pa.date32(), nullable=False),
        pa.field("as_of", pa.string()),
        pa.field("rows", pa.int32(), nullable=False),
        pa.field("whole", pa.bool_(), nullable=False),
        pa.field("bucket", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("level", pa.string(), nullable=False),
        pa.field("occurrence", pa.string(), nullable=False),
        pa.field("terms", pa.string(), nullable=False),
        pa.field("gate_inputs", pa.string(), nullable=False),
        pa.field("gates", pa.string()),
        pa.field("marks", pa.string()),
        pa.field("items", pa.string()),
        pa.field("absent", pa.string()),
        pa.field("exact", pa.string()),
        pa.field("episode", pa.int64()),
    ]
)
TEXTS = ("as_of", "gates", "marks", "items", "absent", "exact")
PLAIN = tuple(field.name for field in FIXED if field.name not in TEXTS)
Operands: TypeAlias = Sequence[tuple[str, Type]]


def sheet_path(folder: Path, month: str, run: int, rule: str) -> Path:
    """`sheets/2024-02/<run>-<rule>.sheet` below the state folder; a rule's `/` becomes `.`."""
    return folder / "sheets" / month / f"{run}-{rule.replace('/', '.')}.sheet"


class SheetWriter:
    """Writes one sheet: `add` each line, then `finish` once. Memory holds one row group and the compressed rest."""

    def __init__(
        self, path: Path, operands: Operands, items: Operands = (), *, key: Key, of: Mapping[str, Any]
    ) -> None:
        """`of` names what the sheet is of (run, rule, feed, rule set), JSON-able. Raises ValueError for a personal
        operand or item, StoreConflict when there is a file already."""
        check_types(operands)
        check_types(items)
        if path.exists():
            raise StoreConflict(f"{path.name}: there is a sheet already; one is never replaced")
        self._path, self._operands, self._key = path, tuple(operands), key
        types = {"operands": [[n, t.value] for n, t in operands], "items": [[n, t.value] for n, t in items]}
        about = {"v": 1, "salt": os.urandom(16).hex(), "of": dict(of), **types}
        fields = [*FIXED, *(pa.field(OPERAND + name, ARROW[type_]) for name, type_ in operands)]
        self._schema = pa.schema(fields, metadata={"duenotice": canonical(about)})
        self._sink = io.BytesIO()
        self._writer = pq.ParquetWriter(self._sink, self._schema, compression="zstd", write_statistics=["subject"])
        self._lines: list[Line] = []
        self._as_of: dict[tuple[tuple[str, datetime], ...], str | None] = {(): None}
        self.lines = 0

    def add(self, line: Line) -> None:
        """Take one line. Here or in `finish`, ValueError for an operand that is missing or of another type."""
        self._lines.append(line)
        if len(self._lines) >= GROUP_LINES:
            self._write_group()

    def finish(self) -> SheetFile:
        """Seal and sync the sheet; only then may a record name it."""
        if self._lines or not self.lines:
            self._write_group()
        self._writer.close()
        plain = self._sink.getvalue()
        folder = self._path.parent
        if not folder.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_folder(folder.parent)
        seal_file(self._key, plain, self._path, _place(self._path))
        return SheetFile(self._path, hashlib.sha256(plain).hexdigest(), self.lines, self._key.id)

    def _write_group(self) -> None:
        lines, self._lines = sorted(self._lines, key=lambda line: line.subject), []
        self.lines += len(lines)
        absent: Extra = {}
        exact: Extra = {}
        columns = self._operand_arrays([line.operands for line in lines], absent, exact)
        found: dict[str, Any] = {name: [getattr(line, name) for line in lines] for name in PLAIN}
        found["as_of"] = [self._as_of_text(line.as_of) for line in lines]
        found["gates"] = [_gates_text(line.gates) for line in lines]
        found["marks"] = [canonical(list(line.marks)) if line.marks else None for line in lines]
        found["items"] = [canonical([values_json(i) for i in line.items]) if line.items else None for line in lines]
        found["absent"] = _texts(absent, len(lines))
        found["exact"] = _texts(exact, len(lines))
        arrays = [pa.array(found[field.name], field.type) for field in FIXED] + columns
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema), row_group_size=GROUP_LINES)

    def _operand_arrays(self, lines: list[Mapping[str, Value]], absent: Extra, exact: Extra) -> list[pa.Array]:
        try:
            return [to_array(n, t, [line[n] for line in lines], absent, exact) for n, t in self._operands]
        except KeyError as missing:
            raise ValueError(f"operand {missing}: a line lacks it, expected a value or an absence") from None

    def _as_of_text(self, as_of: Mapping[str, datetime]) -> str | None:
        parts = tuple(as_of.items())
        if parts not in self._as_of:
            self._as_of[parts] = canonical({part: moment.isoformat() for part, moment in parts})
        return self._as_of[parts]


class SheetReader:
    """Reads one sheet from its plain bytes."""

    def __init__(self, plain: bytes) -> None:
        self._plain = plain
        self._file = pq.ParquetFile(io.BytesIO(plain))
        about = json.loads(self._file.schema_arrow.metadata[b"duenotice"])
        self.of: Mapping[str, Any] = about["of"]
        self.operands = tuple((name, Type(type_)) for name, type_ in about["operands"])
        self.items = tuple((name, Type(type_)) for name, type_ in about["items"])

    @classmethod
    def open(cls, path: Path, keys: Callable[[bytes], Key], sha256: str) -> SheetReader:
        """Open a sealed sheet and hold its plain bytes against the hash in its poll's record. Raises SealBroken."""
        plain = open_file(keys, path, _place(path))
        found = hashlib.sha256(plain).hexdigest()
        if found != sha256:
            raise SealBroken(f"{path.name}: SHA-256 {found}, expected {sha256} as its record says")
        return cls(plain)

    @classmethod
    def of_copy(cls, path: Path) -> tuple[SheetReader, str]:
        """An opened copy (`write_clear`) and the SHA-256 of its bytes. Raises SealBroken for what is no sheet, OSError."""
        plain = path.read_bytes()
        try:
            return cls(plain), hashlib.sha256(plain).hexdigest()
        except (pa.ArrowException, KeyError, ValueError, TypeError) as broken:
            raise SealBroken(
                f"{path.name}: found {type(broken).__name__}, expected an opened copy of a sheet"
            ) from None

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    def lines(self) -> Iterator[Line]:
        """Every line, group by group."""
        for group in range(self._file.num_row_groups):
            yield from self._lines_of(self._file.read_row_group(group))

    def find(self, subject: int) -> list[Line]:
        """The lines of one subject: groups whose bounds exclude it are not read, of others first that column only."""
        found: list[Line] = []
        for group in range(self._file.num_row_groups):
            bounds = self._file.metadata.row_group(group).column(0).statistics
            if bounds is not None and bounds.has_min_max and not (bounds.min <= subject <= bounds.max):
                continue
            numbers = self._file.read_row_group(group, columns=["subject"]).column(0).to_pylist()
            if subject in numbers:
                start = numbers.index(subject)
                found += self._lines_of(self._file.read_row_group(group).slice(start, numbers.count(subject)))
        return found

    def columns(self, *names: str) -> Iterator[tuple[list[Any], ...]]:
        """These fixed columns, group by group: what a look over every line needs, without the lines."""
        for group in range(self._file.num_row_groups):
            table = self._file.read_row_group(group, columns=list(names))
            yield tuple(table.column(name).to_pylist() for name in names)

    def repeated(self, operands: Sequence[str]) -> list[tuple[int, int]]:
        """(subject, lines) of what stands more than once: lines of one subject with the same occurrence and the same values
        of these operands."""
        names = ["subject", "occurrence", *(OPERAND + name for name in operands)]
        table = self._file.read(columns=names)
        counted = table.group_by(names).aggregate([([], "count_all")])
        found = counted.filter(pc.greater(counted.column("count_all"), 1))
        return sorted(zip(found.column("subject").to_pylist(), found.column("count_all").to_pylist(), strict=True))

    def write_clear(self, out: Path) -> None:
        """Write the plain Parquet file, mode 0600, for the person whom the caller's record names."""
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            target.write(self._plain)
            target.flush()
            os.fsync(target.fileno())

    def _lines_of(self, table: pa.Table) -> Iterator[Line]:
        fixed = {field.name: table.column(field.name).to_pylist() for field in FIXED}
        absent, exact = _extras(fixed["absent"]), _extras(fixed["exact"])
        names = [name for name, _ in self.operands]
        values = [from_array(n, t, table.column(OPERAND + n), absent, exact) for n, t in self.operands]
        rows = zip(*values, strict=True) if values else [()] * table.num_rows
        operands = [dict(zip(names, row, strict=True)) for row in rows]
        for i in range(table.num_rows):
            yield Line(
                **{name: fixed[name][i] for name in PLAIN},
                operands=operands[i],
                gates=tuple(GateResult(*gate) for gate in json.loads(fixed["gates"][i] or "[]")),
                marks=tuple(json.loads(fixed["marks"][i] or "[]")),
                items=tuple(self._item(item) for item in json.loads(fixed["items"][i] or "[]")),
                as_of={p: datetime.fromisoformat(t) for p, t in json.loads(fixed["as_of"][i] or "{}").items()},
            )

    def _item(self, item: Mapping[str, Any]) -> dict[str, Value]:
        return {name: from_json(item[name], type_) for name, type_ in self.items if name in item}


def _place(path: Path) -> bytes:
    return aad("sheets", "file", path.name, None)


def _gates_text(gates: tuple[GateResult, ...]) -> str | None:
    return canonical([[gate.gate, gate.verdict, gate.reason] for gate in gates]) if gates else None


def _texts(extra: Extra, count: int) -> list[str | None]:
    texts: list[str | None] = [None] * count
    for index, found in extra.items():
        texts[index] = canonical(found)
    return texts


def _extras(texts: Sequence[str | None]) -> Extra:
    return {index: json.loads(text) for index, text in enumerate(texts) if text}
