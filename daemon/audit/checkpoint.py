"""Checkpoints: the signed head of the log, as C2SP tlog-checkpoint in a C2SP signed note.

Bytes, in UTF-8, every line ended by LF::

    audit.firm.example/duenotice/2024            origin: no blank, no plus
    4096                                         size in decimal, no leading zero
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=  root, base64
                                                 (empty line)
    — audit.firm.example/duenotice/2024 mQ…==    EM DASH, blank, key name, blank, base64(key id(4) | signature(64))

The key id is SHA-256(name ‖ LF ‖ 0x01 ‖ public key)[:4]; the signature is Ed25519 over the first three lines with their
LF. A verifier key is written `name+<key id, 8 hex>+<base64(0x01 | public key)>`; base64 may itself hold a plus, so it
is split at the first two only. Reading is strict: exactly three lines of text, no CR or other control character,
numbers and base64 that re-encode to the same characters, at most 100 signatures and 64 kB. Lines of other keys
(witnesses, other algorithms) are read and passed over, as the standard demands.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from daemon.audit.tree import HASH_BYTES
from daemon.security.signing import PUBLIC_BYTES, SIGNATURE_BYTES, verifies

ED25519 = 1
MAX_BYTES = 65_536
MAX_SIGNATURES = 100
DASH = "— "

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}").fullmatch
_NAME = re.compile(r"[^\x00-\x20\x7f-\xa0+\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]{1,255}").fullmatch
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]").search


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A head of the log."""

    origin: str
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with the name under which it signs."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + bytes((ED25519,)) + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_b64(bytes((ED25519,)) + self.public)}"


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature line: the key's name and id, the bytes behind the id."""

    name: str
    key_id: bytes
    raw: bytes

    def __str__(self) -> str:
        return f"{DASH}{self.name} {_b64(self.key_id + self.raw)}"


@dataclass(frozen=True, slots=True)
class Note:
    """A parsed note, its signatures unverified; `body` is what is signed."""

    checkpoint: Checkpoint
    body: bytes
    signatures: tuple[Signature, ...]


def check_name(name: str) -> str:
    """An origin or key name as it is. Raises ValueError for an empty one, a blank, a plus or a control character."""
    if not _NAME(name):
        raise ValueError(f"name {name!r:.80}: expected 1 to 255 characters without blank and plus")
    return name


def parse_vkey(text: str) -> VerifierKey:
    """A verifier key from its written form. Raises ValueError."""
    parts = text.strip().split("+", 2)
    if len(parts) != 3:
        raise ValueError(f"verifier key {text!r:.120}: expected name+id+key")
    raw = _unb64(parts[2], "verifier key")
    if len(raw) != 1 + PUBLIC_BYTES or raw[0] != ED25519:
        raise ValueError(f"verifier key of {parts[0]!r:.80}: expected an Ed25519 key (type 01, {PUBLIC_BYTES} bytes)")
    key = VerifierKey(check_name(parts[0]), raw[1:])
    if key.id.hex() != parts[1]:
        raise ValueError(f"verifier key of {key.name}: id {parts[1]!r:.20}, expected {key.id.hex()}")
    return key


def body(checkpoint: Checkpoint) -> bytes:
    """The three lines that are signed. Raises ValueError for what could not be read back."""
    check_name(checkpoint.origin)
    if checkpoint.size < 0 or len(checkpoint.root) != HASH_BYTES:
        raise ValueError(f"checkpoint: size {checkpoint.size}, root of {len(checkpoint.root)} bytes")
    return f"{checkpoint.origin}\n{checkpoint.size}\n{_b64(checkpoint.root)}\n".encode()


def sign(checkpoint: Checkpoint, public: bytes, signer: Callable[[bytes], bytes]) -> bytes:
    """The signed note, under the origin as key name; `signer` gives the Ed25519 signature of a message."""
    text = body(checkpoint)
    key = VerifierKey(checkpoint.origin, public)
    return text + f"\n{Signature(key.name, key.id, signer(text))}\n".encode()


def parse(note: bytes) -> Note:
    """The parts of a note, strictly. Raises ValueError: what was found and what was expected."""
    if len(note) > MAX_BYTES:
        raise ValueError(f"checkpoint of {len(note)} bytes, expected at most {MAX_BYTES}")
    try:
        text = note.decode("utf-8")
    except UnicodeDecodeError as reason:
        raise ValueError(f"checkpoint: not UTF-8 at byte {reason.start}") from None
    if found := _CONTROL(text):
        raise ValueError(f"checkpoint: control character {found.group()!r} at {found.start()}")
    head, blank, tail = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or len(lines) != 3 or not tail.endswith("\n"):
        raise ValueError(f"checkpoint: {len(lines)} lines of text, expected 3, an empty line, and signature lines")
    if not _SIZE(lines[1]):
        raise ValueError(f"checkpoint: size {lines[1]!r:.40}, expected a decimal number without leading zero")
    root = _unb64(lines[2], "root")
    if len(root) != HASH_BYTES:
        raise ValueError(f"checkpoint: root of {len(root)} bytes, expected {HASH_BYTES}")
    checkpoint = Checkpoint(check_name(lines[0]), int(lines[1]), root)
    return Note(checkpoint, (head + "\n").encode(), _signatures(tail))


def _signatures(tail: str) -> tuple[Signature, ...]:
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise ValueError(f"checkpoint: {len(lines)} signature lines, expected at most {MAX_SIGNATURES}")
    found = []
    for line in lines:
        name, blank, encoded = line.removeprefix(DASH).partition(" ")
        if not line.startswith(DASH) or not blank:
            raise ValueError(f"checkpoint: signature line {line!r:.80}, expected dash, name and base64")
        raw = _unb64(encoded, "signature")
        if len(raw) < 5:
            raise ValueError(f"checkpoint: signature of {name!r:.80} is {len(raw)} bytes, expected a key id and more")
        found.append(Signature(check_name(name), raw[:4], raw[4:]))
    return tuple(found)


def open_checkpoint(note: bytes, keys: Sequence[VerifierKey]) -> Checkpoint:
    """The checkpoint of a note that a known key of its origin has signed.

    Raises ValueError when the note is malformed, when no such signature is there, or when any line that claims to be of
    a known key does not verify.
    """
    parsed = parse(note)
    origin = parsed.checkpoint.origin
    trusted = {(key.name, key.id): key for key in keys if key.name == origin}
    signed = False
    for signature in parsed.signatures:
        key = trusted.get((signature.name, signature.key_id))
        if key is None:
            continue
        if len(signature.raw) != SIGNATURE_BYTES or not verifies(key.public, parsed.body, signature.raw):
            raise ValueError(f"checkpoint: the signature of {key.name}+{key.id.hex()} does not verify")
        signed = True
    if not signed:
        wanted = ", ".join(f"{key.name}+{key.id.hex()}" for key in keys) or "no key at all"
        raise ValueError(f"checkpoint of {origin}: not signed by a key given ({wanted})")
    return parsed.checkpoint


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _unb64(text: str, what: str) -> bytes:
    """Standard base64 that re-encodes to the same characters. Raises ValueError."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{what} {text!r:.120}: not base64") from None
    if _b64(raw) != text:
        raise ValueError(f"{what} {text!r:.120}: does not re-encode to the same base64")
    return raw
