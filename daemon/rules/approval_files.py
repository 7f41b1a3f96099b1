"""What lies in `rules/approvals/`, read as untrusted bytes: a bounded number of plain files, no link followed.

    approvals/DIGEST/NAME.json  NAME.json.sig  NAME.json.OTHER.sig      statements and signatures of one rule set
    approvals/DIGEST/files.sha256                                       what `sha256sum -c` checks; read by people only
    approvals/signers/N.yaml    N.yaml.NAME.sig                         lists of signers and their signatures

What cannot be read becomes a remark and counts as absent. Whether anything of it is worth something, `approvals.py` and
`signers.py` say.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from daemon.rules.approvals import SignedFile

FOLDER = "rules/approvals"
SIGNERS = "signers"
LISTING = "files.sha256"
MAX_FILES = 200
MAX_BYTES = 64 * 1024
_LIST = re.compile(r"([1-9][0-9]{0,5})\.yaml")


@dataclass(frozen=True, slots=True)
class ListFile:
    """One version of the list of signers as it lies there."""

    version: int
    name: str
    raw: bytes
    signatures: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ApprovalFiles:
    """Statements for one digest, lists of signers by rising version, and what could not be read."""

    signed: tuple[SignedFile, ...] = ()
    lists: tuple[ListFile, ...] = ()
    remarks: tuple[str, ...] = ()


NONE = ApprovalFiles()
Reader = Callable[[str], ApprovalFiles]


def read_approvals(root: Path, digest: str) -> ApprovalFiles:
    """The approvals of a digest and every list of signers under `root`/rules/approvals. Never raises for what lies there."""
    remarks: list[str] = []
    mine = dict(_files(root, digest, remarks)) if re.fullmatch(r"[0-9a-f]{64}", digest) else {}
    signed = tuple(
        SignedFile(f"{FOLDER}/{digest}/{name}", raw, armored)
        for name, raw in sorted(mine.items())
        if name.endswith(".json")
        for armored in _signatures(mine, name)
    )
    lying = dict(_files(root, SIGNERS, remarks))
    lists = [
        ListFile(int(match[1]), f"{FOLDER}/{SIGNERS}/{name}", raw, tuple(_signatures(lying, name)))
        for name, raw in lying.items()
        if (match := _LIST.fullmatch(name))
    ]
    return ApprovalFiles(signed, tuple(sorted(lists, key=lambda one: one.version)), tuple(remarks))


def _signatures(files: dict[str, bytes], name: str) -> Iterator[bytes]:
    """The signatures beside a file: `NAME.sig`, `NAME.WHO.sig`."""
    for other, raw in sorted(files.items()):
        if other.startswith(f"{name}.") and other.endswith(".sig"):
            yield raw


def _files(root: Path, folder: str, remarks: list[str]) -> Iterator[tuple[str, bytes]]:
    """Name -> bytes of the plain files in one folder, through a folder descriptor so that nothing is swapped on the way."""
    place = root / FOLDER / folder
    try:
        if (root / FOLDER).is_symlink():
            raise OSError(f"{FOLDER} is a symbolic link")
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError as wrong:
        remarks.append(f"{FOLDER}/{folder}: {wrong}")
        return
    try:
        names = sorted(os.listdir(descriptor))  # noqa: PTH208 - of the folder that is open, whatever its path leads to now
        if len(names) > MAX_FILES:
            remarks.append(f"{FOLDER}/{folder}: {len(names)} files, the first {MAX_FILES} are read")
        for name in names[:MAX_FILES]:
            try:
                yield name, _read(name, descriptor)
            except OSError as wrong:
                remarks.append(f"{FOLDER}/{folder}/{name}: {wrong.strerror or wrong}")
    finally:
        os.close(descriptor)


def _read(name: str, folder: int) -> bytes:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        known = os.fstat(descriptor)
        if not stat.S_ISREG(known.st_mode) or known.st_size > MAX_BYTES:
            raise OSError(f"{known.st_size} bytes, expected a plain file of at most {MAX_BYTES}")
        return file.read(MAX_BYTES)
