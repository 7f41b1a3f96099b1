"""Signatures of `ssh-keygen -Y sign` (OpenSSH PROTOCOL.sshsig), made and checked without OpenSSH.

    -----BEGIN SSH SIGNATURE-----   base64, lines of 70   -----END SSH SIGNATURE-----
    "SSHSIG" uint32 1 · string public key · string namespace · string "" · string hash name · string signature
    signed: "SSHSIG" · string namespace · string "" · string hash name · string H(message)       H: sha512 or sha256

`signature` is `string type, string bytes`; a token adds a byte of flags and a 32-bit counter, and signs
`SHA-256(application) · flags · counter · SHA-256(what is above)` (PROTOCOL.u2f). Bit 0 of the flags says that somebody
touched it; without that a token's signature is refused, as sshd does (`ssh-keygen -Y verify` does not look). Whose key it is,
the caller must know.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from daemon.errors import DueNoticeError, KeyUnusable
from daemon.security.signerkey import SignerKey
from daemon.security.sshkey import ED25519, SK_ED25519, SK_P256, SshKey, Wire, string

MAGIC = b"SSHSIG"
VERSION = 1
HASHES = ("sha512", "sha256")
LONGEST = 8192
"""Bytes of the longest armoured signature read."""
_TOUCHED = 0x01
_ARMOR = re.compile(
    rb"\s*-----BEGIN SSH SIGNATURE-----\r?\n([A-Za-z0-9+/=\r\n]+?)\r?\n-----END SSH SIGNATURE-----\s*", re.ASCII
)
_WIDE = 70


class NotSigned(DueNoticeError):
    """Bytes that are no signature, or not one of this message in this namespace."""


def sign(key: SignerKey, namespace: str, message: bytes) -> bytes:
    """The armoured signature of a message."""
    made = string(ED25519.encode()) + string(key.sign(_signed(namespace, "sha512", message)))
    head = MAGIC + VERSION.to_bytes(4, "big") + string(key.public.blob) + string(namespace.encode())
    text = base64.b64encode(head + string(b"") + string(b"sha512") + string(made)).decode()
    lines = [text[i : i + _WIDE] for i in range(0, len(text), _WIDE)]
    return "\n".join(["-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----", ""]).encode()


def verify(armored: bytes, namespace: str, message: bytes) -> SshKey:
    """The key that signed this message in this namespace. Raises NotSigned."""
    try:
        key, found, name, made = _read(armored)
    except (ValueError, KeyUnusable) as wrong:
        raise NotSigned(f"SSH signature: {wrong}") from None
    if found != namespace.encode():
        raise NotSigned(f"SSH signature: namespace {found.decode(errors='replace')!r}, expected {namespace!r}")
    try:
        right = _right(key, made, _signed(namespace, name, message))
    except ValueError as wrong:
        raise NotSigned(f"SSH signature: {wrong}") from None
    if not right:
        raise NotSigned(f"SSH signature: made by {key.fingerprint} over other bytes")
    return key


def _signed(namespace: str, name: str, message: bytes) -> bytes:
    digest = hashlib.new(name, message).digest()
    return MAGIC + string(namespace.encode()) + string(b"") + string(name.encode()) + string(digest)


def _read(armored: bytes) -> tuple[SshKey, bytes, str, bytes]:
    """Key, namespace, hash name, signature. Raises ValueError, KeyUnusable."""
    match = _ARMOR.fullmatch(armored) if len(armored) <= LONGEST else None
    if match is None:
        raise ValueError("expected the lines that `ssh-keygen -Y sign` writes")
    try:
        raw = base64.b64decode(match[1].replace(b"\r", b"").replace(b"\n", b""), validate=True)
    except binascii.Error:
        raise ValueError("expected base64 between its lines") from None
    wire = Wire(raw)
    if wire.take(len(MAGIC)) != MAGIC or wire.number() != VERSION:
        raise ValueError("expected SSHSIG version 1")
    key, namespace = SshKey.from_blob(wire.string()), wire.string()
    wire.string()  # reserved, and no part of what is signed
    name, made = wire.string().decode("ascii", "replace"), wire.string()
    wire.end()
    if name not in HASHES:
        raise ValueError(f"hash {name[:20]!r}, expected one of {', '.join(HASHES)}")
    return key, namespace, name, made


def _right(key: SshKey, made: bytes, signed: bytes) -> bool:
    """Whether the signature is the key's over these bytes. Raises ValueError for one that is malformed."""
    wire = Wire(made)
    if wire.string() != key.type.encode():
        raise ValueError(f"of another type than its key, {key.type}")
    raw = wire.string()
    if key.type in (SK_ED25519, SK_P256):
        flags, counter = wire.take(1), wire.take(4)
        if not flags[0] & _TOUCHED:
            raise ValueError("made by a token that nobody touched")
        signed = hashlib.sha256(key.application.encode()).digest() + flags + counter + hashlib.sha256(signed).digest()
    wire.end()
    try:
        if key.type in (ED25519, SK_ED25519):
            Ed25519PublicKey.from_public_bytes(key.point).verify(raw, signed)
        else:
            public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key.point)
            public.verify(_dss(raw), signed, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _dss(raw: bytes) -> bytes:
    """r and s of RFC 5656 section 3.1.2 as DER. Raises ValueError."""
    wire = Wire(raw)
    r, s = (int.from_bytes(wire.string(), "big", signed=True) for _ in range(2))
    wire.end()
    if r <= 0 or s <= 0:
        raise ValueError("r and s, expected above zero")
    return encode_dss_signature(r, s)
