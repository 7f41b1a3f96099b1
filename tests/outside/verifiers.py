"""Verifiers nobody here wrote, as tests ask them: `tlog-scales` (PyPI), Go's `x/mod/sumdb` by verifylog/; and ours beside them.

The driver needs Debian's golang-go and golang-golang-x-mod-dev; where they are missing its tests are skipped, in CI
they fail.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tlog_scales.reader import TilesReader
from tlog_scales.signing import Vkey
from tlog_scales.tiles import leaf_hash

from daemon.audit.checkpoint import VerifierKey
from daemon.audit.verify import verify

DRIVER = Path(__file__).parent / "verifylog"
LIBRARIES = "/usr/share/gocode"
"""Where Debian puts the sources of Go libraries; GOPATH overrides it."""


class Memory:
    """The files of a log as a backend of `tlog-scales`."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def get(self, *path: str) -> bytes | None:
        return self.files.get("/".join(path))


def scales_accepts(files: dict[str, bytes], vkey: str, indices: Sequence[int] | None = None) -> bool:
    """Signature, root, and every record (or those at `indices`) with its own inclusion proof, by `tlog-scales`; whatever it
    raises is a no."""
    try:
        _scales(files, vkey, indices)
    except Exception:
        return False
    return True


def _scales(files: dict[str, bytes], vkey: str, indices: Sequence[int] | None) -> None:
    reader = TilesReader(Memory(files))
    head = reader.get_checkpoint()
    # It reads base64, numbers and line ends laxly: what it writes must be what it read.
    assert head.serialize().encode() == files["checkpoint"]
    head.verify(Vkey.from_string(vkey))
    assert reader.calculate_root_hash() == head.root_hash
    for index in range(head.size) if indices is None else indices:
        proof = reader.get_inclusion_proof(index, head.size)
        proof.check(leaf_hash(reader.get_entry(index)), head.root_hash)


def ours_accepts(files: dict[str, bytes], vkey: VerifierKey) -> bool:
    def read(path: str) -> bytes:
        if path not in files:
            raise FileNotFoundError(path)
        return files[path]

    return verify(read, [vkey]).ok


def build_driver(folder: Path) -> Path:
    """The Go driver, built offline from source into `folder`."""
    libraries = os.environ.get("GOPATH", LIBRARIES)
    missing = not shutil.which("go") or not (Path(libraries) / "src/golang.org/x/mod/sumdb/tlog").is_dir()
    if missing and "CI" not in os.environ:
        pytest.skip("needs Debian's golang-go and golang-golang-x-mod-dev")
    binary = folder / "verifylog"
    settings = {"GO111MODULE": "off", "GOPATH": libraries, "GOFLAGS": "", "CGO_ENABLED": "0"}
    build = ["go", "build", "-o", str(binary), "."]
    done = subprocess.run(build, cwd=DRIVER, env=os.environ | settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return binary


def ask(driver: Path, jobs: Iterable[dict[str, Any]]) -> list[str]:
    """The driver's answer to each job."""
    lines = "".join(json.dumps(job) + "\n" for job in jobs)
    done = subprocess.run([str(driver)], input=lines, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
