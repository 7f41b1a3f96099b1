"""Public keys of OpenSSH, as they stand in a `.pub` file: what the signers of rules are known by. Knows no signature.

    string type, then   ssh-ed25519                          string point (32 bytes)
                        sk-ssh-ed25519@openssh.com           string point, string application     (a FIDO token)
                        ecdsa-sha2-nistp256                  string "nistp256", string Q (65 bytes, uncompressed)
                        sk-ecdsa-sha2-nistp256@openssh.com   string "nistp256", string Q, string application

(RFC 8709 section 4, RFC 5656 section 3.1, OpenSSH PROTOCOL.u2f; `string` is a 32-bit length and so many bytes, RFC 4251
section 5.) RSA and DSA are not taken.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from daemon.errors import KeyUnusable

ED25519, SK_ED25519 = "ssh-ed25519", "sk-ssh-ed25519@openssh.com"
P256, SK_P256 = "ecdsa-sha2-nistp256", "sk-ecdsa-sha2-nistp256@openssh.com"
TYPES = (ED25519, SK_ED25519, P256, SK_P256)
_CURVE = b"nistp256"
_LONGEST = 4096


class Wire:
    """Reads a packet of RFC 4251 from its start. Every method raises ValueError where the bytes end too early."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        """So many bytes as they are."""
        end = self._at + count
        if end > len(self._data):
            raise ValueError(f"{len(self._data) - self._at} bytes left, expected {count}")
        found, self._at = self._data[self._at : end], end
        return found

    def number(self) -> int:
        """A 32-bit number."""
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        """Bytes behind their length."""
        return self.take(self.number())

    def end(self) -> None:
        """Raises ValueError where anything is left."""
        if self._at != len(self._data):
            raise ValueError(f"{len(self._data) - self._at} bytes too many")


def string(data: bytes) -> bytes:
    """Bytes with their length in front."""
    return len(data).to_bytes(4, "big") + data


@dataclass(frozen=True, slots=True)
class SshKey:
    """A public key. `point` is the bare key, the same whatever type it is written as; `application` is a token's, else ''."""

    type: str
    blob: bytes
    point: bytes
    application: str = ""

    @classmethod
    def from_blob(cls, blob: bytes) -> SshKey:
        """From the bytes that `.pub` files hold in base64. Raises KeyUnusable."""
        try:
            wire = Wire(blob)
            kind = wire.string().decode("ascii", "replace")
            if kind not in TYPES:
                raise ValueError(f"type {kind[:40]!r}, expected one of {', '.join(TYPES)}")
            if kind in (P256, SK_P256) and wire.string() != _CURVE:
                raise ValueError("another curve than nistp256")
            point = wire.string()
            application = wire.string().decode() if kind in (SK_ED25519, SK_P256) else ""
            wire.end()
        except ValueError as wrong:
            raise KeyUnusable(f"SSH public key: {wrong}") from None
        if len(point) != (32 if kind in (ED25519, SK_ED25519) else 65) or (len(point) == 65 and point[0] != 4):
            raise KeyUnusable(f"SSH public key: a point of {len(point)} bytes, expected 32, or 65 uncompressed")
        return cls(kind, blob, point, application)

    @classmethod
    def from_line(cls, line: str) -> SshKey:
        """From a line of a `.pub` file: type, base64, and a comment that says nothing. Raises KeyUnusable."""
        words = line.split()
        if len(words) < 2 or len(line) > _LONGEST:
            raise KeyUnusable("SSH public key: expected a type and a key in base64, as in a .pub file")
        try:
            blob = base64.b64decode(words[1], validate=True)
        except (binascii.Error, ValueError):
            raise KeyUnusable("SSH public key: expected base64 after the type") from None
        found = cls.from_blob(blob)
        if words[0] != found.type or base64.b64encode(blob).decode() != words[1]:
            raise KeyUnusable(f"SSH public key: written as {words[0][:40]!r}, its bytes say {found.type}")
        return found

    @classmethod
    def ed25519(cls, point: bytes) -> SshKey:
        """The plain Ed25519 key of a point. Raises KeyUnusable."""
        return cls.from_blob(string(ED25519.encode()) + string(point))

    @property
    def line(self) -> str:
        """`type base64`, as in a `.pub` file."""
        return f"{self.type} {base64.b64encode(self.blob).decode()}"

    @property
    def fingerprint(self) -> str:
        """`SHA256:…`, as `ssh-keygen -l` prints it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")
