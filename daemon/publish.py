"""Puts committed records into the log's files and signs the head; a checkpoint covers a record within a minute.

One batch, each step durable before the next, so that after a crash between any two the same bytes are made again:

1. records without an index get theirs in the store, causes before effects: from here on their place is fixed;
2. bundles and tiles are written to `tmp/`, synced, read back and re-hashed from the disk's bytes (a bit that flips
   between hashing and storing would make the log for ever inconsistent with its signed heads: CT log Yeti, 2021);
3. they are renamed into place and their folders synced;
4. the head is moved by compare-and-swap in a second store on another path, which never takes two heads of one size (heads.py);
5. the head is signed (Ed25519), written, read back, and renamed to `checkpoint`;
6. narrower files of tiles that are now full are removed.

What does not fit together stops publication until a restart: LogBroken in a run, ConfigError with the way to reconcile
at the start. Records are taken from a `TrailStore`; when to publish, whom to alarm, and witnesses are left to others.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, Protocol

from daemon.audit.checkpoint import Checkpoint, VerifierKey, check_name, open_checkpoint, sign
from daemon.audit.folder import folder_reader
from daemon.audit.order import causes_first
from daemon.audit.tree import (
    EMPTY_ROOT,
    WIDTH,
    Growing,
    Read,
    bundle_path,
    decode_bundle,
    encode_bundle,
    leaf_hash,
    read_bundle,
    subtree,
    tile_path,
)
from daemon.errors import ConfigError
from daemon.heads import HeadStore, LogBroken, WriteOnce, show
from daemon.security.keyring import Keyring
from daemon.security.stream import sync_folder

BATCH = 4096
RECONCILE = (
    "Nothing is published, so that never two heads of one size are signed. Either bring back the {lost} of the newest "
    "head, or, where the store was restored from a backup, hold it against the log (`duenotice restore --reconcile`), or close "
    "this log and start one under a new origin whose first record carries that head; `duenotice audit verify` on the log folder "
    "says what it holds."
)


class TrailStore(Protocol):
    """What the store offers of committed records. Indexes are contiguous from 0 and never change."""

    def unpublished(self, limit: int) -> Sequence[tuple[int, bytes]]:
        """Row id and bytes of the first committed records without an index, in the order of commit."""
        ...

    def assign(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Give rows (row id, index) their indexes, all or none, durably."""
        ...

    def size(self) -> int:
        """How many records have an index."""
        ...

    def indexed(self, start: int, limit: int) -> Sequence[bytes]:
        """Bytes of the records with the indexes from `start`, in order."""
        ...


