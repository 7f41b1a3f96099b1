"""The digest of a rule set: one hash over the bytes of all that decides. Pure.

    sha256 over, for each path in order of its UTF-8 bytes:  sha256(bytes) in hex, two spaces, path, line feed

which is what `sha256sum` prints for the same files, so that a person can check it without this program.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def listing(files: Mapping[str, bytes]) -> bytes:
    """The canonical listing."""
    paths = sorted(files, key=lambda path: path.encode())
    return b"".join(f"{hashlib.sha256(files[path]).hexdigest()}  {path}\n".encode() for path in paths)


def digest(files: Mapping[str, bytes]) -> str:
    """SHA-256 of the listing, in hex."""
    return hashlib.sha256(listing(files)).hexdigest()
