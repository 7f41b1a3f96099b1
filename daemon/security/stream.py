"""Sealed files (sheets, raw inputs): chunked, so that size is no matter and a cut end is detected.

Bytes of a sealed file::

    version(1) = 2 | alg(1) | key id(16) | salt(32) | key commitment(32) | chunk 0 | chunk 1 | ...

Each file has its own key, HKDF-SHA256 of the secret with the random salt and info `duenotice/file-key/v1`, which the
commitment (HKDF of the file key) binds. A chunk is 65,536 plain bytes (the last one fewer or as many, empty only in an
empty file) plus a 16-byte tag. Its nonce is the chunk's number in 11 bytes, big-endian, then 1 for the last chunk and 0
for every other (the STREAM construction): chunks cannot be dropped, moved, repeated or appended unseen. The additional
data is the header and the caller's `aad`.
"""

from __future__ import annotations

import hmac
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag

from daemon.errors import SealBroken
from daemon.security.envelope import (
    COMMITMENT_BYTES,
    KEY_ID_BYTES,
    TAG_BYTES,
    Aead,
    Alg,
    Key,
    aead,
    derive,
    find_key,
)

VERSION = 2
CHUNK = 65_536
SALT_BYTES = 32
HEADER_BYTES = 2 + KEY_ID_BYTES + SALT_BYTES + COMMITMENT_BYTES


def _file_key(key: Key, salt: bytes) -> tuple[Aead, bytes]:
    secret = derive(key.secret(), "duenotice/file-key/v1", key.alg.key_bytes, salt)
    return aead(key.alg, secret), derive(secret, "duenotice/file-commitment/v1")


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\x01" if last else b"\x00")


def _chunks(source: BinaryIO, size: int) -> Iterator[tuple[bytes, bool]]:
    """Blocks of `size` bytes and whether each is the last; one empty last block when there is nothing."""
    block = _read_full(source, size)
    while True:
        following = _read_full(source, size) if len(block) == size else b""
        yield block, not following
        if not following:
            return
        block = following


def _read_full(source: BinaryIO, size: int) -> bytes:
    """As many bytes as asked unless the end comes first; raw streams may give fewer at a time."""
    block = source.read(size)
    while 0 < len(block) < size:
        more = source.read(size - len(block))
        if not more:
            break
        block += more
    return block


def seal_stream(key: Key, source: BinaryIO, target: BinaryIO, aad: bytes) -> None:
    """Read plain bytes from `source` to its end and write the sealed file to `target`."""
    salt = os.urandom(SALT_BYTES)
    cipher, commitment = _file_key(key, salt)
    header = bytes((VERSION, key.alg)) + key.id + salt + commitment
    target.write(header)
    for number, (block, last) in enumerate(_chunks(source, CHUNK)):
        target.write(cipher.encrypt(_nonce(number, last), block, header + aad))


def open_stream(keys: Callable[[bytes], Key], source: BinaryIO, aad: bytes) -> Iterator[bytes]:
    """The plain chunks, each authenticated. That the file is whole is known only when the iteration ends by itself:
    a caller keeps nothing of it when SealBroken is raised."""
    header = _read_full(source, HEADER_BYTES)
    if len(header) < HEADER_BYTES or header[0] != VERSION:
        raise SealBroken(f"sealed file: found {header[:1].hex() or 'nothing'}, expected version {VERSION} and a header")
    key = find_key(keys, header[2 : 2 + KEY_ID_BYTES], header[1])
    salt, claimed = header[18 : 18 + SALT_BYTES], header[18 + SALT_BYTES :]
    cipher, commitment = _file_key(key, salt)
    if not hmac.compare_digest(commitment, claimed):
        raise SealBroken(f"sealed file: its commitment is not that of key {key.id.hex()}")
    for number, (block, last) in enumerate(_chunks(source, CHUNK + TAG_BYTES)):
        try:
            plain = cipher.decrypt(_nonce(number, last), block, header + aad)
        except InvalidTag:
            raise SealBroken(f"sealed file under key {key.id.hex()}: chunk {number} is changed, cut or moved") from None
        if not plain and number:
            raise SealBroken(f"sealed file under key {key.id.hex()}: an empty last chunk {number}")
        yield plain


def seal_bytes(key: Key, plain: bytes, aad: bytes) -> bytes:
    """The sealed file of `plain`, in memory."""
    target = io.BytesIO()
    seal_stream(key, io.BytesIO(plain), target, aad)
    return target.getvalue()


def open_bytes(keys: Callable[[bytes], Key], blob: bytes, aad: bytes) -> bytes:
    """The inverse of `seal_bytes`. Raises SealBroken."""
    return b"".join(open_stream(keys, io.BytesIO(blob), aad))


def seal_file(key: Key, plain: Path | bytes, out: Path, aad: bytes) -> None:
    """Seal a file or bytes into `out`: written beside it (mode 0600), synced, renamed, the folder synced."""
    partial = out.with_name(out.name + ".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as target:
            if isinstance(plain, bytes):
                seal_stream(key, io.BytesIO(plain), target, aad)
            else:
                with plain.open("rb") as source:
                    seal_stream(key, source, target, aad)
            target.flush()
            os.fsync(target.fileno())
        partial.replace(out)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(out.parent)


def open_file(keys: Callable[[bytes], Key], path: Path, aad: bytes) -> bytes:
    """The plain bytes of a sealed file, whole. Raises SealBroken, or OSError when it cannot be read."""
    with path.open("rb") as source:
        return b"".join(open_stream(keys, source, aad))


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


__all__ = [
    "CHUNK",
    "Alg",
    "Key",
    "open_bytes",
    "open_file",
    "open_stream",
    "seal_bytes",
    "seal_file",
    "seal_stream",
    "sync_folder",
]