def check_store(store: TrailStore, read: Read, size: int) -> None:
    """Hold the store against a log of `size` records: it has as many, the last ones are the same. Raises LogBroken where the
    database is from another time, at the start or because another one has taken its place."""
    have = store.size()
    if have < size:
        raise LogBroken(f"the store has {have} records with an index, the log {size}")
    first = (size - 1) // WIDTH * WIDTH if size else 0
    last = read_bundle(read, first // WIDTH, size - first) if size else []
    if list(store.indexed(first, size - first)) != last:
        raise LogBroken(f"the last {size - first} records of the log are not those of the store")


class LogFolder:
    """The log's files: new ones are staged in `tmp/`, read back, and then moved into place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.read = folder_reader(folder)
        self._staging = folder / "tmp"

    def clear(self) -> None:
        """Forget what is staged."""
        shutil.rmtree(self._staging, ignore_errors=True)
        self._staging.mkdir(parents=True, exist_ok=True)

    def stage(self, path: str, raw: bytes) -> None:
        """Write and sync a file in `tmp/`, then drop it from the page cache, so that reading it back reads the disk."""
        target = self._staged(path)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
        with os.fdopen(descriptor, "wb") as out:
            out.write(raw)
            out.flush()
            os.fsync(out.fileno())
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(out.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def staged(self, path: str) -> bytes:
        """A staged file as the disk has it."""
        return self._staged(path).read_bytes()

    def settle(self, paths: Sequence[str]) -> None:
        """Move staged files into place and make that durable."""
        folders: set[Path] = {self.folder}
        for path in paths:
            final = self.folder / path
            final.parent.mkdir(parents=True, exist_ok=True)
            self._staged(path).replace(final)
            inside = [folder for folder in final.parents if folder.is_relative_to(self.folder)]
            folders.update(inside)
        for folder in sorted(folders, reverse=True):
            sync_folder(folder)

    def drop_narrower(self, path: str) -> None:
        """Remove the narrower files of a tile or bundle that is now full."""
        shutil.rmtree(self.folder / f"{path}.p", ignore_errors=True)

    def _staged(self, path: str) -> Path:
        return self._staging / path.replace("/", "_")


class Publisher:
    """Publishes the records of one store as one log. Not for two threads at once.

    `at` is called with the name of each step before it is taken: `assign stage settle swap sign checkpoint prune`;
    `files` gives the folder's files; `once` keeps heads for ever.
    """

    def __init__(
        self,
        log_dir: Path,
        heads: HeadStore,
        keyring: Keyring,
        origin: str,
        store: TrailStore,
        at: Callable[[str], None] = lambda step: None,
        files: Callable[[Path], LogFolder] = LogFolder,
        once: WriteOnce | None = None,
    ) -> None:
        try:
            self.origin = check_name(origin)
        except ValueError as reason:
            raise ConfigError(f"origin of the log: {reason}") from None
        self._files = files(log_dir)
        self._heads, self._store, self._at, self._once = heads, store, at, once
        self._signing = keyring.signing
        self._known = tuple(VerifierKey(self.origin, key.public) for key in keyring.signing_keys)
        self._stopped: LogBroken | None = None
        self.head: Checkpoint | None = self._open()

    @property
    def key(self) -> VerifierKey:
        """The verifier key of this log's checkpoints; its text form is what verifiers are given."""
        return VerifierKey(self.origin, self._signing.public)

    def publish(self, limit: int = BATCH) -> int:
        """Publish one batch of at most `limit` records; returns how many, 0 when none waits.

        Raises LogBroken on a mismatch, and from then on at every call. After any other error (a full disk) the next
        call starts again as after a crash.
        """
        if self._stopped is not None:
            raise self._stopped
        try:
            if self.head is None:
                self.head = self._open_again()
            head, self.head = self.head, None
            self.head, count = self._batch(head, limit)
        except LogBroken as reason:
            self._stopped = reason
            raise
        return count

    def keep(self) -> None:
        """Lay the newest head into the write-once folder. Raises LogBroken where the folder has one that is not of this log's
        history, and from then on `publish` does; OSError where the folder cannot be read or written: to be tried again."""
        if self._once is None or self.head is None:
            return
        try:
            self._compare_once(self._once, self.head)
            self._once.keep(self.head, self._files.read("checkpoint"))
        except LogBroken as reason:
            self._stopped = reason
            raise

    def _compare_once(self, once: WriteOnce, head: Checkpoint) -> None:
        kept = once.newest(self.origin, self._known)
        if kept is None:
            return
        if kept.size > head.size:
            raise LogBroken(f"the write-once folder has a head of {kept.size} records, the head store {head.size}")
        if kept.size and subtree(self._files.read, head.size, 0, kept.size) != kept.root:
            raise LogBroken(f"the head of {kept.size} in the write-once folder is not the beginning of the log")

    def _batch(self, head: Checkpoint, limit: int) -> tuple[Checkpoint, int]:
        check_store(self._store, self._files.read, head.size)
        self._sequence(limit)
        records = self._store.indexed(head.size, limit)
        if not records:
            return head, 0
        files, new = self._grow(head, records)
        self._at("stage")
        self._files.clear()
        for path, raw in files.items():
            self._files.stage(path, raw)
        self._check_staged(head, new, list(files))
        self._at("settle")
        self._files.settle(list(files))
        self._at("swap")
        self._heads.swap(head, new)
        self._sign(new)
        self._at("prune")
        for path in files:
            if ".p/" not in path:
                self._files.drop_narrower(path)
        return new, len(records)

    def _sequence(self, limit: int) -> None:
        """Give waiting records their indexes."""
        self._at("assign")
        rows = self._store.unpublished(limit)
        if not rows:
            return
        try:
            ordered = causes_first(rows)
        except ValueError as reason:
            raise LogBroken(str(reason)) from None
        self._store.assign([(row, index) for index, row in enumerate(ordered, self._store.size())])

    def _edge(self, head: Checkpoint) -> list[bytes]:
        """The records of the last, incomplete bundle, re-hashed against the tile."""
        number, width = divmod(head.size, WIDTH)
        if not width:
            return []
        records = read_bundle(self._files.read, number, width)
        tree = Growing.at(self._files.read, head.size)
        if [leaf_hash(record) for record in records] != next(row for level, _, row in tree.rest() if level == 0):
            raise LogBroken(f"{bundle_path(number, width)}: does not hash to what its tile says")
        return records

    def _grow(self, head: Checkpoint, records: Sequence[bytes]) -> tuple[dict[str, bytes], Checkpoint]:
        """All files that `records` change, by path, and the head after them."""
        files: dict[str, bytes] = {}
        tree = Growing.at(self._files.read, head.size, lambda *tile: files.update(_tile(*tile)))
        for record in records:
            tree.append(leaf_hash(record))
        for tile in tree.rest():
            files.update(_tile(*tile))
        open_bundle = [*self._edge(head), *records]
        for start in range(0, len(open_bundle), WIDTH):
            part = open_bundle[start : start + WIDTH]
            files[bundle_path(head.size // WIDTH + start // WIDTH, len(part))] = encode_bundle(part)
        return files, Checkpoint(self.origin, tree.size, tree.root())

    def _check_staged(self, head: Checkpoint, new: Checkpoint, paths: list[str]) -> None:
        """Compute everything again from the bytes read back. Raises LogBroken."""
        tiles: dict[str, bytes] = {}
        tree = Growing.at(self._files.read, head.size, lambda *tile: tiles.update(_tile(*tile)))
        bundles = [path for path in paths if path.startswith("tile/entries/")]
        try:
            records = [record for path in bundles for record in decode_bundle(self._files.staged(path))]
        except ValueError as reason:
            raise LogBroken(f"read back: {reason}") from None
        for record in records[head.size % WIDTH :]:
            tree.append(leaf_hash(record))
        for tile in tree.rest():
            tiles.update(_tile(*tile))
        for path, raw in tiles.items():
            if self._files.staged(path) != raw:
                raise LogBroken(f"{path}: read back, it is not what the records read back hash to")
        if (tree.size, tree.root()) != (new.size, new.root) or len(tiles) + len(bundles) != len(paths):
            raise LogBroken(f"read back: head {tree.size} {tree.root().hex()}, expected {show(new)}")

    def _sign(self, head: Checkpoint) -> None:
        self._at("sign")
        note = sign(head, self._signing.public, self._signing.sign)
        self._files.stage("checkpoint", note)
        try:
            again = open_checkpoint(self._files.staged("checkpoint"), [self.key])
        except ValueError as reason:
            raise LogBroken(f"checkpoint read back: {reason}") from None
        if again != head:
            raise LogBroken(f"checkpoint read back: {show(again)}, expected {show(head)}")
        self._at("checkpoint")
        self._files.settle(["checkpoint"])

    def _open(self) -> Checkpoint:
        """The head from which to go on: store, log and head store are compared, a missing signature is made up for.

        Raises ConfigError, with the way to reconcile, when one of them is from another time than the others.
        """
        self._files.clear()
        published = self._published()
        head = self._heads.read(self.origin)
        if head is None:
            if published is not None or (self._files.folder / "tile").exists():
                self._refuse(f"there is a log but no head of {self.origin} in the head store", "head store")
            head = Checkpoint(self.origin, 0, EMPTY_ROOT)
            self._heads.swap(None, head)
        self._compare(head, published)
        if self._once is not None:
            try:
                self._compare_once(self._once, head)
            except LogBroken as reason:
                self._refuse(str(reason), "log and head store")
            except OSError:  # a share that is away does not silence notices: `keep` tries again, and says so
                pass
        if published != head:
            self._sign(head)
        return head

    def _open_again(self) -> Checkpoint:
        """After a publication that failed, in a run that goes on: notices still leave whatever is found. Raises LogBroken."""
        try:
            return self._open()
        except ConfigError as reason:
            raise LogBroken(str(reason)) from None

    def _compare(self, head: Checkpoint, published: Checkpoint | None) -> None:
        if published is not None and published.size > head.size:
            self._refuse(f"the checkpoint has {published.size} records, the head store {head.size}", "head store")
        try:
            on_disk = Growing.at(self._files.read, head.size).root()
            self._edge(head)
            before = EMPTY_ROOT
            if published is not None and published.size:
                before = subtree(self._files.read, head.size, 0, published.size)
        except (FileNotFoundError, ValueError, LogBroken) as reason:
            self._refuse(f"the log folder does not hold the {head.size} records of the head store ({reason})", "log")
        if on_disk != head.root:
            self._refuse(f"the {head.size} records of the log are not those of the head store", "log")
        if published is not None and before != published.root:
            self._refuse(f"the checkpoint of {published.size} is not the beginning of the log", "log")
        try:
            check_store(self._store, self._files.read, head.size)
        except LogBroken as reason:
            self._refuse(str(reason), "store")

    def _published(self) -> Checkpoint | None:
        try:
            return open_checkpoint(self._files.read("checkpoint"), self._known)
        except FileNotFoundError:
            return None
        except ValueError as reason:
            raise ConfigError(f"log folder {self._files.folder}: {reason}") from None

    def _refuse(self, found: str, lost: str) -> NoReturn:
        raise ConfigError(f"log {self.origin}: {found}. " + RECONCILE.format(lost=lost))


def _tile(level: int, number: int, row: list[bytes]) -> dict[str, bytes]:
    return {tile_path(level, number, len(row)): b"".join(row)}
