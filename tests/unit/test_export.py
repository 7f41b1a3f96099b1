"""Exports stand alone: complete, without keys, and verified by the page inside them with openssl and sha256sum."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
from hashlib import sha256
from pathlib import Path

import pytest

from daemon.audit.checkpoint import parse_vkey
from daemon.audit.export import export_folder, pack
from daemon.audit.folder import folder_reader, verify_folder
from daemon.audit.schemas import KINDS
from daemon.audit.verify import Check
from tests.outside.logs import KEK, ORIGIN, SET, SIGNING, chain, published

SETS = {SET: b"rule set"}


def exported(folder: Path, count: int) -> tuple[Path, str]:
    """An export of a log of `count` records, and its verifier key."""
    made = published(folder, chain(count))
    assert export_folder(folder_reader(folder / "log"), folder / "export", SETS) == made.head
    return folder / "export", str(made.key)


def test_an_export_holds_the_log_the_schemas_the_rule_sets_and_the_page(tmp_path: Path) -> None:
    out, _ = exported(tmp_path, 300)
    assert sorted(path.name for path in out.iterdir()) == [
        "PROCEDURE.md", "SHA256SUMS", "checkpoint", "rules", "schemas", "tile",
    ]  # fmt: skip
    assert {path.stem for path in (out / "schemas").iterdir()} == KINDS
    assert (out / "rules" / SET).read_bytes() == b"rule set"
    assert json.loads((out / "schemas" / "poll.json").read_text())["required"] == ["due", "feed", "run", "state"]


@pytest.mark.parametrize("count", [0, 1, 16, 257])
def test_an_export_verifies(tmp_path: Path, count: int) -> None:
    published(tmp_path, chain(count))
    out, _ = tmp_path / "export", export_folder(folder_reader(tmp_path / "log"), tmp_path / "export", SETS)
    assert verify_folder(out, [published(tmp_path / "again", chain(count)).key]).ok


def test_no_key_is_inside(tmp_path: Path) -> None:
    out, vkey = exported(tmp_path, 3)
    whole = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert vkey.encode() not in whole
    assert vkey.split("+", 2)[2].encode() not in whole
    assert SIGNING.public not in whole
    assert KEK.secret() not in whole


def test_what_came_after_the_checkpoint_or_before_it_stays_out(tmp_path: Path) -> None:
    published(tmp_path, chain(10))
    (tmp_path / "log/tile/entries/000.p/4").write_bytes(b"earlier")
    (tmp_path / "log/tile/entries/000.p/12").write_bytes(b"later")
    export_folder(folder_reader(tmp_path / "log"), tmp_path / "export", {})
    assert [path.name for path in (tmp_path / "export/tile/entries/000.p").iterdir()] == ["10"]


def test_bytes_of_another_rule_set_and_an_existing_folder_are_refused(tmp_path: Path) -> None:
    published(tmp_path, chain(1))
    read = folder_reader(tmp_path / "log")
    with pytest.raises(ValueError, match="hash to"):
        export_folder(read, tmp_path / "export", {SET: b"other"})
    assert not (tmp_path / "export").exists()
    (tmp_path / "export").mkdir()
    with pytest.raises(FileExistsError):
        export_folder(read, tmp_path / "export", SETS)


def test_equal_exports_are_equal_archives_and_unpack_safely(tmp_path: Path) -> None:
    archives = []
    for name in ("a", "b"):
        out, _ = exported(tmp_path / name, 20)
        pack(out, tmp_path / name / "trail.tar")
        archives.append((tmp_path / name / "trail.tar").read_bytes())
    assert archives[0] == archives[1]
    with tarfile.open(tmp_path / "a" / "trail.tar") as archive:
        assert all(entry.isreg() and entry.name.startswith("trail/") for entry in archive)
        archive.extractall(tmp_path / "out", filter="data")
    unpacked = {path.relative_to(tmp_path / "out/trail"): path.read_bytes() for path in files(tmp_path / "out/trail")}
    assert unpacked == {
        path.relative_to(tmp_path / "a/export"): path.read_bytes() for path in files(tmp_path / "a/export")
    }


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def follow_the_page(export: Path, vkey: str) -> subprocess.CompletedProcess[str]:
    """Run the page's own lines, copied as they stand, with nothing on the path but the system's tools."""
    lines = re.findall(r"```bash\n(.*?)```", (export / "PROCEDURE.md").read_text("utf-8"), re.DOTALL)
    assert len(lines) == 4
    environment = {"PATH": os.defpath, "KEY": vkey, "LC_ALL": "C.UTF-8"}
    run = ["bash", "-c", "".join(lines)]
    return subprocess.run(run, cwd=export, env=environment, capture_output=True, text=True, timeout=120, check=False)


TOOLS = all(shutil.which(tool) for tool in ("bash", "openssl", "sha256sum", "od"))
needs_tools = pytest.mark.skipif(not TOOLS and "CI" not in os.environ, reason="needs bash, openssl, sha256sum and od")


@needs_tools
@pytest.mark.parametrize("count", [0, 1, 2, 5, 258])
def test_the_page_verifies_a_good_export(tmp_path: Path, count: int) -> None:
    done = follow_the_page(*exported(tmp_path, count))
    assert done.returncode == 0, done.stderr
    assert f"VERIFIED: {ORIGIN}, {count} records" in done.stdout


@needs_tools
@pytest.mark.parametrize(
    ("path", "position"),
    [
        ("checkpoint", -2),
        ("checkpoint", -6),
        ("checkpoint", 3),
        ("checkpoint", len(ORIGIN) + 1),
        ("checkpoint", len(ORIGIN) + 5),
        ("tile/entries/000.p/5", 0),
        ("tile/entries/000.p/5", 1),
        ("tile/entries/000.p/5", 40),
        ("tile/entries/000.p/5", -1),
        ("tile/0/000.p/5", 33),
        ("schemas/poll.json", 5),
        (f"rules/{SET}", 0),
    ],
)
def test_the_page_finds_a_flipped_bit(tmp_path: Path, path: str, position: int) -> None:
    out, vkey = exported(tmp_path, 5)
    raw = bytearray((out / path).read_bytes())
    raw[position] ^= 1
    (out / path).write_bytes(bytes(raw))
    done = follow_the_page(out, vkey)
    assert done.returncode != 0
    assert "VERIFIED" not in done.stdout


@needs_tools
def test_the_page_refuses_another_key(tmp_path: Path) -> None:
    out, vkey = exported(tmp_path, 2)
    name, _, rest = vkey.split("+", 2)
    other = rest[:-8] + ("AAAA" if rest[-8:-4] != "AAAA" else "BBBB") + rest[-4:]
    assert "BROKEN: not signed by this key" in follow_the_page(out, f"{name}+00000000+{other}").stderr
    assert "BROKEN: the log is not" in follow_the_page(out, vkey.replace(name, "other.example/log")).stderr


def test_hashes_of_schemas_and_rule_sets_are_listed(tmp_path: Path) -> None:
    out, _ = exported(tmp_path, 1)
    listed = dict(line.split("  ")[::-1] for line in (out / "SHA256SUMS").read_text().splitlines())
    assert listed == {
        path.relative_to(out).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in files(out)
        if path.parent.name in {"schemas", "rules"} or path.name == "PROCEDURE.md"
    }


def test_a_flipped_byte_beside_the_log_is_found(tmp_path: Path) -> None:
    out, vkey = exported(tmp_path, 3)
    keys = [parse_vkey(vkey)]
    assert verify_folder(out, keys).checks[-1] == Check(10, "beside", True, f"{len(files(out)) - 4} files")
    beside = [out / "PROCEDURE.md", out / "SHA256SUMS", *(out / "rules").iterdir(), out / "schemas" / "poll.json"]
    for path in beside:
        raw = path.read_bytes()
        for offset in range(0, len(raw), 7 if path.name == "SHA256SUMS" else 97):
            path.write_bytes(raw[:offset] + bytes((raw[offset] ^ 1 << offset % 8,)) + raw[offset + 1 :])
            assert [c.number for c in verify_folder(out, keys).checks if c.ok is False] == [10], (path.name, offset)
        path.write_bytes(raw)
    next((out / "rules").iterdir()).unlink()
    assert "no file" in verify_folder(out, keys).checks[-1].detail
