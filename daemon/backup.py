"""Backups: one sealed file with the database of a moment, the sheets, the log's files; checked when written, and unpacked.

The file is a sealed stream (security/stream.py) of a tar archive (POSIX.1-2001 pax) under the primary key-encryption key, so it
cannot be read once that key is destroyed. Members, in order: `duenotice.db`, `sheets/…`, `log/…`, and last `manifest.json` with
the SHA-256 of each. Nothing in it is a key. For PostgreSQL, `pg_dump` and the same folders (systemd/README.md).
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, BinaryIO

from daemon.errors import ConfigError, SealBroken, StoreConflict
from daemon.security.envelope import aad
from daemon.security.keyring import Keyring
from daemon.security.stream import open_stream, seal_stream, sync_folder
from daemon.store import restored
from daemon.store.db import Store
from daemon.store.engine import FILE_NAME, private_folder
from daemon.store.snapshot import check_database, copy_database

MANIFEST, VERSION = "manifest.json", 1
AAD = aad("backups", "file", "duenotice", None)
FOLDERS = ("sheets", "log")
PIECE = 1 << 20

Progress = Callable[[str, int, int], None]
"""(what is done, how much of it, of how much)."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds. `members`: path -> SHA-256; `at`: when the database was copied."""

    at: str
    node: str
    origin: str
    members: dict[str, str]


def make(
    state: Path, log: Path, out: Path, keyring: Keyring, *, node: str, origin: str, now: datetime, progress: Progress
) -> Manifest:
    """Write a backup beside its name, sync it, read it back, and give it its name. Raises FileExistsError where there is one,
    StoreConflict while another one is made, ConfigError where what was written does not read back as what was copied."""
    if out.exists():
        raise FileExistsError(17, "there is a file already, expected a new name", str(out))
    partial = out.with_name(f"{out.name}.partial")
    with workplace(state, "backup.tmp") as work:
        copied = work / FILE_NAME
        copy_database(state, copied, lambda done, whole: progress("copy", done, whole))
        said = Manifest(now.isoformat(), node, origin, {})
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as target:
                with _piped(lambda pipe: _pack(pipe, copied, state, log, said, progress)) as source:
                    seal_stream(keyring.primary, source, target, AAD)
                target.flush()
                os.fsync(target.fileno())
            check(partial, keyring, said, work, progress)
            partial.replace(out)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    sync_folder(out.absolute().parent)
    return said


@contextmanager
def workplace(parent: Path, name: str) -> Iterator[Path]:
    """A folder to work in, for one process at a time, empty at first: what one that was killed has left, a copy of the database,
    goes. Raises StoreConflict where another process works there."""
    descriptor = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreConflict(f"{parent / name}: another process works there, expected to be the only one") from None
        folder = parent / name
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder)
    finally:
        os.close(descriptor)


@contextmanager
def _piped(write: Callable[[BinaryIO], None]) -> Iterator[BinaryIO]:
    """What a thread writes, to be read. What the thread raises is raised here."""
    read_end, write_end = os.pipe()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            with os.fdopen(write_end, "wb") as pipe:
                write(pipe)
        except BaseException as reason:
            failed.append(reason)

    thread = threading.Thread(target=run, name="backup")
    thread.start()
    broken: BaseException | None = None
    try:
        with os.fdopen(read_end, "rb") as source:
            yield source
    except BaseException as reason:
        broken = reason
    thread.join()
    if failed and not isinstance(failed[0], BrokenPipeError):  # else it stopped because its reader did
        raise failed[0]
    if broken is not None:
        raise broken


def _pack(pipe: BinaryIO, copied: Path, state: Path, log: Path, said: Manifest, progress: Progress) -> None:
    """The archive. Sheets and log files never change under their names, but for `checkpoint`, which is taken first and so is
    never newer than the tiles that follow."""
    found = [(FILE_NAME, copied)]
    found += [(f"sheets/{path.relative_to(state / 'sheets')}", path) for path in _files(state / "sheets")]
    found += [("log/checkpoint", log / "checkpoint")] if (log / "checkpoint").exists() else []
    found += [(f"log/{path.relative_to(log)}", path) for path in _files(log / "tile")]
    with tarfile.open(fileobj=pipe, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for number, (name, path) in enumerate(found, 1):
            try:
                with path.open("rb") as source:
                    said.members[name] = _add(archive, name, source, os.fstat(source.fileno()).st_size)
            except FileNotFoundError:  # a sheet past its keep, or a narrower tile that is full now
                continue
            progress("pack", number, len(found))
        text = json.dumps(
            {"v": VERSION, "at": said.at, "node": said.node, "origin": said.origin, "members": said.members}
        )
        _add(archive, MANIFEST, io.BytesIO(text.encode()), len(text.encode()))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []


class _Hashing(io.RawIOBase):
    """Reads through to a source and hashes what it reads."""

    def __init__(self, source: IO[bytes]) -> None:
        self.source, self.sum = source, hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        raw = self.source.read(size)
        self.sum.update(raw)
        return raw


def _add(archive: tarfile.TarFile, name: str, source: IO[bytes], size: int) -> str:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    through = _Hashing(source)
    archive.addfile(member, through)
    return through.sum.hexdigest()


def check(path: Path, keyring: Keyring, said: Manifest | None, work: Path, progress: Progress) -> Manifest:
    """Read a backup whole: every chunk authentic, every member as the manifest has it, the database sound. `work` takes the
    database for a moment. Raises ConfigError, SealBroken, KeyUnusable."""
    target = work / "checked.db"
    found = _walk(path, keyring, lambda name: target if name == FILE_NAME else None, progress)
    if said is not None and found != said:
        raise ConfigError(f"{path}: what was read back is not what was written")
    check_database(target)
    target.unlink()
    return found


def unpack(path: Path, keyring: Keyring, state: Path, log: Path, progress: Progress) -> Manifest:
    """Lay a backup out: database and sheets into a new state folder, the log's files where there is no log yet; a log inside the
    state folder stays. Nothing is there under its name before all has been read, the database comes last, and it is marked as
    not reconciled. Raises as `check`, FileExistsError where there is a state already, StoreConflict where another one is being
    laid out there."""
    others = [path.name for path in state.glob("*") if not log.is_relative_to(path)]
    if others:
        expected = "expected no state folder, or one that is empty but for the log"
        raise FileExistsError(17, f"holds {', '.join(sorted(others)[:3])}, {expected}", str(state))
    state.parent.mkdir(parents=True, exist_ok=True)
    keep_log = log.exists() and any(log.iterdir())
    with workplace(state.parent, "restore.tmp") as work:
        found = _walk(path, keyring, lambda member: work / member, progress)
        check_database(work / FILE_NAME)
        _mark(work, keyring, found.node)
        private_folder(state)
        if (work / "log").exists() and not keep_log:
            shutil.copytree(work / "log", log, dirs_exist_ok=True)
        for part in ("sheets", FILE_NAME):
            if (work / part).exists():
                (work / part).rename(state / part)
    sync_folder(state)
    sync_folder(state.parent)
    return found


def _mark(state: Path, keyring: Keyring, node: str) -> None:
    store: Store = Store.open(state, keyring=keyring, node=node)
    try:
        with store.write() as tx:
            restored.mark_unreconciled(tx)
    finally:
        store.close()


def _walk(path: Path, keyring: Keyring, where: Callable[[str], Path | None], progress: Progress) -> Manifest:
    """Read every member; those that `where` gives a path are written there."""
    size, seen = path.stat().st_size, {}
    said: Manifest | None = None
    with path.open("rb") as sealed, _piped(lambda pipe: _open(sealed, keyring, pipe)) as plain:
        try:
            with tarfile.open(fileobj=plain, mode="r|") as archive:
                for member in archive:
                    raw = archive.extractfile(member)
                    if raw is None or said is not None or not _is_ours(member.name):
                        raise ConfigError(f"{path}: a member {member.name[:80]!r}, expected none such")
                    if member.name == MANIFEST:
                        said = _manifest(path, raw.read())
                        continue
                    seen[member.name] = _take(raw, where(member.name))
                    progress("read", sealed.tell(), size)
            while plain.read(PIECE):  # what pads the archive: the stream's end is what proves that it is whole
                pass
        except tarfile.TarError as reason:
            while plain.read(PIECE):
                pass
            raise ConfigError(f"{path}: no backup ({reason})") from None
    if said is None or said.members != seen:
        raise ConfigError(f"{path}: its members are not those of its manifest")
    return said


def _open(sealed: BinaryIO, keyring: Keyring, pipe: BinaryIO) -> None:
    try:
        for piece in open_stream(keyring.kek, sealed, AAD):
            pipe.write(piece)
    except SealBroken as reason:
        raise SealBroken(f"backup: {reason}") from None


def _is_ours(name: str) -> bool:
    parts = Path(name).parts
    return ".." not in parts and (name in (FILE_NAME, MANIFEST) or (len(parts) > 1 and parts[0] in FOLDERS))


def _manifest(path: Path, raw: bytes) -> Manifest:
    try:
        said = json.loads(raw)
        if said["v"] != VERSION:
            raise ConfigError(f"{path}: version {said['v']}, expected {VERSION}")
        return Manifest(said["at"], said["node"], said["origin"], dict(said["members"]))
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{path}: its manifest cannot be read") from None


def _take(raw: IO[bytes], target: Path | None) -> str:
    """Hash a member, and write it where it belongs."""
    sum = hashlib.sha256()
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
    with open(target if target is not None else os.devnull, "wb") as out:  # noqa: PTH123
        while piece := raw.read(PIECE):
            sum.update(piece)
            out.write(piece)
        if target is not None:
            out.flush()
            os.fsync(out.fileno())
            target.chmod(0o600)
    return sum.hexdigest()
